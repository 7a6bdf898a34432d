"""A metric refined by patterns, and a solution described by it."""

from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.crystal.bravais import PLACES, components
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.excitation import excited_reflections
from napari_diffraction.crystal.orientation import random_rotations
from napari_diffraction.crystal.reflections import reflection_table
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.indexing.zones.pattern_refine import refine_metric
from napari_diffraction.indexing.zones.patterns import PatternMatches, PeakLists, index_patterns
from napari_diffraction.indexing.zones.solution import CellSolution, ExplainedZone, with_metric
from napari_diffraction.progress import finish

TRUE = UnitCell(9.7733, 11.979, 9.6421, 91.1645, 113.204, 102.2199)
SIGMA, WAVELENGTH = 0.0026, 0.0251


def bent(cell: UnitCell, stretch: float, distortion: float, n: int = 80) -> PeakLists:
    """Peaks of random orientations as a camera with two faults shows them."""
    rng = np.random.default_rng(2)
    lists = excited_reflections(
        reflection_table(cell, 1.0), random_rotations(n, rng), WAVELENGTH, 0.008
    )
    positions = []
    for i in range(n):
        own = lists.position[lists.slice(i)].astype(float)
        own = own * (1 + distortion * (own**2).sum(axis=1, keepdims=True))
        own = own * [1 + stretch, 1 - stretch] + 0.7 * SIGMA * rng.normal(size=own.shape)
        positions.append(own[np.argsort((own**2).sum(axis=1))])
    start = np.concatenate([[0], np.cumsum([len(one) for one in positions])])
    rows = np.concatenate([np.arange(len(one)) for one in positions])
    return PeakLists(np.arange(n), start, np.concatenate(positions), rows, SIGMA)


def indexed(cell: UnitCell, peaks: PeakLists) -> PatternMatches:
    return finish(index_patterns(cell, "aP", peaks, WAVELENGTH, 1.0))


def test_cell_and_camera_are_told_apart() -> None:
    peaks = bent(TRUE, 0.001, -0.003)
    a, b, c, *angles = TRUE.parameters
    start = UnitCell(a * 1.004, b * 0.997, c * 1.003, angles[0] + 0.2, angles[1] - 0.1, angles[2])
    refined = refine_metric(start.basis, indexed(start, peaks), WAVELENGTH)
    assert refined is not None
    assert refined.patterns > 75
    cell = cell_of(refined.direct)
    assert cell.lengths == pytest.approx(TRUE.lengths, rel=4e-4)
    assert cell.angles == pytest.approx(TRUE.angles, abs=0.02)
    assert refined.camera == pytest.approx([0.001, 0.0, -0.003], abs=3e-4)
    true = components(TRUE.basis @ TRUE.basis.T)
    pulls = (components(refined.direct @ refined.direct.T) - true) / np.sqrt(
        np.diag(refined.covariance)
    )
    assert np.abs(pulls).max() < 3


def test_too_few_patterns_refine_nothing() -> None:
    peaks = bent(TRUE, 0.0, 0.0, 5)
    assert refine_metric(TRUE.basis, indexed(TRUE, peaks), WAVELENGTH) is None


def test_a_better_metric_may_have_another_lattice() -> None:
    # seen by few nets it was monoclinic C; it is orthorhombic P, hexagonal in fact: a = b, 120
    seen = UnitCell(4.0, 4.0 * np.sqrt(3), 11.0, 90, 90.4, 90)
    zone = ExplainedZone(0, (0, 0, 1), ((1, 1, 0), (1, -1, 0)), 0.001)
    solution = CellSolution(
        seen, (0.01,) * 6, seen, (0.01,) * 6, "mC", {"mC": 1.0}, seen.volume, 1.0, (zone,), 0.001,
        9.0,
    )  # fmt: skip
    true = UnitCell(4.0, 4.0 * np.sqrt(3), 11.0, 90, 90, 90)
    metric = true.basis @ true.basis.T
    spread = np.diag([(1e-4 * np.sqrt(metric[i, i] * metric[j, j])) ** 2 for i, j in PLACES])
    better = with_metric(solution, true.basis, spread)
    assert better.lattice == "hP"
    assert better.cell.parameters == pytest.approx((4, 4, 11, 90, 90, 120), abs=1e-3)
    assert better.cell_su[3:] == (0, 0, 0)
    assert better.evidence == solution.evidence
    assert better.zones[0].uvw == (0, 0, 1)
    # the two vectors are as long as before
    before = np.linalg.norm(np.array(zone.hkl) @ true.reciprocal_basis, axis=1)
    after = np.linalg.norm(np.array(better.zones[0].hkl) @ better.cell.reciprocal_basis, axis=1)
    assert after == pytest.approx(before, rel=1e-6)
