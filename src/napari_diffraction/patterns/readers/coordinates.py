"""The place of each picture of a folder in a scan, from coordinates in the file names."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_NUMBER = r"(\d+(?:\.\d+)?)"
# (pattern, whether the row comes first, whether a single row or column counts as a scan)
_NAMES = (
    (re.compile(rf"(?<![a-z])x[ _=-]?{_NUMBER}[ _,;-]*y[ _=-]?{_NUMBER}"), False, True),
    (re.compile(rf"(?<![a-z])y[ _=-]?{_NUMBER}[ _,;-]*x[ _=-]?{_NUMBER}"), True, True),
    (re.compile(rf"(?<![a-z])r(?:ow)?[ _=-]?{_NUMBER}[ _,;-]*c(?:ol(?:umn)?)?[ _=-]?{_NUMBER}"),
     True, True),
    (re.compile(rf"\({_NUMBER}[ ,;]+{_NUMBER}\)"), False, False),
    (re.compile(r"-(\d+)-(\d+)$"), False, False),
)  # fmt: skip
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
        pairs = [(float(match[1]), float(match[2])) for match in matches if match is not None]
        if len(pairs) < len(stems) or len(set(pairs)) < len(pairs) or len(pairs) < 2:
            continue
        first, second = np.array(pairs).T
        found = _grid(first, second) if row_first else _grid(second, first)
        if found is not None and (thin or min(found.rows, found.columns) > 1):
            return found
    return None


def _grid(y: NDArray[np.float64], x: NDArray[np.float64]) -> Places | None:
    rows, row = np.unique(y, return_inverse=True)
    columns, column = np.unique(x, return_inverse=True)
    points = len(rows) * len(columns)
    if len(y) < _COVERED * points:
        return None
    order = np.full(points, -1, np.int64)
    order[row * len(columns) + column] = np.arange(len(y))
    return Places(len(rows), len(columns), order)
