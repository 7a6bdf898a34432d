"""Crystal structures from CIF files."""

from __future__ import annotations

from pathlib import Path

import gemmi
import numpy as np

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import (
    DEFAULT_B,
    Structure,
    cell_of,
    expand,
    find_symmetry,
    operations,
)
from napari_diffraction.errors import InputError

#: Largest relative change of the metric by an operation of the space group.
_METRIC_TOLERANCE = 5e-3

#: Distance in A within which atoms are equivalent when a structure is put in standard setting.
_SYMPREC = 0.02

_U_TO_B = 8 * np.pi**2


def read_cif(path: str | Path) -> Structure:
    """Read the first structure of a CIF file.

    A structure without symmetry, or in an unusual setting, is brought into the standard setting of
    the space group that its atoms have.

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
    group = _space_group(small, path)
    _check_metric(cell, group, path)
    name = (block.find_value("_chemical_name_mineral") or path.stem).strip("'\" ")
    structure = expand(
        cell, group.number, _sites(small, path), name, f"CIF file {path.name}", group.xhm()
    )
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


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0].rstrip(".")


def _cell(small: gemmi.SmallStructure, path: Path) -> UnitCell:
    if not small.cell.is_crystal():
        raise InputError(f"{path} has no unit cell: give a CIF file with _cell_length_a and so on.")
    try:
        return UnitCell(*small.cell.parameters)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _space_group(small: gemmi.SmallStructure, path: Path) -> gemmi.SpaceGroup:
    """Find the group by the operations, or by its symbol or number where there are none."""
    symbol = small.spacegroup_hm or small.spacegroup_hall or str(small.spacegroup_number or "")
    named = gemmi.find_spacegroup_by_name(small.spacegroup_hm, small.cell.alpha, small.cell.gamma)
    if named is None and small.spacegroup_number > 0:  # gemmi takes 0 for 1
        named = gemmi.find_spacegroup_by_number(small.spacegroup_number)
    if not small.symops:
        if named is None:
            raise InputError(
                f"{path} has the unknown space group '{symbol}': give its symbol like 'P 21/c', or "
                "its symmetry operations."
            )
        return named
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
    if named is not None and named.number != listed.number:
        raise InputError(
            f"{path} calls its space group '{symbol}' but lists the symmetry operations of "
            f"'{listed.hm}': remove what is wrong."
        )
    return listed


def _check_metric(cell: UnitCell, group: gemmi.SpaceGroup, path: Path) -> None:
    metric = cell.basis @ cell.basis.T
    size = np.sqrt(np.outer(np.diag(metric), np.diag(metric)))
    for rotation in operations(group.number, group.xhm())[0]:
        turned = rotation.T @ metric @ rotation
        if np.max(np.abs(turned - metric) / size) > _METRIC_TOLERANCE:
            raise InputError(
                f"The cell {' '.join(f'{x:g}' for x in cell.parameters)} in {path} contradicts "
                f"its space group '{group.hm}': one of the two is wrong."
            )


def _sites(small: gemmi.SmallStructure, path: Path) -> list[tuple[str | float, ...]]:
    """Rows of element, x, y, z, occupancy and B, as `expand` takes them."""
    rows: list[tuple[str | float, ...]] = []
    for site in small.sites:
        element = "H" if site.element.name == "D" else site.element.name
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
    b_iso = [structure.b_iso[numbers == kind][0] for kind in types]
    return Structure(
        structure.name,
        cell_of(dataset.std_lattice),
        int(dataset.number),
        tuple(kinds[kind][0] for kind in types),
        dataset.std_positions % 1.0,
        np.array([kinds[kind][1] for kind in types]),
        np.array(b_iso),
        structure.source,
    )
