"""Miller indices as text, and as strokes that are drawn together with the lines that they name.

napari draws text with a program of its own, whose first picture halts the window several times as
long as a layer does; strokes are vectors like any others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
_Polyline = tuple[tuple[float, float], ...]

#: Width of a digit, and from one to the next, in parts of its height.
_WIDTH, _NEXT = 0.6, 0.86
#: How far a bar stands above its digit.
_BAR = 0.24
_ROUND: _Polyline = (
    (0, 0.25), (0.25, 0), (0.75, 0), (1, 0.25), (1, 0.75), (0.75, 1), (0.25, 1), (0, 0.75),
    (0, 0.25),
)  # fmt: skip
_SIX: tuple[_Polyline, ...] = (
    ((0.85, 0), (0.35, 0.2), (0, 0.6), (0, 0.8), (0.25, 1), (0.75, 1), (1, 0.8), (1, 0.62),
     (0.75, 0.43), (0.3, 0.43), (0, 0.65)),
)  # fmt: skip
#: Strokes of each character, x to the right and y down, in a box of width and height 1.
_GLYPHS: dict[str, tuple[_Polyline, ...]] = {
    "0": (_ROUND,),
    "1": (((0.15, 0.25), (0.55, 0), (0.55, 1)),),
    "2": (((0, 0.2), (0.25, 0), (0.75, 0), (1, 0.2), (1, 0.38), (0, 1), (1, 1)),),
    "3": (
        ((0, 0.12), (0.25, 0), (0.75, 0), (1, 0.2), (0.95, 0.35), (0.7, 0.47), (0.4, 0.47)),
        ((0.7, 0.47), (1, 0.62), (1, 0.8), (0.75, 1), (0.25, 1), (0, 0.88)),
    ),
    "4": (((0.75, 1), (0.75, 0), (0, 0.68), (1, 0.68)),),
    "5": (
        ((0.95, 0), (0.1, 0), (0.05, 0.45), (0.7, 0.4), (1, 0.6), (1, 0.8), (0.75, 1), (0.25, 1),
         (0, 0.88)),
    ),
    "6": _SIX,
    "7": (((0, 0), (1, 0), (0.35, 1)),),
    "8": (
        ((0.25, 0.46), (0.05, 0.3), (0.05, 0.15), (0.25, 0), (0.75, 0), (0.95, 0.15), (0.95, 0.3),
         (0.75, 0.46), (1, 0.64), (1, 0.85), (0.75, 1), (0.25, 1), (0, 0.85), (0, 0.64),
         (0.25, 0.46), (0.75, 0.46)),
    ),
    "9": tuple(tuple((1 - x, 1 - y) for x, y in line) for line in _SIX),
    "(": (((0.85, -0.15), (0.45, 0.2), (0.45, 0.8), (0.85, 1.15)),),
    ")": (((0.15, -0.15), (0.55, 0.2), (0.55, 0.8), (0.15, 1.15)),),
    "[": (((0.85, -0.15), (0.45, -0.15), (0.45, 1.15), (0.85, 1.15)),),
    "]": (((0.15, -0.15), (0.55, -0.15), (0.55, 1.15), (0.15, 1.15)),),
}  # fmt: skip


def index_text(indices: Sequence[int], brackets: str) -> str:
    """Write Miller indices as short as can be read: (110), but (1 -1 0) and [10 2 1]."""
    between = "" if min(indices) >= 0 and max(indices) < 10 else " "
    return brackets[0] + between.join(map(str, indices)) + brackets[1]


@lru_cache(maxsize=512)
def index_strokes(indices: tuple[int, ...], brackets: str) -> FloatArray:
    """Write Miller indices, negative ones with a bar above, those of two digits apart.

    Parameters
    ----------
    indices
        The indices.
    brackets
        The opening one and the closing one.

    Returns
    -------
    ndarray of float64, (n, 2, 2)
        Row and column of the start of each stroke, and how far it runs, for digits of height 1
        around the origin.
    """
    lines: list[FloatArray] = []
    place = 0.0

    def write(character: str) -> None:
        nonlocal place
        for line in _GLYPHS[character]:
            lines.append(np.array(line) * (_WIDTH, 1) + (place, 0))
        place += _NEXT

    apart = max(map(abs, indices)) > 9
    write(brackets[0])
    for number, index in enumerate(indices):
        place += 0.5 * _NEXT * (apart and number > 0)
        first = place
        for digit in str(abs(index)):
            write(digit)
        if index < 0:
            lines.append(np.array([(first, -_BAR), (place - _NEXT + _WIDTH, -_BAR)]))
    write(brackets[1])
    middle = (place - _NEXT + _WIDTH) / 2, 0.5
    return np.concatenate([_strokes(line - middle) for line in lines])


def ring(corners: int = 8) -> FloatArray:
    """Return the strokes of a ring of diameter 1 around the origin, as `index_strokes` does."""
    turn = np.linspace(0, 2 * np.pi, corners + 1)
    return _strokes(np.column_stack([np.cos(turn), np.sin(turn)]) / 2)


def _strokes(line: Sequence[Sequence[float]] | FloatArray) -> FloatArray:
    """Cut a line through points (x, y) into strokes."""
    points = np.asarray(line, float)[:, ::-1]
    return np.stack([points[:-1], np.diff(points, axis=0)], axis=1)
