"""The directions of a reciprocal lattice in which bands are looked for, the likeliest first.

A band is judged by how much more likely a lattice makes it than chance does.  Chance spreads
normals evenly over the half sphere (density 1); a lattice puts them, with a share that falls with
the rank of the spacing, near its directions, as a normal distribution of width sigma on the sphere
(density 1 / sigma^2 at its middle)::

    gain(band) = max over directions of  log(share / sigma^2) - (1 - |cos|) / sigma^2,  at least 0

so that a finer lattice, in which the same bands have higher ranks, gains less: Occam's razor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

#: Ranks up to this share their probability nearly evenly, beyond it falls.
_EVEN = 6.0
#: Directions looked at.
COUNT = 40


def half_of_space(highest: int) -> NDArray[np.int64]:
    """Indices of the primitive directions up to a highest index, one of each pair h and -h."""
    span = np.arange(-highest, highest + 1)
    hkl = np.stack(np.meshgrid(span, span, span, indexing="ij"), axis=-1).reshape(-1, 3)
    hkl = hkl[np.gcd.reduce(np.abs(hkl), axis=1) == 1]
    first = hkl[np.arange(len(hkl)), (hkl != 0).argmax(axis=1)]
    return np.ascontiguousarray(hkl[first > 0])


#: Indices that hold the shortest vectors of any reduced lattice.
HKL = half_of_space(4)


@dataclass(frozen=True, eq=False)
class Directions:
    """Where a crystal's bands may be.

    Attributes
    ----------
    unit : ndarray of float64, (m, 3)
        Unit vectors in the crystal's frame.
    hkl : ndarray of int64, (m, 3)
        Their indices, primitive, in the basis that they were made from.
    length : ndarray of float64, (m,)
        Length of the shortest lattice vector along each, in the basis' unit.
    share : ndarray of float64, (m,)
        Probability that a band of the crystal is that of this direction; they sum up to 1.
    """

    unit: FloatArray
    hkl: NDArray[np.int64]
    length: FloatArray
    share: FloatArray

    def __len__(self) -> int:
        return len(self.unit)


def directions(basis: FloatArray, count: int = COUNT) -> Directions:
    """Return the directions of the shortest vectors of a lattice.

    Parameters
    ----------
    basis : ndarray, (3, 3)
        Columns: vectors of the reduced reciprocal lattice, in any unit.
    count
        How many; vectors of equal length stay together, so there may be a few more.
    """
    vectors = HKL @ basis.T
    length = np.linalg.norm(vectors, axis=1)
    order = np.argsort(length, kind="stable")
    limit = length[order[min(count, len(order)) - 1]] * 1.005
    order = order[length[order] <= limit]
    return Directions(
        np.ascontiguousarray(vectors[order] / length[order, None]),
        HKL[order],
        length[order],
        shares(length[order]),
    )


def shares(length: FloatArray) -> FloatArray:
    """Return the probability of each direction by its rank, equal for nearly equal lengths."""
    rank = np.searchsorted(length, length * 0.99).astype(float)
    share = 1 / (1 + (rank / _EVEN) ** 1.5)
    return np.asarray(share / share.sum())
