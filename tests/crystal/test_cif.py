"""CIF files, good and bad."""

import gemmi
import numpy as np
import pytest

from napari_diffraction.crystal.cif import read_cif, structures_in_folder
from napari_diffraction.crystal.materials import MATERIALS, load_structure
from napari_diffraction.crystal.structure import spglib_number
from napari_diffraction.errors import InputError

CELL = {"a": 5.64, "b": 5.64, "c": 5.64, "alpha": 90, "beta": 90, "gamma": 90}
SALT = ("Na1 Na 0 0 0 1", "Cl1 Cl 0.5 0.5 0.5 1")


def cubic(a):
    return CELL | dict.fromkeys("abc", a)


def write(tmp_path, cell=CELL, group="F m -3 m", atoms=SALT, operations=(), number=None):
    lines = ["data_test"]
    for key, value in cell.items():
        kind = "length" if len(key) == 1 else "angle"
        lines.append(f"_cell_{kind}_{key} {value}")
    if group:
        lines.append(f"_symmetry_space_group_name_H-M '{group}'")
    if number:
        lines.append(f"_symmetry_Int_Tables_number {number}")
    if operations:
        lines += ["loop_", "_symmetry_equiv_pos_as_xyz", *[f"'{op}'" for op in operations]]
    if atoms:
        columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy")
        lines += ["loop_", *[f"_atom_site_{column}" for column in columns], *atoms]
    path = tmp_path / "test.cif"
    path.write_text("\n".join(lines) + "\n")
    return path


def same_distances(first, second):
    """Sorted distances from the first atom of each element to all atoms of the cell."""
    rows = []
    for s in (first, second):
        shifts = np.stack(np.meshgrid(*[[-1, 0, 1]] * 3), -1).reshape(-1, 3)
        d = np.linalg.norm((s.positions[:, None] + shifts - s.positions[0]) @ s.cell.basis, axis=-1)
        rows.append(np.sort(d.ravel())[:20])
    return np.allclose(*rows, atol=2e-3)


def test_rock_salt_is_read(tmp_path):
    salt = read_cif(write(tmp_path))
    assert salt.species == ("Na",) * 4 + ("Cl",) * 4
    assert (salt.space_group, salt.lattice) == (225, "cF")
    assert salt.cell.a == pytest.approx(5.64)
    assert "test.cif" in salt.source
    assert load_structure(tmp_path / "test.cif").species == salt.species


def test_a_number_is_enough(tmp_path):
    assert read_cif(write(tmp_path, group="", number=225)).space_group == 225


def test_a_structure_without_symmetry_gets_its_own(tmp_path):
    fcc = ["Ni1 Ni 0 0 0 1", "Ni2 Ni 0 .5 .5 1", "Ni3 Ni .5 0 .5 1", "Ni4 Ni .5 .5 0 1"]
    nickel = read_cif(write(tmp_path, cubic(3.52), "P 1", fcc))
    assert (nickel.space_group, len(nickel.species)) == (225, 4)


def test_an_unusual_setting_comes_into_the_standard_one(tmp_path):
    cell = {"a": 4.7535, "b": 10.1943, "c": 5.9807, "alpha": 90, "beta": 90, "gamma": 90}
    atoms = ["Mg1 Mg 0 0 0 1", "Mg2 Mg .9915 .2774 .25 1", "Si1 Si .4262 .0940 .25 1"]
    atoms += ["O1 O .7657 .0913 .25 1", "O2 O .2215 .4474 .25 1", "O3 O .2777 .1628 .0331 1"]
    olivine = read_cif(write(tmp_path, cell, "P b n m", atoms))
    table = MATERIALS["forsterite"]
    assert olivine.space_group == 62
    assert olivine.cell.parameters == pytest.approx(table.cell.parameters)
    assert len(olivine.species) == 28
    assert same_distances(olivine, table)


def test_second_origin_of_diamond(tmp_path):
    silicon = read_cif(write(tmp_path, cubic(5.43), "F d -3 m:2", ["Si1 Si .125 .125 .125 1"]))
    assert len(silicon.species) == 8
    assert spglib_number(silicon) == 227


def test_mixed_sites_share_their_place(tmp_path):
    atoms = ["M1 Fe 0 0 0 0.6", "M2 Cr 0 0 0 0.4"]
    mixed = read_cif(write(tmp_path, group="I m -3 m", atoms=atoms))
    assert sorted(set(mixed.occupancy)) == [0.4, 0.6]
    assert spglib_number(mixed) == 229


def test_a_structure_survives_being_written_by_gemmi(tmp_path):
    source = MATERIALS["anorthite"]
    small = gemmi.SmallStructure()
    small.name = "anorthite"
    small.cell = gemmi.UnitCell(*source.cell.parameters)
    small.spacegroup_hm = "P -1"
    for i in range(0, len(source.species), 2):
        site = gemmi.SmallStructure.Site()
        site.label = f"{source.species[i]}{i}"
        site.element = gemmi.Element(source.species[i])
        site.fract = gemmi.Fractional(*source.positions[i])
        site.occ = 1.0
        small.add_site(site)
    path = tmp_path / "anorthite.cif"
    small.make_cif_block().write_file(str(path))
    back = read_cif(path)
    assert sorted(back.species) == sorted(source.species)
    assert same_distances(back, source)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"atoms": ()}, "has no atoms"),
        ({"group": "F q -9 z"}, "unknown space group 'F q -9 z'"),
        ({"group": ""}, "unknown space group"),
        ({"cell": CELL | {"c": 7.1}}, "contradicts its space group"),
        ({"cell": CELL | {"gamma": 95}, "group": "P 2 2 2"}, "contradicts its space group"),
        ({"operations": ["x,y,z", "-x,-y,-z"]}, "lists the symmetry operations of 'P -1'"),
        ({"operations": ["x,y,z", "y,x,2*z"], "group": ""}, "no known setting"),
        ({"cell": {}}, "has no unit cell"),
        ({"cell": CELL | {"alpha": 20, "beta": 100, "gamma": 150}, "group": "P 1"}, "no volume"),
        ({"atoms": ["Q1 Qq 0 0 0 1"]}, "'Q1'"),
        ({"atoms": ["Na1 Na ? 0 0 1"]}, "'Na1'"),
        ({"atoms": ["Na1 Na 0 0 0 0"]}, "occupancy 0"),
    ],
)
def test_bad_files_are_told_in_one_sentence(tmp_path, changed, said):
    path = write(tmp_path, **changed)
    with pytest.raises(InputError, match=said) as error:
        read_cif(path)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_no_cif_is_said_to_be_none(tmp_path):
    path = tmp_path / "picture.cif"
    path.write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not a valid CIF"):
        read_cif(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_cif(tmp_path / "missing.cif")


def test_a_folder_is_read_and_bad_files_are_told(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        structures_in_folder(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no CIF file"):
        structures_in_folder(tmp_path)
    write(tmp_path).rename(tmp_path / "Salt.CIF")
    (tmp_path / "broken.cif").write_text("no cif at all")
    (tmp_path / "notes.txt").write_text("not looked at")
    skipped = []
    found = structures_in_folder(tmp_path, skipped)
    assert list(found) == ["Salt"]
    assert len(found["Salt"].positions) == 8
    assert len(skipped) == 1
    assert "broken.cif" in skipped[0]
