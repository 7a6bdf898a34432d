"""Phases whose lattices have one shape, told apart by the half widths of their bands.

Directions of bands tell the shape of a lattice and not its size: copper and its oxide, or a metal
and its carbide, lie on the same directions.  But half widths are Bragg angles.  Those of one grain
tell its scale to some percent, so that grains of two phases have two scales.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.families import BandFamilies
from napari_diffraction.indexing.bands.visible import VisibleLattice, scale_likelihood
from napari_diffraction.indexing.phases.fitting import Fitted
from napari_diffraction.indexing.phases.grain_bands import GrainBands
from napari_diffraction.indexing.phases.shown import families_of

FloatArray = NDArray[np.float64]

#: Logarithms of the scales at which a grain is looked at: beyond, other orders would fit.
_SCALES = np.arange(-0.4, 0.401, 0.02)
#: Grains that are looked at first, and that each of two phases needs at least.
_LOOKED_AT, _LEAST = 40, 3
#: Steps between two scales, at least: 10 %.
_APART = 5
#: Log likelihood that two scales gain over one, in all and for each grain of either phase.
_GAIN, _EACH = 60.0, 8.0
#: What all grains of a phase have in common: error of the scale from half widths.
_ERROR = 0.01


@dataclass(frozen=True, eq=False)
class PhasesFound:
    """Centre and lattices that grains have, of which some may have the same directions.

    Attributes
    ----------
    fit
        Centre, lattices, and what each grain is.
    seen
        What the widths of bands tell of each lattice.
    kin : ndarray of int64, (p,)
        Number of the first lattice that has the same directions as each.
    said
        A second opinion on each, logarithms of probabilities by Pearson letters; ``None``: not
        asked for.
    """

    fit: Fitted
    seen: tuple[VisibleLattice, ...]
    kin: NDArray[np.int64]
    said: tuple[Mapping[str, float] | None, ...]


def parted(
    bands: GrainBands,
    fit: Fitted,
    seen: tuple[VisibleLattice, ...],
    said: tuple[Mapping[str, float] | None, ...],
) -> PhasesFound:
    """Part phases whose grains have two scales.

    Parameters
    ----------
    bands
        Of the grains.
    fit
        Which lattice each grain has.
    seen, said
        What the widths of bands tell of each lattice, and a second opinion on it.
    """
    kin = list(range(len(seen)))
    for number in range(len(seen)):
        grains = np.flatnonzero(fit.phase == number)
        if len(grains) < 2 * _LEAST:
            continue
        few = grains[np.unique(np.linspace(0, len(grains) - 1, _LOOKED_AT).astype(np.int64))]
        of_few = _likelihoods(bands, fit, seen[number], number, few)
        scales = two_scales(of_few)
        if scales is None:
            continue
        all_of = _likelihoods(bands, fit, seen[number], number, grains) if len(few) < len(
            grains
        ) else of_few  # fmt: skip
        smaller = all_of[:, scales[0]] > all_of[:, scales[1]]
        other = smaller if smaller.sum() < (~smaller).sum() else ~smaller
        phase = fit.phase.copy()
        phase[grains[other]] = len(seen)
        fit = replace(
            fit,
            phase=phase,
            bases=[*fit.bases, fit.bases[number]],
            covariance=[*fit.covariance, fit.covariance[number]],
        )
        first, second = (_of_scale(seen[number], all_of[some]) for some in (~other, other))
        seen = (*seen[:number], first, *seen[number + 1 :], second)
        kin.append(number)
    return PhasesFound(fit, seen, np.array(kin, np.int64), tuple(said[one] for one in kin))


def two_scales(likelihoods: FloatArray) -> tuple[int, int] | None:
    """Find two scales that explain grains much better than one.

    Parameters
    ----------
    likelihoods : ndarray of float64, (g, s)
        Logarithms of the likelihoods of every grain at rising scales.

    Returns
    -------
    tuple of int or None
        Numbers of the scales; ``None``: one is enough.
    """
    best = (-np.inf, 0, 0)
    for low in range(likelihoods.shape[1]):
        for high in range(low + _APART, likelihoods.shape[1]):
            both = float(np.maximum(likelihoods[:, low], likelihoods[:, high]).sum())
            best = max(best, (both, low, high))
    both, low, high = best
    lead = likelihoods[:, low] - likelihoods[:, high]
    sides = (lead[lead > 0], -lead[lead <= 0])
    if min(len(side) for side in sides) < _LEAST:
        return None
    if min(float(np.median(side)) for side in sides) < _EACH:
        return None
    return (low, high) if both - likelihoods.sum(axis=0).max() > _GAIN else None


def _likelihoods(
    bands: GrainBands,
    fit: Fitted,
    seen: VisibleLattice,
    number: int,
    grains: NDArray[np.int64],
) -> FloatArray:
    """Log likelihood of the half widths of each grain at every scale."""

    def of(grain: int) -> BandFamilies:
        return families_of(bands, fit, number, np.array([grain]))

    return np.array([scale_likelihood(of(one), _SCALES, seen.scale) for one in grains.tolist()])


def _of_scale(seen: VisibleLattice, likelihoods: FloatArray) -> VisibleLattice:
    """The same lattice with the scale that some grains tell."""
    total = likelihoods.sum(axis=0)
    share = np.exp(total - total.max())
    share /= share.sum()
    mean = float(share @ _SCALES)
    su = float(np.sqrt(share @ (_SCALES - mean) ** 2 + _ERROR**2))
    return replace(seen, scale=seen.scale * float(np.exp(mean)), scale_su=su)
