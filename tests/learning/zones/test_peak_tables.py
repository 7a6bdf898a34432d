from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.zones.peak_tables import COLUMNS, find_in_stack, tabulate
from napari_diffraction.patterns.spots.measure import find_spots
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.samples import serial_experiment


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return finish(serial_experiment(seed=5, n=6)).images


def test_every_pattern_has_its_rows_and_what_cannot_be_read_has_none(images: np.ndarray) -> None:
    def read(index: int) -> np.ndarray:
        if index == 2:
            raise InputError("damaged")
        return images[index]

    stack = PatternStack(da.from_array(images, chunks=(1, 256, 256)), "run", read=read)
    steps = []
    table = finish(find_in_stack(stack), steps.append)
    assert list(table.columns) == list(COLUMNS)
    assert 2 not in set(table["index"])
    one = table[table["index"] == 4].reset_index(drop=True)
    spots = find_spots(images[4])
    np.testing.assert_array_equal(one[["x", "y"]], spots.position)
    assert one["zonal"].dtype == bool
    assert (steps[0].done, steps[-1].done) == (0, len(images))
    assert sorted(steps[-1].found) == [0, 1, 3, 4, 5]


def test_no_pattern_gives_an_empty_table(images: np.ndarray) -> None:
    stack = PatternStack(da.from_array(images, chunks=(1, 256, 256)), "run")
    table = finish(find_in_stack(stack, indices=[]))
    assert table.empty
    assert list(table.columns) == list(COLUMNS)


def test_a_better_known_beam_is_taken(images: np.ndarray) -> None:
    spots = find_spots(images[0])
    assert tabulate(0, spots).centre == spots.centre
    assert tabulate(0, spots, (10.0, 20.0)).centre == (10.0, 20.0)
