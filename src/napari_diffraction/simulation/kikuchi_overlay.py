"""Where bands and zone axes lie on the screen, to be drawn over a pattern."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.crystal.reflectors import reflectors

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
    found = [_clipped(normal, np.asarray(pc, dtype=float), shape) for normal in normals]
    kept = [i for i, ends in enumerate(found) if ends is not None]
    ends = np.array([found[i] for i in kept], dtype=float).reshape(-1, 2, 2)
    return strongest.hkl[np.array(chosen, dtype=int)[kept]], ends


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
    position = _pixels(directions[:, :2] / directions[:, 2:], np.asarray(pc, dtype=float), shape)
    inside = np.all((position > -0.5) & (position < np.array(shape) - 0.5), axis=1)
    length = np.where(inside, np.linalg.norm(directions, axis=1), np.inf)
    chosen = np.argsort(length, kind="stable")[: min(count, int(inside.sum()))]
    return uvw[chosen].astype(np.int32), position[chosen]


def _pixels(gnomonic: FloatArray, pc: FloatArray, shape: tuple[int, int]) -> FloatArray:
    """Row and column of points (..., 2), x to the right and y up, at distance 1."""
    h, w = shape
    column = gnomonic[..., 0] * pc[2] * h + pc[0] * w - 0.5
    row = pc[1] * h - gnomonic[..., 1] * pc[2] * h - 0.5
    return np.stack([row, column], axis=-1)


def _clipped(normal: FloatArray, pc: FloatArray, shape: tuple[int, int]) -> Any:
    """Ends of the line ``normal . (x, y, 1) = 0`` within the frame; ``None`` where it misses it."""
    squared = normal[0] ** 2 + normal[1] ** 2
    if squared < 1e-12:
        return None
    foot = -normal[2] / squared * normal[:2]
    along = np.array([-normal[1], normal[0]]) / np.sqrt(squared)
    start, step = _pixels(foot, pc, shape), _pixels(foot + along, pc, shape)
    step = step - start
    low, high = -np.inf, np.inf
    for place, way, size in zip(start, step, shape, strict=True):
        if abs(way) < 1e-9:
            if not -0.5 <= place <= size - 0.5:
                return None
            continue
        ends = sorted(((-0.5 - place) / way, (size - 0.5 - place) / way))
        low, high = max(low, ends[0]), min(high, ends[1])
    return np.array([start + low * step, start + high * step]) if low < high else None
