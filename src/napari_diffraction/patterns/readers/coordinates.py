"""The place of each picture of a folder in a scan, from coordinates in the file names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_DIGITS = r"\d+(?:\.\d+)?"
# a dash before a number may be its sign, or stand between it and its name
_NUMBER, _SIGNED = rf"([ _=]?-{{0,2}}{_DIGITS})", rf"(-?{_DIGITS})"
# (pattern, whether the row comes first, whether a single row or column counts as a scan)
_NAMES = (
    (re.compile(rf"(?<![a-z])x{_NUMBER}[ _,;-]*y{_NUMBER}"), False, True),
    (re.compile(rf"(?<![a-z])y{_NUMBER}[ _,;-]*x{_NUMBER}"), True, True),
    (re.compile(rf"(?<![a-z])r(?:ow)?{_NUMBER}[ _,;-]*c(?:ol(?:umn)?)?{_NUMBER}"), True, True),
    (re.compile(rf"\({_SIGNED}[ ,;]+{_SIGNED}\)"), False, False),
    (re.compile(r"-(\d+)-(\d+)$"), False, False),
)
# With fewer points there it is no scan but a choice of places.
_COVERED = 0.5


@dataclass(frozen=True, eq=False)
class Places:
    """Where the pictures of a folder lie on a grid.

    Attributes
    ----------
    rows, columns
        Size of the grid.
    order : ndarray of int, (rows * columns,)
        Number of the picture at every point, row by row; -1: there is none.
    """

    rows: int
    columns: int
    order: NDArray[np.int64]


def places(files: Sequence[str]) -> Places | None:
    """Find the grid that file names such as "map_x5y10.tif" or "map-5-10.bmp" describe.

    Returns
    -------
    Places or None
        ``None``: the names bear no coordinates, or do not make up a grid.
    """
    stems = [os.path.splitext(os.path.basename(file))[0].lower() for file in files]
    for pattern, row_first, thin in _NAMES:
        # one name tells for most folders
        if pattern.search(stems[0]) is None:
            continue
        matches = [pattern.search(stem) for stem in stems]
        known = [match for match in matches if match is not None]
        if len(known) < len(stems) or len(known) < 2:
            continue
        named = _NUMBER in pattern.pattern
        first, second = (_values([match[i] for match in known], named) for i in (1, 2))
        if len(set(zip(first, second, strict=True))) < len(known):
            continue
        found = _grid(first, second) if row_first else _grid(second, first)
        if found is not None and (thin or min(found.rows, found.columns) > 1):
            return found
    return None


def _values(texts: Sequence[str], named: bool) -> NDArray[np.float64]:
    """Return the numbers of texts; right behind names, a dash before all of them is no sign."""
    if named and all(text.startswith("-") for text in texts):
        texts = [text[1:] for text in texts]
    return np.array([float(text.lstrip(" _=").replace("--", "-")) for text in texts])


def _grid(y: NDArray[np.float64], x: NDArray[np.float64]) -> Places | None:
    rows, row = np.unique(y, return_inverse=True)
    columns, column = np.unique(x, return_inverse=True)
    points = len(rows) * len(columns)
    if len(y) < _COVERED * points:
        return None
    order = np.full(points, -1, np.int64)
    order[row * len(columns) + column] = np.arange(len(y))
    return Places(len(rows), len(columns), order)
