"""Neighbouring patterns as a stack of their own."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.part import part_of
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

FRAMES = np.arange(12)[:, None, None] * np.ones((8, 8), np.uint8)


def read(index: int) -> np.ndarray:
    if index == 7:
        raise InputError("damaged")
    return FRAMES[index]


@pytest.mark.parametrize("reads", [None, read])
def test_rows_of_a_scan_keep_their_names(reads: object) -> None:
    pc_map = np.array([0.5, 0.3, 0.6]) + 0.01 * np.arange(4)[:, None, None] * np.ones((3, 3))
    geometry = KikuchiGeometry((0.515, 0.315, 0.615), voltage=20.0, pc_map=pc_map)
    data = da.from_array(FRAMES.reshape(4, 3, 8, 8))
    stack = PatternStack(data, "scan", ("scan.h5",), geometry=geometry, read=reads)
    part = part_of(stack, 3, 9)
    assert part.data.shape == (2, 3, 8, 8)
    assert [part.event(index) for index in range(6)] == [3, 4, 5, 6, 7, 8]
    assert part.source(5) == "scan.h5"
    shown = [None if one is None else int(one[0, 0]) for one in part.frames(range(6))]
    assert shown == [3, 4, 5, 6, 7 if reads is None else None, 8]
    assert int(part.frame(5)[0, 0]) == 8
    assert part.geometry.pc == pytest.approx((0.515, 0.315, 0.615))
    assert part_of(stack, 0, 3).geometry.pc == pytest.approx((0.5, 0.3, 0.6))
    assert part.geometry.pc_map.shape == (2, 3, 3)
    assert part_of(stack, 0, 12) is stack


def test_a_part_of_a_list_has_its_own_files() -> None:
    names = tuple(f"{number}.png" for number in range(12))
    stack = PatternStack(da.from_array(FRAMES), "list", names)
    part = part_of(stack, 10, 12)
    assert [(part.source(index), part.event(index)) for index in (0, 1)] == [
        ("10.png", 0),
        ("11.png", 0),
    ]
    # where the map of centres has no such rows yet, the mean of the file holds
    geometry = KikuchiGeometry((0.5, 0.3, 0.6), pc_map=np.ones((1, 3, 3)))
    scan = replace(stack, data=da.from_array(FRAMES.reshape(4, 3, 8, 8)), geometry=geometry)
    assert part_of(scan, 6, 12).geometry == KikuchiGeometry((0.5, 0.3, 0.6))


def test_centres_that_the_file_leaves_out_are_no_part_of_the_mean() -> None:
    pc_map = np.tile([0.5, 0.3, 0.6], (4, 3, 1))
    pc_map[1, 2] = pc_map[3] = np.nan
    geometry = KikuchiGeometry((0.5, 0.3, 0.6), pc_map=pc_map)
    scan = PatternStack(da.from_array(FRAMES.reshape(4, 3, 8, 8)), "scan", geometry=geometry)
    assert part_of(scan, 3, 9).geometry.pc == pytest.approx((0.5, 0.3, 0.6))
    assert part_of(scan, 9, 12).geometry.pc == (0.5, 0.3, 0.6)
