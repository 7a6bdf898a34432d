"""Sorting in compiled code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_diffraction.patterns.sorting import order_down, quantile, sort

NUMBERS = hnp.arrays(
    st.sampled_from((np.float32, np.float64)),
    st.integers(0, 300),
    elements=st.floats(-1e6, 1e6, width=32),
)


@settings(deadline=None)  # the first call compiles
@given(NUMBERS)
def test_sorted_as_numpy_sorts(values: np.ndarray) -> None:
    expected = np.sort(values)
    np.testing.assert_array_equal(sort(values), expected)
    np.testing.assert_array_equal(values, expected)  # where it lies


@settings(deadline=None)  # the first call compiles
@given(NUMBERS)
def test_the_order_leads_from_the_greatest_down(values: np.ndarray) -> None:
    before = values.copy()
    order = order_down(values)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(np.sort(order), np.arange(len(values)))
    assert np.all(np.diff(values[order]) <= 0)


@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=40),
    st.floats(0, 1),
)
def test_a_quantile_is_that_of_numpy(values: list[float], share: float) -> None:
    line = np.array(values, np.float32)
    expected = float(np.quantile(line.astype(float), share))
    assert quantile(line, share) == pytest.approx(expected, rel=1e-6, abs=1e-6)
