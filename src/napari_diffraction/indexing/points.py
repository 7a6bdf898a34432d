"""Every pattern of a scan matched to the phases that it holds."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.centre import above_chance, band_error, band_weights
from napari_diffraction.indexing.bands.orientation import Matches, follow, orient
from napari_diffraction.indexing.crystals import Crystal
from napari_diffraction.indexing.grain_bands import BANDS, GrainBands
from napari_diffraction.patterns.kikuchi.bands import Lines, find_lines
from napari_diffraction.patterns.kikuchi.preparation import Preparation
from napari_diffraction.patterns.kikuchi.quality import band_contrast
from napari_diffraction.patterns.kikuchi.reading import blocks
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

FloatArray = NDArray[np.float64]

#: Pictures have at most so many pixels along the longer side.
_PIXELS = 96
#: Gain that some orientation of a crystal reaches by chance, with the orientation searched for ...
_SEARCHED = (2.1, 6.0)
#: ... and with that of the grain, per weight of the bands and beside it.
_FOLLOWED = (0.3, 8.0)
#: Least number of bands of an indexed pattern.
_BANDS = 4
#: Size of the pictures of which the band contrast is measured.
_QUALITY = 60


@dataclass(frozen=True, eq=False)
class KnownGrains:
    """What is known of the grain of every pattern.

    Attributes
    ----------
    label : ndarray of int32, (n,)
        Number of the grain; -1: none.
    phase : ndarray of int64, (g,)
        Number of its crystal; -1: unknown.
    rotation : ndarray of float64, (g, 3, 3)
        From the frame of the crystal's cell to the detector.
    """

    label: NDArray[np.int32]
    phase: NDArray[np.int64]
    rotation: FloatArray


@dataclass(eq=False)
class Points:
    """Solution of ``n`` patterns; see `napari_diffraction.indexing.solution.IndexedMap`."""

    phase: NDArray[np.int16]
    rotation: NDArray[np.float32]
    misfit_deg: NDArray[np.float32]
    bands: NDArray[np.int16]
    bands_found: NDArray[np.int16]
    confidence: NDArray[np.float32]
    quality: NDArray[np.float32]
    done: NDArray[np.bool_]

    @classmethod
    def empty(cls, count: int) -> Points:
        """Return points of which nothing is known yet."""
        return cls(
            np.full(count, -1, np.int16),
            np.full((count, 3, 3), np.nan, np.float32),
            np.full(count, np.nan, np.float32),
            np.zeros(count, np.int16),
            np.zeros(count, np.int16),
            np.zeros(count, np.float32),
            np.zeros(count, np.float32),
            np.zeros(count, bool),
        )


def known_grains(
    bands: GrainBands,
    label: NDArray[np.int32],
    crystals: Sequence[Crystal],
    centres: FloatArray,
) -> KnownGrains:
    """Find phase and orientation of grains by the bands of their averages.

    Parameters
    ----------
    bands
        Of the grains.
    label : ndarray of int32, (n,)
        Number of the grain of every pattern.
    crystals
        The phases.
    centres : ndarray of float64, (g, 3)
        Pattern centres of the grains.
    """
    # one at least, that patterns in no grain may point to
    count = int(max(label.max(initial=0), bands.number.max(initial=0))) + 1
    phase, rotation = np.full(count, -1), np.tile(np.eye(3), (count, 1, 1))
    normals = bands.lines.normals(centres)
    error = band_error(centres.mean(axis=0), bands.lines.shape) if len(bands) else 1.0
    best = np.zeros(len(bands))
    for number, crystal in enumerate(crystals):
        found = orient(crystal.table, normals, bands.weights, error)
        better = (found.score > best) & (bands.number >= 0)
        better &= above_chance(found.score, bands.weights) > 0
        phase[bands.number[better]] = number
        rotation[bands.number[better]] = found.rotation[better]
        best = np.where(better, found.score, best)
    return KnownGrains(label, phase, rotation)


def index_points(
    stack: PatternStack,
    preparation: Preparation,
    crystals: Sequence[Crystal],
    centres: FloatArray,
    grains: KnownGrains,
) -> Generator[Progress, None, Points]:
    """Find phase and orientation of every pattern.

    Parameters
    ----------
    stack
        A scan or a list.
    preparation
        Of its camera.
    crystals
        The phases.
    centres : ndarray of float64, (n, 3)
        Pattern centre of every pattern.
    grains
        The orientation of a pattern's grain is tried first.

    Yields
    ------
    Progress
        Patterns done.
    """
    out = Points.empty(len(stack))
    ready, coarse = preparation.thinned(_PIXELS), preparation.thinned(_QUALITY)
    for part, frames, readable in blocks(stack):
        pictures = ready.flattened(ready.corrected(frames))
        lines = find_lines(pictures, ready.weight, BANDS)
        out.quality[part] = band_contrast(coarse.binned(frames), coarse)
        _index(lines, crystals, centres[part], grains, part, out)
        out.done[part] = readable
        out.phase[part][~readable] = -1
        yield Progress(part.stop, len(stack), "Indexing patterns")
    return out


def _index(
    lines: Lines,
    crystals: Sequence[Crystal],
    centres: FloatArray,
    grains: KnownGrains,
    part: slice,
    out: Points,
) -> None:
    """Index some patterns whose bands were found."""
    normals, weights = lines.normals(centres), band_weights(lines)
    error = band_error(centres.mean(axis=0), lines.shape)
    out.bands_found[part] = lines.count
    total = weights.sum(axis=1)
    best = np.zeros(len(lines))
    rival = _SEARCHED[0] * total + _SEARCHED[1]
    label = grains.label[part]
    known = np.where(label >= 0, grains.phase[np.maximum(label, 0)], -1)
    for number, crystal in enumerate(crystals):
        found = orient(crystal.table, normals, weights, error, crystal.rotations)
        accepted = found.score > _SEARCHED[0] * total + _SEARCHED[1]
        own = np.flatnonzero(known == number)
        if len(own):
            followed = follow(
                crystal.table, normals[own], weights[own], error, grains.rotation[label[own]]
            )
            enough = followed.score > _FOLLOWED[0] * total[own] + _FOLLOWED[1]
            # what the search found is the same orientation, or another one that chance made
            take = enough & (followed.score > 0.9 * found.score[own])
            _put(found, own[take], followed, take)
            accepted[own[take]] = True
        accepted &= found.bands >= _BANDS
        better = accepted & (found.score > best)
        rival = np.where(better, np.maximum(rival, best), np.maximum(rival, found.score))
        rival = np.where(better, np.maximum(rival, found.second), rival)
        _take(out, part, better, number, found)
        best = np.where(better, found.score, best)
    share = 1 - np.minimum(rival, best) / np.maximum(best, 1e-9)
    out.confidence[part] = np.where(out.phase[part] >= 0, share, 0)


def _put(
    found: Matches, places: NDArray[np.int64], other: Matches, which: NDArray[np.bool_]
) -> None:
    """Put other matches in the place of some."""
    for name in ("rotation", "score", "which", "misfit"):
        getattr(found, name)[places] = getattr(other, name)[which]


def _take(out: Points, part: slice, which: NDArray[np.bool_], number: int, found: Matches) -> None:
    """Write down the matches of those patterns that a phase serves best so far."""
    out.phase[part][which] = number
    out.rotation[part][which] = found.rotation[which].transpose(0, 2, 1)
    out.misfit_deg[part][which] = np.degrees(found.misfit[which])
    out.bands[part][which] = found.bands[which]
