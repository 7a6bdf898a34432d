"""Bands of patterns matched to phases: which phase, in which orientation, how sure, what else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.centre import above_chance, band_error, band_weights
from napari_diffraction.indexing.bands.orientation import Matches, follow, orient
from napari_diffraction.indexing.bands.orientation_kernels import OTHER
from napari_diffraction.indexing.phases.crystals import Crystal
from napari_diffraction.indexing.phases.grain_bands import GrainBands
from napari_diffraction.patterns.kikuchi.bands.lines import Lines

FloatArray = NDArray[np.float64]

#: Per weight of the bands and beside it: gain and lead over the next orientation, together, that
#: one orientation in a thousand reaches by chance where it is searched for ...
_SEARCHED = (1.4, 17.0)
#: ... the gain that one in a thousand reaches where it is that of the grain ...
_FOLLOWED = (0.3, 8.0)
#: ... and the gain that the best of all orientations usually has by chance.
_CHANCE = (0.25, 14.5)
#: The orientation of the grain is taken when its gain is at least this part of that of another one.
_AS_GOOD = 0.9
#: Least number of bands of an indexed pattern, searched for, and with the orientation of the grain.
_BANDS, _BANDS_FOLLOWED = 4, 3


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
    kin : ndarray of int64, (p,)
        Number of the first crystal that has the same directions as each: what a grain is of them,
        its average tells, and not single patterns.
    shape
        Rows and columns of a scan.
    """

    label: NDArray[np.int32]
    phase: NDArray[np.int64]
    rotation: FloatArray
    kin: NDArray[np.int64]
    shape: tuple[int, ...] = ()

    def followed_by(self, later: KnownGrains, shape: tuple[int, ...]) -> KnownGrains:
        """Return these grains with those of the patterns behind them, all of one ``shape``."""
        label = np.where(later.label >= 0, later.label + len(self.phase), -1)
        return KnownGrains(
            np.concatenate([self.label, label.astype(np.int32)]),
            np.concatenate([self.phase, later.phase]),
            np.concatenate([self.rotation, later.rotation]),
            self.kin,
            shape,
        )

    def phase_of(self, label: NDArray[np.int32]) -> NDArray[np.int64]:
        """Phases of the grains of some patterns; -1: unknown."""
        return np.where(label >= 0, self.phase[np.maximum(label, 0)], -1)

    def beside(self, places: NDArray[np.int64]) -> Iterator[NDArray[np.int32]]:
        """Grains of the points right, left, below and above some points of a scan."""
        if len(self.shape) != 2:
            return
        row, column = np.divmod(places, self.shape[1])
        for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
            y = np.clip(row + down, 0, self.shape[0] - 1)
            x = np.clip(column + right, 0, self.shape[1] - 1)
            yield self.label[y * self.shape[1] + x]

    def barred(self, number: int, phase: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether patterns of grains of some phases cannot be of a crystal, its kin's being."""
        told = np.append(self.kin, -1)[phase]
        return np.asarray((told == self.kin[number]) & (phase != number))


@dataclass(eq=False)
class Points:
    """Solution of ``n`` patterns; see `napari_diffraction.indexing.solution.IndexedMap`.

    ``second_phase``, ``second_rotation`` and ``second_share`` are those of
    `napari_diffraction.indexing.solution.SecondBest`.
    """

    phase: NDArray[np.int16]
    rotation: NDArray[np.float32]
    misfit_deg: NDArray[np.float32]
    bands: NDArray[np.int16]
    bands_found: NDArray[np.int16]
    confidence: NDArray[np.float32]
    quality: NDArray[np.float32]
    done: NDArray[np.bool_]
    second_phase: NDArray[np.int16]
    second_rotation: NDArray[np.float32]
    second_share: NDArray[np.float32]

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
            np.full(count, -1, np.int16),
            np.full((count, 3, 3), np.nan, np.float32),
            np.zeros(count, np.float32),
        )

    def part(self, which: slice) -> Points:
        """Return some of the patterns."""
        return Points(*(getattr(self, one.name)[which].copy() for one in fields(self)))

    def followed_by(self, later: Points) -> Points:
        """Return these patterns with others behind them."""
        pairs = ((getattr(self, one.name), getattr(later, one.name)) for one in fields(self))
        return Points(*(np.concatenate(pair) for pair in pairs))

    def put(self, which: slice, some: Points) -> None:
        """Write the solution of some patterns down at their places."""
        for one in fields(self):
            getattr(self, one.name)[which] = getattr(some, one.name)


def known_grains(
    bands: GrainBands,
    label: NDArray[np.int32],
    crystals: Sequence[Crystal],
    centres: FloatArray,
    told: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None,
    shape: tuple[int, ...] = (),
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
    told : pair of ndarray of int64, (p,) and (g,), optional
        `KnownGrains.kin`, and the phases of the grains by more than the directions of their bands.
    shape
        Rows and columns of a scan.
    """
    # one at least, that patterns in no grain may point to
    count = int(max(label.max(initial=0), bands.number.max(initial=0))) + 1
    phase, rotation = np.full(count, -1), np.tile(np.eye(3), (count, 1, 1))
    kin, of_grain = told or (np.arange(len(crystals)), np.full(len(bands), -1))
    known = KnownGrains(label, phase, rotation, kin, shape)
    normals = bands.lines.normals(centres)
    error = band_error(centres.mean(axis=0), bands.lines.shape) if len(bands) else 1.0
    best = np.zeros(len(bands))
    for number, crystal in enumerate(crystals):
        found = orient(crystal.table, normals, bands.weights, error, crystal.rotations)
        better = (found.score > best) & (bands.number >= 0) & ~known.barred(number, of_grain)
        sure = _certain(found, bands.weights)
        if crystal.phase.structure is None:
            # a lattice was found in these very grains; a given phase may not be there at all
            sure |= above_chance(found.score, bands.weights) > 0
        better &= sure
        phase[bands.number[better]] = number
        rotation[bands.number[better]] = found.rotation[better]
        best = np.where(better, found.score, best)
    return known


def index_bands(
    lines: Lines,
    crystals: Sequence[Crystal],
    centres: FloatArray,
    grains: KnownGrains,
    part: slice,
) -> Points:
    """Index some patterns whose bands were found.

    Parameters
    ----------
    lines
        Their bands, m patterns.
    crystals
        The phases.
    centres : ndarray of float64, (m, 3)
        Their pattern centres.
    grains
        Of all patterns.
    part
        Their places among all patterns.

    Returns
    -------
    Points
        Of these patterns alone, without their quality and what was done.
    """
    out = Points.empty(len(lines))
    normals, weights = lines.normals(centres), band_weights(lines)
    error = band_error(centres.mean(axis=0), lines.shape)
    out.bands_found[:] = lines.count
    best, second = np.zeros(len(lines)), np.zeros(len(lines))
    label = grains.label[part]
    known = grains.phase_of(label)
    for number, crystal in enumerate(crystals):
        found = orient(crystal.table, normals, weights, error, crystal.rotations)
        barred = grains.barred(number, known)
        found.score[barred] = found.second[barred] = 0
        accepted = _certain(found, weights)
        own = np.flatnonzero(known == number)
        if len(own):
            some = _follow(found, own, accepted, crystal, normals, weights, error, grains, label)
            accepted[own] |= some
        better = accepted & (found.score > best)
        # what was the best so far is the second now, unless there is a better one
        before = out.phase.copy(), best, out.rotation.transpose(0, 2, 1)
        _offer(out, second, better, *before)
        _offer(out, second, better, number, found.second, found.second_rotation)
        _offer(out, second, ~better, number, found.score, found.rotation)
        _take(out, better, number, found, better)
        best = np.where(better, found.score, best)
    _look_beside(crystals, normals, weights, error, grains, part.start, out, best)
    indexed = out.phase >= 0
    rival = np.maximum(second, _level(_CHANCE, weights))
    share = 1 - np.minimum(rival, best) / np.maximum(best, 1e-9)
    out.confidence[:] = np.where(indexed, share, 0)
    needed = np.where(indexed, best, (_level(_SEARCHED, weights) + rival) / 2)
    out.second_share[:] = np.minimum(second / needed, 1)
    return out


def _look_beside(
    crystals: Sequence[Crystal],
    normals: FloatArray,
    weights: FloatArray,
    error: float,
    grains: KnownGrains,
    start: int,
    out: Points,
    best: FloatArray,
) -> None:
    """Try the orientations of the grains beside them on points without an answer: mixtures."""
    none = np.flatnonzero(out.phase < 0)
    for label in grains.beside(none + start):
        phase = grains.phase_of(label)
        for number, crystal in enumerate(crystals):
            some = none[phase == number]
            rotation = grains.rotation[label[phase == number]]
            found = follow(crystal.table, normals[some], weights[some], error, rotation)
            better = _confirmed(found, weights[some]) & (found.score > best[some])
            places = some[better]
            _take(out, places, number, found, better)
            best[places] = found.score[better]


def _confirmed(found: Matches, weights: FloatArray) -> NDArray[np.bool_]:
    """Whether bands show an orientation that was expected."""
    enough = found.score > _level(_FOLLOWED, weights)
    return np.asarray(enough & (found.bands >= _BANDS_FOLLOWED))


def _level(of: tuple[float, float], weights: FloatArray) -> FloatArray:
    """A gain that depends on the weights of a pattern's bands, (n,)."""
    return np.asarray(of[0] * weights.sum(axis=1) + of[1])


def _certain(found: Matches, weights: FloatArray) -> NDArray[np.bool_]:
    """Whether orientations that were searched for are not those of chance.

    By chance the best orientation is but little better than the next; a true one is by far, also
    where most bands are those of noise or of another crystal.
    """
    lead = found.score - found.second
    certain = (found.score + lead > _level(_SEARCHED, weights)) & (found.bands >= _BANDS)
    return np.asarray(certain)


def _follow(
    found: Matches,
    own: NDArray[np.int64],
    certain: NDArray[np.bool_],
    crystal: Crystal,
    normals: FloatArray,
    weights: FloatArray,
    error: float,
    grains: KnownGrains,
    label: NDArray[np.int32],
) -> NDArray[np.bool_]:
    """Try the orientation of their grain on patterns; return which of them have it now."""
    followed = follow(crystal.table, normals[own], weights[own], error, grains.rotation[label[own]])
    enough = _confirmed(followed, weights[own])
    # what the search found is the same orientation, or another one that chance made
    take: NDArray[np.bool_] = enough & (
        ~certain[own] | (followed.score > _AS_GOOD * found.score[own])
    )
    places = own[take]
    other = _apart(found.rotation[places], followed.rotation[take], crystal.rotations)
    found.second[places[other]] = found.score[places[other]]
    found.second_rotation[places[other]] = found.rotation[places[other]]
    for name in ("rotation", "score", "which", "misfit"):
        getattr(found, name)[places] = getattr(followed, name)[take]
    return take


def _apart(one: FloatArray, other: FloatArray, symmetry: FloatArray) -> NDArray[np.bool_]:
    """Whether orientations (crystal to detector, (n, 3, 3)) differ up to symmetry."""
    turn = one.transpose(0, 2, 1) @ other
    trace = np.einsum("nij,sji->ns", turn, symmetry)
    apart: NDArray[np.bool_] = trace.max(axis=1) < 1 + 2 * OTHER
    return apart


def _offer(
    out: Points,
    second: FloatArray,
    which: NDArray[np.bool_],
    phase: int | NDArray[np.int16],
    score: FloatArray,
    rotation: FloatArray | NDArray[np.float32],
) -> None:
    """Write down the second-best answers of some patterns where there is no better one."""
    which = which & (score > second)
    out.second_phase[which] = np.broadcast_to(phase, len(second))[which]
    out.second_rotation[which] = rotation[which].transpose(0, 2, 1)
    second[which] = score[which]


def _take(
    out: Points,
    places: NDArray[np.bool_] | NDArray[np.int64],
    number: int,
    found: Matches,
    which: NDArray[np.bool_],
) -> None:
    """Write some of the matches down at places that a phase serves best so far."""
    out.phase[places] = number
    out.rotation[places] = found.rotation[which].transpose(0, 2, 1)
    out.misfit_deg[places] = np.degrees(found.misfit[which])
    out.bands[places] = found.bands[which]
