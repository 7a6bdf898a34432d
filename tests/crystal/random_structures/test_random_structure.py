"""Random structures: lattices as claimed, sensible distances, variety."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.random_structures.elements import choose_elements, contacts
from napari_diffraction.crystal.random_structures.packing import Crowd
from napari_diffraction.crystal.random_structures.prototypes import orderings, prototypes
from napari_diffraction.crystal.random_structures.pseudosymmetry import (
    hidden_ratio,
    is_of_its_lattice,
)
from napari_diffraction.crystal.random_structures.structures import MAX_ATOMS, random_structure
from napari_diffraction.crystal.random_structures.wyckoff import wyckoff_positions
from napari_diffraction.crystal.structure import (
    expand,
    laue_group,
    operations,
    pearson,
    spglib_lattice,
    spglib_number,
)
from napari_diffraction.errors import InputError


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(7)
    return {
        lattice: [random_structure(lattice, rng) for _ in range(8)] for lattice in BRAVAIS_LATTICES
    }


@pytest.mark.parametrize("lattice", BRAVAIS_LATTICES)
def test_spglib_finds_the_lattice_and_laue_group_asked_for(drawn, lattice):
    for structure in drawn[lattice][:6]:
        number = spglib_number(structure)
        assert structure.lattice == lattice
        assert pearson(number) == lattice
        assert laue_group(number) == laue_group(structure.space_group)


def test_atoms_keep_their_distance_and_cells_are_sensible(drawn):
    neighbours = np.array(list(product((-1, 0, 1), repeat=3)))
    for structure in (s for structures in drawn.values() for s in structures):
        assert 1 <= len(structure.species) <= MAX_ATOMS
        assert 5 < structure.cell.volume / len(structure.species) < 61
        assert structure.cell.volume < 2000
        assert np.all((structure.b_iso >= 0.2) & (structure.b_iso <= 1.2))
        first = structure.positions[0] - structure.positions
        vectors = (first[:, None] + neighbours) @ structure.cell.basis
        lengths = np.linalg.norm(vectors, axis=-1)
        lengths[lengths < 1e-6] = np.inf
        usual = contacts(list(structure.species))[0]
        assert np.min(lengths / usual[:, None]) > 0.7


def test_known_types_and_random_ones_both_come_and_differ(drawn):
    names = Counter(s.name == "random" for structures in drawn.values() for s in structures)
    assert min(names.values()) > 0.25 * names.total()
    formulas = {(s.species, s.space_group) for structures in drawn.values() for s in structures}
    assert len(formulas) > 0.9 * names.total()


def test_the_same_seed_gives_the_same_structure():
    first, second = (random_structure("oI", np.random.default_rng(3)) for _ in range(2))
    assert first.species == second.species
    assert np.array_equal(first.positions, second.positions)


def test_unknown_lattices_are_refused():
    with pytest.raises(InputError, match="xZ"):
        random_structure("xZ", np.random.default_rng(0))


def test_hidden_translations_and_metrics_are_seen():
    cube = UnitCell(4, 4, 4)
    assert is_of_its_lattice(expand(cube, 221, [("Fe", 0, 0, 0), ("Al", 0.5, 0.5, 0.5)]))
    same = expand(cube, 221, [("Fe", 0, 0, 0), ("Fe", 0.5, 0.5, 0.5)])
    assert not is_of_its_lattice(same)  # body centred
    alike = expand(cube, 221, [("Fe", 0, 0, 0), ("Co", 0.5, 0.5, 0.5)])
    assert is_of_its_lattice(alike)
    assert not is_of_its_lattice(alike, clear=True)
    square = expand(UnitCell(4, 4, 4.001), 123, [("Fe", 0, 0, 0), ("Al", 0.5, 0.5, 0.5)])
    assert not is_of_its_lattice(square)  # cubic to within a thousandth
    assert spglib_lattice(square) == "cP"
    no_glide = expand(UnitCell(4, 4, 3), 83, [("Fe", 0, 0, 0), ("Al", 0.5, 0.5, 0.5)])
    assert not is_of_its_lattice(no_glide)  # of 4/mmm, not 4/m


def test_a_superlattice_of_like_elements_is_hidden():
    def ordered(first, second):
        return expand(UnitCell(3.6, 3.6, 3.6), 221, [(first, 0, 0, 0), (second, 0, 0.5, 0.5)])

    assert hidden_ratio(ordered("Fe", "Ni"), 0.9) < 0.03
    assert hidden_ratio(ordered("Al", "Pt"), 0.9) > 0.2
    assert hidden_ratio(expand(UnitCell(2.9, 2.9, 2.9), 229, [("Fe", 0, 0, 0)]), 0.9) == 1.0


@pytest.mark.parametrize(
    ("number", "multiplicities"),
    [(2, {1, 2}), (62, {4, 8}), (141, {4, 8, 16, 32}), (225, {4, 8, 24, 32, 48, 96, 192})],
)
def test_special_positions_are_those_of_the_international_tables(number, multiplicities):
    positions = wyckoff_positions(number)
    assert {position.multiplicity for position in positions} == multiplicities
    rotations, shifts = operations(number)
    point = np.array([0.137, 0.291, 0.413])
    for position in positions:
        for matrix, offset in zip(position.matrices, position.offsets, strict=True):
            special = matrix @ point + offset
            moved = rotations @ special + shifts - special
            fixing = np.all(np.abs(moved - np.rint(moved)) < 1e-6, axis=1).sum()
            assert len(rotations) // fixing == position.multiplicity


def test_pushing_apart_makes_room_and_keeps_special_positions():
    cell = UnitCell(6, 6, 6)
    points = np.array([[0.0, 0.0, 0.0], [0.06, 0.0, 0.0]])
    freedom = np.array([np.zeros((3, 3)), np.diag([1.0, 0, 0])])
    crowd = Crowd.of(221, points, freedom)
    usual = np.full((2, 2), 1.8)
    before = crowd.clearance(cell, usual)
    moved, after = crowd.relaxed(cell, usual)
    assert before == pytest.approx(0.06 * 6 / 1.8)
    assert after > 0.8
    assert moved[:, 1:] == pytest.approx(0)
    assert moved[0] == pytest.approx(0)


def test_every_lattice_has_structure_types_of_its_own():
    assert set(prototypes()) == set(BRAVAIS_LATTICES)
    assert set(orderings()) == set(BRAVAIS_LATTICES)
    for lattice, types in prototypes().items():
        assert all(pearson(kind.space_group) == lattice for kind in types)


def test_elements_of_a_compound_are_told_apart_by_their_electrons():
    rng = np.random.default_rng(0)
    metals, anions = choose_elements(2, 1, rng, contrast=1.0)
    assert len({*metals, *anions}) == 3
    assert contacts(["Na", "Cl"])[1, 1] > 2 * contacts(["Cl"])[0, 0] / 2  # anions keep apart
