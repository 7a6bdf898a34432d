"""Frames as compiled code takes them, without the numbers that detectors write where none is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Greatest share of a frame that has no value, and least share of pixels below zero that have
#: another beside them where these are gaps and not the noise about a dark frame.
_MOST_HIDDEN, _SIDE_BY_SIDE = 0.3, 0.4
#: Side of the chips of Medipix and Timepix; lines beside those where two meet, on either side.
_CHIP, _BESIDE = 256, (3, 4, 5)
#: Pieces into which such a line is cut, most of which (not those at the direct beam or at spots)
#: are as much brighter than what lies beside them, and count as much, without the brightest
#: quarter of either.
_PIECES, _MOST, _WIDE, _COUNT = 8, 6, 1.6, 0.1
#: So many times as much brighter they are than the lines next to them are.
_ALONE = 4.0


def plain_counts(frame: NDArray[Any]) -> NDArray[Any]:
    """Return a frame of a native dtype other than float16; NaN is a pixel without a value.

    Without one is what holds the greatest number of 32 or 64 bits without a sign: detectors write
    it for the pixels of a gap, and nothing counts as far.  Of 16 bits it may be a saturated pixel.
    So are -1 and -2 of whole numbers, which DECTRIS writes for gaps and dead pixels, and the wide
    pixels where chips of Medipix or Timepix meet, where they are as they were counted: they
    collect some three times as many electrons as the others.

    Parameters
    ----------
    frame : ndarray, (h, w)
        Any real dtype.
    """
    none = _without_value(frame)
    wide = _wide_lines(frame)
    if none is None and not wide:
        if not frame.dtype.isnative or frame.dtype == np.float16:
            return frame.astype(np.float32)
        return frame
    out = frame.astype(np.float32)
    if none is not None:
        out[none] = np.nan
    for axis, line in wide:
        out[(slice(None),) * axis + (slice(line - 1, line + 1),)] = np.nan
    return out


def _without_value(frame: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Pixels that hold a number for "no value"; None where there are none."""
    kind, size = frame.dtype.kind, frame.dtype.itemsize
    if kind == "u" and size >= 4:
        none = frame == np.iinfo(frame.dtype).max
        return none if none.any() else None
    if kind != "i" or frame.ndim != 2 or not frame.size or not -2 <= frame.min() < 0:
        return None
    none = frame < 0
    number = np.count_nonzero(none)
    if number > _MOST_HIDDEN * none.size:
        return None
    pairs = (none[:, 1:] & none[:, :-1], none[1:] & none[:-1])
    beside = max(np.count_nonzero(one) for one in pairs) / number
    # Of numbers about a dark frame there are more -1 than -2.
    return none if beside > _SIDE_BY_SIDE or not np.any(frame == -1) else None


def _wide_lines(frame: NDArray[Any]) -> list[tuple[int, int]]:
    """Where chips meet in wide pixels: the axis, and the second of the two lines."""
    if frame.ndim != 2 or any(side % _CHIP for side in frame.shape):
        return []
    found = []
    for axis in (0, 1):
        for line in range(_CHIP, frame.shape[axis], _CHIP):
            beside = [line - 1 - step for step in _BESIDE] + [line + step for step in _BESIDE]
            pieces = _pieces(frame, [line - 1, line, line - 2, line + 1, *beside], axis)
            bright, near, usual = pieces[:2].min(0), pieces[2:4].mean(0), pieces[4:].mean(0)
            wide = bright > np.maximum(_WIDE * usual, _COUNT)
            # a streak through the beam, or a row of spots, is not of two lines alone
            wide &= bright - usual > _ALONE * (near - usual)
            if np.count_nonzero(wide) >= _MOST:
                found.append((axis, line))
    return found


def _pieces(frame: NDArray[Any], lines: list[int], axis: int) -> NDArray[np.float64]:
    """Mean of each piece of some lines without its brightest quarter, (n, `_PIECES`).

    Spots stand in that quarter, also those of a row that runs along the line.
    """
    taken = np.moveaxis(frame.take(lines, axis), axis, 0).astype(np.float64)
    pieces = np.sort(taken.reshape(len(lines), _PIECES, -1), axis=2)
    return np.asarray(pieces[:, :, : 3 * pieces.shape[2] // 4].mean(axis=2))
