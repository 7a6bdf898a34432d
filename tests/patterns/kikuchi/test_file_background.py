"""The static background that a file holds is taken, unless it was taken off before."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import h5py
import numpy as np
import pytest

from napari_diffraction.patterns.kikuchi.mask import static_background
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack

RNG = np.random.default_rng(3)
ROWS, COLUMNS = np.mgrid[:40, :40] / 40
DOME = (200 * np.exp(-((ROWS - 0.4) ** 2 + (COLUMNS - 0.5) ** 2) / 0.3)).astype(np.float32)
BANDS = 1 + 0.1 * np.sin(20 * (ROWS + COLUMNS))


def stack(frames: np.ndarray) -> PatternStack:
    return PatternStack(da.from_array(frames), "patterns")


def test_the_background_of_the_file_is_taken_where_the_patterns_hold_it() -> None:
    raw = np.stack([DOME * BANDS, DOME * BANDS[::-1]])
    one = static_background(replace(stack(raw), background=DOME))
    assert one.usable
    assert one.mean is DOME
    assert "in the file" in one.reason
    assert not static_background(replace(stack(raw / DOME), background=DOME)).usable
    assert not static_background(stack(raw)).usable


def test_pixels_that_the_detector_masks_are_no_part_of_the_background() -> None:
    phase = RNG.uniform(0, 9, (40, 1, 1))
    raw = DOME * (1 + 0.1 * np.sin(20 * (ROWS + COLUMNS) + phase)).astype(np.float32)
    whole = static_background(stack(raw))
    raw[:, 18:20, 3] = np.nan
    masked = static_background(stack(raw))
    assert whole.usable
    assert masked.usable, masked.reason
    assert not masked.mask[18:20, 3].any()
    assert masked.mask.sum() > 0.9 * whole.mask.sum()


def test_a_damaged_frame_takes_nothing_off_the_mask_of_all() -> None:
    phase = RNG.uniform(0, 9, (40, 1, 1))
    raw = DOME * (1 + 0.1 * np.sin(20 * (ROWS + COLUMNS) + phase)).astype(np.float32)
    whole = static_background(stack(raw))
    raw[5, 20:] = np.nan
    damaged = static_background(stack(raw))
    assert (damaged.mask == whole.mask).all()
    np.testing.assert_allclose(damaged.mean, whole.mean, rtol=0.02)


@pytest.mark.parametrize("name", ["static_background", "StaticBackground"])
def test_it_is_read_beside_the_patterns(tmp_path, name: str) -> None:
    path = tmp_path / "scan.h5"
    with h5py.File(path, "w") as file:
        file["Scan 1/EBSD/Data/patterns"] = RNG.integers(0, 255, (6, 40, 40)).astype(np.uint8)
        header = file.create_group("Scan 1/EBSD/Header")
        header["n_rows"], header["n_columns"] = 2, 3
        header[name] = DOME.astype(np.uint8)
    found = open_stack(path).background
    np.testing.assert_array_equal(found, DOME.astype(np.uint8))
    with h5py.File(path, "r+") as file:
        del file[f"Scan 1/EBSD/Header/{name}"]
        file[f"Scan 1/EBSD/Header/{name}"] = np.ones((3, 3))
    assert open_stack(path).background is None


def test_that_of_oxford_belongs_to_the_unprocessed_patterns(tmp_path) -> None:
    path = tmp_path / "scan.h5oina"
    with h5py.File(path, "w") as file:
        for kind in ("Processed", "Unprocessed"):
            patterns = RNG.integers(0, 255, (6, 40, 40)).astype(np.uint8)
            file[f"1/EBSD/Data/{kind} Patterns"] = patterns
        file["1/EBSD/Header/Y Cells"], file["1/EBSD/Header/X Cells"] = [2], [3]
        file["1/EBSD/Header/Unprocessed Static Background"] = DOME.astype(np.uint8)
    found = open_stack(path, "Unprocessed Patterns").background
    np.testing.assert_array_equal(found, DOME.astype(np.uint8))
    assert open_stack(path).background is None
