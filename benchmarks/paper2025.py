"""The protocol of Gorelik et al. (2025), and other networks by it, beside the shipped model.

Networks learn from black and white patterns of random triclinic cells of 1000 A^3 (recipe
``paper2025``), and are asked about cells that none of them has seen: triclinic ones of 500, 700 and
1000 A^3, and the two monoclinic cells of the paper with the absences of a 2_1 axis.  The shipped
model `zones` judges the same patterns; of its four classes the two of the paper count.

Full size (a graphics card, or a night): no options.  Smaller sizes say so in the figures::

    python benchmarks/paper2025.py --only compact --cells 5 --orientations 300 --side 128
    python benchmarks/paper2025.py --only fasterrcnn_resnet50_fpn --orientations 16 --epochs 2

Each network is run once, and its row replaces the one before in benchmarks/figures/paper2025.json;
the table for the documentation is written beside the script's other output.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_diffraction.crystal.cell import UnitCell, random_cell
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.evaluation.intervals import Figures, Judged
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.pictures.recipe import PicturesRecipe
from napari_diffraction.learning.pictures.training import train_pictures
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.training.recipe import read_recipe
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import Progress, finish
from napari_diffraction.simulation.files import save_simulated
from napari_diffraction.simulation.spots.dataset import simulate_spots

FIGURES = Path(__file__).parent / "figures" / "paper2025.json"
TABLE = Path(__file__).parents[1] / "docs" / "accuracy_pictures_tables.md"
#: Cells of the paper, with the absences of P2_1.
MONOCLINIC = (
    UnitCell(3.8155, 10.0452, 13.7425, 90, 107.8717, 90),
    UnitCell(3.7061, 12.0249, 11.7474, 90, 103.1097, 90),
)
VOLUMES = (500, 700, 1000)
#: Far from the seeds of training.
SEED = 20_250


def test_stack(folder: Path, orientations: int, size: int) -> tuple[Path, pd.DataFrame]:
    """Simulate the patterns to ask about, the same for all networks."""
    images, labels = [], []
    cells = [(random_cell(v, rng=np.random.default_rng([SEED, v])), None) for v in VOLUMES]
    cells += [(cell, 4) for cell in MONOCLINIC]
    for number, (cell, group) in enumerate(cells):
        stack = finish(
            simulate_spots(
                [cell], orientations=orientations, size=size, space_group=group, seed=SEED + number
            )
        )
        stack.labels["cell"] = number
        images.append(stack.images)
        labels.append(stack.labels)
    whole = replace(
        stack, images=np.concatenate(images), labels=pd.concat(labels, ignore_index=True)
    )
    path = folder / "paper2025_test.h5"
    save_simulated(whole, path)
    return path, whole.labels


def judge(model: str, path: Path, labels: pd.DataFrame, classes: tuple[str, ...]) -> dict[str, Any]:
    """Ask a model; only the classes of the paper count."""
    classifier = load_model(model)
    began = time.perf_counter()
    table = finish(classify(open_stack(path), classifier)).sort_values("index")
    seconds = time.perf_counter() - began
    p = table[[f"p_{name}" for name in classes]].to_numpy()
    p = p / p.sum(axis=1, keepdims=True)
    truth = np.array([classes.index(name) for name in labels["label"]])
    groups = labels["cell"].to_numpy(dtype=str)
    judged = Judged(classes, truth, p.argmax(axis=1), p, p.max(axis=1), groups)
    found = Figures(judged).table()
    names = ["balanced_accuracy", f"recall_{classes[0]}", f"precision_{classes[0]}"]
    return {
        "zones": int((truth == 0).sum()),
        "asked": len(truth),
        "patterns a second": round(len(truth) / seconds, 1),
        **{name: found.loc[name].round(4).tolist() for name in names},
    }


def train(recipe: PicturesRecipe, output: Path) -> dict[str, Any]:
    """Train a network by the recipe; say what it was given."""

    def say(step: Progress) -> None:
        if isinstance(step, Epoch):
            if step.note:
                notes.append(step.note)
            print(f"{step.message}: {step.done} of {step.total}", end="\r", flush=True)

    notes: list[str] = []
    began = time.perf_counter()
    finish(train_pictures(recipe, output, resume=True), say)
    card = load_model(str(output)).card
    return {
        "network": recipe.network,
        "side": recipe.preprocessing.size,
        "learned from": card.figures["patterns learned from"],
        "epochs": recipe.epochs,
        "minutes": round((time.perf_counter() - began) / 60, 1),
        "notes": notes,
    }


def write_table(rows: dict[str, Any]) -> None:
    head = "network|side|learned from|epochs|zones|balanced accuracy|recall|precision|patterns/s"
    lines = [f"|{head}|", "|" + "---|" * (head.count("|") + 1)]
    for row in rows.values():
        cells = [row["network"], row["side"], row["learned from"], row["epochs"]]
        cells.append(f"{row['zones']} of {row['asked']}")
        for name in ("balanced_accuracy", "recall_2DZone", "precision_2DZone"):
            value, low, high = row[name]
            cells.append("-" if value != value else f"{value:.2f} ({low:.2f}-{high:.2f})")
        cells.append(row["patterns a second"])
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    TABLE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="fasterrcnn_resnet50_fpn", help="the network")
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--orientations", type=int, default=1000, help="of each cell learned from")
    parser.add_argument("--asked", type=int, default=1000, help="orientations of each test cell")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--side", type=int, default=254)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=0.0)
    parser.add_argument("--folder", type=Path, default=Path("paper2025"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    recipe = read_recipe("paper2025")
    (spots,) = recipe.spots
    recipe = replace(
        recipe,
        name=options.only,
        network=options.only,
        spots=(replace(spots, cells=options.cells, orientations=options.orientations),),
        preprocessing=replace(recipe.preprocessing, size=options.side),
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate or recipe.learning_rate,
    )
    path, labels = test_stack(options.folder, options.asked, spots.size)
    output = options.folder / f"{options.only}.safetensors"
    made = train(recipe, output) | judge(str(output), path, labels, recipe.classes)
    shipped = {"network": "zones (shipped)", "side": 128, "learned from": "-", "epochs": "-"}
    shipped |= judge("zones", path, labels, recipe.classes)
    rows = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
    rows |= {options.only: made, "zones": shipped}
    FIGURES.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    write_table(rows)
    print(TABLE.read_text())


if __name__ == "__main__":
    main()
