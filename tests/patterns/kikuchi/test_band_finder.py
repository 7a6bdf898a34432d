"""Bands in pictures: where they lie, how wide they are, and what a mask may not change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.patterns.kikuchi.band_finder import (
    PROFILE_BINS,
    PROFILE_SPAN,
    find_bands,
    find_lines,
)

SIDE = 64
WHOLE = np.ones((1, SIDE, SIDE), np.float32)
CENTRE = np.array([[0.5, 0.4, 0.6]], np.float32)


def directions(pc: np.ndarray) -> np.ndarray:
    at = (np.arange(SIDE) + 0.5) / SIDE
    x, y = np.meshgrid((at - pc[0]) / pc[2], (pc[1] - at) / pc[2])
    return np.stack([x, y, np.ones_like(x)], axis=-1) / np.sqrt(1 + x * x + y * y)[..., None]


def banded(normal: np.ndarray, sine: float, pc: np.ndarray, noise: float = 0.0) -> np.ndarray:
    """A picture with one bright band about a plane."""
    off = np.abs(directions(pc) @ normal)
    picture = 1 / (1 + np.exp((off - sine) / 0.004))
    picture = picture + noise * np.random.default_rng(1).normal(size=picture.shape)
    return ((picture - picture.mean()) / picture.std()).astype(np.float32)[None]


planes = st.tuples(st.floats(0, np.pi), st.floats(-0.35, 0.35)).map(
    lambda v: np.array([np.cos(v[0]) * np.cos(v[1]), np.sin(v[0]) * np.cos(v[1]), np.sin(v[1])])
)


@settings(max_examples=40, deadline=None)
@given(
    normal=planes,
    pc=st.tuples(st.floats(0.4, 0.6), st.floats(0.3, 0.6), st.floats(0.4, 1.0)).map(np.array),
)
def test_a_band_is_found_where_its_plane_lies(normal: np.ndarray, pc: np.ndarray) -> None:
    seen = directions(pc)
    along = seen[np.abs(seen @ normal) < 0.01]
    if len(along) < 30:
        return  # it hardly crosses the frame
    found = find_bands(banded(normal, 0.035, pc, 0.3), WHOLE, pc[None].astype(np.float32), 4)
    assert found.count[0] >= 1
    # Along what is seen of it; the normal of a band that only cuts a corner is known less well.
    off = np.abs(along @ found.normal[0, 0]).max() - 0.01
    assert off < np.sin(np.radians(2))  # two pixels at the largest distance


@pytest.mark.parametrize("sine", [0.025, 0.04, 0.06])
def test_the_profile_tells_the_width_whatever_the_distance(sine: float) -> None:
    normal = np.array([np.cos(0.3), np.sin(0.3), 0.1]) / np.sqrt(1.01)
    at = (np.arange(PROFILE_BINS) + 0.5) / PROFILE_BINS * 2 * PROFILE_SPAN - PROFILE_SPAN
    for distance in (0.45, 0.6, 0.9):
        pc = np.array([0.5, 0.45, distance])
        found = find_bands(banded(normal, sine, pc), WHOLE, pc[None].astype(np.float32), 1)
        profile = found.profile[0, 0]
        inside = np.abs(at) < sine - 0.012
        outside = np.abs(at) > sine + 0.03
        half = (profile[inside].mean() + profile[outside].mean()) / 2
        width = (profile > half).sum() * 2 * PROFILE_SPAN / PROFILE_BINS / 2
        assert width == pytest.approx(sine, abs=0.012)


def test_what_lies_behind_a_mask_changes_nothing() -> None:
    rng = np.random.default_rng(2)
    picture = banded(np.array([0.8, 0.6, 0.0]), 0.04, CENTRE[0], 0.5)
    weight = WHOLE.copy()
    weight[0, :, :12] = 0
    other = picture.copy()
    other[0, :, :12] = 50 * rng.normal(size=(SIDE, 12))
    one, two = (find_bands(p, weight, CENTRE, 8) for p in (picture, other))
    np.testing.assert_array_equal(one.normal, two.normal)
    np.testing.assert_array_equal(one.profile, two.profile)


def test_one_mask_and_centre_for_all_is_as_one_for_each() -> None:
    rng = np.random.default_rng(3)
    pictures = rng.normal(size=(5, SIDE, SIDE)).astype(np.float32)
    shared = find_bands(pictures, WHOLE, CENTRE, 6)
    each = find_bands(pictures, WHOLE.repeat(5, 0), CENTRE.repeat(5, 0), 6)
    np.testing.assert_allclose(shared.normal, each.normal, atol=1e-6)
    np.testing.assert_allclose(shared.profile, each.profile, atol=1e-5)


def test_an_even_picture_has_no_bands() -> None:
    found = find_bands(np.zeros((1, SIDE, SIDE), np.float32), WHOLE, CENTRE, 6)
    assert found.count[0] == 0
    assert not found.normal.any()


def test_lines_that_were_found_once_serve_any_centre() -> None:
    pictures = np.random.default_rng(4).normal(size=(70, SIDE, SIDE)).astype(np.float32)
    lines = find_lines(pictures, WHOLE)
    for pc in (CENTRE, np.array([[0.45, 0.2, 0.8]], np.float32)):
        whole, parts = find_bands(pictures, WHOLE, pc, 6), lines.bands(pc, 6)
        some = lines[3::20].bands(pc, 6)
        for name in ("normal", "strength", "profile", "area", "count"):
            np.testing.assert_array_equal(getattr(whole, name), getattr(parts, name))
            np.testing.assert_array_equal(getattr(whole, name)[3::20], getattr(some, name))


def test_no_pictures_have_no_bands() -> None:
    assert find_bands(np.zeros((0, SIDE, SIDE), np.float32), WHOLE, CENTRE, 6).normal.shape == (
        0,
        6,
        3,
    )
