"""Neighbouring patterns of a scan are read in few slices, and no others with them."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import h5py
import numpy as np
import pytest
import zarr

from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.readers.slices import read_run


class Counting:
    """An array that counts the slices and the patterns that are asked for."""

    def __init__(self, data: np.ndarray) -> None:
        self.data, self.shape = data, data.shape
        self.slices = self.patterns = 0

    def __getitem__(self, part: Any) -> np.ndarray:
        found = self.data[part]
        self.slices += 1
        self.patterns += found.size // self.data[0, 0].size
        return found


@pytest.mark.parametrize("lead", [(3, 5), (1, 6), (6, 1)])
def test_what_is_read_is_what_was_asked_for(lead: tuple[int, int]) -> None:
    flat = np.arange(np.prod(lead) * 6).reshape(-1, 2, 3)
    for start, stop in combinations(range(len(flat) + 1), 2):
        data = Counting(flat.reshape(*lead, 2, 3))
        np.testing.assert_array_equal(read_run(data, lead, start, stop), flat[start:stop])
        assert data.patterns == stop - start
        assert data.slices <= 3


@pytest.mark.parametrize("lead", [(), (7,), (2, 3, 4), (2, 1, 3, 2)])
def test_other_numbers_of_axes(lead: tuple[int, ...]) -> None:
    data = np.arange(np.prod(lead, dtype=int) * 6).reshape(*lead, 2, 3)
    flat = data.reshape(-1, 2, 3)
    for start, stop in combinations(range(len(flat) + 1), 2):
        np.testing.assert_array_equal(read_run(data, lead, start, stop), flat[start:stop])


@pytest.mark.parametrize("kind", [".h5", ".zarr"])
def test_a_run_of_a_scan_takes_few_reads(kind: str, write, monkeypatch) -> None:
    data = np.random.default_rng(0).integers(0, 200, (4, 5, 16, 24)).astype("u2")
    stack = open_stack(write(kind, data))
    owner = h5py.Dataset if kind == ".h5" else zarr.Array
    original, shapes = owner.__getitem__, []

    def read(self: Any, part: Any) -> Any:
        found = original(self, part)
        shapes.append(found.shape[:-2])
        return found

    monkeypatch.setattr(owner, "__getitem__", read)
    np.testing.assert_array_equal(stack.read.source.read(3, 17), data.reshape(-1, 16, 24)[3:17])
    assert shapes == [(2,), (2, 5), (2,)]
