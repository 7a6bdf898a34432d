"""The closed protocol of Kaufmann et al., Science 367, 564 (2020), on many-beam patterns.

Two materials teach each of the 14 Bravais lattices, 640 patterns a material, a fifth of them for
validation; ResNet-50 and Xception learn in batches of 32 with Adam until the validation loss falls
by less than 0.001.  All patterns are of one microscope at 20 kV, as in the paper: one camera, the
pattern centre within a few per cent.  Three steps, the second of which takes hours without a
graphics card and goes on where it was stopped::

    python benchmarks/dynamical_patterns.py masters --folder masters
    python benchmarks/dynamical_patterns.py masters --materials --folder materials
    python benchmarks/dynamical_patterns.py masters --folder materials \
        --only Ni2V MoPt2 V8C7 FeNi3 Ni3Al

    python benchmarks/bravais_protocol.py patterns --masters materials masters --folder protocol
    python benchmarks/bravais_protocol.py train resnet50 --folder protocol --resume
    python benchmarks/bravais_protocol.py ask --folder protocol --output benchmarks/figures

``ask`` lets every network of the folder and the shipped model judge the same patterns: fresh ones
of the materials that taught, of the materials of the paper that taught nothing, of other crystals,
and the measured ones of `bravais_accuracy.py`.  The paper's figures, on measured patterns of nine
materials never seen, stand beside: 93.5 % (ResNet-50) and 91.2 % (Xception).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from bravais_accuracy import measured
from dynamical_patterns import OVERSAMPLE
from indexing_sets import Known, as_stack, draw_camera, load_known, record
from indexing_sets import write as write_stack
from napari_diffraction.crystal.materials import MATERIALS, material, paper_materials, teachers
from napari_diffraction.crystal.orientation import random_rotations
from napari_diffraction.files import replacing
from napari_diffraction.learning.bravais.structure_pool import LATTICES
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.evaluation.plots import confusion_figure
from napari_diffraction.learning.labels.labelled import LabelledSource
from napari_diffraction.learning.metrics import balanced_accuracy, confusion_matrix
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
from napari_diffraction.learning.pictures.recipe import Augmentation, PicturesRecipe
from napari_diffraction.learning.pictures.training import train_pictures
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import finish

PAPER = {"resnet50": 0.935, "xception": 0.912}
FULL_PATTERNS = 640
#: The microscope, in Bruker's convention, and the deviation of its centre from pattern to pattern.
CENTRE, SPREAD = (0.5, 0.3, 0.6), 0.02
#: Sets of patterns, and what of each is asked.
LEARN, SAME, UNSEEN, OTHERS = "learn", "same materials", "unseen materials", "other crystals"
SHIPPED = "bravais"
BATCH = 256
_SAME_VOLUME = 0.05


def crystals_of(folders: list[Path]) -> dict[str, list[Known]]:
    """Return the crystals of each set, of all folders of master patterns."""
    files = {path.stem: path.parent for folder in folders for path in sorted(folder.glob("*.npz"))}
    teaching = [name for pair in teachers().values() for name in pair]
    unseen = [name for name in paper_materials() if name not in teaching]
    missing = [name for name in (*teaching, *unseen) if name not in files]
    if missing:
        raise SystemExit(f"No master patterns of {', '.join(missing)}: see the top of this file.")
    known = {name: load_known(folder, [name])[0] for name, folder in sorted(files.items())}
    of_paper = [known[name] for name in (*teaching, *unseen)]
    others = [one for one in known.values() if not any(_is_alike(one, two) for two in of_paper)]
    return {
        LEARN: [known[name] for name in teaching],
        UNSEEN: [known[name] for name in unseen],
        OTHERS: others,
    }


def _is_alike(one: Known, two: Known) -> bool:
    """Whether two are one crystal, by whatever name."""
    a, b = one.structure, two.structure
    same_cell = abs(a.cell.volume / b.cell.volume - 1) < _SAME_VOLUME
    return a.space_group == b.space_group and same_cell and set(a.species) == set(b.species)


def make_patterns(options: argparse.Namespace) -> None:
    """Write all sets, taken by one camera."""
    crystals = crystals_of(options.masters)
    sets = {
        LEARN: (crystals[LEARN], options.patterns),
        SAME: (crystals[LEARN], options.asked),
        UNSEEN: (crystals[UNSEEN], options.asked),
        OTHERS: (crystals[OTHERS], options.asked // 5),
    }
    rng = np.random.default_rng([options.seed, 2020])
    total = sum(len(known) * each for known, each in sets.values())
    camera = draw_camera(total, options.size, options.noise, rng, mask=False)
    options.folder.mkdir(parents=True, exist_ok=True)
    first = 0
    for name, (known, each) in sets.items():
        frames = np.empty((len(known) * each, options.size, options.size), np.uint8)
        for number, one in enumerate(known):
            for begin in range(0, each, BATCH):
                end = min(each, begin + BATCH)
                centres = np.array(CENTRE) + SPREAD * rng.normal(size=(end - begin, 3))
                turned = random_rotations(end - begin, rng)
                clean = one.master.project(turned, centres, frames.shape[1:], OVERSAMPLE)
                place = slice(number * each + begin, number * each + end)
                rows = slice(first + place.start, first + place.stop)
                frames[place] = record(clean, camera, rng, which=rows)
        first += len(frames)
        write_set(options.folder / f"{name.split()[0]}.h5", frames, known, each)
        print(f"{name}: {len(frames)} patterns of {len(known)} crystals", flush=True)
    about = {key: getattr(options, key) for key in ("patterns", "asked", "size", "noise", "seed")}
    (options.folder / "about.json").write_text(json.dumps(about))


def write_set(path: Path, frames: NDArray[np.uint8], known: list[Known], each: int) -> None:
    """Write patterns, and beside them the table that names lattice and material of each."""
    write_stack(path, as_stack(frames, path.stem, CENTRE), None)
    rows = {
        "index": np.arange(len(frames)),
        "label": np.repeat([one.lattice for one in known], each),
        "material": np.repeat([one.name for one in known], each),
        "pattern": np.arange(len(frames)),
    }
    pd.DataFrame(rows).to_csv(path.with_name(f"{path.name}.csv"), index=False)


def recipe_of(network: str, options: argparse.Namespace) -> PicturesRecipe:
    """The paper's training: a fifth held back by pattern, nothing mirrored or turned."""
    about = json.loads((options.folder / "about.json").read_text())
    return PicturesRecipe(
        name=network,
        seed=options.seed + 1,
        classes=LATTICES,
        labelled=(LabelledSource(path="learn.h5", group="pattern"),),
        network=network,
        preprocessing=Preprocessing(size=about["size"], black=1.0, white=99.0, flatten=0.11),
        augmentation=Augmentation(mirror=False, quarters=False),
        optimiser="adam",
        batch_size=32,
        learning_rate=options.learning_rate,
        weight_decay=0.0,
        balanced=False,
        validation=0.2,
        epochs=options.epochs,
        patience=options.patience,
        min_delta=0.001,
        minutes=options.minutes,
        folder=str(options.folder),
    )


def train(options: argparse.Namespace) -> None:
    """Train one network by the library's own training, and keep how it went."""
    torch.set_num_threads(options.threads)
    output = options.folder / f"{options.network}.safetensors"
    log = options.folder / f"{options.network}.json"
    losses: dict[int, tuple[float, float, float]] = {}
    before = json.loads(log.read_text())["minutes"] if options.resume and log.exists() else 0.0
    recipe, began = recipe_of(options.network, options), time.monotonic()
    for step in train_pictures(recipe, output, options.resume):
        if not isinstance(step, Epoch) or not step.epoch or step.epoch in losses:
            continue
        losses[step.epoch] = (step.loss, step.validation_loss, step.balanced_accuracy)
        minutes = before + (time.monotonic() - began) / 60
        found = {"minutes": minutes, "losses": list(losses.values()), "ended": False}
        with replacing(log) as path:
            path.write_text(json.dumps(found))
        print(
            f"epoch {step.epoch}: loss {step.loss:.3f}, of validation {step.validation_loss:.3f}, "
            f"right {step.balanced_accuracy:.3f}, {minutes:.0f} min",
            flush=True,
        )
    found["ended"] = len(losses) < recipe.epochs and not recipe.minutes
    log.write_text(json.dumps(found))


def examine(p: NDArray[np.float64], table: pd.DataFrame) -> dict[str, Any]:
    """Accuracy, counted by material, with an interval, and confusion matrix."""
    called = np.array(LATTICES)[p.argmax(axis=1)]
    right = called == table["label"].to_numpy()
    by = {
        name: {
            "lattice": str(rows["label"].iloc[0]),
            "hidden": name in MATERIALS and material(name).hidden,
            "accuracy": float(right[rows.index].mean()),
        }
        for name, rows in table.groupby("material", sort=False)
    }
    shown = np.array([one["accuracy"] for one in by.values() if not one["hidden"]])
    rng = np.random.default_rng(0)
    means = rng.choice(shown, (4000, len(shown))).mean(axis=1)
    matrix = confusion_matrix(table["label"].to_numpy(), called, LATTICES)
    return {
        "patterns": len(table),
        "materials": len(by),
        "accuracy": float(np.mean([one["accuracy"] for one in by.values()])),
        "balanced accuracy": balanced_accuracy(table["label"].to_numpy(), called),
        "accuracy without the hidden": float(shown.mean()),
        "interval": [float(v) for v in np.quantile(means, (0.025, 0.975))],
        "by material": by,
        "confusion": {"classes": list(LATTICES), "counts": matrix.to_numpy().tolist()},
    }


def sets_of(folder: Path) -> Iterator[tuple[str, Any, pd.DataFrame]]:
    """The sets that are asked: name, stack, table."""
    for name in (SAME, UNSEEN, OTHERS):
        path = folder / f"{name.split()[0]}.h5"
        yield name, open_stack(path), pd.read_csv(path.with_name(f"{path.name}.csv"))


def ask(options: argparse.Namespace) -> None:
    """Let every network judge the same patterns."""
    about = json.loads((options.folder / "about.json").read_text())
    models = {name: options.folder / f"{name}.safetensors" for name in PAPER}
    models = {name: path for name, path in models.items() if path.exists()} | {SHIPPED: SHIPPED}
    found: dict[str, Any] = {
        "about": about | {"reduced": about["patterns"] < FULL_PATTERNS},
        "networks": {},
    }
    for name, path in models.items():
        model, one = load_model(str(path)), {"paper": PAPER.get(name)}
        if name in PAPER:
            one["training"] = json.loads((options.folder / f"{name}.json").read_text())
        for part, stack, table in sets_of(options.folder):
            answers = finish(classify(stack, model)).sort_values("index")
            one[part] = examine(answers[[f"p_{c}" for c in LATTICES]].to_numpy(), table)
            print(name, part, {k: v for k, v in one[part].items() if isinstance(v, float | int)})
        one["measured"] = {}
        for title, lattice, stack in measured():
            answers = finish(classify(stack, model))
            right = answers[[f"p_{c}" for c in LATTICES]].to_numpy().argmax(axis=1)
            share = float((right == LATTICES.index(lattice)).mean())
            one["measured"][title] = {"lattice": lattice, "accuracy": share, "patterns": len(right)}
            print(name, title, lattice, f"{share:.2f} of {len(right)}", flush=True)
        found["networks"][name] = one
    write(found, options.output)


def write(found: dict[str, Any], folder: Path) -> None:
    """Write figures, and pictures of the confusion matrices."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, one in found["networks"].items():
        for part in (SAME, UNSEEN):
            counts = pd.DataFrame(one[part]["confusion"]["counts"], LATTICES, LATTICES)
            picture = confusion_figure(counts)
            picture.suptitle(f"{name}, {part}")
            with replacing(folder / f"bravais_protocol_{name}_{part.split()[0]}.png") as path:
                picture.savefig(path, dpi=70, format="png")
    with replacing(folder / "bravais_protocol.json") as path:
        path.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    """Run one of the three steps."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    steps = parser.add_subparsers(dest="step", required=True)
    patterns = steps.add_parser("patterns")
    patterns.add_argument("--masters", type=Path, nargs="+", required=True, help="folders")
    patterns.add_argument("--patterns", type=int, default=FULL_PATTERNS, help="of each material")
    patterns.add_argument("--asked", type=int, default=100, help="patterns of each, to be judged")
    patterns.add_argument("--size", type=int, default=96, help="side of the patterns, px")
    patterns.add_argument("--noise", type=float, default=0.25, help="1: the full range")
    training = steps.add_parser("train")
    training.add_argument("network", choices=PAPER)
    training.add_argument("--epochs", type=int, default=100, help="at most")
    training.add_argument("--patience", type=int, default=3, help="epochs that are no better")
    training.add_argument("--minutes", type=float, default=0.0, help="at most; 0: until it stops")
    training.add_argument("--learning-rate", type=float, default=1e-3)
    training.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    training.add_argument("--resume", action="store_true")
    asking = steps.add_parser("ask")
    asking.add_argument("--output", type=Path, default=Path("bravais_protocol"))
    for step in (patterns, training, asking):
        step.add_argument("--folder", type=Path, default=Path("protocol"))
        step.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    {"patterns": make_patterns, "train": train, "ask": ask}[options.step](options)


if __name__ == "__main__":
    main()
