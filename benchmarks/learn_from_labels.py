"""What 40 labels are worth: the zone classifier with cameras that it was never trained for.

    python benchmarks/learn_from_labels.py --output benchmarks/figures/learn_from_labels.json
    python benchmarks/learn_from_labels.py --cameras jitter --more 20

Each camera has effects outside the range of the training (`CAMERAS`); everything else is an
ordinary experiment.  Of each camera's patterns ten of each class are labelled, drawn at random with
several seeds; the error is that of all others: 1 - balanced accuracy, the classes counting alike.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import torch

from napari_diffraction.crystal.cell import random_cell
from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.learning.classification.inference import classify
from napari_diffraction.learning.metrics import (
    balanced_accuracy,
    expected_calibration_error,
    reliability,
)
from napari_diffraction.learning.models.classifier import Classifier, load_classifier
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.zone_view import view
from napari_diffraction.learning.training.active_learning import teach_most
from napari_diffraction.learning.training.fine_tuning import AFTER, found_in, learn
from napari_diffraction.learning.training.lesson import Lesson
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import DetectorEffects
from napari_diffraction.simulation.samples import ORDINARY_CAMERA, ORDINARY_CONDITIONS
from napari_diffraction.simulation.spots.dataset import simulate_spots

#: Seeds of the cells and patterns; training, calibration and other benchmarks use others.
SEED = 88_001
EVEN = dict.fromkeys(ZONE_CLASSES, 0.25)
#: What is outside the range of `napari_diffraction.simulation.conditions.realistic_effects`.
CAMERAS: dict[str, tuple[str, DetectorEffects]] = {
    "bent": (
        "ellipticity 0.2 (trained: 0.05 at most), pincushion 0.2 (0.15)",
        replace(ORDINARY_CAMERA, ellipticity=0.2, ellipticity_angle=30.0, distortion=0.2),
    ),
    "false spots": (
        "false spots 40 % (6 %)",
        replace(ORDINARY_CAMERA, false_spots=0.4),
    ),
    "jitter": (
        "errors of position 2 px (0.4 px at 256 px)",
        replace(ORDINARY_CAMERA, jitter=2.0),
    ),
    "gaps": (
        "gaps of 24 px (6 px), 3 % dead pixels (0.1 %), beam stop of 0.3 (0.15)",
        replace(ORDINARY_CAMERA, gap_width=24.0, dead_pixels=0.03, beam_stop=0.3),
    ),
    "off centre": (
        "direct beam off centre by 0.3 and 0.2 of the frame (0.15)",
        replace(ORDINARY_CAMERA, shift_x=0.3, shift_y=0.2),
    ),
    "fat spots": (
        "spots of 9 px radius (6 px), direct beam of 20 px (14 px)",
        replace(ORDINARY_CAMERA, spot_radius=9.0, central_radius=20.0),
    ),
    "streaks": (
        "spots drawn out to 4 times their width (2.2 times)",
        replace(ORDINARY_CAMERA, elongation=3.0, spot_radius=4.0, elongation_angle=20.0),
    ),
    "rings": (
        "rings of ice and carbon twice as bright as the spots (half as bright)",
        replace(ORDINARY_CAMERA, ice=120.0, carbon=120.0),
    ),
    "sparks": (
        "hot pixels 0.4 % (0.05 %)",
        replace(ORDINARY_CAMERA, hot_pixels=0.004),
    ),
    "all at once": (
        "false spots 40 %, ellipticity 0.12, errors of position 1 px, 30 % of the spots missing "
        "(15 %)",
        replace(ORDINARY_CAMERA, false_spots=0.4, ellipticity=0.12, jitter=1.0, missing=0.3),
    ),
    "ordinary": ("nothing: the camera of the sample data", ORDINARY_CAMERA),
}


def experiment(camera: DetectorEffects, each: int, cells: int = 3) -> tuple[Any, np.ndarray]:
    """Patterns, as many of each class, of several random cells, and their true classes."""
    rng = np.random.default_rng(SEED)
    images: list[np.ndarray] = []
    truth: list[str] = []
    for number in range(cells):
        cell = random_cell((300, 2000), rng=rng)
        for crystals, n, wanted in (
            (1, 2500, ZONE_CLASSES[:2]),
            (0, 2 * each, ZONE_CLASSES[2:3]),
            (2, 2 * each, ZONE_CLASSES[3:]),
        ):
            made = finish(
                simulate_spots(
                    [cell],
                    ORDINARY_CONDITIONS,
                    camera,
                    orientations=n,
                    crystals=crystals,
                    seed=SEED + number,
                )
            )
            label = made.labels["label"].to_numpy(str)
            for name in wanted:
                chosen = rng.permutation(np.flatnonzero(label == name))[: each // cells]
                images += [made.images[i] for i in chosen]
                truth += [name] * len(chosen)
    order = rng.permutation(len(truth))
    data = np.stack([images[i] for i in order])
    return data, np.array(truth)[order]


class Looked:
    """A stack that is looked at once, and then judged by as many models as one likes."""

    def __init__(self, model: Classifier, images: np.ndarray) -> None:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            views = list(pool.map(view, images))
        self.views = views
        self.found = torch.cat(
            [found_in(model, views[i : i + 64])[0] for i in range(0, len(views), 64)]
        )

    def probabilities(self, model: Classifier) -> np.ndarray:
        """By a model whose body is that of the first one; the classes alike frequent."""
        from napari_diffraction.learning.models.calibration import probabilities

        card = model.card
        with torch.inference_mode():
            logits = model.network.judge(self.found)["joint"].numpy()
        return probabilities(logits, card.scale, card.bias, card.classes, card.shares, EVEN)


def error(p: np.ndarray, truth: np.ndarray) -> float:
    """1 - balanced accuracy."""
    return 1 - balanced_accuracy(truth, np.array(ZONE_CLASSES)[p.argmax(axis=1)])


def calibration_error(p: np.ndarray, truth: np.ndarray) -> float:
    """Expected calibration error."""
    right = np.array(ZONE_CLASSES)[p.argmax(axis=1)] == truth
    return expected_calibration_error(reliability(p.max(axis=1), right))


def rounds(
    stack: PatternStack,
    looked: Looked,
    truth: np.ndarray,
    asked: argparse.Namespace,
    folder: Path,
) -> list[dict[str, float]]:
    """Label ten of each class and learn; then some more, at random or those that teach most."""
    parent = load_model("zones")
    rows = []
    for seed in range(asked.seeds):
        rng = np.random.default_rng(seed)
        first = np.concatenate(
            [
                rng.permutation(np.flatnonzero(truth == name))[: asked.labels]
                for name in ZONE_CLASSES
            ]
        )
        rest = np.setdiff1d(np.arange(len(truth)), first)
        before = looked.probabilities(parent)
        card, p = lesson(stack, looked, truth, first, parent, folder)
        row = {
            "before": error(before[rest], truth[rest]),
            "after": error(p[rest], truth[rest]),
            "calibration before": calibration_error(before[rest], truth[rest]),
            "calibration after": calibration_error(p[rest], truth[rest]),
            "said on the card": 1 - card.card.figures[AFTER],
        }
        further = {}
        if asked.more:
            useful = finish(teach_most(stack, card, rest, p[rest], asked.more))
            further = {"useful": useful, "random": rng.permutation(rest)[: asked.more]}
        for name, more in further.items():
            labelled = np.append(first, more)
            others = np.setdiff1d(np.arange(len(truth)), labelled)
            _, q = lesson(stack, looked, truth, labelled, parent, folder)
            row[f"{asked.more} more, {name}"] = error(q[others], truth[others])
        rows.append(row)
    return rows


def lesson(
    stack: PatternStack,
    looked: Looked,
    truth: np.ndarray,
    labelled: np.ndarray,
    parent: Classifier,
    folder: Path,
) -> tuple[Classifier, np.ndarray]:
    """Learn from labels; return the model and what it says of all patterns."""
    path = folder / "learned.safetensors"
    finish(learn(Lesson(stack, labelled, truth[labelled]), parent, path))
    model = load_classifier(path)
    return model, looked.probabilities(model)


def seconds(images: np.ndarray, truth: np.ndarray, folder: Path) -> dict[str, float]:
    """Time from 40 labels to 1,000 patterns sorted anew, and to the 20 that teach most."""
    many = np.resize(np.arange(len(truth)), 1000)
    stack = PatternStack(da.from_array(images[many], chunks=(1, *images.shape[1:])), "timed")
    labelled = np.concatenate([np.flatnonzero(truth == name)[:10] for name in ZONE_CLASSES])
    parent = load_model("zones")
    finish(classify(stack, parent, device="cpu"))  # as it was done before anybody labelled
    began, worked = time.perf_counter(), time.process_time()
    path = folder / "timed.safetensors"
    finish(learn(Lesson(stack, labelled, truth[labelled]), parent, path))
    learned = time.perf_counter() - began
    model = load_classifier(path)
    table = finish(classify(stack, model, device="cpu"))
    sorted_anew = time.perf_counter() - began
    p = table[[f"p_{name}" for name in ZONE_CLASSES]].to_numpy()
    finish(teach_most(stack, model, np.arange(1000), p))
    return {
        "learned": learned,
        "1,000 patterns sorted anew": sorted_anew,
        "next patterns chosen": time.perf_counter() - began,
        "processor time of all": time.process_time() - worked,
        "load of the machine": os.getloadavg()[0],
    }


def main() -> None:
    """Print a row a camera, and write all of it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cameras", nargs="*", default=list(CAMERAS), choices=list(CAMERAS))
    parser.add_argument("--patterns", type=int, default=150, help="of each class and camera")
    parser.add_argument("--labels", type=int, default=10, help="of each class")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--more", type=int, default=0, help="further labels, useful or random")
    parser.add_argument("--output", type=Path)
    asked = parser.parse_args()
    out: dict[str, Any] = {
        "labels of each class": asked.labels,
        "seeds": asked.seeds,
        "cameras": {},
    }
    model = load_model("zones")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for camera in asked.cameras:
            what, effects = CAMERAS[camera]
            images, truth = experiment(effects, asked.patterns)
            looked = Looked(model, images)
            stack = PatternStack(da.from_array(images, chunks=(1, *images.shape[1:])), camera)
            rows = rounds(stack, looked, truth, asked, folder)
            mean = {key: float(np.mean([row[key] for row in rows])) for key in rows[0]}
            worst = max(row["after"] / row["before"] for row in rows)
            out["cameras"][camera] = {"outside": what, "mean": mean, "by seed": rows}
            said = ", ".join(f"{key} {value:.3f}" for key, value in mean.items())
            print(f"{camera} ({what})\n  {said}; worst ratio {worst:.2f}", flush=True)
            write(out, asked.output)
        out["seconds"] = seconds(images, truth, folder)
        print(json.dumps(out["seconds"]))
        write(out, asked.output)


def write(out: dict[str, Any], path: Path | None) -> None:
    """Write what there is so far."""
    if path is not None:
        path.write_text(json.dumps(out, indent=1))


if __name__ == "__main__":
    main()
