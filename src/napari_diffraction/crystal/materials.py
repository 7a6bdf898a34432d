"""Known materials, and structures by name or by CIF file."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.cif import read_cif
from napari_diffraction.crystal.structure import Structure, expand, pearson
from napari_diffraction.errors import InputError


@dataclass(frozen=True, eq=False)
class Material:
    """A row of the table of materials.

    Attributes
    ----------
    structure
        Cell and atoms; its ``source`` says where they were published.
    lattice
        Pearson letters that the row claims.
    point_group
        Hermann-Mauguin symbol.
    of_paper
        One of the materials of Kaufmann et al., Science 367, 564 (2020).
    teaches
        Lattice for which it is one of two teachers in the closed protocol, or empty.
    hidden
        The reflections that tell its lattice from a simpler one are too weak to see.
    approximate
        What is less exact than the source, or empty.
    aliases
        Other names.
    """

    structure: Structure
    lattice: str
    point_group: str
    of_paper: bool
    teaches: str
    hidden: bool
    approximate: str
    aliases: tuple[str, ...]


class _Materials(Mapping[str, Structure]):
    """Structures by name; case does not matter, and other names of a material work too."""

    def __getitem__(self, name: str) -> Structure:
        return material(name).structure

    def __iter__(self) -> Iterator[str]:
        return iter(_table())

    def __len__(self) -> int:
        return len(_table())


#: Every known structure by its name, read from the table when it is first looked at.
MATERIALS: Mapping[str, Structure] = _Materials()


def material(name: str) -> Material:
    """Look up a row of the table by name or alias.

    Raises
    ------
    KeyError
        No such material.
    """
    return _row(_names()[_folded(name)] if name not in _table() else name)


def paper_materials() -> tuple[str, ...]:
    """Names of the materials of the paper on Bravais lattices."""
    return tuple(name for name, row in _table().items() if row.get("set") == "bravais")


def teachers() -> dict[str, tuple[str, ...]]:
    """Names of the two teachers of each lattice in the paper's closed protocol."""
    found: dict[str, list[str]] = {}
    for name, row in _table().items():
        if "teaches" in row:
            found.setdefault(row["teaches"], []).append(name)
    return {lattice: tuple(names) for lattice, names in found.items()}


def load_structure(name_or_path: str | Path) -> Structure:
    """Find a structure among the known materials, or read it from a CIF file.

    Raises
    ------
    InputError
        Neither a known name nor a readable CIF file.
    """
    try:
        return MATERIALS[str(name_or_path)]
    except KeyError:
        path = Path(name_or_path)
        if path.suffix.lower() == ".cif" or path.exists():
            return read_cif(path)
    raise InputError(
        f"Unknown material '{name_or_path}': give the path of a CIF file, or one of "
        f"{', '.join(MATERIALS)}."
    )


@cache
def _table() -> dict[str, dict[str, Any]]:
    file = resources.files(__package__).joinpath("materials.toml")
    return tomllib.loads(file.read_text("utf-8"))


@cache
def _names() -> dict[str, str]:
    """Every name and alias, folded, and the name it stands for; names win over aliases."""
    names = {
        _folded(alias): key for key, row in _table().items() for alias in row.get("aliases", ())
    }
    return names | {_folded(key): key for key in _table()}


def _folded(name: str) -> str:
    return name.strip().casefold().replace("_", "-")


@cache
def _row(name: str) -> Material:
    row = _table()[name]
    group = int(row["group"])
    sites = [_site(text) for text in row["sites"]]
    return Material(
        structure=expand(_cell(row["cell"], group), group, sites, name, row["source"]),
        lattice=row["lattice"],
        point_group=row["point"],
        of_paper=row.get("set") == "bravais",
        teaches=row.get("teaches", ""),
        hidden=row.get("hidden", False),
        approximate=row.get("approximate", ""),
        aliases=tuple(row.get("aliases", ())),
    )


def _site(text: str) -> tuple[str | float, ...]:
    element, *numbers = text.split()
    return element, *(float(Fraction(number)) for number in numbers)


def _cell(numbers: list[float], group: int) -> UnitCell:
    """Complete the free parameters by those that the crystal system fixes."""
    system = pearson(group)[0]
    if system == "c":
        return UnitCell(numbers[0], numbers[0], numbers[0])
    if system in "th":
        a, c = numbers
        return UnitCell(a, a, c, gamma=120.0 if system == "h" else 90.0)
    if system == "m":
        a, b, c, beta = numbers
        return UnitCell(a, b, c, beta=beta)
    return UnitCell(*numbers)
