"""Centre, lattices and orientations of all grains fitted together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.centre import above_chance, band_error
from napari_diffraction.indexing.bands.directions import Directions, directions
from napari_diffraction.indexing.bands.orientation import Matches, orient
from napari_diffraction.indexing.bands.refinement import Refined, observed, refine
from napari_diffraction.indexing.phases.grain_bands import GrainBands

FloatArray = NDArray[np.float64]

#: Grains that are fitted together, the clearest of each phase.
_FITTED = 40
#: A drift is taken for real when it is so many uncertainties and as many grains tell of it.
_CERTAIN, _TELLERS = 4.0, 8
#: Orientations are one where one turns the vectors of a lattice onto those of another but for this
#: part of their lengths.
_ONE_ORIENTATION = 0.1
#: A fit is done so often: grains may find better bands at the better centre.
_ROUNDS = 4


@dataclass(frozen=True, eq=False)
class Fitted:
    """What a fit gave; ``g`` grains.

    Attributes
    ----------
    pc, pc_su : ndarray of float64, (3,)
        Pattern centre in the middle of the scan, Bruker's convention, and its uncertainty.
    gradient : ndarray of float64, (2, 3)
        Its change per row and per column.
    centres : ndarray of float64, (g, 3)
        Pattern centre of every grain.
    bases : list of ndarray, (3, 3)
        Columns: reduced reciprocal vectors of every lattice, volume 1.
    covariance : list of ndarray, (6, 6)
        Of their metrics.
    phase : ndarray of int64, (g,)
        Number of the lattice of each grain; -1: none.
    rotation : ndarray of float64, (g, 3, 3)
        From crystal to detector.
    gain : ndarray of float64, (g,)
        Above chance.
    which : ndarray of int32, (g, k)
        Number of the direction that explains each band; -1: none.
    """

    pc: FloatArray
    pc_su: FloatArray
    gradient: FloatArray
    centres: FloatArray
    bases: list[FloatArray]
    covariance: list[FloatArray]
    phase: NDArray[np.int64]
    rotation: FloatArray
    gain: FloatArray
    which: NDArray[np.int32]

    def orientations(self, number: int) -> int:
        """In how many orientations a lattice was seen: grains may have the same."""
        basis, different = self.bases[number], list[FloatArray]()
        length = np.linalg.norm(basis, axis=0)
        for rotation in self.rotation[self.phase == number]:
            turned = [np.linalg.solve(one @ basis, rotation @ basis) for one in different]
            off = [np.linalg.norm(basis @ (one - one.round()), axis=0) for one in turned]
            if all((one / length).max() > _ONE_ORIENTATION for one in off):
                different.append(rotation)
        return len(different)


def fitted(
    bands: GrainBands,
    bases: Sequence[FloatArray],
    pc: FloatArray,
    *,
    free_centre: bool = False,
    drift: bool = False,
    tables: Sequence[Directions] = (),
) -> Fitted:
    """Find out which lattice each grain has, and fit centre, lattices and orientations together.

    Parameters
    ----------
    bands
        Of the grains.
    bases
        Reciprocal bases, columns, volume 1.
    pc : ndarray, (3,)
        Where to begin.
    free_centre
        Whether the centre may move.
    drift
        Whether it may change over the scan, if the grains tell so.
    tables
        Directions of crystals that are known, which stay as they are; without them those of the
        lattices, which may change.
    """
    bases = list(bases)
    covariance = [0.01**2 * np.eye(6)] * len(bases)
    gradient, pc_su = np.zeros((2, 3)), np.zeros(3)
    for last in (False,) * _ROUNDS + (True,):
        centres = pc + bands.offset @ gradient
        looked_at = tables or [directions(basis) for basis in bases]
        phase, gain, matches = _assigned(bands, looked_at, centres)
        if last:
            break
        used = _used(phase, gain, len(bases))
        if not len(used):
            break
        seen = observed(bands.lines, bands.weights, used, phase, matches, looked_at, bands.offset)
        tell = drift and np.ptp(bands.offset[used], axis=0).max() > 1 and len(used) >= _TELLERS
        free = {"free_centre": free_centre, "free_lattices": not tables}
        fit = refine(seen, pc, bases, matches.rotation[used], drift=tell, **free)
        if tell and not _real(fit):
            fit = refine(seen, pc, bases, matches.rotation[used], **free)
        pc, gradient, bases, covariance = fit.pc, fit.gradient, fit.bases, fit.metric_cov
        pc_su = fit.pc_su
    return Fitted(
        pc, pc_su, gradient, centres, bases, covariance, phase, matches.rotation, gain,
        matches.which,
    )  # fmt: skip


def _assigned(
    bands: GrainBands, tables: Sequence[Directions], centres: FloatArray
) -> tuple[NDArray[np.int64], FloatArray, Matches]:
    """The lattice that serves each grain best, by how much, and how its bands match."""
    normals = bands.lines.normals(centres)
    error = band_error(centres.mean(axis=0), bands.lines.shape)
    every = [orient(table, normals, bands.weights, error) for table in tables]
    best = np.argmax([one.score for one in every], axis=0)

    def of_best(name: str) -> NDArray[np.generic]:
        values = np.stack([getattr(one, name) for one in every])
        return np.asarray(values[best, np.arange(len(best))])

    matches = Matches(*(of_best(one.name) for one in fields(Matches)))  # type: ignore[arg-type]
    gain = above_chance(matches.score, bands.weights)
    return np.where(gain > 0, best, -1), gain, matches


def _used(phase: NDArray[np.int64], gain: FloatArray, count: int) -> NDArray[np.int64]:
    """The grains of each phase that tell most."""
    chosen = []
    for number in range(count):
        own = np.flatnonzero(phase == number)
        chosen.append(own[np.argsort(-gain[own], kind="stable")][:_FITTED])
    return np.concatenate(chosen)


def _real(fit: Refined) -> bool:
    """Whether a change of the centre over the scan is beyond its uncertainty."""
    return bool((np.abs(fit.gradient) > _CERTAIN * np.maximum(fit.gradient_su, 1e-12)).any())
