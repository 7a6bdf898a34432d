"""What is said where the axes of a structure are others than those of its CIF file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gemmi
import numpy as np

from napari_diffraction.crystal.structure import Structure

#: Share of a length, and of an angle, by which the cell of a file may differ from that read.
_ALIKE = 1e-3


def note_on_axes(path: Path, structure: Structure) -> str:
    """Say that the cell of a CIF file is not the one that is used; empty where it is.

    Whoever takes Euler angles or indices on to another program has to give it the same axes.

    Parameters
    ----------
    path
        The file.
    structure
        What `napari_diffraction.crystal.cif.read_cif` made of it.
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
