"""Sample stacks, made in seconds: a serial experiment with its truth, and the paper's hybrids."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace

import numpy as np
import pandas as pd

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.progress import Progress
from napari_diffraction.simulation.conditions import (
    DetectorEffects,
    SpotConditions,
    realistic_effects,
)
from napari_diffraction.simulation.spots.dataset import SimulatedStack, simulate_spots

#: Cells of Gorelik et al. (2025): Fig. 1, Fig. 2(e, f), and the two monoclinic ones (2_1 along b).
FIGURE_1 = UnitCell(5.6786, 10.4648, 20.4682, 109.7914, 106.5805, 105.8206)
FIGURE_2 = UnitCell(9.7733, 11.979, 9.6421, 91.1645, 113.204, 102.2199)
MONOCLINIC_1 = UnitCell(3.8155, 10.0452, 13.7425, 90, 107.8717, 90)
MONOCLINIC_2 = UnitCell(3.7061, 12.0249, 11.7474, 90, 103.1097, 90)
MONOCLINIC_GROUP = "P 1 21 1"


#: An ordinary serial experiment: light atoms, a camera with halo, carbon film and beam stop.
ORDINARY_CONDITIONS = SpotConditions(
    wavelength=0.0251,
    resolution=1.0,
    excitation_error=0.008,
    intensities="random",
    falloff=2.0,
    in_plane=True,
)
ORDINARY_CAMERA = replace(
    realistic_effects(np.random.default_rng(4)),
    extent=0.9,
    signal=60.0,
    background=4.0,
    halo=60.0,
    halo_width=0.12,
    carbon=4.0,
    ice=0.0,
    spot_radius=1.4,
    spot_softness=0.8,
    central_radius=3.0,
    central_signal=30.0,
    read_noise=1.0,
    gain=1.0,
    offset=0.0,
    saturation=65535.0,
    gap_width=0.0,
    beam_stop=0.06,
    beam_stop_arm=0.02,
    beam_stop_angle=250.0,
    shift_x=0.01,
    shift_y=-0.015,
    missing=0.02,
    false_spots=0.0,
    jitter=0.2,
)


def serial_experiment(seed: int = 0, n: int = 300) -> Generator[Progress, None, SimulatedStack]:
    """Simulate a small serial experiment: one compound, an ordinary camera, random crystals.

    A tenth of the patterns are no-hits and a tenth show two crystals; the zones, about 3 % of what
    falls on the grid in nature, are enriched to a tenth so that a small sample holds some.

    Parameters
    ----------
    seed
        The same seed gives the same experiment.
    n
        Number of patterns.
    """
    rng = np.random.default_rng([seed, 2025])
    parts = []
    for crystals, orientations in ((1, 5 * n), (2, n // 2), (0, n // 8 + 1)):
        part = yield from simulate_spots(
            [FIGURE_1],
            ORDINARY_CONDITIONS,
            ORDINARY_CAMERA,
            orientations=orientations,
            crystals=crystals,
            seed=seed + crystals,
        )
        parts.append(part)
    wanted = {
        "2DZone": n // 10,
        "MultipleCrystals": n // 10,
        "NoHit": n // 10,
        "3DLaueIntersections": n - 3 * (n // 10),
    }
    return _choose(parts, wanted, rng)


def hybrids(seed: int = 0, n: int = 60) -> Generator[Progress, None, SimulatedStack]:
    """Simulate clean patterns between a zone and a Laue pattern, as in the paper's Fig. 2.

    Parameters
    ----------
    seed
        The same seed gives the same stack.
    n
        Number of patterns; their share of spots in the dominant zone falls from 1 to about 0.5.
    """
    stack = yield from simulate_spots(
        [FIGURE_2], SpotConditions(), DetectorEffects(), orientations=4000, seed=seed
    )
    fraction = stack.labels["zone_fraction"].to_numpy()
    wanted = np.linspace(1.0, 0.5, n)
    chosen: list[int] = []
    free = np.ones(len(fraction), dtype=bool)
    for value in wanted:
        distance = np.where(free, np.abs(fraction - value), np.inf)
        chosen.append(int(distance.argmin()))
        free[chosen[-1]] = False
    return take([stack], np.zeros(n, dtype=int), np.array(chosen))


def _choose(
    parts: list[SimulatedStack], wanted: dict[str, int], rng: np.random.Generator
) -> SimulatedStack:
    """Draw the wanted number of patterns of each class from several stacks, in random order."""
    part = np.concatenate([np.full(len(one), i) for i, one in enumerate(parts)])
    index = np.concatenate([np.arange(len(one)) for one in parts])
    label = np.concatenate([one.labels["label"].to_numpy() for one in parts])
    picks = []
    for name, count in wanted.items():
        candidates = np.flatnonzero(label == name)
        picks.append(rng.choice(candidates, min(count, len(candidates)), replace=False))
    order = rng.permutation(np.concatenate(picks))
    return take(parts, part[order], index[order])


def take(parts: list[SimulatedStack], part: np.ndarray, index: np.ndarray) -> SimulatedStack:
    """Put chosen patterns of several stacks of the same settings into one.

    Parameters
    ----------
    parts
        The stacks.
    part, index : ndarray of int, (n,)
        Which stack, and which pattern of it.
    """
    images = np.stack(
        [parts[p].images[i].astype(np.uint16) for p, i in zip(part, index, strict=True)]
    )
    if all(one.images.dtype == np.uint8 for one in parts):
        images = images.astype(np.uint8)
    labels = pd.concat([parts[p].labels.iloc[[i]] for p, i in zip(part, index, strict=True)])
    labels = labels.assign(index=np.arange(len(labels))).reset_index(drop=True)
    groups = [one.spots.groupby("pattern").indices for one in parts]
    spots = [
        parts[p].spots.iloc[groups[p].get(i, [])].assign(pattern=new)
        for new, (p, i) in enumerate(zip(part, index, strict=True))
    ]
    return replace(
        parts[0], images=images, labels=labels, spots=pd.concat(spots, ignore_index=True)
    )
