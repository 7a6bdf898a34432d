"""Sublattices and superlattices of small index, and what vectors a lattice has along directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import lattice_choices
from napari_diffraction.crystal.structure import find_symmetry, pearson
from napari_diffraction.indexing.bands.metric import DirectMetric
from napari_diffraction.indexing.hermite import normal_form, sublattices

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Uncertainty of a metric by which its symmetry is judged here.
_ROUGH = 0.006
#: How far atoms may lie from where a symmetry takes them, for a lattice of volume 1.
_NEARLY = 0.03
#: Ratios are made whole by this.
WHOLE = 12
#: Bases (rows) of all sublattices of small index.
_SMALL = tuple(one for index in (2, 3, 4) for one in sublattices(index))


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
    coarser = [one.T for one in _SMALL if _keeps(one.T, turns)]
    finer = [inverse for one in _SMALL if _keeps(inverse := np.linalg.inv(one), turns)]
    return [lattice @ one for one in coarser], [lattice @ one for one in finer]


def letters_of(lattice: FloatArray) -> str:
    """Pearson letters of a lattice, columns: reciprocal vectors, whose metric is roughly known."""
    direct = np.linalg.inv(lattice)
    direct = direct / np.cbrt(abs(np.linalg.det(direct)))
    found = find_symmetry(direct, np.zeros((1, 3)), np.ones(1, np.int64), _NEARLY)
    return "aP" if found is None else pearson(found.number)


def _keeps(change: NDArray[np.generic], turns: IntArray) -> bool:
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


def neighbours(basis: FloatArray) -> list[FloatArray]:
    """Sublattices and superlattices of small index."""
    coarser = [basis @ one.T for one in _SMALL]
    finer = [basis @ np.linalg.inv(one) for one in _SMALL]
    return coarser + finer


def second_neighbours(basis: FloatArray) -> list[FloatArray]:
    """Lattices that share a sublattice of small index, whose volume is 2, 3 or 4 parts of another.

    Some of them are no neighbours, but neighbours of neighbours: where rows of weak bands are not
    seen and others are half seen, a lattice is found that has two thirds of the vectors.
    """
    return [
        basis @ coarse.T @ np.linalg.inv(fine)
        for coarse in _SMALL
        for fine in _SMALL
        if round(np.linalg.det(coarse)) != round(np.linalg.det(fine))
        and {round(np.linalg.det(coarse)), round(np.linalg.det(fine))} != {2, 4}
    ]
