import numpy as np
import pytest
import spglib

from napari_diffraction.crystal.cell import UnitCell, random_cell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.crystal.reduction import (
    cells_alike,
    matches,
    primitive_cell,
    reduced_cell,
)
from napari_diffraction.crystal.structure import cell_of


def skewed(cell, rng):
    """The same lattice on other axes."""
    change = np.eye(3)
    for _ in range(4):
        i, j = rng.permutation(3)[:2]
        step = np.eye(3)
        step[i, j] = rng.integers(-1, 2)
        change = step @ change
    return cell_of(change @ cell.basis)


def test_a_lattice_has_one_reduced_cell_whatever_its_axes():
    rng = np.random.default_rng(0)
    for _ in range(50):
        cell = random_cell(100.0, "triclinic", rng=rng)
        other = skewed(cell, rng)
        assert reduced_cell(other).parameters == pytest.approx(
            reduced_cell(cell).parameters, abs=1e-3
        )


@pytest.mark.parametrize("lattice", ["tI", "oI", "cI", "cF", "oF", "hR", "mC"])
@pytest.mark.parametrize("volume", [50.0, 2000.0, 50_000.0])
def test_reduced_cells_of_centred_lattices_are_those_of_spglib(lattice, volume):
    rng = np.random.default_rng(1)
    for _ in range(30):
        cell = BRAVAIS_LATTICES[lattice].random_cell(volume, rng)
        primitive = primitive_cell(cell, lattice) @ cell.basis
        theirs = cell_of(spglib.niggli_reduce(primitive, eps=1e-5))
        assert reduced_cell(cell, lattice).parameters == pytest.approx(
            theirs.parameters, rel=1e-4, abs=0.01
        )


def test_equal_angles_of_a_large_cell_are_obtuse():
    reduced = reduced_cell(UnitCell(5.7976822, 5.7976822, 20.8643341), "tI")
    assert reduced.angles == pytest.approx([104.988, 104.988, 90], abs=1e-3)


def test_centring_counts():
    reduced = reduced_cell(UnitCell(4, 4, 4), "cF")
    assert reduced.lengths == pytest.approx(4 / np.sqrt(2))
    assert reduced.angles == pytest.approx(60)
    rows = primitive_cell(UnitCell(4, 4, 4), "cI")
    assert np.linalg.det(rows) == pytest.approx(0.5)
    assert cells_alike(UnitCell(4, 4, 4), reduced, "cF", "aP")
    assert not cells_alike(UnitCell(4, 4, 4), reduced, "cP", "aP")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # the two forms of one cell whose angle is near 90 on either side of the border
        (UnitCell(5, 5.01, 9, 90, 90, 70), UnitCell(5, 5.01, 9, 90, 90, 110)),
        (UnitCell(5, 6, 7, 89.7, 89.7, 89.7), UnitCell(5, 6, 7, 90.3, 90.3, 89.7)),
        (UnitCell(5, 6, 7, 90.3, 90.3, 90.3), UnitCell(5, 6, 7, 89.8, 89.8, 89.8)),
        (UnitCell(5, 5.02, 7, 80, 85, 60.3), UnitCell(5.02, 5, 7, 85, 80, 60.3)),
    ],
)
def test_cells_that_differ_by_reduction_only_are_one(one, other):
    assert cells_alike(one, other)


def test_noise_at_borders_does_not_part_cells():
    rng = np.random.default_rng(2)
    for material in ("Ni", "Fe", "Ti", "quartz", "rutile", "Al2O3", "anatase", "forsterite"):
        structure = MATERIALS[material]
        basis = primitive_cell(structure.cell, structure.space_group) @ structure.cell.basis
        for _ in range(20):
            noisy = reduced_cell(cell_of(basis * (1 + 0.004 * rng.normal(size=(3, 3)))))
            assert cells_alike(noisy, structure.cell, "aP", structure.space_group)


def test_other_cells_are_told_apart():
    assert not cells_alike(UnitCell(4, 4, 4), UnitCell(4, 4, 4.3))
    assert not cells_alike(UnitCell(4, 4, 4), UnitCell(4.3, 4.3, 4.3))
    assert cells_alike(UnitCell(4, 4, 4), UnitCell(4.3, 4.3, 4.3), scale=None)
    assert not cells_alike(UnitCell(5, 6, 7, 90, 90, 70), UnitCell(5, 6, 7, 90, 90, 75))


def test_indices_of_one_cell_are_turned_into_those_of_another():
    rng = np.random.default_rng(4)
    for system in ("triclinic", "monoclinic", "orthorhombic"):
        cell = random_cell(100.0, system, rng=rng)
        other = skewed(cell, rng)
        first, *_ = matches(cell, "aP", other, "aP")
        hkl = rng.integers(-5, 6, (20, 3))
        lengths = np.linalg.norm(hkl @ cell.reciprocal_basis, axis=1)
        turned = hkl @ first.indices.T
        assert turned == pytest.approx(turned.round(), abs=1e-9)
        assert np.linalg.norm(turned @ other.reciprocal_basis, axis=1) == pytest.approx(lengths)
        assert first.scale == pytest.approx(0, abs=1e-6)
