"""The orientation in which a crystal's directions lie on the bands of a pattern."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.directions import Directions
from napari_diffraction.indexing.bands.nearby import tabulate
from napari_diffraction.indexing.bands.orientation_kernels import CLOSE, follow_all, orient_all

FloatArray = NDArray[np.float64]

#: Pairs of the first so many bands are tried.
_PAIRED = 7


@dataclass(frozen=True, eq=False)
class Matches:
    """Orientation of one crystal in ``n`` patterns.

    Attributes
    ----------
    rotation : ndarray of float64, (n, 3, 3)
        Turns directions of the crystal into the detector's frame.
    score : ndarray of float64, (n,)
        Gain over chance, see `directions`; 0: nothing fits.
    second : ndarray of float64, (n,)
        The same of the best orientation that is not equivalent to it; 0: there is none.
    second_rotation : ndarray of float64, (n, 3, 3)
        That orientation, where there is one.
    which : ndarray of int32, (n, k)
        Number of the direction that explains each band; -1: none.
    misfit : ndarray of float64, (n,)
        Mean angle between the bands explained and their directions, in radians.
    """

    rotation: FloatArray
    score: FloatArray
    second: FloatArray
    second_rotation: FloatArray
    which: NDArray[np.int32]
    misfit: FloatArray

    @classmethod
    def none(cls, rotation: FloatArray, bands: int) -> Matches:
        """Return matches of which nothing but orientations to begin with is known.

        Parameters
        ----------
        rotation : ndarray of float64, (n, 3, 3)
            From crystal to detector; changed in place by whoever refines them.
        bands
            Bands of a pattern, at most.
        """
        n = len(rotation)
        return cls(
            rotation,
            np.zeros(n),
            np.zeros(n),
            np.tile(np.eye(3), (n, 1, 1)),
            np.full((n, bands), -1, np.int32),
            np.zeros(n),
        )

    @property
    def bands(self) -> NDArray[np.int64]:
        """Number of bands explained, (n,)."""
        return np.asarray((self.which >= 0).sum(axis=1))


@dataclass(frozen=True, eq=False)
class PairTable:
    """Pairs of directions sorted by the cosine of their angle.

    Attributes
    ----------
    cosine : ndarray of float64, (p,)
        Rising.
    first, second : ndarray of int32, (p,)
        Numbers of the directions.
    sign : ndarray of float64, (p,)
        Sign of the second direction.
    """

    cosine: FloatArray
    first: NDArray[np.int32]
    second: NDArray[np.int32]
    sign: FloatArray

    @classmethod
    def of(cls, table: Directions, most: int) -> PairTable:
        """Tabulate the pairs of the first ``most`` directions."""
        unit = table.unit[:most]
        cosine = unit @ unit.T
        first, second = np.nonzero(np.abs(cosine) < CLOSE)
        values = np.concatenate([cosine[first, second], -cosine[first, second]])
        sign = np.repeat([1.0, -1.0], len(first))
        order = np.argsort(values, kind="stable")
        return cls(
            values[order],
            np.tile(first, 2)[order].astype(np.int32),
            np.tile(second, 2)[order].astype(np.int32),
            sign[order],
        )


def orient(
    table: Directions,
    normals: FloatArray,
    weights: FloatArray,
    sigma: float,
    symmetry: FloatArray | None = None,
    paired: int = _PAIRED,
    pairs: int = 24,
    threads: int | None = None,
) -> Matches:
    """Find the orientation of a crystal in each of some patterns.

    Two bands against two directions at the same angle give an orientation; all bands judge it, and
    the best is refined by least squares.

    Parameters
    ----------
    table
        Directions of the crystal, the likeliest first.
    normals : ndarray of float64, (n, k, 3)
        Unit normals of the bands, the most certain first; zeros where there is none.
    weights : ndarray of float64, (n, k)
        Weight of each band in the score.
    sigma
        Angular error of a band in radians.
    symmetry : ndarray of float64, (m, 3, 3), or None
        Proper rotations of the crystal, for `Matches.second`.
    paired
        Pairs of the first so many bands are tried.
    pairs
        Pairs of the first so many directions are tried.
    threads
        Patterns at a time; as many as there are processors by default.
    """
    n, k = weights.shape
    out = Matches.none(np.tile(np.eye(3), (n, 1, 1)), k)
    listed = PairTable.of(table, pairs)
    level = np.log(table.share / sigma**2)
    near = tabulate(table.unit, level, 1 / sigma**2)
    normals = np.ascontiguousarray(normals, np.float64)
    weights = np.ascontiguousarray(weights, np.float64)
    rotations = np.eye(3)[None] if symmetry is None else np.ascontiguousarray(symmetry, np.float64)
    if not len(listed.cosine):
        return out

    def some(part: slice) -> None:
        orient_all(
            table.unit,
            level,
            near,
            listed.cosine,
            listed.first,
            listed.second,
            listed.sign,
            normals[part],
            weights[part],
            sigma,
            rotations,
            paired,
            out.rotation[part],
            out.score[part],
            out.second[part],
            out.second_rotation[part],
            out.which[part],
            out.misfit[part],
        )

    threads = threads or os.cpu_count() or 1
    size = max(1, -(-n // (4 * threads)))
    if threads == 1 or n < 2 * threads:
        some(slice(0, n))
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(some, [slice(s, s + size) for s in range(0, n, size)]))
    return out


def follow(
    table: Directions,
    normals: FloatArray,
    weights: FloatArray,
    sigma: float,
    rotation: FloatArray,
) -> Matches:
    """Judge and refine orientations that are known nearly.

    Parameters
    ----------
    table, normals, weights, sigma
        As for `orient`.
    rotation : ndarray of float64, (n, 3, 3)
        From crystal to detector.
    """
    out = Matches.none(np.array(rotation, np.float64), weights.shape[1])
    level = np.log(table.share / sigma**2)
    follow_all(
        table.unit,
        level,
        tabulate(table.unit, level, 1 / sigma**2),
        np.ascontiguousarray(normals, np.float64),
        np.ascontiguousarray(weights, np.float64),
        sigma,
        out.rotation,
        out.score,
        out.which,
        out.misfit,
    )
    return out
