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
#: Share of the pixels below an offset, at most, as they have no value, and how far numbers of
#: electrons are from whole ones.
_LOST, _WHOLE = 0.25, 0.02


def are_counted(frame: NDArray[Any]) -> bool:
    """Whether single electrons are counted in a frame, and most of its pixels are empty."""
    return _electrons(frame) is not None


def _electrons(frame: NDArray[Any]) -> NDArray[Any] | None:
    """The electrons of each pixel where single ones are counted; None for another frame.

    The frame may have been multiplied by a gain, or an offset added.  NaN and numbers below 0 are
    pixels without a value.
    """
    step = max(1, int(np.sqrt(frame.size / _SAMPLE)))
    sample = frame[step // 2 :: step, step // 2 :: step].ravel()
    empty = _empty(sample)
    if empty is None:
        return None
    frame = plain_counts(frame)
    if frame.dtype == bool:
        frame = frame.view(np.uint8)
    there = (frame > empty) & np.isfinite(frame)  # lower is what cameras write for no value
    few = frame[there][:_SAMPLE]
    if not len(few):
        return None
    few = few - np.asarray(empty, np.float64)
    one = few.min()
    few /= one
    if not (abs(few - np.round(few)) < _WHOLE).all():
        return None
    # Noise goes to either side of an offset, electrons do not.
    if empty != 0 and (abs((np.asarray(empty, np.float64) - sample) / one - 1) < _WHOLE).any():
        return None
    if few.max() < 1.5:
        white = empty == 0 and one == _white(frame.dtype)
        if white or _in_patches(there):
            return None
    if empty == 0 and one == 1:
        return frame
    return np.asarray(np.round((frame - np.asarray(empty, np.float64)) / one))


def _empty(sample: NDArray[Any]) -> Any:
    """The value of an empty pixel: 0, or with an offset another; None where too few are alike."""
    if not len(sample):
        return None
    for value in (0, np.partition(sample, len(sample) // 2)[len(sample) // 2], sample.min()):
        alike, lower = np.count_nonzero(sample == value), np.count_nonzero(sample < value)
        few_lower = value == 0 or lower < _LOST * len(sample)
        if alike >= _EMPTY * len(sample) and few_lower:
            return value
    return None


def _white(dtype: np.dtype[Any]) -> float:
    """White of a picture in black and white: one electron in a pixel never gives as much."""
    return np.iinfo(dtype).max if dtype.kind in "iu" else 255.0


def _in_patches(white: NDArray[np.bool_]) -> bool:
    """Whether white pixels lie side by side far more often than by chance, as drawn spots do."""
    count = np.count_nonzero(white)
    beside = np.count_nonzero(white[:, 1:] & white[:, :-1])
    below = np.count_nonzero(white[1:] & white[:-1])
    return bool(max(beside, below) - white.mean() * count >= _IN_PATCHES * count)


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
    electrons = _electrons(frame) if len(x) else None
    if electrons is None:
        return np.ones(len(x), bool)
    side = 2 * max(1, round(1.5 * width)) + 1
    frame = np.ascontiguousarray(electrons)
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
