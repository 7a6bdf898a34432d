"""Whether lattices that were found are one: alike, or one of them part of the other."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reduction import cells_alike
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.indexing.bands.sublattices import neighbours
from napari_diffraction.indexing.bands.visible import VisibleLattice
from napari_diffraction.indexing.phases.scales import PhasesFound

FloatArray = NDArray[np.float64]

#: Lattices that differ by less than this (relative, degrees, and in scale) are one.
_ALIKE, _ALIKE_ANGLES, _ALIKE_SCALE = 0.03, 2.0, 0.06


def same(one: VisibleLattice, other: VisibleLattice) -> bool:
    """Whether two lattices are one, within what bands tell."""
    first, second = _cell(one.basis, one.scale), _cell(other.basis, other.scale)
    return cells_alike(first, second, lengths=_ALIKE, angles=_ALIKE_ANGLES, scale=_ALIKE_SCALE)


def _cell(basis: FloatArray, scale: float) -> UnitCell:
    return cell_of(np.linalg.inv(basis) / np.radians(scale))


def part_of_another(found: PhasesFound, number: int) -> float | None:
    """Volume of the cell of another lattice over that of one, where either is part of the other.

    Bands may show some vectors of a lattice in some grains and others in others, so that it is
    found twice, each time in part.

    Parameters
    ----------
    found
        All lattices.
    number
        Of the one; those with the same directions as it are not looked at.

    Returns
    -------
    float or None
        ``None``: there is no such lattice.
    """
    basis, scale = found.fit.bases[number], found.seen[number].scale
    cells = [
        _cell(found.fit.bases[other], seen.scale)
        for other, seen in enumerate(found.seen)
        if found.kin[other] != found.kin[number]
    ]
    for near in neighbours(basis) if cells else ():
        cell = _cell(near, scale)
        if any(cells_alike(cell, other, scale=_ALIKE_SCALE) for other in cells):
            return float(abs(np.linalg.det(basis) / np.linalg.det(near)))
    return None
