"""Frames in which single electrons are counted, most pixels being empty.

Neither background nor noise can be measured there, as both are 0 in most blocks of such a frame:
whether a spot is one tells the number of its electrons alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.special import pdtrc

from napari_diffraction.patterns.counts import plain_counts

#: Spots of a frame that chance may make, in the mean.
_BY_CHANCE = 0.05
#: Side in pixels of the square in which the background is counted, and most counts of a pixel.
_AROUND, _CLIPPED = 31, 3
#: Of a frame in black and white: where more of the white pixels have such a neighbour, they are
#: spots that somebody has drawn.
_IN_PATCHES = 0.5
_SAMPLE = 4096


def are_counted(frame: NDArray[Any]) -> bool:
    """Whether single electrons are counted in a frame, and most of its pixels are empty."""
    frame = plain_counts(frame)
    sample = frame.ravel()[:: max(1, frame.size // _SAMPLE) | 1]
    if np.count_nonzero(sample == 0) < 0.5 * len(sample):
        return False
    there = (frame != 0) & np.isfinite(frame)
    values = frame[there]
    few = values[:_SAMPLE]
    if not len(few) or few.min() != 1 or not (few == np.round(few)).all():
        return False
    if few.max() > 1:
        return True
    beside = np.count_nonzero(there[:, 1:] & there[:, :-1])
    return bool(beside < _IN_PATCHES * len(values))


def are_no_chance(
    frame: NDArray[Any], x: NDArray[np.floating], y: NDArray[np.floating], width: float
) -> NDArray[np.bool_]:
    """Tell which places have more electrons than chance brings together anywhere in a frame.

    Parameters
    ----------
    frame : ndarray, (h, w)
        Counts.
    x, y : ndarray, (n,)
        Places in pixels.
    width
        Deviation of a spot in pixels.

    Returns
    -------
    ndarray of bool, (n,)
    """
    if not len(x):
        return np.zeros(0, bool)
    side = 2 * max(1, round(1.5 * width)) + 1
    frame = plain_counts(frame)
    counts = np.where(np.isfinite(frame), frame, 0).astype(np.float32)
    near = ndimage.uniform_filter(counts, side, mode="constant") * side**2
    around = ndimage.uniform_filter(np.minimum(counts, _CLIPPED), _AROUND, mode="nearest")
    rows = np.clip(np.round(y).astype(int), 0, frame.shape[0] - 1)
    columns = np.clip(np.round(x).astype(int), 0, frame.shape[1] - 1)
    expected = np.maximum(around[rows, columns], counts.clip(max=_CLIPPED).mean()) * side**2
    chance = pdtrc(np.round(near[rows, columns]) - 1, expected)
    return np.asarray(chance * frame.size < _BY_CHANCE)
