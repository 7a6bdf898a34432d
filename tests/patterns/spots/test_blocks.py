"""Background and noise in blocks, beside what plain numpy finds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.patterns.spots import blocks
from napari_diffraction.patterns.spots.blocks import block_size, block_statistics, normalise


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 1000))
def test_a_network_sorts_any_column(n: int, seed: int) -> None:
    values = np.random.default_rng(seed).integers(0, 9, (n, 5)).astype(np.float32)
    values[values == 8] = np.inf
    expected = np.sort(values, axis=0)
    blocks.sort_columns(values, blocks.sorting_network(n))
    np.testing.assert_array_equal(values, expected)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(3, 90), st.integers(3, 90)),
    seed=st.integers(0, 1000),
    lost=st.sampled_from([0.0, 0.3, 0.9]),
)
def test_background_and_noise_are_clipped_mean_and_deviation(
    shape: tuple[int, int], seed: int, lost: float
) -> None:
    rng = np.random.default_rng(seed)
    image = rng.poisson(rng.choice([0.05, 3, 200]), shape).astype(np.float32)
    image[rng.uniform(size=shape) < lost] = np.nan
    block = block_size(shape)
    background, noise = block_statistics(image, block)
    rows, columns = max(1, shape[0] // block), max(1, shape[1] // block)
    assert background.shape == noise.shape == (rows, columns)
    places = (np.arange(33) * 0.6180339887498949) % 1.0
    for r in range(rows):
        for c in range(columns):
            top, bottom = r * shape[0] // rows, (r + 1) * shape[0] // rows
            left, right = c * shape[1] // columns, (c + 1) * shape[1] // columns
            area = (bottom - top) * (right - left)
            k = (places[: min(area, 33)] * area).astype(int)
            i, j = top + k // (right - left), left + k % (right - left)
            values = np.sort(image[i, j][np.isfinite(image[i, j])])
            if len(values) < 8:
                assert np.isnan(background[r, c])
                continue
            middle = values[len(values) // 2]
            away = np.sort(abs(values - middle))
            reach = 3 * 1.4826 * away[len(values) // 2] + 1e-6 * abs(middle)
            if away[len(values) // 2] == 0:
                reach += 3 * away[: max(1, len(values) * 3 // 4)].mean()
            near = values[abs(values - middle) <= reach * (1 + 1e-6)]
            assert background[r, c] == pytest.approx(near.mean(), rel=1e-4, abs=1e-6)
            assert noise[r, c] <= 1.02 * near.std() * (1 + 1e-4) + 1e-5


def test_what_is_interpolated_between_blocks_is_taken_off() -> None:
    """A plane is known exactly between the middles of the outermost blocks."""
    y, x = np.mgrid[:60, :80].astype(np.float32)
    plane = 3 * x - 2 * y + 5
    middles_y, middles_x = np.arange(6) * 10 + 4.5, np.arange(8) * 10 + 4.5
    background = (3 * middles_x[None] - 2 * middles_y[:, None] + 5).astype(np.float32)
    noise = np.full(background.shape, 2, np.float32)
    signal = normalise(plane + 8, background, noise, 1.0)
    np.testing.assert_allclose(signal[5:-5, 5:-5], 4, atol=1e-4)
    assert np.array_equal(normalise(plane + 8, background, noise, -1.0), -signal)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    seed=st.integers(0, 1000),
    lost=st.sampled_from([0.0, 0.2]),
)
def test_blocks_are_smoothed_by_the_median_of_nine(
    shape: tuple[int, int], seed: int, lost: float
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=shape).astype(np.float32)
    values[rng.uniform(size=shape) < lost] = np.nan
    values[0, 0] = 1
    filled = np.where(np.isnan(values), np.nanmedian(values), values)
    nine = np.lib.stride_tricks.sliding_window_view(np.pad(filled, 1, mode="edge"), (3, 3))
    np.testing.assert_array_equal(blocks.smooth_blocks(values), np.median(nine, axis=(2, 3)))
    nine = np.lib.stride_tricks.sliding_window_view(np.pad(values, 1, mode="edge"), (3, 3))
    # beside a block without a value nothing is known
    np.testing.assert_array_equal(blocks.range_of_nine(values), np.ptp(nine, axis=(2, 3)))


@pytest.mark.parametrize("factor", [1, 2, 3, 5])
def test_means_of_squares(factor: int) -> None:
    frame = np.random.default_rng(0).integers(0, 999, (31, 44)).astype(np.uint16)
    h, w = 31 // factor, 44 // factor
    squares = frame[: h * factor, : w * factor].reshape(h, factor, w, factor)
    np.testing.assert_allclose(
        blocks.means_of_squares(frame, factor), squares.mean((1, 3)), rtol=1e-6
    )
