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


def write(
    tmp_path, cell=CELL, group="F m -3 m", atoms=SALT, operations=(), number=None, extra=(), last=""
):
    lines = ["data_test", *extra]
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
        columns = ("label", "type_symbol", "fract_x", "fract_y", "fract_z", "occupancy", last)
        columns = columns if last else columns[:-1]
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


SILICON = {"1": ["Si1 Si 0 0 0 1"], "2": ["Si1 Si .125 .125 .125 1"]}


@pytest.mark.parametrize("origin", SILICON)
@pytest.mark.parametrize(
    "say",
    [
        {"group": "F d -3 m:{0}"},
        {"group": "F d -3 m {1}"},
        {"extra": ["_symmetry_space_group_name_Hall '{2}'"]},
        {"group": "", "extra": ["_symmetry_space_group_name_Hall '{2}'"]},
        {"group": "", "number": 227, "extra": ["_symmetry_space_group_name_Hall '{2}'"]},
        {},
        {"group": "", "number": 227},
    ],
)
def test_the_origin_is_the_one_that_is_said_or_that_atoms_can_have(tmp_path, origin, say):
    words = (
        origin,
        {"1": "S", "2": "Z"}[origin],
        {"1": "F 4d 2 3 -1d", "2": "-F 4vw 2vw 3"}[origin],
    )
    say = {"group": "F d -3 m"} | say
    open_still = "extra" not in say and "{" not in say["group"]
    say["group"] = say["group"].format(*words)
    say["extra"] = [line.format(*words) for line in say.get("extra", ())]
    silicon = read_cif(write(tmp_path, cubic(5.43), atoms=SILICON[origin], **say))
    assert len(silicon.species) == 8
    assert spglib_number(silicon) == 227
    assert (f"setting F d -3 m:{origin}" in silicon.source) == open_still


def test_what_the_file_says_counts_more_than_distances(tmp_path):
    atoms = SILICON["2"]
    assert len(read_cif(write(tmp_path, cubic(5.43), "F d -3 m S", atoms)).species) == 16


@pytest.mark.parametrize(("formula", "magnesium"), [("Cu2 Mg", 8), ("?", 8), ("Cu Mg2", 16)])
def test_the_formula_tells_origins_apart(tmp_path, formula, magnesium):
    # at the other origin the two elements of a Laves phase change places
    atoms = ["Mg1 Mg 0 0 0 1", "Cu1 Cu .625 .625 .625 1"]
    extra = [f"_chemical_formula_sum '{formula}'"]
    laves = read_cif(write(tmp_path, cubic(7.04), "F d -3 m", atoms, extra=extra))
    assert laves.species.count("Mg") == magnesium
    assert len(laves.species) == 24


def test_halls_symbol_on_other_axes_is_not_taken(tmp_path):
    cell = {"a": 5.128, "b": 5.128, "c": 5.128, "alpha": 55.28, "beta": 55.28, "gamma": 55.28}
    atoms = ["Al1 Al .3522 .3522 .3522 1", "O1 O .5564 -.0564 .25 1"]
    extra = ["_symmetry_space_group_name_Hall '-R 3 2\"c'"]
    corundum = read_cif(write(tmp_path, cell, "R -3 c", atoms, extra=extra))
    assert (corundum.space_group, len(corundum.species)) == (167, 30)


IONS = ["Fe1 Fe3+ {0} {0} {0} 1", "Fe2 Fe3+ {1} {1} {1} .5", "Fe3 Fe2+ {1} {1} {1} .5"]


@pytest.mark.parametrize(
    ("group", "iron", "oxygen"),
    [("F d -3 m:2", (0.125, 0.5), 0.2549), ("F d -3 m:1", (0, 0.625), 0.3799)],
)
def test_two_ions_of_one_element_on_one_site_are_one_atom(tmp_path, group, iron, oxygen):
    atoms = [*(row.format(*iron) for row in IONS), f"O1 O2- {oxygen} {oxygen} {oxygen} 1"]
    magnetite = read_cif(write(tmp_path, cubic(8.396), group, atoms))
    assert (magnetite.species.count("Fe"), magnetite.species.count("O")) == (24, 32)
    assert (magnetite.occupancy == 1).all()
    assert magnetite.space_group == 227


def test_two_ions_of_one_element_without_symmetry(tmp_path):
    atoms = ["Fe1 Fe3+ 0 0 0 .5", "Fe2 Fe2+ 0 0 0 .5"]
    iron = read_cif(write(tmp_path, cubic(4), "P 1", atoms))
    assert (iron.species, iron.occupancy.tolist(), iron.space_group) == (("Fe",), [1.0], 221)


def test_every_atom_keeps_its_b_in_the_standard_setting(tmp_path):
    cell = {"a": 5, "b": 6, "c": 7, "alpha": 90, "beta": 90, "gamma": 90}
    atoms = ["Fe1 Fe 0 0 0 1 0.3", "Fe2 Fe .5 .4 .3 1 2.0", "O1 O .2 .3 .6 1 1.0"]
    structure = read_cif(write(tmp_path, cell, "P 1", atoms, last="B_iso_or_equiv"))
    rows = zip(structure.species, structure.b_iso.round(6).tolist(), strict=True)
    assert sorted(rows) == [("Fe", 0.3), ("Fe", 2.0), ("O", 1.0)]


def test_equivalent_atoms_have_one_b(tmp_path):
    fcc = ["Ni1 Ni 0 0 0 1 .2", "Ni2 Ni 0 .5 .5 1 .4", "Ni3 Ni .5 0 .5 1 .6", "Ni4 Ni .5 .5 0 1 .8"]
    nickel = read_cif(write(tmp_path, cubic(3.52), "P 1", fcc, last="B_iso_or_equiv"))
    assert nickel.b_iso == pytest.approx(np.full(4, 0.5))


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("?", "test"),
        (".", "test"),
        ("''", "test"),
        ("'Halite (blue)'", "Halite (blue)"),
        ("\n;\nHalite\nblue\n;", "Halite blue"),
    ],
)
def test_the_name_is_that_of_the_mineral_or_of_the_file(tmp_path, given, name):
    assert read_cif(write(tmp_path, extra=[f"_chemical_name_mineral {given}"])).name == name


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
    ("label", "formula", "element"),
    [
        ("OA1", "Na Al Si3 O8", "O"),
        ("Oh", "K O H", "O"),
        ("HO1", "K O H", "H"),
        ("HO1", "Ho O", "Ho"),
        ("CA1", "Ca C O3", "Ca"),
        ("Fe1", "Ca F2", "Fe"),
        ("HO1", "?", "Ho"),
    ],
)
def test_the_formula_makes_a_label_without_element_clear(tmp_path, label, formula, element):
    path = write(tmp_path, atoms=(f"{label} 0 0 0",), extra=(f"_chemical_formula_sum '{formula}'",))
    text = path.read_text().replace("_atom_site_type_symbol\n", "")
    path.write_text(text.replace("_atom_site_occupancy\n", ""))
    assert set(read_cif(path).species) == {element}


@pytest.mark.parametrize("label", ["Wat", "OA1", "T1"])
def test_a_label_that_stays_unclear_is_told(tmp_path, label):
    path = write(tmp_path, atoms=(f"{label} {label} 0 0 0 1",), extra=())
    with pytest.raises(InputError, match=f"'{label}'"):
        read_cif(path)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"atoms": ()}, "has no atoms"),
        ({"group": "F q -9 z"}, "unknown space group 'F q -9 z'"),
        ({"group": ""}, "unknown space group"),
        ({"cell": CELL | {"c": 7.1}}, "contradicts its space group"),
        ({"cell": CELL | {"gamma": 95}, "group": "P 2 2 2"}, "contradicts its space group"),
        ({"operations": ["x,y,z", "-x,-y,-z"]}, "lists the symmetry operations of 'P -1'"),
        ({"extra": ["_symmetry_space_group_name_Hall '-P 1'"]}, "has the Hall symbol of 'P -1'"),
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
