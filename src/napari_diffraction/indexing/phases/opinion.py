"""A second opinion on the lattice of grains, beside what their bands tell: that of a network.

Bands tell the shape of a lattice well, and badly which of several lattices of that shape it is: the
few weak bands that make the difference are lost in the noise, or look like the inner structure of
strong ones.  A network that has seen many crystals knows such cases.  Its opinion is asked for, so
that nothing here depends on how it came about.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.indexing.phases.grain_bands import GrainBands
from napari_diffraction.indexing.phases.shown import LOOKED_AT

FloatArray = NDArray[np.float64]

#: Odds of 1 in so many are the longest that an opinion on a picture counts with.
_FLOOR = 1e-6
#: The network counts half with how common lattices are.  Metals and carbides, which are studied
#: most, are face-centred cubic far more often than primitive cubic, whose bands differ little.
_FREQUENT = {"cF": np.log(2.0)}


class Opinion(Protocol):
    """What judges pictures."""

    @property
    def name(self) -> str:
        """What it is called in results."""

    def __call__(
        self, pictures: NDArray[np.float32], weight: NDArray[np.float32], pc: FloatArray
    ) -> FloatArray:
        """Give the probabilities of the Bravais lattices, in the order of `BRAVAIS_LATTICES`.

        Parameters
        ----------
        pictures : ndarray of float32, (n, h, w)
            Patterns without their background.
        weight : ndarray of float32, (h, w)
            0 behind a mask.
        pc : ndarray of float64, (3,)
            Pattern centre, Bruker's convention.

        Returns
        -------
        ndarray of float64, (n, 14)
        """


def judged(opinion: Opinion, bands: GrainBands, pc: FloatArray) -> FloatArray:
    """Ask for an opinion on grains, the first ones, (n, 14).

    Parameters
    ----------
    opinion
        What judges.
    bands
        Of the grains, those with the clearest bands first.
    pc : ndarray of float64, (3,)
        Pattern centre.
    """
    return opinion(bands.pictures[:LOOKED_AT], bands.weight, pc)


def together(each: FloatArray) -> dict[str, float]:
    """Put opinions on grains of one lattice together.

    Parameters
    ----------
    each : ndarray of float64, (n, 14)
        Probabilities.

    Returns
    -------
    dict
        By Pearson letters: logarithms of probabilities, the mean over the grains.
    """
    each = each / np.maximum(each.sum(axis=1, keepdims=True), _FLOOR)
    mean = np.log(each + _FLOOR).mean(axis=0)
    return {
        letters: float(value + _FREQUENT.get(letters, 0.0))
        for letters, value in zip(BRAVAIS_LATTICES, mean, strict=True)
    }
