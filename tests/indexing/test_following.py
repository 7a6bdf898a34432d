"""A scan that grows row by row: phases from the first rows, and the result of the whole one."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import (
    detector_to_crystal,
    euler_angles,
    random_orientations,
)
from napari_diffraction.crystal.structure import Structure, expand
from napari_diffraction.crystal.symmetry import disorientation
from napari_diffraction.indexing import following as module
from napari_diffraction.indexing.following import FollowedScan
from napari_diffraction.indexing.scan import IndexSettings, index_scan
from napari_diffraction.indexing.solution import IndexedMap
from napari_diffraction.patterns.growing import Seen
from napari_diffraction.patterns.part import part_of
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

NICKEL = expand(UnitCell(3.5236, 3.5236, 3.5236), 225, [("Ni", 0, 0, 0)], "Ni")
TITANIUM = expand(
    UnitCell(2.9508, 2.9508, 4.6855, 90, 90, 120), 194, [("Ti", 1 / 3, 2 / 3, 0.25)], "Ti"
)
PC = (0.52, 0.28, 0.55)
COLUMNS, PIXELS = 12, 80
#: Rows of nickel, then of titanium.
NI_ROWS, TI_ROWS = 8, 3
NOTHING_GIVEN = IndexSettings(pc=PC, voltage=20.0)
ALL_GIVEN = IndexSettings(pc=PC, voltage=20.0, phases=(NICKEL, TITANIUM))


def made(structure: Structure, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows of grains of 3 or 4 x 3 points, and their orientations."""
    grain = (np.arange(rows)[:, None] // 4) * 4 + np.arange(COLUMNS) // 3
    turns = random_orientations(int(grain.max()) + 1, np.random.default_rng(seed))
    angles = euler_angles(turns)[grain.ravel()]
    conditions = KikuchiConditions(pc_x=PC[0], pc_y=PC[1], pc_z=PC[2])
    effects = KikuchiEffects(contrast=0.2, noise=0.1)
    work = simulate_kikuchi([structure], conditions, effects, size=PIXELS, orientations=angles)
    frames = finish(work).images.reshape(rows, COLUMNS, PIXELS, PIXELS)
    return frames, detector_to_crystal(angles)


@pytest.fixture(scope="module")
def scan() -> tuple[PatternStack, np.ndarray]:
    nickel, truth = made(NICKEL, NI_ROWS, 5)
    titanium, _ = made(TITANIUM, TI_ROWS, 6)
    frames = np.concatenate([nickel, titanium])
    data = da.from_array(frames, chunks=(1, COLUMNS, PIXELS, PIXELS))
    return PatternStack(data, "scan", sources=("scan.h5",)), truth


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of how many patterns phases were looked for."""
    of: list[int] = []
    assembled = module.assembled

    def counted(stack: PatternStack, *others: Any) -> Generator[Any, None, Any]:
        of.append(len(stack))
        return (yield from assembled(stack, *others))

    monkeypatch.setattr(module, "assembled", counted)
    return of


def rows_of(stack: PatternStack, rows: int, mark: str = "as begun") -> Seen:
    count = rows * COLUMNS
    return Seen(part_of(stack, 0, count), count, {"scan.h5": mark})


def same(one: IndexedMap, other: IndexedMap) -> None:
    assert one.finished
    assert one.shape == other.shape
    assert one.pattern_centre == other.pattern_centre
    assert [phase.cell for phase in one.phases] == [phase.cell for phase in other.phases]
    for name in ("phase", "rotation", "confidence", "bands", "quality", "grain", "done"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_rows_are_matched_as_they_come_and_a_phase_that_comes_later_is_found(
    scan: tuple[PatternStack, np.ndarray],
    searches: list[int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stack, truth = scan
    followed = FollowedScan(NOTHING_GIVEN)
    # one row of each grain tells nothing yet
    assert finish(followed.go_on(rows_of(stack, 1))) is None
    assert (followed.tried, searches) == (COLUMNS, [])
    first = finish(followed.go_on(rows_of(stack, 6)))
    assert first is not None
    assert (followed.tried, searches) == (0, [72])
    assert [(phase.lattice, phase.patterns) for phase in first.phases] == [("cF", 72)]
    assert not first.finished
    later = finish(followed.go_on(rows_of(stack, NI_ROWS)))
    assert searches == [72]
    assert later is not None
    assert later.shape == (NI_ROWS, COLUMNS)
    assert later.done.all()
    # what was there stays, what came is oriented
    np.testing.assert_array_equal(later.rotation[:72], first.rotation)
    away = disorientation(later.rotation, truth, "cF", NICKEL.cell)
    assert (away < 1).mean() > 0.95
    both = finish(followed.go_on(rows_of(stack, NI_ROWS + TI_ROWS)))
    assert both is not None
    assert searches == [72, 132]  # before there was twice as much as at the first search
    assert {phase.lattice for phase in both.phases} == {"cF", "hP"}
    assert (both.phase[: 12 * NI_ROWS] == both.phase[0]).mean() > 0.95

    end = followed.end(rows_of(stack, NI_ROWS + TI_ROWS))
    plain = finish(index_scan(stack, NOTHING_GIVEN))
    with monkeypatch.context() as patch:
        # the last search had all there is: nothing is done twice
        patch.setattr("napari_diffraction.indexing.scan.find_phases", None)
        same(finish(end), plain)


def test_the_result_of_a_scan_that_was_followed_is_that_of_the_whole_one(
    scan: tuple[PatternStack, np.ndarray], searches: list[int]
) -> None:
    stack, _ = scan
    followed = FollowedScan(ALL_GIVEN)
    for rows in (1, 2, 3, 4, 7, NI_ROWS):
        found = finish(followed.go_on(rows_of(stack, rows)))
        # with all given one row is enough
        assert found is not None
        assert found.shape == (rows, COLUMNS)
        assert (found.phase >= 0).mean() > 0.9
    assert searches == [12, 24, 48, 96]  # each time there was twice as much
    whole = rows_of(stack, NI_ROWS + TI_ROWS)
    same(finish(followed.end(whole)), finish(index_scan(stack, ALL_GIVEN)))


def test_what_was_written_anew_is_not_taken_as_known(
    scan: tuple[PatternStack, np.ndarray], searches: list[int]
) -> None:
    stack, _ = scan
    followed = FollowedScan(ALL_GIVEN)
    assert finish(followed.go_on(rows_of(stack, 4))) is not None
    assert finish(followed.go_on(rows_of(stack, 5))) is not None
    assert searches == [48]
    again = finish(followed.go_on(rows_of(stack, 5, "begun anew")))
    assert searches == [48, 60]
    assert again is not None
    same(finish(followed.end(rows_of(stack, 5, "begun anew"))), finish_of(stack, 5))


def finish_of(stack: PatternStack, rows: int) -> IndexedMap:
    return finish(index_scan(part_of(stack, 0, rows * COLUMNS), ALL_GIVEN))


def test_later_rows_that_changed_are_matched_anew(
    scan: tuple[PatternStack, np.ndarray], searches: list[int]
) -> None:
    stack, _ = scan
    names = tuple(f"{number:03}.png" for number in range(len(stack)))

    def look(rows: int, changed: int) -> Seen:
        count = rows * COLUMNS
        part = part_of(with_sources(stack, names), 0, count)
        marks = {name: "new" if place >= changed else "old" for place, name in enumerate(names)}
        return Seen(part, count, marks)

    followed = FollowedScan(ALL_GIVEN)
    finish(followed.go_on(look(4, len(stack))))
    first = finish(followed.go_on(look(6, len(stack))))
    # the last row was written anew, and another came
    second = finish(followed.go_on(look(7, 5 * COLUMNS + 3)))
    assert first is not None
    assert second is not None
    assert searches == [48]
    assert second.shape == (7, COLUMNS)
    assert second.done.all()
    np.testing.assert_array_equal(second.rotation[:60], first.rotation[:60])
    assert second.grain.shape == (7 * COLUMNS,)


def with_sources(stack: PatternStack, names: tuple[str, ...]) -> PatternStack:
    return PatternStack(stack.data, stack.name, names)


def test_the_centre_moves_on_with_the_rows(
    scan: tuple[PatternStack, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, _ = scan
    centres: list[np.ndarray] = []
    index_points: Callable[..., Any] = module.index_points

    def noted(some: Any, preparation: Any, crystals: Any, at: np.ndarray, *others: Any) -> Any:
        centres.append(at)
        return index_points(some, preparation, crystals, at, *others)

    monkeypatch.setattr(module, "index_points", noted)
    followed = FollowedScan(ALL_GIVEN)
    finish(followed.go_on(rows_of(stack, 4)))
    assert followed._assembly is not None
    drift = np.array([[0.0, 0.002, 0.0], [0.0, 0.0, 0.0]])
    followed._assembly = module.replace(followed._assembly, gradient=drift)
    found = finish(followed.go_on(rows_of(stack, 6)))
    assert found is not None
    # the middle of rows 0 to 3 is row 1.5, and the centre was that of this row
    assert centres[0][:, 1] == pytest.approx(PC[1] + 0.002 * np.repeat([4 - 1.5, 5 - 1.5], COLUMNS))
    assert found.pattern_centre[1] == pytest.approx(PC[1] + 0.002)
