"""Structures given to a command, and what is said where their axes are changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_diffraction.crystal.given_structures import given_structures
from napari_diffraction.errors import InputError

ATOMS = """loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Mg Mg 0.0000 0.0000 0.0000
Si Si {silicon}
"""


def _cif(path: Path, group: str, lengths: tuple[str, str, str], silicon: str) -> str:
    lines = [f"data_{path.stem}", f"_symmetry_space_group_name_H-M '{group}'"]
    lines += [f"_cell_length_{name} {value}" for name, value in zip("abc", lengths, strict=True)]
    lines += [f"_cell_angle_{name} 90" for name in ("alpha", "beta", "gamma")]
    path.write_text("\n".join([*lines, ATOMS.format(silicon=silicon)]))
    return str(path)


@pytest.fixture
def usual(tmp_path: Path) -> str:
    lengths = ("10.207(1)", "5.980", "4.756")
    return _cif(tmp_path / "usual.cif", "P n m a", lengths, "0.0940 0.2500 0.4262")


@pytest.fixture
def mineralogist(tmp_path: Path) -> str:
    lengths = ("4.756", "10.207", "5.980")
    return _cif(tmp_path / "other.cif", "P b n m", lengths, "0.4262 0.0940 0.2500")


def test_axes_that_are_changed_are_told(mineralogist: str, usual: str) -> None:
    (other, same, nickel), notes = given_structures([mineralogist, usual, "Ni"])
    assert other.cell.parameters == pytest.approx(same.cell.parameters)
    assert nickel.name == "Ni"
    assert notes == [
        "other.cif has the axes 4.756 10.207 5.98 A, 90 90 90 deg: taken are those of the standard "
        "setting, P n m a, 10.207 5.98 4.756 A, 90 90 90 deg; cells, hkl and Euler angles refer "
        "to these."
    ]


def test_nothing_given_is_nothing_to_tell() -> None:
    assert given_structures([]) == ([], [])


def test_structures_that_are_called_alike_get_the_names_of_their_files(tmp_path: Path) -> None:
    lengths, mineral = ("4.0", "5.0", "6.0"), "\n_chemical_name_mineral Forsterite\n"
    paths = [_cif(tmp_path / f"{n}.cif", "P m m m", lengths, "0.1 0.2 0.3") for n in ("one", "two")]
    for path in paths:
        Path(path).write_text(Path(path).read_text().replace("\n_symm", f"{mineral}_symm", 1))
    assert [one.name for one in given_structures(paths)[0]] == ["one", "two"]
    assert [one.name for one in given_structures(paths[:1])[0]] == ["Forsterite"]


def test_a_structure_that_is_given_twice_is_refused() -> None:
    """Tables and maps went by the name, and the points of one phase were dealt out among two."""
    with pytest.raises(InputError, match="2 structures are called Ni"):
        given_structures(["Ni", "nickel"])
