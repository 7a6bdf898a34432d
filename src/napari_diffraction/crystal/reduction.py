"""Reduced cells, and whether two cells are of one lattice.

Niggli's reduced cell is unique, but not continuous: at its borders (gamma 70 against 110, type I
against type II) the smallest error picks another one.  Cells are therefore compared by the metrics
of all bases near the reduced one, of which the nearest counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import gemmi
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.structure import cell_of, primitive_basis

FloatArray = NDArray[np.float64]

#: Sides (relative) and angles (degrees) of reduced cells that are taken for alike.
LENGTHS, ANGLES = 0.02, 1.5


@dataclass(frozen=True, eq=False)
class CellMatch:
    """One way in which a cell is another one.

    Attributes
    ----------
    indices : ndarray of float64, (3, 3)
        Turns Miller indices in the first cell into those in the second one.
    shape
        Largest relative difference of the sides of the primitive cells, their volumes made equal.
    angle
        Largest difference of their angles in degrees.
    scale
        Logarithm of the mean length of the second cell over that of the first.
    """

    indices: FloatArray
    shape: float
    angle: float
    scale: float


def primitive_cell(cell: UnitCell, symmetry: str | int = "aP") -> FloatArray:
    """Vectors of Niggli's reduced primitive cell in terms of a conventional one.

    Parameters
    ----------
    cell
        Conventional cell.
    symmetry
        Pearson letters of its lattice, or number of a space group.

    Returns
    -------
    ndarray of float64, (3, 3)
        Rows; times ``cell.basis`` they are a right-handed basis in A.
    """
    rows = primitive_basis(_number(symmetry))
    reduced = _niggli(rows @ cell.basis)
    return np.asarray(reduced @ rows)


def reduced_cell(cell: UnitCell, symmetry: str | int = "aP") -> UnitCell:
    """Niggli's reduced cell; see `primitive_cell`."""
    return cell_of(primitive_cell(cell, symmetry) @ cell.basis)


def matches(
    one: UnitCell,
    one_symmetry: str | int,
    other: UnitCell,
    other_symmetry: str | int,
    lengths: float = LENGTHS,
    angles: float = ANGLES,
) -> list[CellMatch]:
    """Find all ways in which the lattice of one cell is that of another, up to scale.

    Parameters
    ----------
    one, other
        Conventional cells.
    one_symmetry, other_symmetry
        Pearson letters of their lattices, or numbers of space groups.
    lengths, angles
        Sides (relative, at equal volume) and angles (degrees) may differ by so much.

    Returns
    -------
    list of CellMatch
        The best first; empty where the lattices differ.  Ways that a symmetry of the lattice turns
        into each other are all there.
    """
    first, second = primitive_cell(one, one_symmetry), primitive_cell(other, other_symmetry)
    a, b = first @ one.basis, second @ other.basis
    scale = float(np.log(np.linalg.det(b) / np.linalg.det(a)) / 3)
    metric = a @ a.T * np.exp(2 * scale)
    changes = _changes()
    moved = np.einsum("nij,jk,nlk->nil", changes, metric, changes)
    shape, angle = _differences(moved, b @ b.T)
    order = np.argsort(shape / lengths + angle / angles, kind="stable")
    near = order[(shape[order] <= lengths) & (angle[order] <= angles)]
    back = np.linalg.inv(second)
    return [
        CellMatch(
            np.asarray(back @ changes[place] @ first),
            float(shape[place]),
            float(angle[place]),
            scale,
        )
        for place in near
    ]


def cells_alike(
    one: UnitCell,
    other: UnitCell,
    one_symmetry: str | int = "aP",
    other_symmetry: str | int = "aP",
    *,
    lengths: float = LENGTHS,
    angles: float = ANGLES,
    scale: float | None = LENGTHS,
) -> bool:
    """Whether two cells are of one lattice.

    Parameters
    ----------
    one, other, one_symmetry, other_symmetry, lengths, angles
        See `matches`.
    scale
        The mean lengths may differ by so much (relative); ``None``: by any factor.
    """
    found = matches(one, one_symmetry, other, other_symmetry, lengths, angles)
    return bool(found) and (scale is None or abs(found[0].scale) <= scale)


def _number(symmetry: str | int) -> int:
    if isinstance(symmetry, int):
        return symmetry
    return int(gemmi.find_spacegroup_by_name(BRAVAIS_LATTICES[symmetry].space_group).number)


def _niggli(basis: FloatArray) -> NDArray[np.float64]:
    """Integers that turn a basis (rows) into a right-handed, Niggli-reduced one."""
    # Equal sides are equal up to epsilon only, which is absolute, so that the volume is made 1, and
    # the angles are not rounded.
    metric = basis @ basis.T / abs(np.linalg.det(basis)) ** (2 / 3)
    sides, angles = _parameters(metric)
    cell = gemmi.UnitCell(*sides.tolist(), *angles.tolist())
    vector = gemmi.GruberVector(cell, "P", track_change_of_basis=True)
    vector.niggli_reduce(epsilon=1e-6)
    change = np.array(vector.change_of_basis.rot, dtype=float).T / gemmi.Op.DEN
    if np.linalg.det(change @ basis) < 0:
        change = -change
    return np.asarray(change.round())


@lru_cache(maxsize=1)
def _changes() -> FloatArray:
    """Changes of basis between neighbouring reduced cells, (n, 3, 3)."""
    entries = np.array(list(product((-1, 0, 1), repeat=9)), dtype=float).reshape(-1, 3, 3)
    return np.asarray(entries[np.abs(np.linalg.det(entries) - 1) < 1e-6])


def _differences(metrics: FloatArray, wanted: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Largest difference of sides (relative) and of angles (degrees) of metrics from another."""
    sides, angles = _parameters(metrics)
    wanted_sides, wanted_angles = _parameters(wanted)
    return (
        np.abs(sides / wanted_sides - 1).max(axis=-1),
        np.abs(angles - wanted_angles).max(axis=-1),
    )


def _parameters(metric: FloatArray) -> tuple[FloatArray, FloatArray]:
    sides = np.sqrt(np.diagonal(metric, axis1=-2, axis2=-1))
    places = ((1, 2), (0, 2), (0, 1))
    cosines = np.stack(
        [metric[..., i, j] / (sides[..., i] * sides[..., j]) for i, j in places], axis=-1
    )
    return sides, np.degrees(np.arccos(np.clip(cosines, -1, 1)))
