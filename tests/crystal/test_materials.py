"""The table of materials: what spglib and chemistry say about every row."""

import re
from collections import Counter
from itertools import product

import gemmi
import numpy as np
import pytest

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.materials import (
    MATERIALS,
    load_structure,
    material,
    paper_materials,
    teachers,
)
from napari_diffraction.crystal.random_structures.elements import contacts
from napari_diffraction.crystal.random_structures.pseudosymmetry import hidden_ratio
from napari_diffraction.crystal.structure import spglib_number
from napari_diffraction.errors import InputError

PAPER = """Cr3Si Mo3Si V8C7 Si Ni Al NbC TaC W Ta beta-Ti Fe WC Ti Al2O3 Sn Mo5Si3 Mo2C TiSi2 Al3Zr2
Ni2V MoPt2 AuSn4 ZrSi2 Nb2O5 Fe4Al13 FeNi3 TiC NiAl Ni3Al quartz ilmenite rutile anatase forsterite
enstatite malachite jadeite diopside anorthite FeAl"""

#: Bonds shorter than 0.8 of the usual contact are those of molecules: C-O, S-S, O-H.
MOLECULAR = {"malachite": 0.4, "calcite": 0.4, "pyrite": 0.6}


@pytest.mark.parametrize("name", MATERIALS)
def test_spglib_finds_the_space_group_and_lattice_of_every_row(name):
    row = material(name)
    structure = row.structure
    group = gemmi.find_spacegroup_by_number(structure.space_group)
    assert spglib_number(structure, symprec=0.01) == structure.space_group
    assert structure.lattice == row.lattice
    assert group.point_group_hm() == row.point_group
    assert len(structure.source) > 10


@pytest.mark.parametrize("name", MATERIALS)
def test_no_two_atoms_are_too_close_and_no_room_is_left_over(name):
    structure = MATERIALS[name]
    neighbours = np.array(list(product((-1, 0, 1), repeat=3)))
    fractional = structure.positions[:, None] - structure.positions
    lengths = np.min(
        [
            np.where(d < 1e-6, np.inf, d)
            for n in neighbours
            for d in [np.linalg.norm((fractional + n) @ structure.cell.basis, axis=-1)]
        ],
        axis=0,
    )
    usual = contacts(list(structure.species))
    assert np.min(lengths / usual) > MOLECULAR.get(name, 0.79)
    assert 8 < structure.cell.volume / len(structure.species) < 28


@pytest.mark.parametrize(
    "name", ["V8C7", "Al2O3", "Mo5Si3", "Fe4Al13", "Al3Zr2", "AuSn4", "enstatite", "Nb2O5", "Mo2C"]
)
def test_composition_is_that_of_the_name(name):
    counts = Counter(MATERIALS[name].species)
    formula = {"enstatite": "MgSiO3"}.get(name, name)
    said = Counter()
    for element, number in re.findall(r"([A-Z][a-z]?)(\d*)", formula):
        said[element] += int(number or 1)
    ratio = counts.total() / said.total()
    assert ratio == int(ratio)
    assert counts == Counter({element: int(n * ratio) for element, n in said.items()})


def test_the_table_holds_the_materials_of_the_paper_and_two_teachers_of_each_lattice():
    assert sorted(paper_materials()) == sorted(PAPER.split())
    pairs = teachers()
    assert set(pairs) == set(BRAVAIS_LATTICES)
    for lattice, names in pairs.items():
        assert len(names) == 2
        assert {MATERIALS[name].lattice for name in names} == {lattice}


@pytest.mark.parametrize(
    ("name", "hidden"), [("FeNi3", True), ("Ni3Al", True), ("NiAl", False), ("MoPt2", True)]
)
def test_hidden_lattices_are_those_whose_own_reflections_are_weak(name, hidden):
    assert material(name).hidden is hidden
    assert (hidden_ratio(MATERIALS[name], 0.9) < 0.12) is hidden


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("alpha-Ti", "Ti"),
        ("ferrite", "Fe"),
        ("AUSTENITE", "austenite"),
        ("fe3c", "cementite"),
        ("beta_ti", "beta-Ti"),
        ("Quartz ", "quartz"),
        ("Co", "Co"),
    ],
)
def test_names_are_found_in_any_case_and_by_alias(asked, found):
    assert load_structure(asked).name == found


def test_names_and_aliases_are_unique():
    names = Counter(name.casefold() for key in MATERIALS for name in {key, *material(key).aliases})
    assert [name for name, n in names.items() if n > 1] == []


def test_an_unknown_material_is_named_with_what_there_is(tmp_path):
    with pytest.raises(InputError, match=r"unobtainium.*CIF.*quartz"):
        load_structure("unobtainium")
    with pytest.raises(InputError, match=r"none\.cif"):
        load_structure(tmp_path / "none.cif")
