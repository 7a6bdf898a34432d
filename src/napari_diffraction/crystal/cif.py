"""Crystal structures from CIF files."""

from __future__ import annotations

import re
from pathlib import Path

import gemmi
import numpy as np

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.settings import find_setting, hall_setting, metric_fits, origins
from napari_diffraction.crystal.structure import (
    DEFAULT_B,
    Structure,
    cell_of,
    expand,
    find_symmetry,
)
from napari_diffraction.errors import InputError

#: Distance in A within which atoms are equivalent when a structure is put in standard setting.
_SYMPREC = 0.02

#: A setting that comes second is taken where its atoms are further apart by this factor.
_FURTHER = 1.15

#: Largest difference of an element's share of the atoms from that in the formula.
_SHARE = 0.02

_U_TO_B = 8 * np.pi**2


def read_cif(path: str | Path) -> Structure:
    """Read the first structure of a CIF file.

    A structure without symmetry, or in an unusual setting, is brought into the standard setting of
    the space group that its atoms have.  Where the file leaves the origin open, it is the one that
    keeps the atoms apart, and ``source`` says which.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    Structure
        Every atom of the conventional cell.

    Raises
    ------
    InputError
        No such file, no CIF, no atoms, an unknown element, a cell that cannot be, or a space group
        that is unknown or contradicts the cell or the symmetry operations.
    """
    path = Path(path)
    block = _block_with_atoms(path)
    try:
        small = gemmi.make_small_structure_from_block(block)
    except (ValueError, RuntimeError, OverflowError) as error:
        raise InputError(f"{path} is not a valid CIF file: {_first_line(error)}.") from error
    cell = _cell(small, path)
    settings = _settings(small, cell, path)
    formula = _formula(_text(block, "_chemical_formula_sum"))
    sites = _sites(small, formula, path)
    name = _text(block, "_chemical_name_mineral") or path.stem
    found = []
    for group in settings:
        said = "" if len(settings) == 1 else f", read in the setting {group.xhm()}"
        source = f"CIF file {path.name}{said}"
        found.append(expand(cell, group.number, sites, name, source, group.xhm()))
    chosen = _likeliest(found, formula)
    structure, group = found[chosen], settings[chosen]
    standard = gemmi.find_spacegroup_by_number(group.number).xhm() == group.xhm()
    return structure if standard and group.number > 1 else _standardised(structure)


def structures_in_folder(
    folder: str | Path, skipped: list[str] | None = None
) -> dict[str, Structure]:
    """Read all CIF files of a folder.

    Parameters
    ----------
    folder
        Where they are; folders within it are not looked at.
    skipped
        Gets a sentence for each file that could not be read.

    Returns
    -------
    dict
        Structures by the name of their file without its ending.

    Raises
    ------
    InputError
        No such folder, or no CIF file in it that can be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder; give one with CIF files.")
    found, failed = {}, []
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() != ".cif":
            continue
        try:
            found[path.stem] = read_cif(path)
        except InputError as error:
            failed.append(f"Skipped: {error}")
    if not found:
        raise InputError(
            f"{folder} has no CIF file that can be read: "
            + (failed[0].removeprefix("Skipped: ") if failed else "give a folder with .cif files.")
        )
    if skipped is not None:
        skipped += failed
    return found


def _block_with_atoms(path: Path) -> gemmi.cif.Block:
    try:
        document = gemmi.cif.read(str(path))
    except OSError as error:
        raise InputError(f"{path} cannot be read: check the path of the CIF file.") from error
    except (ValueError, RuntimeError) as error:
        raise InputError(f"{path} is not a valid CIF file: {_first_line(error)}.") from error
    for block in document:
        if len(block.find_values("_atom_site_fract_x")):
            return block
    raise InputError(
        f"{path} has no atoms: give a CIF file with _atom_site_fract_x, _y and _z of each atom."
    )


def _text(block: gemmi.cif.Block, tag: str) -> str:
    """Return a text on one line, empty where it is not given or unknown."""
    return " ".join(gemmi.cif.as_string(block.find_value(tag) or "?").split())


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _cell(small: gemmi.SmallStructure, path: Path) -> UnitCell:
    if not small.cell.is_crystal():
        raise InputError(f"{path} has no unit cell: give a CIF file with _cell_length_a and so on.")
    try:
        return UnitCell(*small.cell.parameters)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _settings(small: gemmi.SmallStructure, cell: UnitCell, path: Path) -> list[gemmi.SpaceGroup]:
    """Find the setting by operations, Hall's symbol, symbol or number, the first that there is.

    There are several where the file leaves open which it is, the likeliest first.
    """
    symbol = small.spacegroup_hm or small.spacegroup_hall or str(small.spacegroup_number or "")
    name: str | int = small.spacegroup_hm
    named = find_setting(name, cell) if name else None
    if named is None and small.spacegroup_number > 0:
        name = small.spacegroup_number
        named = find_setting(name, cell)
    if small.symops:
        listed = _by_operations(small, path)
        if named is not None and named.number != listed.number:
            raise InputError(
                f"{path} calls its space group '{symbol}' but lists the symmetry operations of "
                f"'{listed.hm}': remove what is wrong."
            )
        settings = [listed]
    else:
        hall = hall_setting(small.spacegroup_hall)
        if named is not None and hall is not None and named.number != hall.number:
            raise InputError(
                f"{path} calls its space group '{symbol}' but has the Hall symbol of "
                f"'{hall.hm}': remove what is wrong."
            )
        settings = [] if named is None else origins(named, name)
        if hall is not None and metric_fits(cell, hall):
            other_axes = isinstance(name, str) and named is not None and named.hm != hall.hm
            settings = [*settings, hall] if other_axes else [hall]
    if not settings:
        raise InputError(
            f"{path} has the unknown space group '{symbol}': give its symbol like 'P 21/c', or "
            "its symmetry operations."
        )
    fitting = [group for group in settings if metric_fits(cell, group)]
    if not fitting:
        raise InputError(
            f"The cell {' '.join(f'{x:g}' for x in cell.parameters)} in {path} contradicts "
            f"its space group '{settings[0].hm}': one of the two is wrong."
        )
    return fitting


def _by_operations(small: gemmi.SmallStructure, path: Path) -> gemmi.SpaceGroup:
    try:
        listed = gemmi.find_spacegroup_by_ops(
            gemmi.GroupOps([gemmi.Op(text) for text in small.symops])
        )
    except (ValueError, RuntimeError):
        listed = None
    if listed is None:
        raise InputError(
            f"The symmetry operations in {path} belong to no known setting of a space group: "
            "remove them and keep the symbol, or export the structure with symmetry P 1."
        )
    return listed


def _formula(text: str) -> dict[str, float]:
    """How many atoms of each element a formula like "Si O2" has."""
    count: dict[str, float] = {}
    for element, number in re.findall(r"([A-Z][a-z]?)(\d*\.?\d*)", text):
        element = "H" if element == "D" else element
        count[element] = count.get(element, 0.0) + (float(number) if number.strip(".") else 1.0)
    return count


def _likeliest(structures: list[Structure], formula: dict[str, float]) -> int:
    """Place of the structure with the file's formula; of several, of one that atoms can have."""
    places = list(range(len(structures)))
    if len(places) == 1:
        return 0
    places = [one for one in places if _has_formula(structures[one], formula)] or places
    room = {place: _room(structures[place]) for place in places}
    best = places[0]
    for place in places[1:]:  # in a wrong setting some atoms come too close
        if room[place] > _FURTHER * room[best]:
            best = place
    return best


def _has_formula(structure: Structure, wanted: dict[str, float]) -> bool:
    """Whether the elements of a structure have the shares of a formula."""
    total, atoms = sum(wanted.values()), float(structure.occupancy.sum())
    elements = np.array(structure.species)
    return total > 0 and all(
        abs(structure.occupancy[elements == one].sum() / atoms - wanted.get(one, 0.0) / total)
        < _SHARE
        for one in {*wanted, *structure.species}
    )


def _room(structure: Structure) -> float:
    """Smallest distance of two atoms over the sum of their radii.

    Two that are not always there may lie closer: where one is, the other is not.
    """
    radii = np.array([gemmi.Element(element).covalent_r for element in structure.species])
    least = np.inf
    for i in range(1, len(radii)):
        away = structure.positions[:i] - structure.positions[i]
        distance = np.linalg.norm((away - np.rint(away)) @ structure.cell.basis, axis=1)
        both = structure.occupancy[:i] + structure.occupancy[i] > 1.01
        least = min(least, np.min(distance[both] / (radii[:i] + radii[i])[both], initial=np.inf))
    return float(least)


def _sites(
    small: gemmi.SmallStructure, formula: dict[str, float], path: Path
) -> list[tuple[str | float, ...]]:
    """Rows of element, x, y, z, occupancy and B, as `expand` takes them."""
    rows: list[tuple[str | float, ...]] = []
    for site in small.sites:
        element = _element(site, formula)
        point = site.fract.tolist()
        if element == "X" or not np.all(np.isfinite(point)):
            raise InputError(
                f"The atom '{site.label}' in {path} has no known element or no coordinates: "
                "correct or remove its line."
            )
        if site.occ > 0:
            rows.append((element, *point, min(float(site.occ), 1.0), _b_iso(site)))
    if not rows:
        raise InputError(f"{path} has no atoms: all of them have the occupancy 0.")
    return rows


def _element(site: gemmi.SmallStructure.Site, formula: dict[str, float]) -> str:
    """Element of a site, "X" where there is none.

    A label alone is not always clear: "OA1" and "Oh" are oxygen atoms of minerals, and "HO1" is
    holmium or the hydrogen of a hydroxyl group.  There the formula decides.
    """
    element = "H" if site.element.name == "D" else site.element.name
    label = str(site.label)
    unclear = site.type_symbol == label and (element == "X" or label[1:2].isupper())
    # "Wat" and the like are water, and no tungsten
    first = "" if label.upper().startswith("WA") else label[:1]
    return first if unclear and element not in formula and first in formula else element


def _b_iso(site: gemmi.SmallStructure.Site) -> float:
    u = site.u_iso or (site.aniso.u11 + site.aniso.u22 + site.aniso.u33) / 3
    return float(_U_TO_B * u) if 0 < u < 1 else DEFAULT_B


def _standardised(structure: Structure) -> Structure:
    """Bring a structure into the standard setting of the group that spglib finds."""
    rows = list(zip(structure.species, structure.occupancy.round(3).tolist(), strict=True))
    kinds = sorted(set(rows))
    numbers = np.array([kinds.index(row) for row in rows])
    dataset = find_symmetry(structure.cell.basis, structure.positions, numbers, _SYMPREC)
    if dataset is None:
        raise InputError(
            f"{structure.source}: no symmetry could be found, do atoms lie on top of each other?"
        )
    types = dataset.std_types
    # B is no part of a kind: where it alone tells equivalent atoms apart, they get the mean.
    orbits = dataset.crystallographic_orbits
    mean_b = (np.bincount(orbits, structure.b_iso) / np.maximum(np.bincount(orbits), 1))[orbits]
    _, of_primitive = np.unique(dataset.mapping_to_primitive, return_index=True)
    return Structure(
        structure.name,
        cell_of(dataset.std_lattice),
        int(dataset.number),
        tuple(kinds[kind][0] for kind in types),
        dataset.std_positions % 1.0,
        np.array([kinds[kind][1] for kind in types]),
        mean_b[of_primitive[dataset.std_mapping_to_primitive]],
        structure.source,
    )
