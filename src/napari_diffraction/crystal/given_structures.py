"""The crystal structures that a person gives: names of materials, or CIF files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gemmi
import numpy as np

from napari_diffraction.crystal.materials import MATERIALS, load_structure
from napari_diffraction.crystal.structure import Structure
from napari_diffraction.errors import InputError

#: Share of a length, and of an angle, by which the cell of a file may differ from that read.
_ALIKE = 1e-3


def given_structures(names: Sequence[str]) -> tuple[list[Structure], list[str]]:
    """Load structures, and say of which the axes are others than those in the file.

    Parameters
    ----------
    names
        Known materials, or paths of CIF files.

    Returns
    -------
    list of Structure
        One for each name; those of files are called as the mineral, or as the file where two
        would be called alike.
    list of str
        Sentences.

    Raises
    ------
    InputError
        Neither a known name nor a readable CIF file; or no table could tell two of them apart.
    """
    structures = [load_structure(name) for name in names]
    called = Counter(structure.name for structure in structures)
    structures = [
        structure
        if called[structure.name] == 1 or name in MATERIALS
        else replace(structure, name=Path(name).stem)
        for name, structure in zip(names, structures, strict=True)
    ]
    called = Counter(structure.name for structure in structures)
    for name, times in called.items():
        if times > 1:
            raise InputError(
                f"{times} structures are called {name}, which nothing could tell apart: name each "
                "once, or give one of the files another name."
            )
    files = [
        (Path(name), structure)
        for name, structure in zip(names, structures, strict=True)
        if name not in MATERIALS
    ]
    notes = [_note_on_axes(path, structure) for path, structure in files]
    return structures, [note for note in notes if note]


def _note_on_axes(path: Path, structure: Structure) -> str:
    """Say that the cell of a CIF file is not the one that is used; empty where it is.

    Whoever takes Euler angles or indices on to another program has to give it the same axes.
    """
    ours = structure.cell.parameters
    for block in gemmi.cif.read(str(path)):
        if len(block.find_values("_atom_site_fract_x")):  # as `read_cif` chooses
            theirs = gemmi.make_small_structure_from_block(block).cell.parameters
            if np.allclose(theirs, ours, rtol=_ALIKE, atol=0):
                return ""
            symbol = gemmi.find_spacegroup_by_number(structure.space_group).hm
            return (
                f"{path.name} has the axes {_text(theirs)}: taken are those of the standard "
                f"setting, {symbol}, {_text(ours)}; cells, hkl and Euler angles refer to these."
            )
    return ""


def _text(parameters: Sequence[float]) -> str:
    lengths, angles = (
        " ".join(f"{value:.5g}" for value in part) for part in (parameters[:3], parameters[3:])
    )
    return f"{lengths} A, {angles} deg"
