import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.crystal.orientation import random_orientations
from napari_diffraction.crystal.structure import LAUE_GROUPS
from napari_diffraction.crystal.symmetry import (
    disorientation,
    holohedry,
    laue_of,
    proper_rotations,
)
from napari_diffraction.errors import InputError

CELLS = {
    "-1": UnitCell(4, 5, 6, 80, 95, 105),
    "2/m": UnitCell(4, 5, 6, 90, 110, 90),
    "mmm": UnitCell(4, 5, 6),
    "4/m": UnitCell(4, 4, 6),
    "4/mmm": UnitCell(4, 4, 6),
    "-3": UnitCell(4, 4, 6, 90, 90, 120),
    "-3m": UnitCell(4, 4, 6, 90, 90, 120),
    "6/m": UnitCell(4, 4, 6, 90, 90, 120),
    "6/mmm": UnitCell(4, 4, 6, 90, 90, 120),
    "m-3": UnitCell(4, 4, 4),
    "m-3m": UnitCell(4, 4, 4),
}
ORDERS = dict(zip(LAUE_GROUPS, (1, 2, 4, 4, 8, 3, 6, 6, 12, 12, 24), strict=True))


@pytest.mark.parametrize("laue", LAUE_GROUPS)
def test_rotations_form_a_group_that_keeps_the_lattice(laue):
    cell = CELLS[laue]
    rotations = proper_rotations(laue, cell)
    assert len(rotations) == ORDERS[laue]
    assert np.allclose(rotations[0], np.eye(3))
    assert np.allclose(np.linalg.det(rotations), 1)
    assert np.allclose(rotations @ rotations.transpose(0, 2, 1), np.eye(3))
    products = (rotations[:, None] @ rotations[None]).reshape(-1, 9)
    assert len(np.unique(products.round(6) + 0.0, axis=0)) == len(rotations)
    in_axes = np.linalg.inv(cell.basis.T) @ rotations @ cell.basis.T
    assert np.allclose(in_axes, in_axes.round(), atol=1e-9)


def test_a_lattice_has_its_holohedry_and_a_structure_its_own_group():
    assert holohedry("hR") == "-3m"
    assert laue_of("cF") == "m-3m"
    assert laue_of("hP", MATERIALS["quartz"]) == "-3m"
    assert len(proper_rotations("tI", CELLS["4/m"])) == 8
    # P -3 1 m has its twofold axes between those of P -3 m 1
    one, other = (proper_rotations(number, CELLS["-3m"]) for number in (164, 162))
    along_a = np.diag([1.0, -1, -1])
    assert min(abs(one - along_a).max(axis=(1, 2))) < 1e-9
    assert min(abs(other - along_a).max(axis=(1, 2))) > 0.5
    with pytest.raises(InputError, match="Unknown symmetry"):
        proper_rotations("5/m", CELLS["-1"])


@pytest.mark.parametrize("laue", LAUE_GROUPS)
def test_disorientation_forgets_the_symmetry_only(laue):
    cell, rng = CELLS[laue], np.random.default_rng(1)
    matrices = random_orientations(20, rng)
    small = np.radians(0.01)
    turn = np.array([[1, -small, 0], [small, 1, 0], [0, 0, 1]])
    for rotation in proper_rotations(laue, cell):
        assert disorientation(rotation @ matrices, matrices, laue, cell).max() < 1e-6
        near = disorientation(rotation @ matrices @ turn, matrices, laue, cell)
        assert near == pytest.approx(0.01, abs=1e-5)
    far = disorientation(matrices[1:], matrices[:-1], laue, cell)
    assert far.min() > 1


def test_cubic_crystals_are_never_further_apart_than_62_8_degrees():
    matrices = random_orientations(4000, np.random.default_rng(0))
    angles = disorientation(matrices[::2], matrices[1::2], "cF", CELLS["m-3m"])
    assert 60 < angles.max() < 62.81
    assert np.isnan(disorientation(matrices[0] * np.nan, matrices[0], "cF", CELLS["m-3m"]))
