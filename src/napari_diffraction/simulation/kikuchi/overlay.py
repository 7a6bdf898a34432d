"""Where bands and zone axes lie on the screen, to be drawn over a pattern."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.patterns.kikuchi.screen import clipped, pixels

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure

FloatArray = NDArray[np.float64]


def band_lines(
    structure: Structure,
    rotation: ArrayLike,
    pc: ArrayLike,
    shape: tuple[int, int],
    count: int = 24,
) -> tuple[NDArray[np.int32], FloatArray]:
    """Find the middle lines of the strongest bands within a frame.

    Parameters
    ----------
    structure
        The crystal.
    rotation : array_like, (3, 3)
        Turns directions of the detector's frame into the crystal's.
    pc
        Pattern centre in Bruker's convention.
    shape
        Height and width in pixels.
    count
        So many of the strongest reflectors are looked at; of several orders of one plane, which
        share the line, the lowest is kept.

    Returns
    -------
    hkl : ndarray of int32, (m, 3)
    ends : ndarray of float64, (m, 2, 2)
        Row and column of both ends, the centre of the first pixel being (0, 0).
    """
    strongest = reflectors(structure, count)
    orders = np.gcd.reduce(strongest.hkl, axis=1)
    planes: dict[tuple[int, ...], int] = {}
    for i in np.argsort(orders, kind="stable"):
        planes.setdefault(tuple(strongest.hkl[i] // orders[i]), int(i))
    chosen = sorted(planes.values())
    normals = strongest.normal[chosen] @ np.asarray(rotation, dtype=float)
    ends, crosses = clipped(normals, np.asarray(pc, dtype=float).tolist(), shape)
    return strongest.hkl[np.array(chosen, dtype=int)[crosses]], ends[crosses]


def zone_axes(
    structure: Structure,
    rotation: ArrayLike,
    pc: ArrayLike,
    shape: tuple[int, int],
    highest: int = 3,
    count: int = 20,
) -> tuple[NDArray[np.int32], FloatArray]:
    """Find the zone axes of low indices within a frame.

    Parameters
    ----------
    structure, rotation, pc, shape
        As for `band_lines`.
    highest
        Largest index.
    count
        At most so many: those of the shortest vectors.

    Returns
    -------
    uvw : ndarray of int32, (m, 3)
    position : ndarray of float64, (m, 2)
        Row and column, the centre of the first pixel being (0, 0).
    """
    span = range(-highest, highest + 1)
    uvw = np.array([a for a in itertools.product(span, span, span) if np.gcd.reduce(a) == 1])
    directions = uvw @ structure.cell.basis @ np.asarray(rotation, dtype=float)
    ahead = directions[:, 2] > 1e-3 * np.linalg.norm(directions, axis=1)
    uvw, directions = uvw[ahead], directions[ahead]
    position = pixels(
        directions[:, :2] / directions[:, 2:], np.asarray(pc, dtype=float).tolist(), shape
    )
    inside = np.all((position > -0.5) & (position < np.array(shape) - 0.5), axis=1)
    length = np.where(inside, np.linalg.norm(directions, axis=1), np.inf)
    chosen = np.argsort(length, kind="stable")[: min(count, int(inside.sum()))]
    return uvw[chosen].astype(np.int32), position[chosen]
