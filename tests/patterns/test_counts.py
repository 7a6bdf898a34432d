"""Frames of any dtype as compiled code takes them."""

from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.patterns.counts import plain_counts


@pytest.mark.parametrize("dtype", ["u4", ">u4", "u8"])
def test_the_greatest_number_of_many_bits_is_none(dtype: str) -> None:
    frame = np.arange(12).reshape(3, 4).astype(dtype)
    frame[1, 2] = np.iinfo(dtype).max
    plain = plain_counts(frame)
    assert np.isnan(plain[1, 2])
    assert np.isfinite(plain).sum() == 11
    assert plain[2, 3] == 11


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u4", "f4", "f8"])
def test_what_is_plain_is_not_copied(dtype: str) -> None:
    frame = np.full((3, 4), 255 if dtype == "u1" else 7, dtype)
    assert plain_counts(frame) is frame


@pytest.mark.parametrize("dtype", [">u2", ">f4", "f2"])
def test_other_orders_of_bytes_and_half_floats_are_turned(dtype: str) -> None:
    frame = np.arange(12).reshape(3, 4).astype(dtype)
    plain = plain_counts(frame)
    assert plain.dtype == np.float32
    np.testing.assert_array_equal(plain, frame)


def _gaps(dtype: str, value: int) -> tuple[np.ndarray, np.ndarray]:
    frame = np.random.default_rng(3).poisson(2, (60, 80)).astype(dtype)
    gap = np.zeros(frame.shape, bool)
    gap[28:32], gap[:, 38:40] = True, True
    frame[gap] = value
    return frame, gap


@pytest.mark.parametrize(("dtype", "value"), [("i2", -1), ("i4", -2), (">i4", -1)])
def test_gaps_of_signed_numbers_have_no_value(dtype: str, value: int) -> None:
    frame, gap = _gaps(dtype, value)
    np.testing.assert_array_equal(np.isnan(plain_counts(frame)), gap)


def test_a_single_dead_pixel_has_no_value() -> None:
    frame = np.random.default_rng(3).poisson(2, (60, 80)).astype(np.int32)
    frame[7, 9] = -2
    assert np.argwhere(np.isnan(plain_counts(frame))).tolist() == [[7, 9]]


@pytest.mark.parametrize("deviation", [0.5, 0.6, 1.0, 3.0])
def test_noise_about_a_dark_frame_is_kept(deviation: float) -> None:
    frame = np.random.default_rng(3).normal(0.2, deviation, (60, 80)).round().astype(np.int16)
    assert (frame < 0).any()
    assert plain_counts(frame) is frame


@pytest.mark.parametrize("gain", [1.0, 2.6])
def test_wide_pixels_between_chips_have_no_value_where_they_are_not_corrected(gain: float) -> None:
    rng = np.random.default_rng(3)
    mean = np.ones((512, 256))
    mean[250:262, 100:112] = 500.0  # a beam beside the line
    wide = np.zeros(mean.shape, bool)
    wide[255:257] = True
    frame = rng.poisson(np.where(wide, gain * mean, mean)).astype(np.uint16)
    plain = plain_counts(frame)
    assert np.array_equal(np.isnan(plain), wide if gain > 1 else np.zeros_like(wide))


@pytest.mark.parametrize("height", [6.0, 15.0, 60.0])
def test_a_streak_through_the_beam_where_chips_meet_is_kept(height: float) -> None:
    rng = np.random.default_rng(3)
    away = np.arange(512) - 255.5
    mean = np.full((512, 512), 3.0) + height * np.exp(-0.5 * (away / 1.5) ** 2)[:, None]
    frame = rng.poisson(mean).astype(np.uint16)
    assert plain_counts(frame) is frame


def test_a_row_of_spots_where_chips_meet_is_kept() -> None:
    rng = np.random.default_rng(3)
    mean = np.full((256, 512), 2.0)
    for centre in range(16, 256, 16):
        mean[centre - 1 : centre + 2, 254:258] += 200.0
    frame = rng.poisson(mean).astype(np.uint16)
    assert plain_counts(frame) is frame
