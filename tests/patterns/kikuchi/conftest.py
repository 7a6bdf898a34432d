"""Bright bands painted on noise, and patterns of crystals."""

from __future__ import annotations

from collections.abc import Callable

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import expand
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.patterns import simulate_kikuchi

NICKEL = expand(UnitCell(3.5236, 3.5236, 3.5236), 225, [("Ni", 0, 0, 0)], "Ni")


def painted(
    lines: list[tuple[float, float, float]],
    shape: tuple[int, int] = (80, 80),
    width: float = 3.0,
    noise: float = 0.5,
    seed: int = 0,
) -> np.ndarray:
    """A picture, zero mean and unit deviation, with bands of a half width in pixels.

    Each line is an angle in degrees and its distance from the middle, as ``cos x + sin y = c``, and
    the height of the band.
    """
    h, w = shape
    y, x = np.mgrid[:h, :w] + 0.5
    picture = noise * np.random.default_rng(seed).normal(size=shape)
    for angle, place, height in lines:
        a, b = np.cos(np.radians(angle)), np.sin(np.radians(angle))
        away = np.abs(a * (x - w / 2) + b * (y - h / 2) - place)
        picture += height / (1 + np.exp((away - width) / 0.4))
    return ((picture - picture.mean()) / picture.std()).astype(np.float32)


def scan_of(images: np.ndarray, shape: tuple[int, ...]) -> PatternStack:
    return PatternStack(da.from_array(images.reshape(*shape, *images.shape[-2:])), "made")


@pytest.fixture
def paint() -> Callable[..., np.ndarray]:
    return painted


@pytest.fixture
def make_stack() -> Callable[..., PatternStack]:
    return scan_of


@pytest.fixture(scope="session")
def clean_patterns() -> Callable[[np.ndarray], np.ndarray]:
    """Patterns of nickel without noise, by Euler angles, as floats of unit deviation."""

    def make(angles: np.ndarray) -> np.ndarray:
        made = finish(simulate_kikuchi([NICKEL], size=60, orientations=angles))
        images = made.images.astype(np.float32)
        images -= images.mean(axis=(1, 2), keepdims=True)
        return np.asarray(images / images.std(axis=(1, 2), keepdims=True))

    return make
