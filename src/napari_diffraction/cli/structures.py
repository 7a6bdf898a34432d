"""The crystal structures that a command is given: names of materials, or CIF files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure


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
    from napari_diffraction.crystal.cif_axes import note_on_axes
    from napari_diffraction.crystal.materials import MATERIALS, load_structure

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
    notes = [note_on_axes(path, structure) for path, structure in files]
    return structures, [note for note in notes if note]
