"""How often the Bravais classifier is right, on structures and patterns that it never saw.

Parts
-----
random     unseen random structures, full noise: single pattern, top 3, vote over 20 orientations
materials  the materials of Kaufmann et al. (2020), simulated: the same, by material
dynamical  Bloch-wave master patterns (benchmarks/dynamical_patterns.py) with random noise
real       measured patterns: those of kikuchipy, and those in NAPARI_DIFFRACTION_REAL/ebsd
empty      noise behind the masks of the measured patterns: "NoPattern" is right
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import torch

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.materials import material, paper_materials
from napari_diffraction.crystal.random_structures.structures import random_structure
from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais.data import PatternMaker, draw
from napari_diffraction.learning.bravais.structure_pool import LATTICES, pool_of
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.metrics import confusion_matrix
from napari_diffraction.learning.models.classifier import Classifier, save_classifier
from napari_diffraction.learning.models.device import choose_device
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.bravais_view import SIDES
from napari_diffraction.learning.networks.pattern_centre import known_centre
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.classes import NO_PATTERN
from napari_diffraction.simulation.kikuchi.effects import realistic_rows
from napari_diffraction.simulation.kikuchi.torch_bands import degrade

VOTES = 20
_SEED = 424_242
SYSTEM = {name: lattice.system for name, lattice in BRAVAIS_LATTICES.items()}


class Judge:
    """Judges frames through the classifier's own preprocessing."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier.to(choose_device())
        self.classes = classifier.card.classes

    def __call__(self, frames: torch.Tensor, lit: torch.Tensor, pc: np.ndarray) -> np.ndarray:
        """Probabilities, (n, n_classes), the pattern centres being told."""
        seen = list(zip(frames.cpu(), lit.cpu(), map(tuple, pc.tolist()), strict=True))
        parts = [self.classifier.probabilities(seen[i : i + 64]) for i in range(0, len(seen), 64)]
        return np.concatenate(parts)


def figures(p: np.ndarray, truth: np.ndarray, classes: tuple[str, ...]) -> dict[str, Any]:
    """Single pattern, top 3, crystal system and vote; p is (sources, patterns, classes)."""
    n = len(LATTICES)
    order = np.argsort(-p, axis=2)
    system = np.array([SYSTEM.get(name, "") for name in classes])
    vote = np.log(p[:, :, :n] + 1e-9).mean(axis=1).argmax(axis=1)
    return {
        "single": float((order[..., 0] == truth[:, None]).mean()),
        "top 3": float((order[..., :3] == truth[:, None, None]).any(axis=2).mean()),
        "crystal system": float((system[order[..., 0]] == system[truth][:, None]).mean()),
        "vote": float((vote == truth).mean()),
        "crystal system by vote": float((system[vote] == system[truth]).mean()),
        "called empty": float((order[..., 0] == n).mean()),
        "sources": len(truth),
        "patterns": int(p.shape[0] * p.shape[1]),
    }


def _simulated(judge: Judge, structures: list[Any], repeats: int) -> np.ndarray:
    """Judge `repeats` realistic patterns of every structure."""
    pool = pool_of(structures, choose_device())
    maker = PatternMaker(pool, _SEED)
    rng = np.random.default_rng(_SEED)
    out = []
    for i in range(0, len(structures) * repeats, 128):
        which = torch.arange(i, min(i + 128, len(structures) * repeats)) // repeats
        drawn = draw(len(which), rng, empty=0.0)
        frames, lit, *_ = maker.frames(drawn, which.to(pool.device))
        out.append(judge(frames, lit, drawn.pc))
    return np.concatenate(out).reshape(len(structures), repeats, -1)


def random(judge: Judge, n: int) -> dict[str, Any]:
    """Unseen random structures, full noise."""
    rng = np.random.default_rng([_SEED, 1])
    structures = [random_structure(name, rng) for name in LATTICES for _ in range(n)]
    truth = np.repeat(np.arange(len(LATTICES)), n)
    p = _simulated(judge, structures, VOTES)
    out = figures(p, truth, judge.classes)
    out["by lattice"] = {
        name: figures(p[truth == k], truth[truth == k], judge.classes)
        for k, name in enumerate(LATTICES)
    }
    called = np.array(judge.classes)[p.argmax(axis=2)].ravel()
    names = np.repeat(np.array(LATTICES)[truth], VOTES)
    matrix = confusion_matrix(list(names), list(called), judge.classes)
    out["confusion"] = {"classes": list(judge.classes), "counts": matrix.to_numpy().tolist()}
    out["calibration error"] = _calibration_error(
        p.reshape(-1, p.shape[2]), np.repeat(truth, VOTES)
    )
    return out


def _calibration_error(p: np.ndarray, truth: np.ndarray) -> float:
    confidence, right = p.max(axis=1), p.argmax(axis=1) == truth
    bins = np.minimum((confidence * 15).astype(int), 14)
    gaps = [
        (bins == b).mean() * abs(confidence[bins == b].mean() - right[bins == b].mean())
        for b in range(15)
        if (bins == b).any()
    ]
    return float(sum(gaps))


def materials(judge: Judge, n: int) -> dict[str, Any]:
    """The paper's materials, simulated; those that physics hides apart."""
    names = paper_materials()
    rows = [material(name) for name in names]
    truth = np.array([LATTICES.index(row.lattice) for row in rows])
    p = _simulated(judge, [row.structure for row in rows], 2 * VOTES)
    halves = p.reshape(2 * len(rows), VOTES, -1)
    hidden = np.array([row.hidden for row in rows])
    out = figures(halves[np.repeat(~hidden, 2)], np.repeat(truth[~hidden], 2), judge.classes)
    out["hidden by physics"] = figures(
        halves[np.repeat(hidden, 2)], np.repeat(truth[hidden], 2), judge.classes
    )
    called = np.array(judge.classes)
    out["by material"] = {
        name: {
            "lattice": row.lattice,
            "hidden": row.hidden,
            "single": float((p[i].argmax(axis=1) == truth[i]).mean()),
            "vote": called[np.log(p[i] + 1e-9)[:, : len(LATTICES)].mean(axis=0).argmax()],
        }
        for i, (name, row) in enumerate(zip(names, rows, strict=True))
    }
    return out


def dynamical(judge: Judge, n: int) -> dict[str, Any]:
    """Patterns of Bloch-wave master patterns, with the noise of the random structures."""
    from dynamical_patterns import load_master, project

    folder = Path(os.environ.get("NAPARI_DIFFRACTION_MASTERS", "masters"))
    files = sorted(folder.glob("*.npz"))
    if not files:
        print(f"no master patterns in {folder}: make them with dynamical_patterns.py masters")
        return {}
    rng = np.random.default_rng([_SEED, 2])
    generator = torch.Generator().manual_seed(_SEED)
    out: dict[str, Any] = {"by material": {}}
    every, truths = [], []
    for file in files:
        master = load_master(file)
        clean, _, pc = project(master, 3 * VOTES, size=SIDES[-1], seed=int(rng.integers(2**31)))
        frames, lit = degrade(
            torch.from_numpy(clean), torch.from_numpy(realistic_rows(len(clean), rng)), generator
        )
        p = judge(frames, lit, pc).reshape(3, VOTES, -1)
        truth = np.repeat(LATTICES.index(master.lattice), 3)
        found = figures(p, truth, judge.classes)
        out["by material"][master.name] = {"lattice": master.lattice} | found
        every.append(p)
        truths.append(truth)
        print(f"  {master.name:16s} {master.lattice}  {found['single']:.2f}  {found['vote']:.2f}")
    return out | figures(np.concatenate(every), np.concatenate(truths), judge.classes)


def measured() -> Iterator[tuple[str, str, PatternStack]]:
    """Measured scans: name, lattice, stack."""
    from napari_diffraction.patterns.readers import open_stack

    try:
        import kikuchipy

        folder = Path(kikuchipy.__file__).parent / "data" / "kikuchipy_h5ebsd"
        yield (
            "Ni (kikuchipy)",
            "cF",
            open_stack(folder / "patterns.h5", "Scan 1/EBSD/Data/patterns"),
        )
    except ImportError:
        print("kikuchipy is not installed: its nickel is left out")
    if "NAPARI_DIFFRACTION_REAL" not in os.environ:
        print("NAPARI_DIFFRACTION_REAL is not set: other measured patterns are left out")
        return
    folder = Path(os.environ["NAPARI_DIFFRACTION_REAL"]) / "ebsd"
    for path in sorted((folder / "si_480px").glob("*.h5")):
        yield f"Si {path.stem}", "cF", open_stack(path)
    for name, lattice in (
        ("ni_superalloy_16x16x120x120.npz", "cF"),
        ("gan_1344px.png", "hP"),
        ("fe3c_1040px.tif", "oP"),
    ):
        yield name.split("_")[0], lattice, open_stack(folder / name)


def real(judge: Judge, n: int) -> dict[str, Any]:
    """Measured patterns, through the same call as a user's."""
    out: dict[str, Any] = {}
    for name, lattice, stack in measured():
        try:
            table = finish(classify(stack, judge.classifier))
        except InputError as error:
            print(f"  {name}: {error}")
            continue
        p = table[[f"p_{c}" for c in judge.classes]].to_numpy()
        found = figures(p[None], np.array([LATTICES.index(lattice)]), judge.classes)
        mean = np.log(p + 1e-9)[:, : len(LATTICES)].mean(axis=0)
        found["vote is"] = judge.classes[int(mean.argmax())]
        known = known_centre(stack)
        found["pattern centre"] = "in the file" if known is not None else "found"
        out[name] = {"lattice": lattice} | found
        print(
            f"  {name:14s} {lattice}  single {found['single']:.2f}  top 3 {found['top 3']:.2f}  "
            f"system {found['crystal system']:.2f}  vote {found['vote is']}  "
            f"called empty {found['called empty']:.3f}  of {len(p)}"
        )
    return out


def empty(judge: Judge, n: int) -> dict[str, Any]:
    """Noise behind the masks of the measured patterns."""
    rng = np.random.default_rng([_SEED, 3])
    out: dict[str, Any] = {}
    for name, _, stack in measured():
        if len(stack) < 100:
            continue
        frames = stack.data.reshape(-1, *stack.frame_shape).compute().astype(np.float32)
        mean, deviation = frames.mean(axis=0), frames.std(axis=0)
        noise = mean + deviation * rng.normal(size=(10 * n, *mean.shape)).astype(np.float32)
        smooth = _surface(mean) + deviation * rng.normal(size=noise.shape).astype(np.float32)
        for kind, made in (("around the scan's mean", noise), ("around a smooth dome", smooth)):
            if kind.startswith("around the scan") and not _erases(stack):
                continue  # the mean itself shows a pattern
            table = finish(
                classify(PatternStack(da.from_array(np.clip(made, 0, 255)), name), judge.classifier)
            )
            out[f"{name}, {kind}"] = float((table["label"] == NO_PATTERN).mean())
            print(f"  noise like {name}, {kind}: {out[f'{name}, {kind}']:.3f} called empty")
    return out


def _erases(stack: PatternStack) -> bool:
    from napari_diffraction.patterns.kikuchi.mask import static_background

    return static_background(stack).usable


def _surface(mean: np.ndarray) -> np.ndarray:
    """The mean without its bands, its mask kept."""
    from scipy.ndimage import gaussian_filter

    lit = mean > 0.1 * np.median(mean)
    share = gaussian_filter(lit.astype(np.float32), 10)
    smooth = gaussian_filter(np.where(lit, mean, 0), 10) / np.maximum(share, 1e-3)
    return np.where(lit, smooth, mean)


PARTS = {
    "random": random,
    "materials": materials,
    "dynamical": dynamical,
    "real": real,
    "empty": empty,
}


def main() -> None:
    """Run the parts that were asked for and write their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="bravais", help="name or file of the model")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--structures", type=int, default=100, help="random ones of each lattice")
    parser.add_argument("--output", type=Path, help="folder for bravais_accuracy.json")
    parser.add_argument(
        "--card", action="store_true", help="write the headlines on the model's card"
    )
    options = parser.parse_args()
    judge = Judge(load_model(options.model))
    found = {}
    for name in options.only:
        print(f"\n== {name}: {PARTS[name].__doc__}")
        found[name] = PARTS[name](judge, options.structures)
        print({k: round(v, 3) for k, v in found[name].items() if isinstance(v, float)})
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        path = options.output / "bravais_accuracy.json"
        path.write_text(json.dumps(found, indent=1, default=float))
    if options.card:
        network, card = judge.classifier.network, judge.classifier.card
        save_classifier(network, replace(card, figures=headlines(found)), Path(card.path))


def headlines(found: dict[str, Any]) -> dict[str, float]:
    """The few figures that the model list shows."""
    titles = {
        "random": "unseen random structures",
        "materials": "the paper's materials, simulated",
        "dynamical": "dynamical patterns",
    }
    return {
        f"{title}: {kind}": round(found[part][kind], 4)
        for part, title in titles.items()
        if found.get(part)
        for kind in ("single", "top 3", "vote")
    }


if __name__ == "__main__":
    main()
