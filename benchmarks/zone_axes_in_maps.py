"""Does the network look at zone axes?  Grad-CAM of Ni and Al, as in Kaufmann 2020, Fig. 5.

    python benchmarks/zone_axes_in_maps.py masters
    python benchmarks/zone_axes_in_maps.py masters --picture docs/images/bravais_zone_axes.png

Many-beam patterns of both metals in the same random orientations; the heat near the ten zone axes
of lowest indices over the mean heat of the screen, and the same at the axes of another orientation,
where nothing is to be expected.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import dask.array as da
import numpy as np
import torch
from numpy.typing import NDArray

from dynamical_patterns import OVERSAMPLE
from indexing_sets import Known, load_known
from napari_diffraction.crystal.orientation import random_rotations
from napari_diffraction.learning.explain.heatmaps import Explainer, Explanation
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.simulation.kikuchi.overlay import zone_axes

METALS = ("Ni_EMsoft", "Al")
SIZE, PC = 120, (0.5, 0.3, 0.65)
AXES, REACH = 10, 4.0  # zone axes of a pattern, and pixels around them
NOISE = 0.25  # of the deviation of the bands


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("masters", type=Path, help="folder of master patterns")
    parser.add_argument("--model", default="bravais")
    parser.add_argument("--patterns", type=int, default=60)
    parser.add_argument("--picture", type=Path, help="draw the first pattern of both metals")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    rotations = random_rotations(arguments.patterns, np.random.default_rng(5))
    shown = []
    for known in load_known(arguments.masters, METALS):
        frames, made = maps(known, rotations, arguments.model)
        near = [around(known, rotation) for rotation in rotations]
        here = [ratio(one.heat, disc) for one, disc in zip(made, near, strict=True)]
        there = [ratio(one.heat, disc) for one, disc in zip(made, near[1:] + near[:1], strict=True)]
        named = np.mean([one.predicted == known.lattice for one in made])
        print(
            f"{known.name}: {named:.0%} called {known.lattice}; heat at zone axes over the mean "
            f"{np.median(here):.2f} (median; quarter below {np.quantile(here, 0.25):.2f}), "
            f"at those of another orientation {np.median(there):.2f}"
        )
        shown.append((known, frames[0], made[0]))
    if arguments.picture:
        draw(shown, rotations[0], arguments.picture)


def maps(
    known: Known, rotations: NDArray[np.float64], model: str
) -> tuple[NDArray[np.float32], list[Explanation]]:
    """Patterns (n, 120, 120) in these orientations, and what speaks for their lattice."""
    clean = known.master.project(rotations, np.array(PC), (SIZE, SIZE), OVERSAMPLE)
    clean = (clean - clean.mean()) / clean.std()
    noise = np.random.default_rng(1).normal(size=clean.shape)
    frames = (1000 + 100 * (clean + NOISE * noise)).astype(np.float32)
    stack = PatternStack(
        da.from_array(frames, chunks=-1), known.name, geometry=KikuchiGeometry(pc=PC)
    )
    explainer = Explainer(load_model(model), stack, "cpu")
    return frames, [explainer.explain(frame, known.lattice) for frame in frames]


def around(known: Known, rotation: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Where the pixels near zone axes are, (120, 120)."""
    _, places = zone_axes(known.structure, rotation, PC, (SIZE, SIZE), count=AXES)
    rows, columns = np.mgrid[:SIZE, :SIZE]
    apart = np.hypot(rows[..., None] - places[:, 0], columns[..., None] - places[:, 1])
    return np.asarray(apart.min(axis=2) < REACH)


def ratio(heat: NDArray[np.float32], disc: NDArray[np.bool_]) -> float:
    """Mean heat in a part of the screen over that of all of it."""
    return float(heat[disc].mean() / max(heat.mean(), 1e-6))


def draw(
    shown: list[tuple[Known, NDArray[np.float32], Explanation]],
    rotation: NDArray[np.float64],
    path: Path,
) -> None:
    """Draw pattern and heat of both metals, the zone axes marked and named."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(len(shown), 2, figsize=(7.2, 3.6 * len(shown)), squeeze=False)
    for row, (known, frame, one) in zip(axes, shown, strict=True):
        uvw, places = zone_axes(known.structure, rotation, PC, (SIZE, SIZE), count=AXES)
        name = known.name.split("_")[0]
        said = f"{one.predicted}, {one.probabilities[one.predicted]:.0%}"
        for axis, title in zip(row, (name, f"what speaks for {one.label} ({said})"), strict=True):
            axis.imshow(frame, cmap="gray")
            axis.set(title=title, xticks=[], yticks=[])
            axis.plot(places[:, 1], places[:, 0], "o", mfc="none", mec="cyan", ms=9)
        row[1].imshow(one.heat, cmap="inferno", alpha=0.55)
        for indices, (y, x) in zip(uvw, places, strict=True):
            label = "".join(str(abs(i)) + ("\u0305" if i < 0 else "") for i in indices)
            row[0].annotate(label, (x, y), (4, 4), textcoords="offset points", color="cyan", size=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    main()
