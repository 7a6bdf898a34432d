"""Which of a crystal's directions a band can be near: looked up in a grid, not sought among all."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

#: Cells along the side of each of three faces of a cube; the other three are their opposites.
_SIDE = 32


@njit(cache=True, nogil=True, error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
def cell_of(x: float, y: float, z: float) -> int:
    """Return the cell of a line through the origin, whichever of its ends is given."""
    ax, ay, az = abs(x), abs(y), abs(z)
    if ax >= ay and ax >= az:
        face, p, q = 0, y / x, z / x
    elif ay >= az:
        face, p, q = 1, x / y, z / y
    elif az > 0:
        face, p, q = 2, x / z, y / z
    else:
        return 0
    i = min(int((p + 1) * (_SIDE / 2)), _SIDE - 1)
    j = min(int((q + 1) * (_SIDE / 2)), _SIDE - 1)
    return (face * _SIDE + i) * _SIDE + j


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def tabulate(unit: Any, level: Any, inverse: float) -> Any:
    """List the directions that can gain something anywhere in each cell.

    Parameters
    ----------
    unit : ndarray of float64, (m, 3)
        Directions.
    level : ndarray of float64, (m,)
        Gain of a band that lies on each; ``level - (1 - cos) * inverse`` of one beside it.
    inverse
        One over the square of a band's error in radians.

    Returns
    -------
    start : ndarray of int64, (cells + 1,)
        Where the list of each cell begins.
    listed : ndarray of int64
        Numbers of directions, rising in each cell.
    """
    count = 3 * _SIDE * _SIDE
    start = np.zeros(count + 1, np.int64)
    # from the middle of a cell to its corner
    beyond = math.sqrt(2.0) / _SIDE
    limit = np.empty(len(level))
    for r in range(len(level)):
        away = math.acos(max(1 - max(level[r], 0.0) / inverse, -1.0)) + beyond
        limit[r] = math.cos(min(away, math.pi / 2)) if level[r] > 0 else 2.0
    hit = np.zeros((count, len(level)), np.bool_)
    for cell in range(count):
        face, i, j = cell // (_SIDE * _SIDE), cell // _SIDE % _SIDE, cell % _SIDE
        p, q = (2 * i + 1) / _SIDE - 1, (2 * j + 1) / _SIDE - 1
        length = math.sqrt(1 + p * p + q * q)
        p, q, one = p / length, q / length, 1 / length
        x = one if face == 0 else p
        y = one if face == 1 else (p if face == 0 else q)
        z = one if face == 2 else q
        total = 0
        for r in range(len(level)):
            cosine = unit[r, 0] * x + unit[r, 1] * y + unit[r, 2] * z
            hit[cell, r] = abs(cosine) >= limit[r]
            total += hit[cell, r]
        start[cell + 1] = start[cell] + total
    listed = np.zeros(start[count], np.int64)
    for cell in range(count):
        place = start[cell]
        if start[cell + 1] > place:
            for r in range(len(level)):
                if hit[cell, r]:
                    listed[place] = r
                    place += 1
    return start, listed
