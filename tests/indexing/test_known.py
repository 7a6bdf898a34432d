"""Centre and its change over a scan, as a file tells them."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.indexing.known import IndexSettings, what_is_known
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

SLOPES = np.array([[0.0, 2e-4, -1e-4], [3e-4, 0.0, 0.0]])


def gradient_of(pc_map: np.ndarray) -> np.ndarray:
    """Change of the centre of a scan whose file tells the centre of every point."""
    frames = da.zeros((*pc_map.shape[:2], 4, 4), np.uint8)
    geometry = KikuchiGeometry((0.5, 0.3, 0.6), pc_map=pc_map)
    return what_is_known(PatternStack(frames, "scan", geometry=geometry), IndexSettings()).gradient


def centres(rows: int, columns: int) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    return np.array([0.5, 0.3, 0.6]) + np.stack([y, x], axis=-1) @ SLOPES


def test_the_change_of_the_centre_is_that_of_the_points_that_have_one() -> None:
    told = centres(6, 8)
    assert gradient_of(told) == pytest.approx(SLOPES)
    told[0, 1:4] = np.nan
    told[3, 2, 1] = np.nan
    assert gradient_of(told) == pytest.approx(SLOPES)


def test_a_row_tells_no_change_across_and_no_point_tells_any() -> None:
    assert gradient_of(centres(1, 8)) == pytest.approx(SLOPES * [[0], [1]])
    assert not gradient_of(np.full((4, 5, 3), np.nan)).any()
