"""Sublattices and superlattices of small index, and what vectors a lattice has along directions."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import lattice_choices
from napari_diffraction.crystal.structure import find_symmetry, pearson
from napari_diffraction.indexing.bands.metric import DirectMetric

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Uncertainty of a metric by which its symmetry is judged here.
_ROUGH = 0.006
#: How far atoms may lie from where a symmetry takes them, for a lattice of volume 1.
_NEARLY = 0.03
#: Ratios are made whole by this.
WHOLE = 12


def lattice_key(basis: FloatArray, lattice: FloatArray) -> bytes:
    """A lattice in terms of another one, whatever its basis; empty where it is flat."""
    coordinates = np.linalg.solve(basis, lattice) * WHOLE * 2
    form = normal_form(np.rint(coordinates).astype(np.int64).T)
    return b"" if form is None else form.tobytes()


def steps_of(lattice: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Coarser and finer lattices of small index that keep a lattice's symmetry."""
    unit = lattice / np.cbrt(abs(np.linalg.det(lattice)))
    metric = DirectMetric.of(unit, _ROUGH**2 * np.eye(6))
    choice = lattice_choices(metric.metric, metric.covariance)[0]
    turns = metric.outside(choice.operations)
    coarser = [one.T.astype(float) for one in _sublattices() if _keeps(one.T, turns)]
    finer = [inverse for one in _sublattices() if _keeps(inverse := np.linalg.inv(one), turns)]
    return [lattice @ one for one in coarser], [lattice @ one for one in finer]


def letters_of(lattice: FloatArray) -> str:
    """Pearson letters of a lattice, columns: reciprocal vectors, whose metric is roughly known."""
    direct = np.linalg.inv(lattice)
    direct = direct / np.cbrt(abs(np.linalg.det(direct)))
    found = find_symmetry(direct, np.zeros((1, 3)), np.ones(1, np.int64), _NEARLY)
    return "aP" if found is None else pearson(found.number)


def _keeps(change: FloatArray | IntArray, turns: IntArray) -> bool:
    """Whether rotations turn a lattice, columns on reciprocal axes, into itself."""
    whole = np.eye(3)
    own = lattice_key(whole, np.asarray(change, float))
    return all(lattice_key(whole, turn.T @ change) == own for turn in turns)


def first_orders(
    lattice: FloatArray, basis: FloatArray, hkl: IntArray, length: FloatArray
) -> FloatArray:
    """Length of the shortest vector of a lattice along every direction; infinite where none is.

    Parameters
    ----------
    lattice, basis : ndarray of float64, (3, 3)
        Columns: reciprocal vectors of the lattice, and of that by which directions are told.
    hkl : ndarray of int64, (k, 3)
        Primitive indices of the directions.
    length : ndarray of float64, (k,)
        Of these vectors.
    """
    inside = np.linalg.solve(lattice, basis @ hkl.T).T
    order = np.full(len(inside), np.inf)
    for whole in (1, 2, 3, 4, 6, 8, 9, 12):
        near = np.rint(inside * whole)
        fits = np.abs(inside * whole - near).max(axis=1) < 0.02
        common = np.gcd.reduce(np.abs(near).astype(np.int64), axis=1)
        fits &= common > 0
        order = np.minimum(order, np.where(fits, whole / np.maximum(common, 1), np.inf))
    return np.asarray(order * length)


def normal_form(rows: IntArray) -> IntArray | None:
    """Hermite's normal form of the lattice that integer rows span; ``None`` where it is flat."""
    left = [list(map(int, row)) for row in rows]
    form: list[list[int]] = []
    for column in range(3):
        rest = [row for row in left if row[column] == 0]
        pivots = [row for row in left if row[column] != 0]
        if not pivots:
            return None
        while len(pivots) > 1:
            pivots.sort(key=lambda row: abs(row[column]))
            least = pivots[0]
            again: list[list[int]] = []
            for row in pivots[1:]:
                times = row[column] // least[column]
                reduced_row = [a - times * b for a, b in zip(row, least, strict=True)]
                (again if reduced_row[column] else rest).append(reduced_row)
            pivots = [least, *again]
        sign = 1 if pivots[0][column] > 0 else -1
        form.append([sign * value for value in pivots[0]])
        left = [row for row in rest if any(row)]
    for low in (1, 2):
        for high in range(low):
            times = form[high][low] // form[low][low]
            form[high] = [a - times * b for a, b in zip(form[high], form[low], strict=True)]
    return np.array(form, dtype=np.int64)


@lru_cache(maxsize=1)
def _sublattices() -> list[IntArray]:
    """Integer bases (rows) of all sublattices of index 2, 3 and 4, in Hermite's normal form."""
    out = []
    for index in (2, 3, 4):
        for a in range(1, index + 1):
            for b in range(1, index // a + 1):
                if index % (a * b):
                    continue
                c = index // (a * b)
                for x in range(b):
                    for y in range(c):
                        for z in range(c):
                            out.append(np.array([[a, x, y], [0, b, z], [0, 0, c]], dtype=np.int64))
    return out


def neighbours(basis: FloatArray) -> list[FloatArray]:
    """Sublattices and superlattices of small index."""
    coarser = [basis @ one.T for one in _sublattices()]
    finer = [basis @ np.linalg.inv(one) for one in _sublattices()]
    return coarser + finer
