"""Many-beam master patterns beside two-beam ones of the same crystals."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import Structure, expand, operations
from napari_diffraction.errors import InputError
from napari_diffraction.simulation.kikuchi.many_beam import (
    BlochWaves,
    _averaged,
    many_beam_master,
    suited_spacing,
)
from napari_diffraction.simulation.kikuchi.master import MasterPattern, master_pattern

_HALF_WIDTH = 24

DIAMOND = UnitCell(3.567, 3.567, 3.567)
CRYSTALS = {
    "Al": expand(UnitCell(4.05, 4.05, 4.05), 225, [("Al", 0, 0, 0)], "Al"),
    "Fe": expand(UnitCell(2.87, 2.87, 2.87), 229, [("Fe", 0, 0, 0)], "Fe"),
    # without a centre of symmetry: structure factors are complex numbers
    "WC": expand(
        UnitCell(2.906, 2.906, 2.837, 90, 90, 120),
        187,
        [("W", 0, 0, 0), ("C", 1 / 3, 2 / 3, 0.5)],
        "WC",
    ),
    "ZnO": expand(
        UnitCell(3.25, 3.25, 5.207, 90, 90, 120),
        186,
        [("Zn", 1 / 3, 2 / 3, 0), ("O", 1 / 3, 2 / 3, 0.382)],
        "ZnO",
    ),
}


def _many(structure: Structure) -> MasterPattern:
    return many_beam_master(structure, 20.0, _HALF_WIDTH, 30, 0.7)


def _likeness(one: MasterPattern, other: MasterPattern) -> float:
    return float(np.corrcoef(one.hemispheres.ravel(), other.hemispheres.ravel())[0, 1])


@pytest.mark.parametrize("name", CRYSTALS)
def test_bands_lie_where_two_beam_bands_lie_and_are_bright(name: str) -> None:
    many = _many(CRYSTALS[name])
    two = master_pattern(CRYSTALS[name], half_width=_HALF_WIDTH)
    assert many.hemispheres.shape == two.hemispheres.shape
    # With the wrong sign of the sources' phases ZnO comes out at 0.01.
    assert _likeness(many, two) > 0.5


def test_directions_that_are_alike_have_one_intensity() -> None:
    """Of alike reflections none may be missing: 4 -2 0 is one of 2 2 0, but 4 0 0 is too fine."""
    quartz = expand(
        UnitCell(4.9137, 4.9137, 5.4047, 90, 90, 120),
        154,
        [("Si", 0.4697, 0, 2 / 3), ("O", 0.4135, 0.2669, 0.7858)],
        "quartz",
    )
    waves = BlochWaves(quartz, 20.0, 30, 1.2)
    directions = np.random.default_rng(0).normal(size=(12, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    basis = quartz.cell.basis
    first = waves.intensity(directions)
    for rotation in operations(154)[0]:
        alike = directions @ np.linalg.inv(basis) @ rotation.T @ basis
        np.testing.assert_allclose(waves.intensity(alike), first, rtol=1e-3)


def test_both_origins_of_diamond_give_one_pattern() -> None:
    first = expand(DIAMOND, 227, [("C", 0, 0, 0)], "C")
    second = expand(DIAMOND, 227, [("C", 1 / 8, 1 / 8, 1 / 8)], "C", setting="F d -3 m:2")
    np.testing.assert_allclose(
        _many(first).hemispheres, _many(second).hemispheres, rtol=1e-3, atol=1e-4
    )


def test_a_pixel_is_the_mean_of_the_lines_around_it() -> None:
    """Of single directions most is noise: lines are finer than the steps."""
    single, averaged, truth = (
        many_beam_master(CRYSTALS["Fe"], 20.0, 40, 30, 0.7, oversample=times) for times in (1, 2, 6)
    )
    assert single.hemispheres.shape == averaged.hemispheres.shape == (2, 81, 81)
    assert _likeness(averaged, truth) > 0.95
    assert 1 - _likeness(single, truth) > 3 * (1 - _likeness(averaged, truth))


def test_hemispheres_without_a_centre_still_meet_at_the_equator() -> None:
    north, south = many_beam_master(CRYSTALS["ZnO"], 20.0, 12, 30, 0.7).hemispheres
    for rim in (np.s_[0, 1:-1], np.s_[-1, 1:-1], np.s_[1:-1, 0], np.s_[1:-1, -1]):
        np.testing.assert_allclose(north[rim], south[rim], rtol=0.01)
    assert abs(north - south).max() > 0.01 * north.mean()


@pytest.mark.parametrize("times", [2, 3])
def test_the_mean_at_the_equator_is_taken_over_both_hemispheres(times: int) -> None:
    fine = np.zeros((2, 4 * times + 1, 4 * times + 1))
    fine[1] = 1
    fine[:, [0, -1]] = fine[:, :, [0, -1]] = 0.5
    north, south = _averaged(fine, times)
    assert north.shape == (5, 5)
    rim = np.ones((5, 5), bool)
    rim[1:-1, 1:-1] = False
    np.testing.assert_allclose(north[rim], 0.5)
    np.testing.assert_allclose(south[rim], 0.5)
    np.testing.assert_allclose(north + south, 1)
    assert north[2, 2] == 0


def test_large_cells_go_without_their_finest_planes() -> None:
    assert suited_spacing(CRYSTALS["Al"]) == 0.6
    primitive = (expand(UnitCell(a, a, a), 221, [("Fe", 0, 0, 0)]) for a in (5, 8))
    assert [round(suited_spacing(one), 3) for one in primitive] == [0.766, 0.9]
    # of the cell that is centred on all faces only a quarter counts
    assert suited_spacing(expand(UnitCell(5, 5, 5), 225, [("Fe", 0, 0, 0)])) == 0.6


def test_atoms_without_the_symmetry_of_the_group_are_refused() -> None:
    positions = CRYSTALS["Al"].positions.copy()
    positions[0] = [0.3, 0.1, 0.2]
    broken = replace(CRYSTALS["Al"], positions=positions)
    with pytest.raises(InputError, match="Al: its atoms do not have the symmetry of space group"):
        _many(broken)


def test_without_ebsdsim_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ebsdsim.energy.surrogate", None)
    with pytest.raises(InputError, match=r"install napari-diffraction with \[many-beam\]"):
        _many(CRYSTALS["Fe"])
