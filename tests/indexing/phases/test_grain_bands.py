"""What is looked at where a scan has few grains."""

from __future__ import annotations

import dask.array as da
import numpy as np

from napari_diffraction.indexing.phases.grain_bands import grain_bands
from napari_diffraction.patterns.kikuchi.grains.averages import Grains
from napari_diffraction.patterns.kikuchi.preparation import prepare
from napari_diffraction.patterns.stack import PatternStack

ROWS, COLUMNS, SIDE = 20, 10, 40


def test_faint_patterns_are_looked_at_beside_the_clearest() -> None:
    noise = np.random.default_rng(0).normal(120, 20, (ROWS, COLUMNS, SIDE, SIDE))
    stack = PatternStack(da.from_array(noise.astype(np.uint8), chunks=(1, 1, SIDE, SIDE)), "noise")
    count = len(stack)
    # clear in the upper half, faint in the lower one, nothing in the last row
    contrast = np.repeat([0.5, 0.1, 0.0], [count // 2, count // 2 - COLUMNS, COLUMNS])
    none = np.zeros((0, SIDE, SIDE), np.float32)
    grains = Grains(
        np.full(count, -1, np.int32),
        np.zeros(0, np.int64),
        none,
        (),
        np.zeros(count, np.float32),
        contrast.astype(np.float32),
    )
    bands = grain_bands(stack, grains, prepare(stack))
    row = bands.offset[:, 0] + (ROWS - 1) / 2
    assert len(bands) == 40
    assert 8 <= (row >= ROWS / 2).sum() <= 14
    assert row.max() < ROWS - 1
    assert len(np.unique(bands.offset, axis=0)) == 40
