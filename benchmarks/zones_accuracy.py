"""Every accuracy figure of the zone classifier, on unit cells that it never saw.

    python benchmarks/zones_accuracy.py --output figures
    python benchmarks/zones_accuracy.py --only clean controls --model mine.safetensors

The patterns are simulated with seeds kept apart from those of training, calibration and tuning.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from napari_diffraction.crystal.cell import random_cell
from napari_diffraction.learning import metrics
from napari_diffraction.learning.classes import NATURAL_SHARES, ZONE, ZONE_CLASSES
from napari_diffraction.learning.classification.adaptation import find_border, moved
from napari_diffraction.learning.models.calibration import probabilities
from napari_diffraction.learning.models.classifier import Classifier, save_classifier
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks.zone_view import view
from napari_diffraction.learning.zones.data import Example, examples
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import DetectorEffects
from napari_diffraction.simulation.samples import (
    FIGURE_1,
    FIGURE_2,
    MONOCLINIC_1,
    MONOCLINIC_2,
    MONOCLINIC_GROUP,
    ORDINARY_CAMERA,
    ORDINARY_CONDITIONS,
)
from napari_diffraction.simulation.spots.controls import jitter_net, shift_outer_half
from napari_diffraction.simulation.spots.dataset import SimulatedStack, simulate_spots
from napari_diffraction.simulation.spots.render import render

#: Seeds of the test patterns; training and calibration use others.
SEED = 77_001


class Judge:
    """The model with its three opinions: both eyes, the network alone, the net fit alone."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier
        self.pool = ThreadPoolExecutor(os.cpu_count())

    def __call__(self, images: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
        """Probabilities (n, 4) at natural shares, by opinion."""
        card = self.classifier.card
        parts: dict[str, list[np.ndarray]] = {"joint": [], "network": [], "fit": []}
        source = iter(images)
        while batch := list(itertools.islice(source, 256)):
            logits = self.classifier.logits(list(self.pool.map(view, batch)))
            for name, values in parts.items():
                scale, bias, trained = card.scale, card.bias, card.shares
                if name != "joint":  # trained with classes of equal weight, not calibrated
                    scale, bias, trained = 1.0, (0.0,) * 4, dict.fromkeys(ZONE_CLASSES, 0.25)
                values.append(
                    probabilities(logits[name], scale, bias, card.classes, trained, NATURAL_SHARES)
                )
        return {name: np.concatenate(values) for name, values in parts.items()}


def paper_sets(orientations: int) -> dict[str, SimulatedStack]:
    """The paper's sets: random triclinic cells by volume, its figures, its monoclinic cells."""
    rng = np.random.default_rng(SEED)
    cells: dict[str, tuple[Any, Any]] = {}
    for volume in (500, 700, 1000):
        for k in "ab":
            cells[f"triclinic {volume} {k}"] = (random_cell(volume, rng=rng), None)
    cells["Fig. 1"] = (FIGURE_1, None)
    cells["Fig. 2"] = (FIGURE_2, None)
    cells["monoclinic 1"] = (MONOCLINIC_1, MONOCLINIC_GROUP)
    cells["monoclinic 2"] = (MONOCLINIC_2, MONOCLINIC_GROUP)
    return {
        name: finish(
            simulate_spots([cell], orientations=orientations, space_group=group, seed=SEED)
        )
        for name, (cell, group) in cells.items()
    }


def clean(judge: Judge, n: int) -> dict[str, Any]:
    """Clean patterns with the paper's parameters."""
    rows = []
    pooled: dict[str, list[np.ndarray]] = {"truth": [], "called": [], "spots": []}
    for name, stack in paper_sets(n).items():
        truth = (stack.labels["label"] == ZONE).to_numpy()
        spots = stack.labels["n_spots"].to_numpy()
        p = judge(stack.images)
        row: dict[str, Any] = {"set": name, "zones": int(truth.sum()), "share": truth.mean()}
        for opinion, values in p.items():
            called = values.argmax(axis=1) == 0
            row |= {f"{opinion} {k}": v for k, v in two_class(truth, called).items()}
        row |= {f"spots only {k}": v for k, v in count_baseline(truth, spots).items()}
        rows.append(row)
        pooled["truth"].append(truth)
        pooled["called"].append(p["joint"].argmax(axis=1) == 0)
        pooled["spots"].append(spots)
    table = pd.DataFrame(rows)
    print(table.set_index("set").T.round(3).to_string())
    truth, called = np.concatenate(pooled["truth"]), np.concatenate(pooled["called"])
    mono = table["set"].str.startswith("monoclinic")
    rest = np.repeat(~mono.to_numpy(), n)
    return {
        "spots only": count_baseline(truth, np.concatenate(pooled["spots"])),
        "all": two_class(truth, called),
        "triclinic": two_class(truth[rest], called[rest]),
        "monoclinic": two_class(truth[~rest], called[~rest]),
        "by set": rows,
    }


def two_class(truth: np.ndarray, called: np.ndarray) -> dict[str, float]:
    """Recall, precision as met and at a share of 3 %, and balanced accuracy of the zones."""
    recall = float(called[truth].mean()) if truth.any() else float("nan")
    false = float(called[~truth].mean())
    found, wrong = 0.03 * recall, 0.97 * false
    return {
        "recall": recall,
        "precision": float(truth[called].mean()) if called.any() else float("nan"),
        "precision at 3 %": found / (found + wrong) if found + wrong else float("nan"),
        "balanced accuracy": (recall + 1 - false) / 2,
    }


def count_baseline(truth: np.ndarray, spots: np.ndarray) -> dict[str, float]:
    """What the number of spots alone gives: average precision of its better direction."""
    ap = [
        metrics.average_precision(metrics.precision_recall_curve(truth, sign * spots))
        for sign in (1.0, -1.0)
    ]
    return {"average precision": max(ap)}


def controls(judge: Judge, n: int) -> dict[str, Any]:
    """Zones whose net is broken, with envelope and number of spots kept."""
    rng = np.random.default_rng(SEED + 1)
    effects = DetectorEffects()
    unbroken, jittered, shifted, overlaid = [], [], [], []
    for stack in paper_sets(n).values():
        which = np.flatnonzero(stack.labels["label"] == ZONE)
        groups = stack.spots.groupby("pattern")
        assert stack.geometry.centre is not None
        assert stack.geometry.pixel_size is not None
        nets = [
            (
                (groups.get_group(i)[["x", "y"]].to_numpy() - stack.geometry.centre)
                * stack.geometry.pixel_size
            ).astype(np.float32)
            for i in which
        ]
        unbroken += nets
        jittered += [jitter_net(net, rng) for net in nets]
        shifted += [shift_outer_half(net, rng) for net in nets]
        for net in nets:
            other = nets[int(rng.integers(len(nets)))]
            angle = rng.uniform(20, 160) * np.pi / 180
            c, s = np.cos(angle), np.sin(angle)
            turned = (other @ np.array([[c, s], [-s, c]])).astype(np.float32)
            overlaid.append(np.concatenate([net, turned]))
    out: dict[str, Any] = {"zones": len(unbroken)}
    for name, nets in (
        ("unbroken", unbroken),
        ("jitter 40 %", jittered),
        ("outer half shifted", shifted),
        ("two zones overlaid", overlaid),
    ):
        start = np.cumsum([0, *map(len, nets)])
        position = np.concatenate(nets)
        drawn = render(start, position, np.ones(len(position), "f4"), effects.row(), 1.0, 256)
        p = judge(drawn.images)
        out[name] = {key: float((v.argmax(axis=1) == 0).mean()) for key, v in p.items()}
        if nets is not unbroken:
            # What a mere count would give: near the share of the unbroken where the number of
            # spots is kept, so that the breaking cannot be seen in it.
            truth = np.repeat([True, False], [len(unbroken), len(nets)])
            spots = np.array([len(net) for net in [*unbroken, *nets]])
            baseline = count_baseline(truth, spots)["average precision"]
            out[name]["spots only average precision, unbroken against these"] = baseline
    print(pd.DataFrame({k: v for k, v in out.items() if k != "zones"}).T.round(3).to_string())
    return out


def realistic(judge: Judge, n: int) -> dict[str, Any]:
    """Realistic cameras and crystals, four classes, drawn as nature does."""
    drawn: list[Example] = []

    def images() -> Iterable[np.ndarray]:
        for example in itertools.islice(examples(SEED, clean=0.0, natural=True), 8 * n):
            drawn.append(example)
            yield example.image

    p = judge(images())
    truth = np.array([ZONE_CLASSES[e.label] for e in drawn])
    spots = np.array([e.n_spots for e in drawn])
    signal = np.array([e.signal for e in drawn])
    weights = metrics.share_weights(truth, NATURAL_SHARES)
    out: dict[str, Any] = {"patterns": len(drawn)}
    for opinion, values in p.items():
        out[opinion] = four_class(truth, values, weights)
    curve = metrics.precision_recall_curve(truth == ZONE, spots, weights)
    out["spots only"] = {
        "average precision": metrics.average_precision(curve),
        "zone precision at recall 0.9": metrics.precision_at_recall(curve, 0.9),
    }
    # Near the border of 8 visible spots a hit and a no-hit can hardly be told apart.
    apart = (spots >= 15) | (spots <= 3)
    figures = four_class(truth[apart], p["joint"][apart], weights[apart])
    out["hits and no-hits"] = {
        "15 or more, or at most 3": {"patterns": int(apart.sum()), **figures}
    }
    for title, values, edges in (
        ("by spots", spots, (8, 15, 25, 50, 100, np.inf)),
        ("by signal over noise", signal, (0, 3, 6, 12, 25, np.inf)),
    ):
        out[title] = {}
        for low, high in itertools.pairwise(edges):
            mine = (values >= low) & (values < high) & (spots >= 8)
            if mine.sum() > 50:
                figures = four_class(truth[mine], p["joint"][mine], weights[mine])
                out[title][f"{low:g} to {high:g}"] = {"patterns": int(mine.sum()), **figures}
    for key, value in out.items():
        print(key, json.dumps(value, default=float) if not isinstance(value, int) else value)
    called = np.array(ZONE_CLASSES)[p["joint"].argmax(axis=1)]
    print(metrics.confusion_matrix(truth, called, ZONE_CLASSES).to_string())
    return out


def ordinary(judge: Judge, n: int) -> dict[str, Any]:
    """An ordinary experiment, as in the sample data, with 12 cells of 300 to 2000 A^3."""
    rng = np.random.default_rng(SEED + 3)
    truth, p = [], []
    for number in range(12):
        cell = random_cell((300, 2000), rng=rng)
        for crystals, share in ((0, 0.1), (1, 0.8), (2, 0.1)):
            stack = finish(
                simulate_spots(
                    [cell],
                    ORDINARY_CONDITIONS,
                    ORDINARY_CAMERA,
                    orientations=max(5, round(0.3 * n * share)),
                    crystals=crystals,
                    seed=SEED + number,
                )
            )
            truth.append(stack.labels["label"].to_numpy(dtype=str))
            p.append(judge(stack.images)["joint"])
    labels, values = np.concatenate(truth), np.concatenate(p)
    out = four_class(labels, values, metrics.share_weights(labels, NATURAL_SHARES))
    called = np.array(ZONE_CLASSES)[values.argmax(axis=1)]
    print(metrics.confusion_matrix(labels, called, ZONE_CLASSES).to_string())
    suited = moved(values, ZONE_CLASSES, find_border(values, ZONE_CLASSES))
    names = np.array(ZONE_CLASSES)[suited.argmax(axis=1)]
    out["balanced accuracy, border suited to the stack"] = metrics.balanced_accuracy(labels, names)
    out["border"] = _moved(labels, values)
    print(json.dumps(out))
    return {"patterns": len(labels), **out}


def four_class(truth: np.ndarray, p: np.ndarray, weights: np.ndarray) -> dict[str, float]:
    """Figures of four classes at natural shares."""
    called = np.array(ZONE_CLASSES)[p.argmax(axis=1)]
    trained = np.array([NATURAL_SHARES[name] for name in ZONE_CLASSES])
    equal = p / trained
    curve = metrics.precision_recall_curve(truth == ZONE, p[:, 0], weights)
    bins = metrics.reliability(p.max(axis=1), truth == called, weights)
    return {
        "balanced accuracy": metrics.balanced_accuracy(truth, called),
        "balanced accuracy at equal shares": metrics.balanced_accuracy(
            truth, np.array(ZONE_CLASSES)[equal.argmax(axis=1)]
        ),
        "average precision": metrics.average_precision(curve),
        "zone precision at recall 0.9": metrics.precision_at_recall(curve, 0.9),
        "calibration error": metrics.expected_calibration_error(bins),
    }


def border(judge: Judge, n: int) -> dict[str, Any]:
    """The border between zones and others, as usual and suited to the stack; with no zones, too."""
    out: dict[str, Any] = {}
    spoilt = [(0.0, 0.0), (0.1, 0.05), (0.2, 0.1), (0.3, 0.15)]
    for number, (missing, false) in enumerate(spoilt):
        stack = finish(
            simulate_spots(
                [FIGURE_1],
                effects=DetectorEffects(missing=missing, false_spots=false),
                orientations=n,
                seed=SEED + 50 + number,
            )
        )
        truth = stack.labels["label"].to_numpy(dtype=str)
        p = judge(stack.images)["joint"]
        name = f"{missing:.0%} of the spots missing, {false:.0%} false ones"
        out[name] = _moved(truth, p)
        print(name, json.dumps(out[name]))
    return out


def _moved(truth: np.ndarray, p: np.ndarray) -> dict[str, Any]:
    zone = truth == ZONE
    out: dict[str, Any] = {"zones": int(zone.sum()), "patterns": len(p)}
    for title, chosen, wanted in (
        ("usual", np.ones(len(p), bool), "off"),
        ("suited", np.ones(len(p), bool), "stack"),
        ("all", np.ones(len(p), bool), "all"),
        ("suited, its zones left out", ~zone, "stack"),
    ):
        some = p[chosen]
        called = moved(some, ZONE_CLASSES, find_border(some, ZONE_CLASSES, wanted)).argmax(1) == 0
        found = float(called[zone[chosen]].mean()) if zone[chosen].any() else float("nan")
        out[title] = {"recall": found, "false": float(called[~zone[chosen]].mean())}
    return out


def hybrids(judge: Judge, n: int) -> dict[str, Any]:
    """Probability of a zone against the fraction of spots in the dominant zone, clean patterns."""
    fraction, p_zone = [], []
    for stack in paper_sets(n).values():
        fraction.append(stack.labels["zone_fraction"].to_numpy())
        p_zone.append(judge(stack.images)["joint"][:, 0])
    f, p = np.concatenate(fraction), np.concatenate(p_zone)
    edges = (0, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.999, 1.001)
    rows = []
    for low, high in itertools.pairwise(edges):
        mine = (f >= low) & (f < high)
        rows.append({"from": low, "patterns": int(mine.sum()), "mean p": float(p[mine].mean())})
    unsure = (p > 0.05) & (p < 0.95)
    between = (f >= 0.8) & (f < 0.9999)
    share = float(between[unsure].mean()) if unsure.any() else float("nan")
    means = [row["mean p"] for row in rows]
    print(pd.DataFrame(rows).round(4).to_string(index=False))
    print(f"unsure: {unsure.sum()}, of these at 0.8 to 0.99: {share:.2f}")
    return {
        "curve": rows,
        "monotonic": bool(np.all(np.diff(means) >= -1e-4)),
        "unsure": int(unsure.sum()),
        "unsure at 0.8 to 0.99": share,
    }


def real(judge: Judge, n: int) -> dict[str, Any]:
    """Say what the model does on measured patterns, where they are at hand."""
    folder = os.environ.get("NAPARI_DIFFRACTION_REAL")
    out: dict[str, Any] = {}
    for path in sorted((Path(folder) / "serial").glob("*.*")) if folder else []:
        stack = open_stack(path)
        p = judge([stack.frame(i) for i in range(len(stack))])["joint"]
        out[path.name] = [f"{ZONE_CLASSES[row.argmax()]} {row.max():.2f}" for row in p]
        print(f"{path.name:32s} {', '.join(out[path.name])}")
    if not out:
        print("set NAPARI_DIFFRACTION_REAL to the folder of measured patterns")
    return out


def _resized(image: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(
        Image.fromarray(image.astype(np.float32)).resize((size, size), Image.Resampling.BICUBIC)
    )


def _grey(image: np.ndarray) -> np.ndarray:
    low, high = np.percentile(image, (0.5, 99.9))
    return (255 * np.clip((image - low) / max(high - low, 1), 0, 1)).astype(np.uint8)


def _jpeg(image: np.ndarray) -> np.ndarray:
    buffer = io.BytesIO()
    Image.fromarray(_grey(image)).save(buffer, "JPEG", quality=90)
    return np.asarray(Image.open(buffer))


def _padded(image: np.ndarray) -> np.ndarray:
    fill = np.median(image).astype(image.dtype)
    return np.pad(image, ((0, 0), (40, 40)), constant_values=fill)


def _shifted(image: np.ndarray) -> np.ndarray:
    by = round(0.05 * image.shape[1])
    out = np.full_like(image, np.median(image))
    out[by:, by:] = image[:-by, :-by]
    return out


TREATMENTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "inverted": lambda image: image.max() - image,
    "padded to a non-square frame": _padded,
    "rescaled to 128": lambda image: _resized(image, 128),
    "rescaled to 512": lambda image: _resized(image, 512),
    "rescaled to 1024": lambda image: _resized(image, 1024),
    "shifted by 5 %": _shifted,
    "saved as JPEG": _jpeg,
}


def invariance(judge: Judge, n: int) -> dict[str, Any]:
    """Share of patterns that keep their class when they are treated as people treat them."""
    sets = paper_sets(max(60, n // 5))
    some = [image for stack in sets.values() for image in stack.images[:: max(1, n // 250)]]
    zones = [
        image
        for stack in sets.values()
        for image in stack.images[(stack.labels["label"] == ZONE).to_numpy()]
    ]
    noisy = examples(SEED + 2, clean=0.0, natural=True)
    dirty = [
        example.image
        for example in itertools.islice(noisy, n)
        if example.image.dtype == np.uint16 and example.image.shape == (256, 256)
    ]
    out: dict[str, Any] = {}
    for kind, images in (("clean", some), ("clean zones", zones), ("realistic", dirty)):
        before = judge(images)["joint"].argmax(axis=1)
        for name, treat in TREATMENTS.items():
            after = judge(treat(image) for image in images)["joint"].argmax(axis=1)
            out.setdefault(name, {})[f"{kind} ({len(images)})"] = float((before == after).mean())
    print(pd.DataFrame(out).T.round(3).to_string())
    return out


PARTS: dict[str, Callable[[Judge, int], dict[str, Any]]] = {
    "clean": clean,
    "controls": controls,
    "ordinary": ordinary,
    "realistic": realistic,
    "border": border,
    "hybrids": hybrids,
    "real": real,
    "invariance": invariance,
}


def main() -> None:
    """Run the parts that were asked for and write their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--model", default="zones", help="name or file of the model")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--orientations", type=int, default=1000, help="per cell of the paper")
    parser.add_argument("--output", type=Path, help="folder for accuracy.json")
    parser.add_argument(
        "--card", action="store_true", help="write the headlines on the model's card"
    )
    options = parser.parse_args()
    judge = Judge(load_model(options.model))
    figures = {}
    for name in options.only:
        print(f"\n== {name}: {PARTS[name].__doc__}")
        figures[name] = PARTS[name](judge, options.orientations)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "accuracy.json").write_text(json.dumps(figures, indent=1, default=float))
    if options.card:
        network, card = judge.classifier.network, judge.classifier.card
        save_classifier(network, replace(card, figures=headlines(figures)), Path(card.path))


def headlines(figures: dict[str, Any]) -> dict[str, float]:
    """The few figures that the model list shows."""
    out = {}
    if "clean" in figures:
        for kind in ("triclinic", "monoclinic"):
            found = figures["clean"][kind]
            out[f"clean {kind} cells: recall of zones"] = found["recall"]
            out[f"clean {kind} cells: precision at a share of 3 %"] = found["precision at 3 %"]
    if "controls" in figures:
        for name in ("jitter 40 %", "outer half shifted", "two zones overlaid"):
            out[f"broken nets called zones, {name}"] = figures["controls"][name]["joint"]
    if "ordinary" in figures:
        found = figures["ordinary"]
        out["ordinary experiment: balanced accuracy, four classes"] = found["balanced accuracy"]
        out["ordinary experiment: precision of zones at recall 0.9"] = found[
            "zone precision at recall 0.9"
        ]
    if "realistic" in figures:
        found = figures["realistic"]["joint"]
        out["whole range of cameras: balanced accuracy, four classes"] = found["balanced accuracy"]
        out["whole range of cameras: precision of zones at recall 0.9"] = found[
            "zone precision at recall 0.9"
        ]
        out["whole range of cameras: calibration error"] = found["calibration error"]
    return {name: round(float(value), 4) for name, value in out.items()}


if __name__ == "__main__":
    main()
