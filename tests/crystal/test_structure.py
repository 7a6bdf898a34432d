"""Crystal structures: expansion, lattices and symmetry axes."""

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.structure import (
    LAUE_GROUPS,
    cell_of,
    expand,
    laue_group,
    operations,
    pearson,
    primitive_atoms,
    primitive_basis,
    spglib_lattice,
    spglib_number,
)
from napari_diffraction.errors import InputError

CUBE = UnitCell(4, 4, 4)
HEXAGONAL = UnitCell(4, 4, 7, gamma=120)


def test_rock_salt_has_four_of_each_and_spglib_agrees():
    salt = expand(UnitCell(5.64, 5.64, 5.64), 225, [("Na", 0, 0, 0), ("Cl", 0.5, 0.5, 0.5)])
    assert salt.species == ("Na",) * 4 + ("Cl",) * 4
    assert salt.lattice == "cF"
    assert spglib_number(salt) == 225
    assert np.all((salt.positions >= 0) & (salt.positions < 1))
    distances = np.linalg.norm((salt.positions[:4, None] - salt.positions[4:]) * 5.64, axis=-1)
    assert distances.min() == pytest.approx(2.82)


def test_a_site_beside_a_special_position_is_moved_onto_it():
    rounded = expand(HEXAGONAL, 194, [("Mg", 0.333, 0.667, 0.25)])
    assert len(rounded.species) == 2
    assert rounded.positions[0] == pytest.approx([1 / 3, 2 / 3, 0.25], abs=1e-9)


def test_occupancy_and_b_go_to_every_image():
    structure = expand(CUBE, 221, [("Fe", 0, 0.5, 0.5, 0.25, 1.5), ("Al", 0, 0, 0)])
    assert structure.occupancy.tolist() == [0.25] * 3 + [1.0]
    assert structure.b_iso.tolist() == [1.5] * 3 + [0.5]


def test_sites_of_one_element_on_one_place_are_one():
    both = [("Fe", 0, 0.5, 0.5, 0.75, 1.0), ("Al", 0, 0, 0), ("Fe", 0.5, 0.503, 0, 0.25, 3.0)]
    structure = expand(CUBE, 221, both)
    assert structure.species == ("Fe",) * 3 + ("Al",)
    assert structure.occupancy.tolist() == [1.0] * 4
    assert structure.b_iso.tolist() == [1.5] * 3 + [0.5]
    # listed twice, not two halves
    assert expand(CUBE, 221, [("Fe", 0, 0, 0), ("Fe", 1, 1, 0)]).occupancy.tolist() == [1.0]


def test_sites_that_differ_in_element_place_or_number_of_images_stay_apart():
    assert len(expand(CUBE, 221, [("Fe", 0, 0, 0, 0.5), ("Al", 0, 0, 0, 0.5)]).species) == 2
    assert len(expand(CUBE, 1, [("Fe", 0, 0, 0, 0.5), ("Fe", 0.02, 0, 0, 0.5)]).species) == 2
    # a pair beside a mirror plane of P m m 2, and an atom on it
    split = [("Fe", 0.007, 0.2, 0.1, 0.5), ("Fe", 0, 0.2, 0.1, 0.5)]
    assert len(expand(CUBE, 1, split).species) == 1
    assert len(expand(CUBE, 25, split).species) == 6


@pytest.mark.parametrize(("sites", "said"), [([("Qq", 0, 0, 0)], "Qq"), ([], "no atoms")])
def test_expand_refuses_what_is_no_structure(sites, said):
    with pytest.raises(InputError, match=said):
        expand(CUBE, 221, sites)


def test_every_space_group_has_one_of_the_fourteen_lattices_and_a_laue_group():
    assert {pearson(number) for number in range(1, 231)} == set(BRAVAIS_LATTICES)
    assert {laue_group(number) for number in range(1, 231)} == set(LAUE_GROUPS)
    assert (pearson(38), pearson(5), pearson(167)) == ("oC", "mC", "hR")


@pytest.mark.parametrize("number", [1, 5, 38, 22, 23, 146, 166, 225, 230])
def test_primitive_vectors_are_translations_of_the_group(number):
    rotations, shifts = operations(number)
    pure = shifts[np.all(rotations == np.eye(3), axis=(1, 2))]
    basis = primitive_basis(number)
    assert abs(np.linalg.det(basis)) == pytest.approx(1 / len(pure))
    for vector in basis:
        difference = pure - vector
        assert np.min(np.abs(difference - np.rint(difference)).max(axis=1)) < 1e-9


def test_primitive_cell_of_rhombohedral_corundum_has_ten_atoms():
    cell = UnitCell(4.759, 4.759, 12.991, gamma=120)
    corundum = expand(cell, 167, [("Al", 0, 0, 0.3522), ("O", 0.3063, 0, 0.25)])
    lattice, positions, kinds = primitive_atoms(corundum)
    assert np.bincount(kinds).tolist() == [4, 6]
    assert positions.shape == (10, 3)
    assert abs(np.linalg.det(lattice)) == pytest.approx(cell.volume / 3)
    assert spglib_lattice(corundum) == "hR"


def test_one_atom_in_a_primitive_group_is_body_centred_for_spglib():
    structure = expand(CUBE, 224, [("Fe", 0, 0, 0)])  # P n -3 m
    assert structure.lattice == "cP"
    assert spglib_lattice(structure) == "cI"


def test_a_cell_is_recovered_from_its_basis():
    cell = UnitCell(4, 5, 6, 80, 95, 100)
    assert cell_of(cell.basis).parameters == pytest.approx(cell.parameters)
