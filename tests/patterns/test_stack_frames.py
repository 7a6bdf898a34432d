"""Several patterns of an array of dask at once."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack

FRAMES = np.arange(5 * 7 * 4 * 3).reshape(5, 7, 4, 3)


@pytest.mark.parametrize("indices", [[0], [2, 3, 4, 5, 6, 7, 8], [0, 6, 7, 20, 34], range(35)])
@pytest.mark.parametrize("chunks", [(1, 1, 4, 3), (2, 3, 4, 3), (5, 7, 4, 3)])
def test_patterns_of_a_scan_are_those_of_their_numbers(indices, chunks) -> None:
    stack = PatternStack(da.from_array(FRAMES, chunks=chunks), "scan")
    flat = FRAMES.reshape(-1, 4, 3)
    np.testing.assert_array_equal(stack.frames(list(indices)), flat[list(indices)])
    alone = PatternStack(da.from_array(flat, chunks=(2, 4, 3)), "stack")
    np.testing.assert_array_equal(alone.frames(list(indices)), flat[list(indices)])


def test_a_pattern_that_cannot_be_read_takes_no_other_with_it() -> None:
    def block(block_info=None) -> np.ndarray:
        (start, stop), *_ = block_info[None]["array-location"]
        if start == 3:
            raise InputError("damaged")
        return np.full((stop - start, 4, 3), start)

    data = da.map_blocks(block, chunks=((1,) * 6, (4,), (3,)), dtype=int, meta=np.zeros((0, 0, 0)))
    found = PatternStack(data, "stack").frames(range(6))
    assert [frame is None for frame in found] == [number == 3 for number in range(6)]
