"""Grains whose bands are known, exactly or with noise, and no pictures behind them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import random_orientations
from napari_diffraction.indexing.bands.directions import directions
from napari_diffraction.indexing.bands.metric import reciprocal_basis
from napari_diffraction.patterns.kikuchi.bands.lines import Lines

#: Conventional cells of lattices of every kind.
LATTICES = {
    "aP": UnitCell(5.1, 6.3, 7.4, 77, 99, 108),
    "mC": UnitCell(9.7, 8.9, 5.3, 90, 105.7, 90),
    "oP": UnitCell(4.7, 5.9, 7.6),
    "tI": UnitCell(3.8, 3.8, 9.5),
    "hP": UnitCell(2.95, 2.95, 4.69, 90, 90, 120),
    "hR": UnitCell(4.76, 4.76, 13.0, 90, 90, 120),
    "cI": UnitCell(2.87, 2.87, 2.87),
    "cF": UnitCell(3.52, 3.52, 3.52),
}


@dataclass(frozen=True, eq=False)
class Made:
    """Bands of grains: ``rotation`` turns the crystal into the detector's frame."""

    lines: Lines
    weights: np.ndarray
    rotation: np.ndarray
    basis: np.ndarray
    pc: np.ndarray


def lines_of(normals: np.ndarray, pc: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Traces (a, b, c) on the screen of planes with some normals, (..., 3)."""
    h, w = shape
    distance = pc[2] * h
    right, down = (pc[0] - 0.5) * w, (pc[1] - 0.5) * h
    a, b = normals[..., 0] / distance, -normals[..., 1] / distance
    size = np.hypot(a, b)
    a, b = a / size, b / size
    return np.stack([a, b, a * right + b * down - normals[..., 2] / size], axis=-1)


def made_grains(
    letters: str,
    count: int,
    *,
    seed: int = 0,
    pc: tuple[float, float, float] = (0.5, 0.3, 0.6),
    shape: tuple[int, int] = (120, 120),
    noise: float = 0.0,
    bands: int = 12,
    strays: int = 0,
    basis: np.ndarray | None = None,
) -> Made:
    """Make the bands of grains in random orientations.

    ``noise`` is that of normals in degrees; ``strays`` of the bands, from the fourth on, are of
    nothing.
    """
    rng = np.random.default_rng(seed)
    if basis is None:
        basis = reciprocal_basis(LATTICES[letters], letters)
    table = directions(basis)
    centre = np.array(pc)
    rotation = random_orientations(count, rng)
    line, strength = np.zeros((count, bands, 3)), np.zeros((count, bands), np.float32)
    for grain in range(count):
        normals = table.unit @ rotation[grain].T
        normals += np.radians(noise) * rng.normal(size=normals.shape)
        traces = lines_of(normals, centre, shape)
        crossing = np.flatnonzero(np.abs(traces[:, 2]) < 0.42 * min(shape))[:bands]
        line[grain, : len(crossing)] = traces[crossing]
        strength[grain, : len(crossing)] = np.linspace(20, 10, bands)[: len(crossing)]
        for stray in 3 + rng.permutation(max(len(crossing) - 3, 0))[:strays]:
            angle = rng.uniform(0, np.pi)
            line[grain, stray] = np.cos(angle), np.sin(angle), rng.uniform(-0.4, 0.4) * shape[0]
    lines = Lines(
        line,
        strength,
        np.full(strength.shape, 3, np.float32),
        np.ones(strength.shape, np.float32),
        (strength > 0).sum(axis=1),
        shape,
    )
    return Made(lines, (strength > 0).astype(float), rotation, basis, centre)


@pytest.fixture
def make_grains() -> Callable[..., Made]:
    return made_grains


@pytest.fixture(params=LATTICES)
def letters(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def cells() -> dict[str, UnitCell]:
    return LATTICES
