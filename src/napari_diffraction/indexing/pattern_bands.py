"""The bands of one pattern, one by one, beside what the solution says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.overlay import planes
from napari_diffraction.indexing.points import LOOKED_AT, PIXELS
from napari_diffraction.patterns.kikuchi.bands.lines import find_lines, plane_vectors
from napari_diffraction.patterns.kikuchi.screen import clipped

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.patterns.kikuchi.preparation import Preparation

FloatArray = NDArray[np.float64]

#: A plane within so many degrees of a band is that of the band.
_NEAR = 1.5


@dataclass(frozen=True, eq=False)
class PatternBands:
    """Bands found in a pattern, the most probable first.

    Attributes
    ----------
    hkl : ndarray of int64, (n, 3)
        Plane of the solution that lies there, in the conventional cell; zeros: there is none.
    off_deg : ndarray of float64, (n,)
        Angle between the plane and the band, in degrees; NaN where there is none.
    half_width_deg : ndarray of float64, (n,)
        Half width of the filter that answered best, in degrees: coarse.
    probability : ndarray of float64, (n,)
        How probable it is that the band is real; see
        `napari_diffraction.patterns.kikuchi.bands.lines.Lines`.
    edges : ndarray of float64, (n, 2, 2, 2)
        Row and column of both ends of both edges, in pixels of the frame, the centre of the first
        one being (0, 0); no length where an edge lies outside.
    """

    hkl: NDArray[np.int64]
    off_deg: FloatArray
    half_width_deg: FloatArray
    probability: FloatArray
    edges: FloatArray

    def __len__(self) -> int:
        return len(self.hkl)


def pattern_bands(
    frame: NDArray[Any], preparation: Preparation, indexed: IndexedMap, index: int
) -> PatternBands:
    """Find the bands of a pattern, and the planes of its solution that lie there.

    Parameters
    ----------
    frame : ndarray, (h, w)
        The pattern.
    preparation
        Of its camera.
    indexed
        The solution.
    index
        Flat number of the pattern.
    """
    ready = preparation.thinned(PIXELS)
    pictures = ready.flattened(ready.corrected(frame[None]))
    lines = find_lines(pictures, ready.weight, LOOKED_AT, threads=1)
    probability = lines.probability[0, : int(lines.count[0])].astype(float)
    first = np.argsort(-probability, kind="stable")
    line, half_width = lines.line[:1, first], lines.half_width[0, first].astype(float)
    count = len(first)
    pc = np.array(indexed.centre_at(index))
    vectors = plane_vectors(line, pc, lines.shape)[0]
    distance = pc[2] * lines.shape[0]
    aside = vectors[:, 2]
    edges = np.zeros((count, 2, 2, 2))
    for number, sign in enumerate((-1, 1)):
        moved = line.copy()
        moved[0, :, 2] += sign * half_width
        ends, crosses = clipped(
            plane_vectors(moved, pc, lines.shape)[0], tuple(pc), preparation.frame_shape
        )
        edges[crosses, number] = ends[crosses]
    hkl, off = _named(vectors, indexed, index)
    return PatternBands(
        hkl,
        off,
        # an angle spans the more pixels the farther from the pattern centre
        np.degrees(half_width * distance / (distance**2 + aside**2)),
        probability[first],
        edges,
    )


def _named(
    vectors: FloatArray, indexed: IndexedMap, index: int
) -> tuple[NDArray[np.int64], FloatArray]:
    """Find the plane nearest to each normal, and how far off it is."""
    number, count = int(indexed.phase[index]), len(vectors)
    hkl, off = np.zeros((count, 3), np.int64), np.full(count, np.nan)
    if number < 0 or not count:
        return hkl, off
    phase = indexed.phases[number]
    known = planes(phase)
    normals = known @ phase.cell.reciprocal_basis @ np.asarray(indexed.rotation[index], float)
    cosine = np.abs(_units(vectors) @ _units(normals).T)
    nearest = cosine.argmax(axis=1)
    angle = np.degrees(np.arccos(np.minimum(cosine.max(axis=1), 1)))
    near = angle < _NEAR
    hkl[near], off[near] = known[nearest[near]], angle[near]
    return hkl, off


def _units(vectors: FloatArray) -> FloatArray:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
