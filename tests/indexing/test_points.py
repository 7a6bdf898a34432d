"""Points of a scan that are matched again, or with a frame among them that cannot be read."""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.matching import Points
from napari_diffraction.indexing.scan import FinishedSteps, IndexSettings, index_scan
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

ROWS, COLUMNS, LOST = 8, 10, 79
PC = (0.47, 0.28, 0.62)


@dataclass(eq=False)
class Film:
    """Two grains of nickel with noisy mixtures between them; one frame cannot be read."""

    frames: np.ndarray
    read: list[int] = field(default_factory=list)

    def __call__(self, index: int) -> np.ndarray:
        self.read.append(index)
        if index == LOST:
            raise InputError("damaged")
        return np.asarray(self.frames[index])


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    conditions = KikuchiConditions(pc_x=PC[0], pc_y=PC[1], pc_z=PC[2])
    angles = np.array([[20.0, 35, 50], [200, 70, 15]])
    work = simulate_kikuchi([MATERIALS["Ni"]], conditions, size=(80, 100), orientations=angles)
    first, second = finish(work).images.astype(float)
    column = np.tile(np.arange(COLUMNS), ROWS)
    mixed = (column == 4) | (column == 5)
    share = np.where(mixed, 0.5, column < 4)[:, None, None]
    noise = np.where(mixed, 140, 30)[:, None, None]
    grey = share * first + (1 - share) * second
    grey += noise * np.random.default_rng(0).normal(size=grey.shape)
    return grey.clip(0, 255).astype(np.uint8)


def test_going_on_over_a_frame_that_cannot_be_read_changes_nothing(frames: np.ndarray) -> None:
    film, steps = Film(frames), FinishedSteps()
    data = da.from_array(frames.reshape(ROWS, COLUMNS, 80, 100), chunks=(1, COLUMNS, 80, 100))
    stack = PatternStack(data, "film", read=film)
    settings = IndexSettings(pc=PC, voltage=20.0, phases=(MATERIALS["Ni"],))
    finish(index_scan(stack, settings, steps))
    assert steps.points is not None
    before = steps.points.part(slice(0, ROWS * COLUMNS))
    doubtful = (before.phase >= 0) & (before.confidence < 0.3)
    assert doubtful.any()
    film.read.clear()
    finish(index_scan(stack, settings, steps))
    assert LOST in film.read  # a drive may be back
    same(steps.points, before)


def same(found: Points, before: Points) -> None:
    for one in fields(Points):
        np.testing.assert_array_equal(getattr(found, one.name), getattr(before, one.name), one.name)
    assert np.flatnonzero(~found.done).tolist() == [LOST]
    assert found.phase[LOST] == -1
