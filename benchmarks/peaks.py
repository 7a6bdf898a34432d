"""How well peaks are found, zonal spots marked, and redrawn patterns classified.

    python benchmarks/peaks.py --output benchmarks/figures/peaks.json
    python benchmarks/peaks.py --only find --cells 60

All patterns are simulated, with other seeds than those of training, calibration and tuning.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from scipy.spatial import cKDTree

from napari_diffraction.learning.classes import LAUE, ZONE, ZONE_CLASSES
from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.zones.data import draw_cell, examples
from napari_diffraction.learning.zones.peak_tables import tabulate
from napari_diffraction.patterns.spots.measure import find_spots
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.conditions import (
    DetectorEffects,
    SpotConditions,
    realistic_conditions,
    realistic_effects,
)
from napari_diffraction.simulation.samples import ORDINARY_CAMERA, ORDINARY_CONDITIONS, take
from napari_diffraction.simulation.spots.dataset import SimulatedStack, simulate_spots
from napari_diffraction.simulation.spots.redraw import redraw_frame
from napari_diffraction.simulation.spots.render import render

SEED = 81_001


# -- finding ------------------------------------------------------------------------------------
def whole_range(n: int, size: int) -> Iterator[SimulatedStack]:
    """Cells, beams and cameras over the whole range that the zones model is trained on."""
    rng = np.random.default_rng(SEED)
    for _ in range(n):
        cell, group = draw_cell(rng)
        # A spot that is left out, or is none, is no matter of the peak finder.
        effects = replace(realistic_effects(rng, size), false_spots=0.0, missing=0.0)
        yield _stack([cell], realistic_conditions(rng), effects, size, 3, rng, group)


def ordinary(n: int, size: int) -> Iterator[SimulatedStack]:
    """An ordinary serial experiment: the camera of the sample data, random cells."""
    rng = np.random.default_rng(SEED + 1)
    scale = size / 256
    effects = replace(
        ORDINARY_CAMERA,
        missing=0.0,
        spot_radius=scale * ORDINARY_CAMERA.spot_radius,
        central_radius=scale * ORDINARY_CAMERA.central_radius,
        jitter=scale * ORDINARY_CAMERA.jitter,
    )
    for _ in range(n):
        cell, group = draw_cell(rng)
        yield _stack([cell], ORDINARY_CONDITIONS, effects, size, 3, rng, group)


def _stack(
    cells: list[Any],
    conditions: SpotConditions,
    effects: DetectorEffects,
    size: int,
    orientations: int,
    rng: np.random.Generator,
    group: int | None = None,
) -> SimulatedStack:
    return finish(
        simulate_spots(
            cells,
            conditions,
            effects,
            orientations=orientations,
            size=size,
            space_group=group,
            seed=int(rng.integers(2**31)),
        )
    )


def truth(stack: SimulatedStack, number: int) -> pd.DataFrame:
    """The spots of a pattern on the frame, with ``snr``, and whether each has ``to_be_found``.

    The noise is that of a pixel at the spot's place: counting noise of background and spot,
    read-out, rounding.  Not to be found is what lies under the beam stop, in a gap, in the direct
    beam or on the edge, and what is nearer to a stronger spot than 1.25 of its full width.
    """
    effects, size = stack.effects, stack.images.shape[-1]
    quiet = replace(effects, poisson=False, read_noise=0.0, hot_pixels=0.0, dead_pixels=0.0)
    bare = render(
        np.zeros(2, np.int64),
        np.zeros((0, 2), np.float32),
        np.zeros(0, np.float32),
        replace(quiet, beam_stop=0.0, beam_stop_arm=0.0, gap_width=0.0).row(),
        np.array([stack.conditions.resolution]),
        size,
    ).images[0]
    spots = stack.spots[stack.spots["pattern"] == number]
    xy = spots[["x", "y"]].to_numpy(float)
    inside = np.all((xy >= 0) & (xy <= size - 1), axis=1)
    spots, xy = spots[inside].reset_index(drop=True), xy[inside]
    height = spots["intensity"].to_numpy() * effects.signal
    at = np.round(xy).astype(int)
    counts = (bare[at[:, 1], at[:, 0]].astype(float) - effects.offset) / effects.gain
    variance = np.maximum(counts, 0) + height + effects.read_noise**2 + 1 / 12 / effects.gain**2
    spots["snr"] = height / np.sqrt(variance)
    away = np.hypot(*(xy - stack.geometry.centre).T)
    wide = effects.spot_radius * (1 + effects.elongation)
    free = away > 1.3 * effects.central_radius + 2 * wide
    free &= np.minimum(xy, size - 1 - xy).min(axis=1, initial=size) > effects.spot_radius + 1
    free &= ~_hidden(effects, xy, stack.geometry.centre, size)
    spots["lit"] = ~_hidden(effects, xy, stack.geometry.centre, size, margin=0.0)
    if len(xy) > 1:
        for a, b in cKDTree(xy).query_pairs(2.5 * wide + 1):
            free[a if height[a] < height[b] else b] = False
    spots["to_be_found"] = free & (spots["snr"] >= 3)
    return spots


def _hidden(
    effects: DetectorEffects,
    xy: np.ndarray,
    centre: tuple[float, float],
    size: int,
    margin: float | None = None,
) -> np.ndarray:
    """Whether a beam stop or a gap hides a place, or lies within a spot's radius of it."""
    margin = effects.spot_radius if margin is None else margin
    half, middle = size / 2, (size - 1) / 2
    out = np.zeros(len(xy), bool)
    if effects.gap_width:
        out |= np.abs(xy - middle).min(axis=1) < effects.gap_width / 2 + margin
    away = xy - centre
    if effects.beam_stop:
        out |= np.hypot(*away.T) < effects.beam_stop * half + margin
    if effects.beam_stop_arm:
        angle = np.radians(effects.beam_stop_angle)
        along = away @ [np.cos(angle), np.sin(angle)]
        across = away @ [-np.sin(angle), np.cos(angle)]
        out |= (along > -margin) & (np.abs(across) < effects.beam_stop_arm * half + margin)
    return out


def find(cells: int) -> dict[str, Any]:
    """Recall, precision, error of position and of the beam's centre, and speed."""
    out = {}
    for name, make in (("ordinary experiment", ordinary), ("whole range", whole_range)):
        for size in (256, 512):
            out[f"{name}, {size} px"] = found_of(make(cells, size))
            print(name, size, json.dumps(out[f"{name}, {size} px"], default=float), flush=True)
    out["speed, 512 px"] = speed()
    print(json.dumps(out["speed, 512 px"], default=float))
    return out


def found_of(stacks: Iterator[SimulatedStack]) -> dict[str, float]:
    """Compare what is found with what is there.

    A peak is true if it lies within a spot's radius (at least 1.5 px) of a spot of any height over
    the noise; recall and errors are those of spots of at least 3 x noise.
    """
    there = hit = peaks = true = 0
    errors, centres, by_snr = [], [], []
    for stack in stacks:
        reach = max(1.5, stack.effects.spot_radius)
        for number, image in enumerate(stack.images):
            spots, found = truth(stack, number), find_spots(image)
            centres.append(np.hypot(*np.subtract(found.centre, stack.geometry.centre)))
            peaks += len(found)
            real = spots[spots["lit"] & (spots["snr"] >= 1)][["x", "y"]].to_numpy()
            if len(real) and len(found):
                true += int(np.sum(cKDTree(real).query(found.position)[0] <= reach))
            wanted = spots[spots["to_be_found"]]
            there += len(wanted)
            if len(found) and len(wanted):
                distance, _ = cKDTree(found.position).query(wanted[["x", "y"]].to_numpy())
                near = distance <= reach
                hit += int(near.sum())
                errors.append(distance[near])
                by_snr.append(np.column_stack([wanted["snr"], near]))
    error = np.concatenate(errors)
    snr, near = np.concatenate(by_snr).T
    out = {
        "spots": there,
        "recall": hit / there,
        "precision": true / max(peaks, 1),
        "position error, median, px": np.median(error),
        "position error, rms, px": np.sqrt(np.mean(error**2)),
        "share within 0.5 px": np.mean(error < 0.5),
        "centre error, median, px": np.median(centres),
        "centre error, 90 %, px": np.quantile(centres, 0.9),
    }
    for low, high in ((3, 5), (5, 10), (10, np.inf)):
        out[f"recall, {low} to {high} x noise"] = near[(snr >= low) & (snr < high)].mean()
    return out


def speed(n: int = 60) -> dict[str, float]:
    """Frames of 512 x 512 px a second, from memory: one thread, and a thread a core."""
    images = [image for stack in ordinary(n // 3, 512) for image in stack.images]
    find_spots(images[0])
    began = time.perf_counter()
    for image in images:
        find_spots(image)
    one = time.perf_counter() - began
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        began = time.perf_counter()
        list(pool.map(find_spots, images))
        all_cores = time.perf_counter() - began
    return {"one thread": n / one, f"{os.cpu_count()} threads": n / all_cores}


# -- zonal spots --------------------------------------------------------------------------------
def zonal(cells: int) -> dict[str, Any]:
    """Share of the spots whose membership of the dominant net is told right, on hybrids."""
    out = {}
    cameras = {"clean": None, "ordinary experiment": ORDINARY_CAMERA}
    for name, camera in cameras.items():
        rng = np.random.default_rng(SEED + 2)
        right = total = 0
        shares = []
        for _ in range(cells):
            cell, group = draw_cell(rng, (300, 2000))
            conditions = ORDINARY_CONDITIONS if camera else SpotConditions(in_plane=True)
            effects = camera or DetectorEffects()
            stack = _stack([cell], conditions, effects, 256, 300, rng, group)
            for number in _hybrids(stack, rng):
                a, n = _told(stack, number)
                right, total = right + a, total + n
                shares.append(a / max(n, 1))
        out[name] = {
            "patterns": len(shares),
            "spots": total,
            "accuracy": right / total,
            "patterns with at least 95 %": float(np.mean(np.array(shares) >= 0.95)),
        }
        print(name, json.dumps(out[name], default=float), flush=True)
    return out


def _hybrids(stack: SimulatedStack, rng: np.random.Generator) -> list[int]:
    """Up to six patterns of half to all but one of their spots in the dominant zone."""
    labels = stack.labels
    good = (labels["zone_fraction"] >= 0.5) & (labels["zone_fraction"] < 1)
    good &= (labels["n_spots"] >= 20) & (labels["label"].isin((ZONE, LAUE)))
    chosen = labels["index"][good].to_numpy()
    return rng.choice(chosen, min(6, len(chosen)), replace=False).tolist()


def _told(stack: SimulatedStack, number: int) -> tuple[int, int]:
    row = stack.labels.iloc[number]
    spots = stack.spots[(stack.spots["pattern"] == number) & stack.spots["visible"]]
    in_zone = spots[["h", "k", "l"]].to_numpy() @ row[["u", "v", "w"]].to_numpy(int) == 0
    table = tabulate(number, find_spots(stack.images[number])).table
    distance, nearest = cKDTree(spots[["x", "y"]].to_numpy()).query(table[["x", "y"]].to_numpy())
    known = distance < max(1.5, stack.effects.spot_radius)
    return int(np.sum(table["zonal"].to_numpy()[known] == in_zone[nearest[known]])), known.sum()


# -- classes ------------------------------------------------------------------------------------
def routes(patterns: int, models: Sequence[str] = ("zones",)) -> dict[str, Any]:
    """The same patterns judged directly and redrawn, by models as far as they know the classes."""
    drawn = list(itertools.islice(examples(SEED + 3, clean=0.0, natural=False), patterns))
    stack = _experiment(patterns)
    sets = {
        "whole range, all kinds": (
            [one.image for one in drawn],
            np.array([ZONE_CLASSES[one.label] for one in drawn]),
        ),
        "ordinary experiment": (list(stack.images), stack.labels["label"].to_numpy(str)),
    }
    return {
        name: {model: _routes_of(load_model(model), model, name, *pair) for model in models}
        for name, pair in sets.items()
    }


def _routes_of(
    classifier: Classifier,
    model: str,
    name: str,
    images: list[np.ndarray],
    labels: np.ndarray,
) -> dict[str, Any]:
    """Figures of one model by both routes, at equal shares of its classes."""
    known = np.isin(labels, classifier.card.classes)
    if not known.any():
        raise SystemExit(f"{model} knows none of the classes {', '.join(ZONE_CLASSES)}.")
    images, labels = [images[i] for i in np.flatnonzero(known)], labels[known]
    look = classifier.kind.looker(PatternStack(da.from_array(images[0][None]), name))
    shares = dict.fromkeys(classifier.card.classes, 1 / len(classifier.card.classes))
    out = {}
    for route in ("direct", "redrawn"):
        p = []
        for first in range(0, len(images), 64):
            batch = images[first : first + 64]
            seen = [look(redraw_frame(i) if route == "redrawn" else i) for i in batch]
            p.append(classifier.probabilities(seen, shares))
        out[route] = scores(labels, np.concatenate(p), classifier.card.classes)
        print(name, model, route, json.dumps(out[route], default=float), flush=True)
    return out


def _experiment(n: int) -> SimulatedStack:
    """Patterns of random cells with the ordinary camera, as many of each class as there are."""
    rng = np.random.default_rng(SEED + 4)
    parts, part, index = [], [], []
    for number in range(8):
        cell, group = draw_cell(rng, (300, 2000))
        crystals = (1, 1, 1, 2)[number % 4]
        stack = finish(
            simulate_spots(
                [cell],
                ORDINARY_CONDITIONS,
                ORDINARY_CAMERA,
                orientations=300,
                space_group=group,
                crystals=crystals,
                seed=SEED + number,
            )
        )
        parts.append(stack)
        for label in ZONE_CLASSES:
            mine = np.flatnonzero(stack.labels["label"] == label)
            some = rng.choice(mine, min(n // 16, len(mine)), replace=False)
            part += [number] * len(some)
            index += some.tolist()
    return take(parts, np.array(part), np.array(index))


def scores(labels: np.ndarray, p: np.ndarray, classes: Sequence[str]) -> dict[str, float]:
    """Balanced accuracy, and recall and precision of zones, at equal shares of the classes."""
    called = np.array(classes)[p.argmax(axis=1)]
    present = [name for name in classes if (labels == name).any()]
    recall = {name: float((called[labels == name] == name).mean()) for name in present}
    wrong = np.mean([np.mean(called[labels == name] == ZONE) for name in present if name != ZONE])
    return {
        "patterns": len(labels),
        "balanced accuracy": float(np.mean(list(recall.values()))),
        **{f"recall of {name}": value for name, value in recall.items()},
        "others called zones": float(wrong),
    }


def main() -> None:
    """Run the parts that were asked for and write their figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parts = {"find": find, "zonal": zonal, "routes": routes}
    parser.add_argument("--only", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--cells", type=int, default=40, help="cells for 'find' and 'zonal'")
    parser.add_argument("--patterns", type=int, default=600, help="patterns for 'routes'")
    parser.add_argument("--models", nargs="+", default=["zones"], help="models for 'routes'")
    parser.add_argument("--output", type=Path, help="JSON file to write")
    options = parser.parse_args()
    figures = {}
    for name in options.only:
        print(f"\n== {name}: {parts[name].__doc__}")
        if name == "routes":
            figures[name] = routes(options.patterns, options.models)
        else:
            figures[name] = parts[name](options.cells)
    if options.output:
        options.output.parent.mkdir(parents=True, exist_ok=True)
        options.output.write_text(json.dumps(figures, indent=1, default=float))


if __name__ == "__main__":
    main()
