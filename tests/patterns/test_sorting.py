"""Sorting in compiled code."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_diffraction.patterns.sorting import order_down, sort

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
