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
