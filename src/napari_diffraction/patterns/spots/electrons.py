"""Frames in which single electrons are counted, most pixels being empty.

Neither background nor noise can be measured there, as both are 0 in most blocks of such a frame:
whether a spot is one tells the number of its electrons alone.
"""

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtrc

from napari_diffraction.patterns.counts import plain_counts

#: Spots of a frame that chance may make, in the mean.
_BY_CHANCE = 0.05
#: Side in pixels of the square in which the background is counted, and most counts of a pixel.
_AROUND, _CLIPPED = 31, 3
#: Of a frame in black and white: where more of the white pixels have such a neighbour, they are
#: spots that somebody has drawn.
_IN_PATCHES = 0.2
_SAMPLE = 4096
#: Share of the pixels that are empty, at least: of one electron a pixel, 0.37 are.
_EMPTY = 0.35


def are_counted(frame: NDArray[Any]) -> bool:
    """Whether single electrons are counted in a frame, and most of its pixels are empty."""
    step = max(1, int(np.sqrt(frame.size / _SAMPLE)))
    sample = frame[step // 2 :: step, step // 2 :: step].ravel()
    if np.count_nonzero(sample == 0) < _EMPTY * len(sample):
        return False
    frame = plain_counts(frame)
    there = (frame > 0) & np.isfinite(frame)  # below 0 cameras write that a pixel has no value
    values = frame[there]
    few = values[:_SAMPLE]
    if not len(few) or few.min() != 1 or not (few == np.round(few)).all():
        return False
    if few.max() > 1:
        return True
    beside = np.count_nonzero(there[:, 1:] & there[:, :-1])
    below = np.count_nonzero(there[1:] & there[:-1])
    return bool(max(beside, below) - there.mean() * len(values) < _IN_PATCHES * len(values))


def are_no_chance(
    frame: NDArray[Any], x: NDArray[np.floating], y: NDArray[np.floating], width: float
) -> NDArray[np.bool_]:
    """Tell which places have more electrons than chance brings together anywhere in a frame.

    Parameters
    ----------
    frame : ndarray, (h, w)
        Where it is not one of single electrons, all are.
    x, y : ndarray, (n,)
        Places in pixels.
    width
        Deviation of a spot in pixels.

    Returns
    -------
    ndarray of bool, (n,)
    """
    if not len(x) or not are_counted(frame):
        return np.ones(len(x), bool)
    side = 2 * max(1, round(1.5 * width)) + 1
    frame = np.ascontiguousarray(plain_counts(frame))
    if frame.dtype == bool:
        frame = frame.view(np.uint8)
    rows = np.clip(np.round(y).astype(np.int64), 0, frame.shape[0] - 1)
    columns = np.clip(np.round(x).astype(np.int64), 0, frame.shape[1] - 1)
    near, expected = _counted_near(frame, rows, columns, side // 2)
    expected = expected * side**2
    chance = pdtrc(np.round(near) - 1, expected)
    return np.asarray(chance * frame.size < _BY_CHANCE)


@nb.njit(cache=True, nogil=True)
def _counted_near(frame, rows, columns, reach):  # type: ignore[no-untyped-def]
    """Counts in a small square around each place, and the mean of its surroundings."""
    h, w = frame.shape
    total, far = 0.0, _AROUND // 2
    for i in range(h):
        for j in range(w):
            v = float(frame[i, j])
            if np.isfinite(v) and v > 0:
                total += min(v, _CLIPPED)
    everywhere = total / (h * w)
    near, mean = np.zeros(len(rows)), np.zeros(len(rows))
    for k in range(len(rows)):
        around, area = 0.0, 0
        for i in range(max(rows[k] - far, 0), min(rows[k] + far + 1, h)):
            for j in range(max(columns[k] - far, 0), min(columns[k] + far + 1, w)):
                v = float(frame[i, j])
                if not np.isfinite(v) or v < 0:
                    continue
                around += min(v, _CLIPPED)
                area += 1
                if abs(i - rows[k]) <= reach and abs(j - columns[k]) <= reach:
                    near[k] += v
        mean[k] = max(around / max(area, 1), everywhere)
    return near, mean
