"""Parts of dask arrays are read in the thread that asks, whatever else is registered with dask."""

from __future__ import annotations

import dask.array as da
import numpy as np
from dask.callbacks import Callback

from napari_diffraction.patterns.stack import PatternStack


def test_callbacks_of_others_do_not_see_patterns_that_are_read() -> None:
    def fail(*_: object) -> None:
        raise KeyError("not made for several threads")

    data = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    stack = PatternStack(da.from_array(data, chunks=(1, 1, 4, 5)), "scan")
    with Callback(pretask=fail, posttask=fail):
        np.testing.assert_array_equal(stack.frame(4), data[1, 1])
        for one, frame in zip((1, 2, 5), stack.frames([1, 2, 5]), strict=True):
            np.testing.assert_array_equal(frame, data.reshape(6, 4, 5)[one])
