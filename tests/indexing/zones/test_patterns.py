"""Patterns of any kind indexed by a cell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_diffraction.crystal.cell import UnitCell, random_cell
from napari_diffraction.crystal.excitation import excited_reflections
from napari_diffraction.crystal.orientation import euler_matrices, random_rotations
from napari_diffraction.crystal.reflections import reflection_table
from napari_diffraction.indexing.zones.ellipse import Ellipse
from napari_diffraction.indexing.zones.pattern_nets import PatternNets
from napari_diffraction.indexing.zones.patterns import (
    CHANCE,
    PatternMatches,
    PeakLists,
    chance_level,
    gather_peaks,
    index_patterns,
)
from napari_diffraction.progress import finish

TRICLINIC = UnitCell(9.7733, 11.979, 9.6421, 91.1645, 113.204, 102.2199)
CENTRED = UnitCell(8.5, 15.0, 9.2, 90, 104, 90)
SIGMA, BEAM, WAVELENGTH = 0.0026, 0.004, 0.0251


def seen(cell: UnitCell, group: str, n: int = 60) -> tuple[PeakLists, np.ndarray]:
    """Peaks of random orientations, with errors, foreign ones and a beam that is off."""
    rng = np.random.default_rng(1)
    rotations = random_rotations(n, rng)
    lists = excited_reflections(reflection_table(cell, 1.0, group), rotations, WAVELENGTH, 0.008)
    positions = []
    for i in range(n):
        true = lists.position[lists.slice(i)].astype(float)
        foreign = rng.uniform(-0.7, 0.7, (len(true) // 10, 2))
        own = np.concatenate([true + SIGMA * 0.7 * rng.normal(size=true.shape), foreign])
        own = own + BEAM * rng.normal(size=2) / 2
        positions.append(own[np.argsort((own**2).sum(axis=1))])
    start = np.concatenate([[0], np.cumsum([len(one) for one in positions])])
    rows = np.concatenate([np.arange(len(one)) for one in positions])
    return PeakLists(np.arange(n), start, np.concatenate(positions), rows, SIGMA), rotations


@pytest.fixture(scope="module")
def triclinic() -> tuple[PeakLists, np.ndarray, PatternMatches]:
    peaks, rotations = seen(TRICLINIC, "P 1")
    return peaks, rotations, finish(index_patterns(TRICLINIC, "aP", peaks, WAVELENGTH))


def test_nearly_all_patterns_are_indexed_in_their_orientations(
    triclinic: tuple[PeakLists, np.ndarray, PatternMatches],
) -> None:
    peaks, rotations, found = triclinic
    assert found.indexed.mean() > 0.97
    trace = np.einsum("nij,nij->n", found.rotation, rotations)
    away = np.degrees(np.arccos(np.clip((trace - 1) / 2, -1, 1)))
    # a triclinic lattice has no rotation, but may be turned about the beam by 180 degrees
    turned = np.einsum("nij,nij->n", found.rotation * [[-1], [-1], [1]], rotations)
    assert (away < 1).mean() > 0.85
    assert ((away < 1) | (turned > 2.99)).mean() > 0.95
    share = found.matched / peaks.counts
    assert 0.85 < np.median(share) < 0.97
    assert np.median(found.misfit) < 1.6 * SIGMA


def test_angles_and_indices_are_those_of_the_orientation(
    triclinic: tuple[PeakLists, np.ndarray, PatternMatches],
) -> None:
    peaks, _, found = triclinic
    assert euler_matrices(found.euler) == pytest.approx(found.rotation.transpose(0, 2, 1), abs=1e-9)
    place = int(np.flatnonzero(found.indexed)[0])
    entries = found.of_pattern(place)
    hkl = found.hkl[entries]
    on = hkl.any(axis=1)
    assert on.sum() == found.matched[place]
    there = hkl[on] @ TRICLINIC.reciprocal_basis @ found.rotation[place].T
    away = peaks.position[entries][on] - found.shift[place] - there[:, :2]
    assert np.sqrt((away**2).sum(axis=1).mean()) == pytest.approx(found.misfit[place], rel=1e-6)


def test_one_round_finds_nine_of_ten(
    triclinic: tuple[PeakLists, np.ndarray, PatternMatches],
) -> None:
    peaks, _, found = triclinic
    level = chance_level(TRICLINIC.volume, peaks, WAVELENGTH)
    quick = finish(index_patterns(TRICLINIC, "aP", peaks, WAVELENGTH, level, rounds=1))
    assert 0.9 < quick.indexed.mean() <= found.indexed.mean()


def test_wrong_cells_seldom_exceed_chance(
    triclinic: tuple[PeakLists, np.ndarray, PatternMatches],
) -> None:
    peaks = triclinic[0]
    level = chance_level(TRICLINIC.volume, peaks, WAVELENGTH)
    shares = []
    for seed in range(100, 106):  # not the cells by which the level is found
        wrong = random_cell(TRICLINIC.volume, rng=np.random.default_rng(seed))
        shares.append(finish(index_patterns(wrong, "aP", peaks, WAVELENGTH, level)).indexed.mean())
    assert np.mean(shares) < 3 * CHANCE


def test_a_multiple_and_a_part_of_the_cell_gain_less(
    triclinic: tuple[PeakLists, np.ndarray, PatternMatches],
) -> None:
    peaks, _, found = triclinic
    a, b, c, *angles = TRICLINIC.parameters
    for times in (2, 0.5):
        other = UnitCell(a, times * b, c, *angles)
        gain = finish(index_patterns(other, "aP", peaks, WAVELENGTH, 1.0)).gain
        assert np.mean(found.gain > gain) > 0.9


def test_indices_are_of_the_conventional_cell() -> None:
    peaks, _ = seen(CENTRED, "C 1 2/c 1", 30)
    found = finish(index_patterns(CENTRED, "mC", peaks))
    assert found.indexed.mean() > 0.9
    on = found.hkl[found.hkl.any(axis=1)]
    assert not ((on[:, 0] + on[:, 1]) % 2).any()


def test_patterns_of_few_peaks_are_not_indexed() -> None:
    peaks, _ = seen(TRICLINIC, "P 1", 2)
    few = PeakLists(peaks.patterns, np.array([0, 4, 4]), peaks.position[:4], peaks.row[:4], SIGMA)
    found = finish(index_patterns(TRICLINIC, "aP", few, WAVELENGTH))
    assert not found.indexed.any()
    assert not found.matched.any()


def test_peaks_are_gathered_from_the_inside_outwards_without_the_stretch() -> None:
    away = np.array([[30.0, 0], [0, 10.0], [-20.0, 0]])
    stretch = Ellipse(0.05, 0.0)
    xy = away @ stretch.matrix.T + [64, 60]
    table = pd.DataFrame({"x": xy[:, 0], "y": xy[:, 1], "intensity": [1.0, 3.0, 2.0]})
    lists = gather_peaks({7: table}, {7: (64.0, 60.0)}, PatternNets({}, stretch), 0.01)
    assert lists.patterns.tolist() == [7]
    assert lists.row.tolist() == [1, 2, 0]
    assert lists.position == pytest.approx(away[[1, 2, 0]] * 0.01)


def test_lists_of_some_patterns() -> None:
    peaks, _ = seen(TRICLINIC, "P 1", 5)
    some = peaks.chosen(np.array([3, 1]))
    assert some.patterns.tolist() == [3, 1]
    assert some.counts.tolist() == peaks.counts[[3, 1]].tolist()
    assert np.array_equal(
        some.position[: some.start[1]], peaks.position[peaks.start[3] : peaks.start[4]]
    )
