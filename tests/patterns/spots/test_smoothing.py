"""Compiled smoothing, beside what scipy finds."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_diffraction.patterns.spots import rings, smoothing
from napari_diffraction.patterns.spots.smoothing import convolve, half_gaussian

SHAPES = [(1, 1), (2, 70), (33, 5), (61, 47)]


def frame(shape: tuple[int, int]) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 3, shape).astype(np.float32)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("width", [0.6, 1.2, 2.7])
def test_a_kernel_of_any_length_is_convolved_with(shape: tuple[int, int], width: float) -> None:
    image, half = frame(shape), half_gaussian(width)
    taps = np.concatenate([half[:0:-1], half])
    expected = np.minimum(image, np.float32(2))
    for axis in (0, 1):
        expected = ndimage.correlate1d(expected, taps, axis, mode="constant")
    np.testing.assert_allclose(convolve(image, half, np.float32(2)), expected, atol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reach", [1, 4, 9])
def test_the_mean_of_the_surroundings_is_taken_off(shape: tuple[int, int], reach: int) -> None:
    image, out = frame(shape), np.zeros(shape, np.float32)
    expected = np.clip(image, -6, 8)
    for _ in range(2):
        expected = ndimage.uniform_filter(expected, 2 * reach + 1, mode="nearest")
    smoothing._take_off_surroundings(out, image, reach)
    np.testing.assert_allclose(out, -expected, atol=2e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_wide_smoothing_mirrors_the_image_at_its_edge(shape: tuple[int, int]) -> None:
    image = frame(shape)
    np.testing.assert_allclose(
        rings._widely_smoothed(image, 6.4), ndimage.gaussian_filter(image, 6.4), atol=1e-4
    )
