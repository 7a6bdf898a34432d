from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.patterns.spots.flatten import WORK_SIZE, flatten

SPOTS = [(y, x) for y in range(20, 240, 40) for x in range(25, 240, 40)]


def camera(seed: int = 0, size: int = 256, step: float = 0.0) -> np.ndarray:
    """Spots of 40 counts on a tilted background of about 100 with noise of 3."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:size, :size]
    frame = 100 + step * xx + rng.normal(0, 3, (size, size))
    for y, x in SPOTS:
        frame += 40 * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / 4)
    return frame


def between_spots(signal: np.ndarray) -> np.ndarray:
    mask = np.ones(signal.shape, bool)
    for y, x in SPOTS:
        mask[y - 6 : y + 7, x - 6 : x + 7] = False
    return signal[mask]


@pytest.mark.parametrize("step", [0.0, 0.5])
def test_background_becomes_nought_and_noise_becomes_one(step: float) -> None:
    flat = flatten(camera(step=step))
    rest = between_spots(flat.signal)
    assert abs(rest.mean()) < 0.15
    assert rest.std() == pytest.approx(1, abs=0.15)
    top = np.array([flat.signal[y, x] for y, x in SPOTS])
    assert top.mean() == pytest.approx(40 / 3, rel=0.15)
    assert not flat.inverted
    assert not flat.empty
    assert flat.binning == 1


def test_dark_spots_are_made_bright() -> None:
    frame = camera()
    bright, dark = flatten(frame), flatten(300 - frame)
    assert dark.inverted
    difference = np.abs(dark.signal - bright.signal)
    assert difference.max() < 1
    assert difference.mean() < 0.02


@given(
    gain=st.floats(1e-3, 1e3),
    offset=st.floats(-1e3, 1e3),
)
@settings(max_examples=15, deadline=None)
def test_gain_and_offset_do_not_matter(gain: float, offset: float) -> None:
    frame = camera()
    np.testing.assert_allclose(
        flatten((frame + offset) * gain).signal, flatten(frame).signal, atol=0.05
    )


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "f4", "f8"])
@pytest.mark.parametrize("size", [256, WORK_SIZE + 112])
def test_the_type_of_the_pixels_does_not_matter(dtype: str, size: int) -> None:
    frame = np.round(camera(size=size))
    assert 0 < frame.min() < frame.max() < 256
    np.testing.assert_array_equal(flatten(frame.astype(dtype)).signal, flatten(frame).signal)


@pytest.mark.parametrize("dtype", ["f2", ">u2", ">f4"])
def test_rare_types_of_large_frames_do_not_matter(dtype: str) -> None:
    frame = np.round(camera(size=WORK_SIZE + 112))
    np.testing.assert_array_equal(flatten(frame.astype(dtype)).signal, flatten(frame).signal)


def test_large_frames_are_averaged_over_squares() -> None:
    frame = camera(size=256)
    small = flatten(frame)
    large = flatten(np.kron(frame, np.ones((3, 3))))
    assert large.binning == 2  # 768 pixels
    assert large.signal.shape == (384, 384)
    quadruple = flatten(np.kron(frame, np.ones((4, 4)))[:, :-1])  # the last column is left out
    assert quadruple.binning == 3
    assert quadruple.signal.shape == (341, 341)
    assert small.binning == 1


@given(
    dtype=st.sampled_from(["u1", "u2", "i4", "f4", "f8", "?"]),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    value=st.floats(0, 1e6),
)
@settings(max_examples=40, deadline=None)
def test_a_frame_that_is_the_same_everywhere_is_empty(
    dtype: str, shape: tuple[int, int], value: float
) -> None:
    frame = np.full(shape, value).astype(dtype) if dtype != "?" else np.ones(shape, bool)
    flat = flatten(frame)
    assert flat.empty
    assert flat.signal.shape == shape
    assert not flat.signal.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("error")
def test_a_frame_without_a_value_is_empty(value: float) -> None:
    flat = flatten(np.full((50, 70), value, np.float32))
    assert flat.empty
    assert not flat.signal.any()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.filterwarnings("error")
def test_pixels_without_a_value_are_nought_and_do_not_disturb_the_rest(value: float) -> None:
    frame = camera()
    whole = flatten(frame).signal
    frame[:, 100:150] = value  # wider than a block
    frame[7, 7] = value
    signal = flatten(frame).signal
    assert not signal[:, 100:150].any()
    assert signal[7, 7] == 0
    far = np.r_[0:80, 170:256]
    np.testing.assert_allclose(signal[8:, far], whole[8:, far], atol=0.5)
    assert np.abs(signal[8:, far] - whole[8:, far]).mean() < 0.05


def test_noise_is_told_from_none() -> None:
    clean = np.zeros((256, 256), np.uint8)
    for y, x in SPOTS:
        clean[y - 1 : y + 2, x - 1 : x + 2] = 255
    assert flatten(clean).noise < 1e-3
    assert flatten(camera()).noise > 0.02


@given(shape=st.tuples(st.integers(1, 40), st.integers(1, 40)), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_tiny_frames_give_finite_values(shape: tuple[int, int], seed: int) -> None:
    frame = np.random.default_rng(seed).poisson(3, shape)
    assert np.isfinite(flatten(frame).signal).all()


@pytest.mark.parametrize("top", [255, 65535, 3e38])
def test_saturated_frames_give_finite_values(top: float) -> None:
    frame = np.where(camera() > 100, top, 0).astype(np.float32)
    assert np.isfinite(flatten(frame).signal).all()
