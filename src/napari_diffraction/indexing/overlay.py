"""Where the bands and zone axes of a solution lie on the screen, to be drawn over its pattern."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.crystal.symmetry import proper_rotations
from napari_diffraction.patterns.kikuchi.screen import clipped, pixels

if TYPE_CHECKING:
    from napari_diffraction.crystal.cell import UnitCell
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase, Reflector

FloatArray = NDArray[np.float64]
Indices = NDArray[np.int64]

#: Of a phase with a known structure, so many reflectors are looked at.
_REFLECTORS = 120
#: A line that cuts less of the frame, in parts of its shorter side, is not drawn.
_SHORTEST = 0.3
#: Zone axes closer to a better one, in parts of the shorter side, are not named.
_CROWDED = 0.09
#: An axis is named where so many of the bands that are drawn meet.
_MEET = 2


@dataclass(frozen=True, eq=False)
class SolutionDrawing:
    """Bands and zone axes of one pattern; rows and columns count from the first pixel's centre.

    Attributes
    ----------
    hkl : ndarray of int64, (m, 3)
        Planes, the strongest first.
    ends : ndarray of float64, (m, 2, 2)
        Row and column of both ends of their middle lines.
    uvw : ndarray of int64, (k, 3)
        Zone axes, those that most bands run through first.
    position : ndarray of float64, (k, 2)
        Row and column of them.
    """

    hkl: Indices
    ends: FloatArray
    uvw: Indices
    position: FloatArray


def solution_drawing(
    indexed: IndexedMap, index: int, count: int = 12, axes: int = 8
) -> SolutionDrawing | None:
    """Find what the solution of a pattern predicts within its frame.

    Parameters
    ----------
    indexed
        The solution.
    index
        Flat number of the pattern.
    count
        At most so many bands, the strongest that cross the frame.
    axes
        At most so many zone axes.

    Returns
    -------
    SolutionDrawing or None
        ``None`` where the pattern is not indexed or the size of the frames is not known.
    """
    number = int(indexed.phase[index])
    if number < 0 or indexed.frame_shape is None:
        return None
    phase, shape = indexed.phases[number], indexed.frame_shape
    # rows: x, y and z of the detector's frame, to the right, up and towards the screen
    to_detector = np.asarray(indexed.rotation[index], float).T
    pc = indexed.centre_at(index)
    hkl = planes(phase)
    normals = hkl @ phase.cell.reciprocal_basis @ to_detector.T
    ends, crosses = clipped(normals, pc, shape)
    length = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    drawn = np.flatnonzero(crosses & (length > _SHORTEST * min(shape)))[:count]
    uvw, position = _zone_axes(phase, hkl[drawn], to_detector, pc, shape, axes)
    return SolutionDrawing(hkl[drawn], ends[drawn], uvw, position)


def planes(phase: IndexedPhase) -> Indices:
    """List the planes whose bands a phase shows, the strongest first, each direction once.

    Parameters
    ----------
    phase
        Found, by what was seen of its families, or given, by its structure.

    Returns
    -------
    ndarray of int64, (m, 3)
        Miller indices in the conventional cell.
    """
    return _planes(phase.lattice, phase.cell, phase.reflectors, phase.structure)


@lru_cache(maxsize=64)
def _planes(
    lattice: str, cell: UnitCell, families: tuple[Reflector, ...], structure: Structure | None
) -> Indices:
    """The planes of all phases that are alike in this; every step to another pattern asks."""
    basis = cell.reciprocal_basis
    # of two that are as strong the one of lower indices comes first, which a person looks for
    seen = sorted(
        (one for one in families if one.strength > 0),
        key=lambda one: -one.strength / float(np.linalg.norm(one.hkl @ basis)),
    )
    if seen:
        hkl = np.array([one.hkl for one in seen], np.int64)
    elif structure is not None:
        hkl = reflectors(structure, _REFLECTORS).hkl.astype(np.int64)
    else:
        return np.zeros((0, 3), np.int64)
    symmetry = lattice if structure is None else structure.space_group
    turned = np.einsum("mij,nj->nmi", proper_rotations(symmetry, cell), hkl @ basis)
    return _unlike(np.asarray(np.rint(turned.reshape(-1, 3) @ np.linalg.inv(basis)), np.int64))


def _unlike(hkl: Indices) -> Indices:
    """Keep the first of all planes that share a direction, its leading index positive."""
    leading = np.take_along_axis(hkl, (hkl != 0).argmax(axis=1)[:, None], axis=1)
    positive = hkl * np.sign(leading)
    directions = positive // np.gcd.reduce(positive, axis=1)[:, None]
    _, first = np.unique(directions, axis=0, return_index=True)
    return np.asarray(positive[np.sort(first)], np.int64)


def _zone_axes(
    phase: IndexedPhase,
    hkl: Indices,
    to_detector: FloatArray,
    pc: tuple[float, float, float],
    shape: tuple[int, int],
    most: int,
) -> tuple[Indices, FloatArray]:
    """Find the axes within the frame where planes meet, those of most planes first."""
    first, second = np.triu_indices(len(hkl), 1)
    uvw = _unlike(np.cross(hkl[first], hkl[second]))
    if not len(uvw):
        return uvw, np.zeros((0, 2))
    uvw = uvw // np.gcd.reduce(uvw, axis=1)[:, None]
    directions = uvw @ phase.cell.basis @ to_detector.T
    behind = directions[:, 2] < 0
    uvw[behind], directions[behind] = -uvw[behind], -directions[behind]
    length = np.linalg.norm(directions, axis=1)
    ahead = directions[:, 2] > 0.1 * length
    uvw, directions, length = uvw[ahead], directions[ahead], length[ahead]
    position = pixels(directions[:, :2] / directions[:, 2:], pc, shape)
    inside = np.all((position > 0) & (position < np.array(shape) - 1), axis=1)
    meet = np.count_nonzero(uvw @ hkl.T == 0, axis=1)
    kept: list[int] = []
    for place in np.lexsort((length, -meet)):
        if len(kept) == most or meet[place] < _MEET:
            break
        if inside[place]:
            away = np.linalg.norm(position[kept] - position[place], axis=1)
            if not kept or away.min() > _CROWDED * min(shape):
                kept.append(int(place))
    return uvw[kept], position[kept]
