"""How far the pieces of a line agree that there is a band."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

#: A line is looked at in so many pieces; one that lives from few of them is no band.
_PIECES = 8


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def running_sums(picture: Any, sums: Any) -> None:
    """Sums of the pixels of each row before the one at a place, (rows, columns + 1)."""
    for row in range(picture.shape[0]):
        total = 0.0
        for column in range(picture.shape[1]):
            sums[row, column] = total
            total += picture[row, column]
        sums[row, picture.shape[1]] = total


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _collect(
    bright: Any, light: Any, begin: int, end: int, along: float, step: float, sums: Any
) -> None:
    """Add the pixels from one place of a row up to another to the pieces in which they lie.

    The piece at a place is ``along + step * place``.
    """
    place = begin
    while place < end:
        piece = min(max(math.floor(along + step * place), 0), _PIECES - 1)
        stop = end
        if step > 1e-9 and piece < _PIECES - 1:
            stop = math.ceil((piece + 1 - along) / step)
        elif step < -1e-9 and piece > 0:
            stop = math.floor((piece - along) / step) + 1
        stop = min(max(stop, place + 1), end)
        sums[piece, 0] += bright[stop] - bright[place]
        sums[piece, 1] += light[stop] - light[place]
        place = stop


@njit(fastmath=True, nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def weigh(bright: Any, light: Any, a: float, b: float, c: float, facts: Any) -> None:
    """Weigh a line's contrast by how far the pieces of the line agree.

    Parameters
    ----------
    bright, light
        Running sums of the picture and of its weight along the rows, (rows, columns + 1).
    a, b, c
        The line, more upright than level: ``a x + b y = c`` with x along the rows.
    facts
        Its strength, half width in pixels, and support.
    """
    rows, columns = bright.shape[0], bright.shape[1] - 1
    near = facts[1]
    wide = near + max(3.0, near)
    inside = np.zeros((_PIECES, 2))
    outside = np.zeros((_PIECES, 2))
    middle_x, middle_y = (columns - 1) / 2, (rows - 1) / 2
    # along the line from its foot; the ends of the picture lie within the half diagonal
    reach = math.sqrt(max(middle_x**2 + middle_y**2 - c * c, 1.0))
    scale = _PIECES / (2 * reach)
    for row in range(rows):
        y = row - middle_y
        middle = (c - b * y) / a + middle_x
        span, core = wide / abs(a), near / abs(a)
        begin, end = max(0, math.ceil(middle - span)), min(columns, math.floor(middle + span) + 1)
        first = min(max(begin, math.ceil(middle - core)), end)
        last = max(min(end, math.floor(middle + core) + 1), first)
        along = (a * y + b * middle_x + reach) * scale
        _collect(bright[row], light[row], begin, first, along, -b * scale, outside)
        _collect(bright[row], light[row], first, last, along, -b * scale, inside)
        _collect(bright[row], light[row], last, end, along, -b * scale, outside)
    values = np.zeros(_PIECES)
    count, mean = 0, 0.0
    for p in range(_PIECES):
        if inside[p, 1] >= 3 and outside[p, 1] >= 3:
            values[count] = inside[p, 0] / inside[p, 1] - outside[p, 0] / outside[p, 1]
            mean += values[count]
            count += 1
    if count == 0:
        facts[0] = 0
        return
    mean /= count
    # the median by selection: so few values
    for p in range(count):
        for q in range(p + 1, count):
            if values[q] < values[p]:
                values[p], values[q] = values[q], values[p]
    median = 0.5 * (values[(count - 1) // 2] + values[count // 2])
    facts[2] = min(1.0, median / mean) if mean > 0 else 0.0
    facts[0] *= max(facts[2], 0.0)
