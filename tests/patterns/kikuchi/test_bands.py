"""Lines of painted bands, at the resolution of the picture."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.patterns.kikuchi.bands.lines import Lines, find_lines

#: Angle in degrees, distance from the middle in pixels, height.
BANDS = [(10.0, 12.0, 1.0), (62.0, -15.0, 1.0), (118.0, 4.0, 1.0), (160.0, -22.0, 1.0)]


def nearest(lines: Lines, angle: float, place: float, reach: float) -> tuple[float, float]:
    """Degrees, and pixels within ``reach`` of the middle, from a true line to the nearest one."""
    normal = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    best = (np.inf, np.inf)
    for a, b, c in lines.line[0, : lines.count[0]]:
        turn = np.degrees(np.arcsin(np.clip(abs(a * normal[1] - b * normal[0]), 0, 1)))
        # the true line's foot, and two points along it
        points = place * normal + np.outer([-reach, 0, reach], [-normal[1], normal[0]])
        off = np.abs(points @ [a, b] - c).max()
        if off < best[1]:
            best = (float(turn), float(off))
    return best


@pytest.mark.parametrize("shape", [(80, 80), (60, 100), (110, 70)])
@pytest.mark.parametrize("width", [2.0, 3.5])
def test_lines_are_found_within_half_a_pixel(
    paint: Callable, shape: tuple[int, int], width: float
) -> None:
    found = find_lines(paint(BANDS, shape, width)[None], np.ones(shape, np.float32))
    assert found.shape == shape
    assert found.count[0] >= len(BANDS)
    for angle, place, _ in BANDS:
        _, off = nearest(found, angle, place, 0.0)
        assert off < 0.25 * width  # half a pixel for a narrow band
    # the four strongest are the four that are there
    for a, b, c in found.line[0, : len(BANDS)]:
        assert np.hypot(a, b) == pytest.approx(1)
        turns = [abs(np.cos(np.radians(t)) * b - np.sin(np.radians(t)) * a) for t, _, _ in BANDS]
        assert np.degrees(np.arcsin(min(turns))) < 3
        assert abs(c) < max(shape) / 2


@settings(max_examples=30, deadline=None)
@given(angle=st.floats(0, 180), place=st.floats(-20, 20))
def test_a_line_is_found_at_every_angle(angle: float, place: float) -> None:

    shape = (70, 70)
    y, x = np.mgrid[:70, :70] + 0.5
    a, b = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    away = np.abs(a * (x - 35) + b * (y - 35) - place)
    picture = np.random.default_rng(1).normal(size=shape) * 0.3 + 1 / (1 + np.exp((away - 3) / 0.4))
    picture = (picture - picture.mean()) / picture.std()
    found = find_lines(picture[None].astype(np.float32), np.ones(shape, np.float32), most=3)
    a2, b2, c2 = found.line[0, 0]
    ends = np.array([a, b]) * place + np.outer([-15, 15], [-b, a])
    assert np.abs(ends @ [a2, b2] - c2).max() < 0.7


def test_the_same_lines_are_found_beside_a_mask(paint: Callable) -> None:
    shape = (90, 90)
    y, x = np.mgrid[:90, :90] + 0.5
    weight = (np.hypot(x - 45, y - 45) < 42).astype(np.float32)
    picture = paint(BANDS, shape) * weight
    found = find_lines(picture[None], weight)
    for angle, place, _ in BANDS:
        assert nearest(found, angle, place, 0.0)[1] < 0.5
    other = np.where(weight > 0, picture, 0)
    again = find_lines(other[None], weight)
    np.testing.assert_array_equal(found.line, again.line)


def test_dark_bands_are_none(paint: Callable) -> None:
    bright = paint([(30.0, 5.0, 1.0)], noise=0.2)
    weight = np.ones(bright.shape, np.float32)
    one, other = (find_lines(picture[None], weight) for picture in (bright, -bright))
    assert nearest(one, 30.0, 5.0, 10.0)[1] < 0.7
    assert one.strength[0, 0] > 1.2 * other.strength[0, 0]
    assert nearest(other, 30.0, 5.0, 10.0)[1] > 2


def test_wide_bands_get_wide_filters(paint: Callable) -> None:
    weight = np.ones((80, 80), np.float32)
    widths = [
        find_lines(paint([(40.0, 3.0, 1.0)], width=width, noise=0.2)[None], weight).half_width[0, 0]
        for width in (1.2, 4.5)
    ]
    assert widths[0] < widths[1]


def test_a_bright_spot_is_no_band(paint: Callable) -> None:
    picture = paint([(75.0, -6.0, 0.7)], noise=0.3)
    y, x = np.mgrid[:80, :80] + 0.5
    spot = 8 * np.exp(-((x - 60) ** 2 + (y - 60) ** 2) / 18)
    mixed = (picture + spot).astype(np.float32)
    mixed = (mixed - mixed.mean()) / mixed.std()
    found = find_lines(mixed[None].astype(np.float32), np.ones((80, 80), np.float32))
    assert nearest(found, 75.0, -6.0, 10.0)[1] < 1
    first = found.line[0, 0]
    assert abs(first[0] * np.cos(np.radians(75)) + first[1] * np.sin(np.radians(75))) > 0.99


def test_strengths_fall_and_what_is_not_found_is_zero(paint: Callable) -> None:
    pictures = np.stack([paint(BANDS, seed=k) for k in range(5)] + [np.zeros((80, 80), np.float32)])
    found = find_lines(pictures, np.ones((80, 80), np.float32), most=10)
    assert len(found) == 6
    assert found.count[5] == 0
    for k in range(6):
        count = found.count[k]
        assert (np.diff(found.strength[k, :count]) <= 0).all()
        assert (found.strength[k, :count] > 0).all()
        assert not found.line[k, count:].any()
        assert not found.strength[k, count:].any()
    assert (found.support <= 1).all()
    normals = found.normals([0.5, 0.3, 0.6])
    length = np.linalg.norm(normals, axis=-1)
    assert length == pytest.approx((found.strength > 0).astype(float))
    part = found[2:4]
    assert len(part) == 2
    np.testing.assert_array_equal(part.line, found.line[2:4])


def test_as_many_threads_as_one_likes(paint: Callable) -> None:
    pictures = np.stack([paint(BANDS, seed=k) for k in range(9)])
    weight = np.ones((80, 80), np.float32)
    one, two = (find_lines(pictures, weight, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.line, two.line)
    np.testing.assert_array_equal(one.strength, two.strength)
