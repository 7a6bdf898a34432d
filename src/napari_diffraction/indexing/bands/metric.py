"""The direct metric of a lattice whose reciprocal vectors were fitted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import PLACES
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reduction import primitive_cell
from napari_diffraction.indexing.bands.four_bands import reduced

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Voronoi's vectors of a lattice in the first three of an obtuse superbase, rows.
_VORONOI = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [1, 1, 0], [1, 0, 1], [0, 1, 1]], dtype=np.int64
)


def reciprocal_basis(cell: UnitCell, symmetry: str | int) -> FloatArray:
    """Reduced primitive reciprocal vectors of a conventional cell, (3, 3) columns, volume 1.

    Parameters
    ----------
    cell
        Conventional cell; its cartesian frame is that of the vectors.
    symmetry
        Pearson letters of its lattice, or number of a space group.
    """
    direct = primitive_cell(cell, symmetry) @ cell.basis
    vectors = np.linalg.inv(direct)
    return reduced(np.asarray(vectors / np.cbrt(np.linalg.det(vectors)), np.float64))


@dataclass(frozen=True, eq=False)
class DirectMetric:
    """Metric of reduced direct vectors.

    Attributes
    ----------
    axes : ndarray of float64, (3, 3)
        Columns: reduced direct vectors, in the frame of the reciprocal basis.
    change : ndarray of int64, (3, 3)
        Columns: the reduced vectors in terms of those that are dual to the reciprocal basis.
    metric : ndarray of float64, (3, 3)
    covariance : ndarray of float64, (6, 6)
        Of the metric (11, 22, 33, 23, 13, 12).
    """

    axes: FloatArray
    change: IntArray
    metric: FloatArray
    covariance: FloatArray

    @classmethod
    def of(cls, basis: FloatArray, covariance: FloatArray) -> DirectMetric:
        """Turn a reciprocal basis (columns) and the covariance of its metric around."""
        dual = np.asarray(np.linalg.inv(basis).T, np.float64)
        axes = _shortest(reduced(dual))
        change = np.rint(basis.T @ axes).astype(np.int64)
        if np.linalg.det(change) < 0:
            axes, change = -axes, -change
        # G = (G*)^-1, so that dG = -G dG* G
        metric = dual.T @ dual
        jacobian = np.zeros((6, 6))
        for column, (i, j) in enumerate(PLACES):
            unit = np.zeros((3, 3))
            unit[i, j] = unit[j, i] = 1
            moved = -change.T @ metric @ unit @ metric @ change
            jacobian[:, column] = [moved[place] for place in PLACES]
        return cls(axes, change, axes.T @ axes, jacobian @ covariance @ jacobian.T)

    def outside(self, operations: IntArray) -> IntArray:
        """Rotations on the reduced axes, turned into those on the axes dual to the basis."""
        back = np.rint(np.linalg.inv(self.change)).astype(np.int64)
        return np.asarray(self.change @ operations @ back)


def _shortest(basis: FloatArray) -> FloatArray:
    """Three shortest vectors of a lattice, columns, from three of an obtuse superbase.

    Angles that are 90 degrees but for noise part the two: of a superbase a, b, c, -a-b-c one
    vector may be the diagonal of a face, and in such axes rotations have other entries than -1, 0
    and 1.  The three shortest vectors of any lattice are among Voronoi's seven and make a basis.
    """
    vectors = _VORONOI @ basis.T
    order = np.argsort(np.linalg.norm(vectors, axis=1), kind="stable")
    chosen: list[int] = []
    for place in order.tolist():
        if np.linalg.matrix_rank(_VORONOI[[*chosen, place]]) == len(chosen) + 1:
            chosen.append(place)
    return np.ascontiguousarray(vectors[chosen[:3]].T)


def symmetric(basis: FloatArray, direct: DirectMetric, metric: FloatArray) -> FloatArray:
    """Change a reciprocal basis so that its direct metric is a given one.

    Parameters
    ----------
    basis : ndarray of float64, (3, 3)
        Columns.
    direct
        Its direct metric.
    metric : ndarray of float64, (3, 3)
        What the metric of the reduced direct vectors is to be, nearly that of ``direct``.
    """
    wanted = np.linalg.cholesky(metric).T  # columns: direct vectors in some frame
    left, _, right = np.linalg.svd(direct.axes @ np.linalg.inv(wanted))
    axes = left @ right @ wanted  # of either hand, as the basis is
    return np.asarray(np.linalg.inv(axes @ np.linalg.inv(direct.change)).T)
