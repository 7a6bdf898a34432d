"""Profiles across painted bands."""

from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.patterns.kikuchi.bands.profiles import ANGLES, SPAN, STEP, band_profiles

SHAPE = (90, 100)
PC = np.array([0.48, 0.35, 0.6])


def off_planes(normals: np.ndarray, pc: np.ndarray = PC) -> np.ndarray:
    """Angle of every pixel to planes in degrees, (k, h, w)."""
    h, w = SHAPE
    y, x = np.mgrid[:h, :w] + 0.5
    rays = np.stack([x - pc[0] * w, pc[1] * h - y, np.full(SHAPE, pc[2] * h)], axis=-1)
    rays /= np.linalg.norm(rays, axis=-1, keepdims=True)
    return np.degrees(np.abs(np.arcsin(np.einsum("hwi,ki->khw", rays, normals))))


def band(off: np.ndarray, half_width: float) -> np.ndarray:
    return 1 / (1 + np.exp((off - half_width) / 0.1))


def planes(count: int, seed: int) -> np.ndarray:
    """Normals of planes that cross the screen."""
    rng = np.random.default_rng(seed)
    turn, lean = rng.uniform(0, np.pi, count), rng.uniform(-0.25, 0.25, count)
    return np.stack(
        [np.cos(turn) * np.cos(lean), np.sin(turn) * np.cos(lean), np.sin(lean)], axis=-1
    )


def edge(value: np.ndarray) -> float:
    """Where a profile falls through the middle between its inside and its outside."""
    middle = (value[1:4].mean() + np.median(value[-10:])) / 2
    return float(ANGLES[np.flatnonzero(value < middle)[0]])


@pytest.mark.parametrize("half_width", [1.0, 2.0, 3.2])
def test_the_edge_lies_at_the_half_width(half_width: float) -> None:
    rng = np.random.default_rng(0)
    normals = planes(6, 1)[:, None]
    pictures = np.stack([band(off_planes(n)[0], half_width) for n in normals])
    pictures = (pictures + 0.3 * rng.normal(size=pictures.shape)).astype(np.float32)
    pictures -= pictures.mean(axis=(1, 2), keepdims=True)
    found = band_profiles(pictures, np.ones(SHAPE, np.float32), normals, PC, np.zeros(1, np.int64))
    assert edge(found.value[0]) == pytest.approx(half_width, abs=1.5 * STEP)
    inside = found.value[0][half_width - 0.5 > ANGLES].mean()
    outside = found.value[0][half_width + 0.5 < ANGLES].mean()
    assert inside - outside == pytest.approx(1, abs=0.15)
    assert found.noise == pytest.approx(0.3, abs=0.05)


def test_bands_that_cross_are_told_apart() -> None:
    """A direction without a band stays flat though strong bands cross it."""
    rng = np.random.default_rng(2)
    count = 8
    normals = np.stack([planes(3, 10 + k) for k in range(count)])
    heights, widths = (2.0, 0.7, 0.0), (2.5, 1.2, 1.0)
    pictures = np.zeros((count, *SHAPE))
    for k in range(count):
        for off, height, width in zip(off_planes(normals[k]), heights, widths, strict=True):
            pictures[k] += height * band(off, width)
    pictures += 0.3 * rng.normal(size=pictures.shape)
    pictures -= pictures.mean(axis=(1, 2), keepdims=True)
    found = band_profiles(
        pictures.astype(np.float32), np.ones(SHAPE, np.float32), normals, PC, np.arange(3)
    )
    spread = [value[:30].max() - value[:30].min() for value in found.value]
    assert spread[0] == pytest.approx(2.0, abs=0.4)
    assert spread[1] == pytest.approx(0.7, abs=0.25)
    assert spread[2] < 0.25
    assert edge(found.value[1]) == pytest.approx(1.2, abs=2 * STEP)


def test_a_mask_and_a_centre_for_each_picture() -> None:
    rng = np.random.default_rng(3)
    normals = planes(4, 4)[:, None]
    centres = PC + 0.03 * rng.normal(size=(4, 3))
    pictures = np.stack(
        [band(off_planes(n, c)[0], 2.0) for n, c in zip(normals, centres, strict=True)]
    )
    pictures = (pictures - pictures.mean(axis=(1, 2), keepdims=True)).astype(np.float32)
    weight = np.ones(SHAPE, np.float32)
    weight[:, :20] = 0
    one = band_profiles(pictures, weight, normals, centres, np.zeros(1, np.int64))
    pictures[:, :, :20] = 99
    other = band_profiles(pictures, weight, normals, centres, np.zeros(1, np.int64))
    np.testing.assert_allclose(one.value, other.value)
    assert edge(one.value[0]) == pytest.approx(2.0, abs=1.5 * STEP)
    assert one.area.sum() < 4 * (weight > 0).sum()


def test_the_angles_are_evenly_spaced() -> None:
    assert ANGLES[0] == 0
    assert ANGLES[-1] == pytest.approx(SPAN)
    assert np.diff(ANGLES) == pytest.approx(STEP)
