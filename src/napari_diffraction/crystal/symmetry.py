"""Rotations that bring a crystal into itself, and angles between orientations up to them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.structure import LAUE_GROUPS, Structure, laue_group, operations
from napari_diffraction.errors import InputError

FloatArray = NDArray[np.float64]

#: Laue group of the lattice itself, for each crystal system.
_HOLOHEDRY = {
    "triclinic": "-1",
    "monoclinic": "2/m",
    "orthorhombic": "mmm",
    "tetragonal": "4/mmm",
    "trigonal": "-3m",
    "hexagonal": "6/mmm",
    "cubic": "m-3m",
}
#: A space group of each Laue group: monoclinic about b, trigonal with twofold axes along a.
_EXAMPLE = dict(zip(LAUE_GROUPS, (2, 10, 47, 83, 123, 147, 164, 175, 191, 200, 221), strict=True))


def holohedry(lattice: str) -> str:
    """Laue group of a Bravais lattice, by its Pearson letters; of an unknown one "-1"."""
    known = BRAVAIS_LATTICES.get(lattice)
    return "-1" if known is None else _HOLOHEDRY[known.system]


def laue_of(lattice: str, structure: Structure | None = None) -> str:
    """Laue group of a structure; where none is known, that of its lattice."""
    return holohedry(lattice) if structure is None else laue_group(structure.space_group)


def proper_rotations(symmetry: str | int, cell: UnitCell) -> FloatArray:
    """Rotations, without the improper ones, that a symmetry has.

    Parameters
    ----------
    symmetry
        Laue group, Pearson letters of a lattice, or number of a space group.  A Laue group is
        taken in the standard setting: monoclinic about b, trigonal with twofold axes along a.
    cell
        Conventional cell, in whose cartesian frame (a along x, c* along z) they are given.

    Returns
    -------
    ndarray of float64, (m, 3, 3)
        The identity first.

    Raises
    ------
    InputError
        No such symmetry.
    """
    if isinstance(symmetry, int):
        number = symmetry
    elif symmetry in BRAVAIS_LATTICES:
        number = _EXAMPLE[holohedry(symmetry)]
    elif symmetry in _EXAMPLE:
        number = _EXAMPLE[symmetry]
    else:
        raise InputError(
            f"Unknown symmetry '{symmetry}': use one of {', '.join(LAUE_GROUPS)}, or letters of a "
            "Bravais lattice."
        )
    columns = cell.basis.T
    return np.asarray(columns @ _fractional(number) @ np.linalg.inv(columns))


@lru_cache(maxsize=256)
def _fractional(space_group: int) -> FloatArray:
    """Proper rotations of the Laue group of a space group, on its axes, (m, 3, 3)."""
    rotations, _ = operations(space_group)
    # In a Laue group every improper operation has its proper companion.
    proper = rotations * np.rint(np.linalg.det(rotations))[:, None, None]
    _, first = np.unique(proper.reshape(-1, 9), axis=0, return_index=True)
    return np.asarray(proper[np.sort(first)])


def disorientation(
    one: ArrayLike, other: ArrayLike, symmetry: str | int, cell: UnitCell
) -> FloatArray:
    """Return the smallest angle between orientations of crystals of the same symmetry.

    Parameters
    ----------
    one, other : array_like, (..., 3, 3)
        Matrices into the frame of the crystal; one shape, or shapes that numpy broadcasts.
    symmetry, cell
        As in `proper_rotations`.

    Returns
    -------
    ndarray of float64, (...)
        Degrees; NaN where an orientation is NaN.
    """
    turn = np.asarray(one, float) @ np.swapaxes(np.asarray(other, float), -1, -2)
    least = np.full(turn.shape[:-2], np.inf)
    for rotation in proper_rotations(symmetry, cell):
        # The chord is exact where the cosine of a small angle is not.
        away = np.linalg.norm(turn - rotation, axis=(-2, -1))
        least = np.minimum(least, away)
    angle = 2 * np.arcsin(np.clip(least / np.sqrt(8), 0, 1))
    return np.asarray(np.degrees(angle))
