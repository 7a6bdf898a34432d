"""What the Bravais classifier sees of frames of any size."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import torch

from napari_diffraction.errors import InputError
from napari_diffraction.learning.networks import band_view
from napari_diffraction.learning.networks.bravais_view import shown_part, side_of
from napari_diffraction.patterns.stack import PatternStack

PC = np.array([[0.5, 0.4, 0.6]], np.float32)


def streaks(size: int) -> torch.Tensor:
    """Three bright bands with soft edges, the same at any number of pixels."""
    at = (np.arange(size) + 0.5) / size
    x, y = np.meshgrid(at, at)
    frame = np.zeros((size, size), np.float32)
    for angle, place in ((20, 0.55), (80, 0.7), (140, 0.1)):
        turned = np.radians(angle)
        away = x * np.cos(turned) + y * np.sin(turned) - place
        frame += np.exp(-((away / 0.02) ** 2) / 2)
    return torch.from_numpy(frame)


@pytest.mark.parametrize(("size", "side"), [(40, 64), (64, 64), (65, 128), (128, 128), (400, 128)])
def test_frames_of_few_pixels_are_seen_in_the_smaller_square(size: int, side: int) -> None:
    pictures, weights = band_view.flat(torch.rand(2, size, size), torch.ones(size, size))
    assert pictures.shape == (2, side, side)
    assert weights.shape[1:] == (side, side)
    assert side_of((size, size)) == side


@pytest.mark.parametrize("shape", [(60, 80), (128, 96), (480, 640)])
def test_what_is_no_square_stands_in_the_middle(shape: tuple[int, int]) -> None:
    top, left, height, width = shown_part(shape)
    assert height / width == pytest.approx(shape[0] / shape[1], rel=0.03)
    assert max(height, width) == 1
    assert top == pytest.approx((1 - height) / 2, abs=0.01)
    assert left == pytest.approx((1 - width) / 2, abs=0.01)


def test_the_same_bands_are_found_in_either_square() -> None:
    few, many = (
        band_view.measure(streaks(size)[None], torch.ones(size, size), PC) for size in (64, 96)
    )
    alike = np.abs(few.normal[0, :3] @ many.normal[0, :3].T)
    assert (alike.max(axis=1) > np.cos(np.radians(0.5))).all()
    # a profile goes by the angle, whatever the pixels
    here, there = (found.profile[0, 0] for found in (few, many))
    assert np.corrcoef(here, there)[0, 1] > 0.97


@pytest.mark.parametrize("shape", [(4, 900), (900, 4), (1, 300)])
def test_frames_that_are_lines_are_refused(shape: tuple[int, int]) -> None:
    stack = PatternStack(da.zeros((3, *shape), chunks=(1, *shape)), "lines")
    with pytest.raises(InputError, match="too narrow"):
        band_view.looker(stack)


@pytest.mark.parametrize("shape", [(40, 1280), (1280, 40), (1, 1)])
def test_narrow_frames_are_seen(shape: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).poisson(50, (3, *shape))
    stack = PatternStack(da.from_array(frames, chunks=(1, *shape)), "narrow")
    band_view.looker(stack)(frames[0])
