from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_diffraction.patterns.display import contrast_limits


def spot_pattern(size: int = 512, beam: float = 50_000.0) -> np.ndarray:
    """Poisson noise of 3, an inelastic halo, a bright direct beam, spots of 40 counts."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size]
    radius = np.hypot(y - size / 2, x - size / 2)
    spots = ((x + 20) % 40 < 5) & ((y + 20) % 40 < 5)
    mean = 3 + 40 * spots + 30 * np.exp(-radius / 60) + beam * np.exp(-((radius / 8) ** 2))
    return rng.poisson(mean).astype("u2")


def test_the_direct_beam_does_not_make_the_spots_black() -> None:
    low, high = contrast_limits(spot_pattern())
    assert 0 <= low <= 4
    assert 20 < high < 100  # spots have 43, the beam 50,000


def test_noise_does_not_make_the_background_white() -> None:
    frame = spot_pattern()
    low, high = contrast_limits(frame)
    grey = np.clip((frame - low) / (high - low), 0, 1)
    assert np.median(grey) < 0.15
    assert (grey >= 1).mean() < 0.03


def test_an_inverted_pattern_gets_mirrored_limits() -> None:
    frame = spot_pattern().astype(float)
    low, high = contrast_limits(frame)
    low_inverted, high_inverted = contrast_limits(60_000 - frame)
    assert (low_inverted, high_inverted) == (60_000 - high, 60_000 - low)


def test_clean_black_and_white() -> None:
    frame = np.zeros((256, 256), "u1")
    frame[::32, ::32] = 255
    assert contrast_limits(frame) == (0, 255)
    assert contrast_limits(255 - frame) == (0, 255)
    assert contrast_limits(frame.astype(bool)) == (0, 1)


def test_what_a_detector_writes_in_its_gaps_is_ignored() -> None:
    frame = spot_pattern().astype("u4")
    expected = contrast_limits(frame)
    frame[:40] = 2**32 - 1
    assert contrast_limits(frame) == pytest.approx(expected, abs=3)


def test_nan_is_ignored() -> None:
    frame = spot_pattern().astype("f4")
    expected = contrast_limits(frame)
    frame[:40] = np.nan
    frame[50, 60] = np.inf
    assert contrast_limits(frame) == pytest.approx(expected, abs=3)


@pytest.mark.parametrize(
    ("value", "limits"), [(0, (0, 1)), (7, (0, 7)), (-7, (-7, 0)), (np.nan, (0, 1))]
)
def test_constant_frames(value, limits) -> None:
    assert contrast_limits(np.full((16, 16), value, "f4")) == limits


@given(
    hnp.arrays(
        st.sampled_from(["u1", "u2", "i4", "f4", "f8", "?"]),
        hnp.array_shapes(min_dims=2, max_dims=2, max_side=12),
    )
)
def test_limits_are_finite_and_increase(frame: np.ndarray) -> None:
    low, high = contrast_limits(frame)
    assert np.isfinite([low, high]).all()
    assert low < high


def test_quick_enough_for_a_slider() -> None:
    frame = spot_pattern()
    times = []
    for _ in range(5):
        start = time.process_time()
        contrast_limits(frame)
        times.append(time.process_time() - start)
    assert min(times) < 0.010
