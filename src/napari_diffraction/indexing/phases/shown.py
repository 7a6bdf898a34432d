"""What the pictures of grains show along the directions of a lattice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import lattice_choices
from napari_diffraction.indexing.bands.families import BandFamilies, band_families
from napari_diffraction.indexing.bands.metric import DirectMetric, symmetric
from napari_diffraction.indexing.phases.fitting import Fitted
from napari_diffraction.indexing.phases.grain_bands import GrainBands

#: Grains whose pictures are looked at for the visible lattice.
LOOKED_AT = 24
#: Bands are pooled by the symmetry of a lattice that is at least so probable.
_SURE = 0.5


def families_of(
    bands: GrainBands, fit: Fitted, number: int = 0, which: NDArray[np.int64] | None = None
) -> BandFamilies:
    """Measure the bands of one lattice in the grains that it serves.

    Bands that a sure symmetry of the lattice makes alike are measured together.

    Parameters
    ----------
    bands
        Of all grains.
    fit
        Of the lattices.
    number
        Of the lattice.
    which : ndarray of int64, optional
        Numbers of the grains; else the clearest ones that the lattice serves.
    """
    if which is None:
        which = np.flatnonzero(fit.phase == number)[:LOOKED_AT]
    metric = DirectMetric.of(fit.bases[number], fit.covariance[number])
    choice = lattice_choices(metric.metric, metric.covariance)[0]
    sure = choice.probability > _SURE
    return band_families(
        bands.pictures[which],
        bands.weight,
        fit.centres[which],
        fit.rotation[which],
        symmetric(fit.bases[number], metric, choice.metric) if sure else fit.bases[number],
        metric.outside(choice.operations) if sure else None,
    )
