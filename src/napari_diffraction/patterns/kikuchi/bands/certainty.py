"""How probable it is that a band is real, by what the search knows of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: Bands whose mean strength is the measure of the others.
_STRONG = 6


def features(strength: Floats, support: Floats, half_width: Floats, side: int) -> Floats:
    """Return what tells a band from chance.

    Parameters
    ----------
    strength, support, half_width : ndarray of float32, (n, k)
        See `napari_diffraction.patterns.kikuchi.bands.lines.Lines`.
    side
        Shorter side of the pictures in pixels.

    Returns
    -------
    ndarray of float32, (n, k, 6)
        1; logarithms of the strength, of the strength over that of the strong bands, and of the
        place in the list; support; half width in parts of the side.
    """
    found = np.maximum(strength, 1e-3)
    strong = np.maximum(strength[:, :_STRONG].mean(axis=1, keepdims=True), 1e-3)
    place = np.broadcast_to(np.log(np.arange(1, strength.shape[1] + 1)), strength.shape)
    columns = np.ones_like(found), np.log(found), np.log(found / strong), place, support
    return np.stack([*columns, half_width / side], axis=-1).astype(np.float32)


def probability(strength: Floats, support: Floats, half_width: Floats, side: int) -> Floats:
    """Return how probable it is that each band is that of a plane of the crystal.

    Parameters
    ----------
    strength, support, half_width : ndarray of float32, (n, k)
        See `napari_diffraction.patterns.kikuchi.bands.lines.Lines`.
    side
        Shorter side of the pictures in pixels.

    Returns
    -------
    ndarray of float32, (n, k)
        0 where there is no band.
    """
    told = features(strength, support, half_width, side) @ _WEIGHTS
    return np.where(strength > 0, 1 / (1 + np.exp(-told)), 0).astype(np.float32)


#: Of the features; fitted by ``benchmarks/band_probability.py`` to dynamical patterns.
_WEIGHTS = np.array([7.774, 1.876, -0.299, -0.616, -4.874, -141.999], np.float32)
