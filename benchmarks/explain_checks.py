"""Whether the maps of Explain tell what a model looked at: checks that could fail.

    python benchmarks/explain_checks.py
    python benchmarks/explain_checks.py --models zones --patterns 30 --methods gradcam++

Of every method and model: in how many patterns does the class lose more by removing the fifth of
the pixels that the map calls hottest than by removing another fifth, drawn in blocks of the size of
the map's cells; how alike are the maps of different patterns (a map that shows the mask or the
frame is always the same); and how much hotter than elsewhere is it where the spots or the rim are.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import dask.array as da
import numpy as np
import torch
from scipy import ndimage

from napari_diffraction.learning.explain.heatmaps import METHODS, Explainer, Explanation
from napari_diffraction.learning.models.registry import Classifier, load_model
from napari_diffraction.patterns.spots.peaks import find_peaks
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.samples import serial_experiment

Array = np.ndarray
#: Classes of frames in which nothing is there to be removed.
NOTHING_THERE = ("NoHit", "NoPattern")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["zones", "bravais"])
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--patterns", type=int, default=60)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    check = {"zones": spots, "bands": bands}
    for name in arguments.models:
        classifier = load_model(name)
        check[classifier.card.network](classifier, arguments.patterns, arguments.methods)


def spots(classifier: Classifier, n: int, methods: list[str]) -> None:
    """Check the maps of spot patterns."""
    frames = finish(serial_experiment(seed=7, n=n)).images
    explainer = Explainer(classifier, stack_of(frames), "cpu")
    removed_by(explainer, frames, methods, without_spots)
    near = [near_spots(frame) for frame in frames]
    for method in methods:
        made = [explainer.explain(frame, None, method) for frame in frames]
        ratios = [
            one.heat[spot].mean() / max(one.heat[~spot].mean(), 1e-6)
            for one, spot in zip(made, near, strict=True)
            if spot.any()
        ]
        print(f"  {METHODS[method]:<11} heat on spots over heat elsewhere {np.median(ratios):.2f}")
    opinions(classifier, frames)


def opinions(classifier: Classifier, frames: Array) -> None:
    """Print what becomes of the class when one of the network's inputs is taken from it."""
    kind = classifier.kind
    look = kind.looker(stack_of(frames))
    seen = [look(frame) for frame in frames]
    inputs = kind.tensors(seen)
    # Blank pictures have the grey of an empty frame; features are taken from another pattern.
    blank = torch.zeros_like(inputs[0])
    blank[:, 0] = 24
    changed = {
        "picture": (blank, inputs[1], inputs[2]),
        "difference vectors": (inputs[0], torch.zeros_like(inputs[1]), inputs[2]),
        "features of the fitted net": (inputs[0], inputs[1], inputs[2].roll(1, 0)),
    }
    with torch.inference_mode():
        before = classifier.network(*inputs)[kind.head].argmax(1)
        for name, tensors in changed.items():
            after = classifier.network(*tensors)[kind.head].argmax(1)
            print(f"  without the {name}: another class in {(after != before).float().mean():.0%}")


def bands(classifier: Classifier, n: int, methods: list[str]) -> None:
    """Check the maps of Kikuchi patterns: nickel and aluminium in the same orientations."""
    from napari_diffraction.crystal.materials import load_structure
    from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

    conditions = KikuchiConditions()
    images = {}
    for name in ("Ni", "Al"):
        work = simulate_kikuchi([load_structure(name)], conditions, patterns=n, size=96, seed=3)
        images[name] = finish(work).images
    explainer = {
        name: Explainer(classifier, stack_of(frames, KikuchiGeometry(pc=conditions.pc)), "cpu")
        for name, frames in images.items()
    }
    removed_by(explainer["Ni"], images["Ni"], methods, without_bands)
    for method in methods:
        pairs = [
            (
                explainer["Ni"].explain(ni, "cF", method).heat,
                explainer["Al"].explain(al, "cF", method).heat,
            )
            for ni, al in zip(images["Ni"], images["Al"], strict=True)
        ]
        same = [correlation(ni, al) for ni, al in pairs]
        other = [correlation(pairs[i][0], pairs[i - 1][1]) for i in range(len(pairs))]
        print(
            f"  {METHODS[method]:<11} Ni and Al of the same orientation: correlation "
            f"{np.median(same):.2f} (another orientation {np.median(other):.2f})"
        )
    masked(classifier, images["Ni"], methods, conditions.pc)


def masked(
    classifier: Classifier, frames: Array, methods: list[str], pc: tuple[float, float, float]
) -> None:
    """Print how much of the heat lies on the rim of a circular mask."""
    rows, columns = np.mgrid[: frames.shape[1], : frames.shape[2]]
    middle = (np.array(frames.shape[1:]) - 1) / 2
    radius = np.hypot(rows - middle[0], columns - middle[1]) / (frames.shape[1] / 2)
    seen = np.where(radius < 0.95, frames, 0)
    explainer = Explainer(classifier, stack_of(seen, KikuchiGeometry(pc=pc)), "cpu")
    rim, inside = (radius > 0.87) & (radius < 0.95), radius <= 0.87
    for method in methods:
        heats = [explainer.explain(frame, None, method).heat for frame in seen]
        share = [heat[rim].mean() / max(heat[inside].mean(), 1e-6) for heat in heats]
        print(f"  {METHODS[method]:<11} heat on the mask's rim over inside {np.median(share):.2f}")


def removed_by(
    explainer: Explainer,
    frames: Array,
    methods: list[str],
    without: Callable[[Array, Array, np.random.Generator], Array],
) -> None:
    """Print how much the class loses with the hottest fifth of the pixels, and with another."""
    print(f"{explainer.card.title}: {len(frames)} patterns")
    for method in methods:
        rng = np.random.default_rng(0)
        hot, other, heats = [], [], []
        for frame in frames:
            made = explainer.explain(frame, None, method)
            heats.append(made.heat)
            if made.label in NOTHING_THERE or not made.heat.any():
                continue
            loss = losses(explainer, frame, made, rng, without)
            hot.append(loss[0])
            other.append(loss[1])
        worse = np.mean(np.array(hot) > np.array(other))
        alike = np.corrcoef([heat.ravel()[::7] for heat in heats if heat.any()])
        alike = np.median(alike[np.triu_indices(len(alike), 1)])
        print(
            f"  {METHODS[method]:<11} hottest fifth harms more in {worse:.0%} of {len(hot)}; "
            f"median loss of log odds {np.median(hot):.2f}, of another fifth "
            f"{np.median(other):.2f}; maps of different patterns correlate by {alike:.2f}",
            flush=True,
        )


def losses(
    explainer: Explainer,
    frame: Array,
    made: Explanation,
    rng: np.random.Generator,
    without: Callable[[Array, Array, np.random.Generator], Array],
) -> list[float]:
    """What the log odds of the class lose by removing the hottest fifth, and by another fifth."""
    h, w = frame.shape
    cell = max(h, w) // 24
    blocks = np.kron(rng.random((h // cell + 1, w // cell + 1)), np.ones((cell, cell)))[:h, :w]
    before = log_odds(made)
    found = []
    # A little noise decides where the map is flat.
    for order in (made.heat + 1e-6 * rng.random(frame.shape), blocks):
        changed = without(frame, order > np.quantile(order, 0.8), rng)
        found.append(before - log_odds(explainer.explain(changed, made.label, "eigencam")))
    return found


def without_spots(frame: Array, where: Array, rng: np.random.Generator) -> Array:
    """Put the noise of the background in the place of pixels."""
    values = frame.astype(float)
    background = ndimage.zoom(ndimage.median_filter(values[::4, ::4], 11), 4, order=1)
    background = background[: frame.shape[0], : frame.shape[1]]
    noise = 1.48 * np.median(np.abs(values - background))
    filling = np.maximum(background + noise * rng.standard_normal(frame.shape), 0)
    return np.where(where, filling, values)


def without_bands(frame: Array, where: Array, rng: np.random.Generator) -> Array:
    """Put the mean of a wide neighbourhood, with no bands in it, in the place of pixels."""
    values = frame.astype(float)
    return np.where(where, ndimage.gaussian_filter(values, 0.15 * max(frame.shape)), values)


def log_odds(made: Explanation) -> float:
    """Of the class that is explained."""
    p = np.clip(made.probabilities[made.label], 1e-9, 1 - 1e-9)
    return float(np.log(p / (1 - p)))


def near_spots(frame: Array) -> Array:
    """Where a spot is within 4 pixels."""
    at = np.clip(
        np.rint(find_peaks(frame).position).astype(int), 0, np.array(frame.shape[::-1]) - 1
    )
    found = np.ones(frame.shape, bool)
    found[at[:, 1], at[:, 0]] = False
    return ndimage.distance_transform_edt(found) < 4


def correlation(one: Array, two: Array) -> float:
    """Pearson's; 0 where a map is empty."""
    if not one.std() or not two.std():
        return 0.0
    return float(np.corrcoef(one.ravel(), two.ravel())[0, 1])


def stack_of(frames: Array, geometry: KikuchiGeometry | None = None) -> PatternStack:
    """Frames as a stack in memory."""
    data = da.from_array(frames, chunks=(1, *frames.shape[1:]), name=False)
    return PatternStack(data, "patterns", **({"geometry": geometry} if geometry else {}))


if __name__ == "__main__":
    main()
