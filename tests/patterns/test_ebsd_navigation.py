"""The picture of a scan."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.patterns import navigation
from napari_diffraction.patterns.navigation import navigation_map
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (9, 1), (21, 34), (5, 40)])
@pytest.mark.parametrize("rows", [1, 4])
def test_every_pattern_is_read_once(shape, rows):
    frames = np.random.default_rng(0).integers(0, 255, (*shape, 10, 12)).astype("u1")
    stack = PatternStack(da.from_array(frames, chunks=(rows, 5, 10, 12)), "scan")
    steps = []
    picture = finish(navigation_map(stack), steps.append)
    np.testing.assert_allclose(picture, frames.mean((2, 3)), rtol=1e-6)
    assert [step.done for step in steps[1:]] == sorted({step.done for step in steps[1:]})
    assert steps[-1].done == steps[-1].total == shape[0] * shape[1]


def test_the_first_look_covers_the_scan(monkeypatch):
    # on a busy machine the time for it may be over before half of the scan was looked at
    monkeypatch.setattr(navigation, "_COARSE_SECONDS", 1e9)
    frames = np.ones((40, 50, 8, 8), "u1") * np.arange(40, dtype="u1")[:, None, None, None]
    stack = PatternStack(da.from_array(frames, chunks=(1, 50, 8, 8)), "scan")
    first = next(navigation_map(stack)).picture
    assert abs(first - frames[..., 0, 0]).max() <= 4
    assert first[-1, -1] > 30


def test_what_cannot_be_read_is_black():
    frames = np.full((3, 4, 70, 70), 9, "f4")
    frames[1, 2, 3] = np.nan

    def read(index):
        raise InputError("damaged")

    stack = PatternStack(da.from_array(frames, chunks=(1, 4, 70, 70)), "scan", read=read)
    work = navigation_map(stack)
    assert (next(work).picture == 0).all()
    picture = finish(work)
    assert np.isfinite(picture).all()
    assert (np.delete(picture.ravel(), 6) == 9).all()


def test_dead_pixels_do_not_count():
    frames = np.random.default_rng(0).uniform(0, 255, (3, 4, 10, 12)).astype("f4")
    expected = frames[..., 3:, :].mean((2, 3))
    frames[..., :3, :] = np.nan
    frames[1, 2], expected[1, 2] = np.nan, 0
    stack = PatternStack(da.from_array(frames, chunks=(1, 4, 10, 12)), "scan")
    np.testing.assert_allclose(finish(navigation_map(stack)), expected, rtol=1e-5)


def test_out_of_patience():
    stack = PatternStack(da.ones((30, 30, 8, 8), chunks=(1, 30, 8, 8)), "scan")
    steps = []
    picture = finish(navigation_map(stack, patience=0.0), steps.append)
    assert len(steps) == 1
    assert (picture == 1).all()


def test_a_list_has_no_map():
    with pytest.raises(InputError, match="not a scan"):
        next(navigation_map(PatternStack(da.ones((30, 8, 8)), "list")))


def test_a_huge_scan_is_opened_and_looked_at_within_seconds(tmp_path):
    import time

    shape = (700, 750, 128, 156)
    path = tmp_path / "big.npy"
    # a hole in the file: 10 GB that take no space
    with path.open("wb") as file:
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + int(np.prod(shape)))
    began = time.monotonic()
    first = next(navigation_map(open_stack(path)))
    assert first.picture.shape == shape[:2]
    assert time.monotonic() - began < 2
