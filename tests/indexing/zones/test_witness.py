"""Cells ranked and refined by all patterns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.excitation import excited_reflections
from napari_diffraction.crystal.orientation import random_rotations
from napari_diffraction.crystal.reduction import cells_alike, reduced_cell
from napari_diffraction.crystal.reflections import reflection_table
from napari_diffraction.indexing.zones.patterns import PeakLists
from napari_diffraction.indexing.zones.search import CellsFound
from napari_diffraction.indexing.zones.solution import CellSolution, ExplainedZone
from napari_diffraction.indexing.zones.witness import Heard, hear_patterns, phase_of
from napari_diffraction.progress import finish

ONE = UnitCell(9.7733, 11.979, 9.6421, 91.1645, 113.204, 102.2199)
OTHER = UnitCell(3.8155, 10.0452, 13.7425, 90, 107.8717, 90)
SIGMA = 0.0026


def solution(cell: UnitCell, evidence: float, lattice: str = "aP") -> CellSolution:
    return CellSolution(
        cell, (0.01,) * 6, reduced_cell(cell, lattice), (0.01,) * 6, lattice, {lattice: 1.0},
        cell.volume, 1.0, (), 0.001, evidence,
    )  # fmt: skip


def peaks_of(cells: list[UnitCell], n: int = 40, group: str | None = None) -> PeakLists:
    """Peaks of n patterns of each cell."""
    rng = np.random.default_rng(3)
    positions = []
    for cell in cells:
        lists = excited_reflections(
            reflection_table(cell, 1.0, group), random_rotations(n, rng), 0.0251, 0.008
        )
        for i in range(n):
            own = lists.position[lists.slice(i)].astype(float)
            own = own + 0.6 * SIGMA * rng.normal(size=own.shape)
            positions.append(own[np.argsort((own**2).sum(axis=1))])
    start = np.concatenate([[0], np.cumsum([len(one) for one in positions])])
    rows = np.concatenate([np.arange(len(one)) for one in positions])
    return PeakLists(np.arange(len(positions)), start, np.concatenate(positions), rows, SIGMA)


@pytest.fixture(scope="module")
def heard() -> Heard:
    """The zones like wrong cells best, and the rarer phase first."""
    a, b, c, *angles = ONE.parameters
    near = UnitCell(a * 1.002, b * 0.998, c * 1.002, *angles)
    wrong = UnitCell(10.6, 11.1, 9.5, 88, 95, 104)
    double = replace(solution(UnitCell(2 * a, b, c, *angles), 33.0), supercell_of=2)
    first = (solution(wrong, 40.0), double, solution(near, 30.0))
    found = CellsFound(((solution(OTHER, 50.0, "mP"),), first), ())
    peaks = peaks_of([ONE, ONE, OTHER])
    return finish(hear_patterns(found, peaks, 0.0251))


def test_the_right_cell_comes_first_and_its_multiple_later(heard: Heard) -> None:
    cells = heard.found.phases[0]
    assert cells_alike(cells[0].niggli, ONE, lengths=1e-3, angles=0.05)
    assert round(cells[1].niggli.volume / ONE.volume) == 2
    assert cells[1].supercell_of == 0
    # asked of some patterns only, and not by the same ones
    assert cells[0].patterns_gain > 0
    assert all(cell.patterns_gain is None for cell in cells[1:])
    assert all(0 <= cell.patterns_indexed <= 1 for cell in cells)
    assert not set(heard.found.left_over) & {zone.net for zone in cells[0].zones}


def test_shares_are_of_all_patterns(heard: Heard) -> None:
    most, fewer = (phase[0] for phase in heard.found.phases)
    assert most.patterns_indexed == pytest.approx(2 / 3, abs=0.06)
    assert fewer.patterns_indexed == pytest.approx(1 / 3, abs=0.06)
    assert fewer.lattice == "mP"


def test_each_pattern_has_its_phase(heard: Heard) -> None:
    phase = phase_of(heard.matches)
    assert (phase[:80] == 0).mean() > 0.95
    assert (phase[80:] == 1).mean() > 0.95


def test_a_cell_that_is_off_by_a_hundredth_is_brought_home() -> None:
    a, b, c, *angles = ONE.parameters
    off = UnitCell(a * 1.01, b * 0.992, c * 1.008, angles[0] + 0.5, angles[1] - 0.4, angles[2])
    found = CellsFound(((solution(off, 10.0),),), ())
    best = finish(hear_patterns(found, peaks_of([ONE]), 0.0251)).found.phases[0][0]
    assert cells_alike(best.niggli, ONE, lengths=1e-3, angles=0.05)
    assert best.patterns_indexed > 0.95


def test_of_a_multiple_alone_the_smaller_cell_is_found() -> None:
    a, b, c, *angles = ONE.parameters
    double = UnitCell(a, 2 * b, c, *angles)
    zone = ExplainedZone(4, (0, 0, 1), ((1, 0, 0), (0, 2, 0)), 0.001)
    odd = replace(zone, net=5, hkl=((1, 0, 0), (0, 1, 0)))
    found = CellsFound(((replace(solution(double, 9.0), zones=(zone, odd)),),), ())
    best, multiple = finish(hear_patterns(found, peaks_of([ONE]), 0.0251)).found.phases[0]
    assert cells_alike(best.niggli, ONE, lengths=1e-3, angles=0.05)
    assert multiple.supercell_of == 0
    assert [one.net for one in best.zones] == [4]  # the other one has no place in it
    pair = np.array(best.zones[0].hkl) @ best.cell.reciprocal_basis
    there = np.array(zone.hkl) @ double.reciprocal_basis
    assert pair @ pair.T == pytest.approx(there @ there.T, rel=5e-3, abs=2e-4)
    assert not (np.array(best.zones[0].hkl) @ best.zones[0].uvw).any()


def few_peaks(peaks: PeakLists) -> PeakLists:
    """At most ten peaks of each pattern, not as well known, and a foreign one in every other."""
    rng = np.random.default_rng(0)
    positions = []
    for first, last in zip(peaks.start[:-1], peaks.start[1:], strict=True):
        own = peaks.position[first:last]
        own = own[(own**2).sum(axis=1) < 0.81]
        own = own[rng.permutation(len(own))[:10]]
        own = own + SIGMA * rng.normal(size=own.shape)
        foreign = rng.uniform(-0.6, 0.6, (rng.binomial(1, 0.5) if len(own) > 2 else 0, 2))
        own = np.concatenate([own, foreign])
        positions.append(own[np.argsort((own**2).sum(axis=1))])
    start = np.concatenate([[0], np.cumsum([len(one) for one in positions])])
    rows = np.concatenate([np.arange(len(one)) for one in positions])
    return PeakLists(peaks.patterns, start, np.concatenate(positions), rows, SIGMA)


def test_a_part_of_a_small_cell_does_not_win_because_chance_gains_less_by_it() -> None:
    """Patterns of few peaks often suit half of the cell, too, and chance is less by half."""
    diamond = UnitCell(8.086, 8.086, 8.086, 90, 90, 90)
    half = UnitCell(5.7177, 8.086, 2.8588, 90, 90, 90)  # a primitive axis halved
    cells = solution(half, 40.0, "oC"), solution(diamond, 40.0, "cF")
    peaks = few_peaks(peaks_of([diamond], 200, "F d -3 m"))
    best = finish(hear_patterns(CellsFound((cells,), ()), peaks, 0.0251)).found.phases[0][0]
    assert best.lattice == "cF"
    assert best.cell.parameters[0] == pytest.approx(8.086, rel=5e-3)
