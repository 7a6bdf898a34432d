"""Patterns that lie one after the other become the rows and columns of a scan."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.source import ReadPatterns, Source

# A header that leaves more of the only row empty than this is not believed.
_LONGEST_GAP = 20


def fit_grid(count: int, rows: int, columns: int) -> tuple[tuple[int, int] | None, str]:
    """Fit the patterns that are there to the grid that a header promises.

    A scan that was stopped keeps every whole pattern: its rows end with the last one that was
    begun.  Fewer patterns too many than a row has points are left over; with more of them the
    header is not believed.

    Parameters
    ----------
    count
        Number of whole patterns.
    rows, columns
        What the header says; 0: nothing.

    Returns
    -------
    ((rows, columns) or None, str)
        ``None``: the patterns are a list.  The text is a remark, empty where all fits.
    """
    if rows < 1 or columns < 1:
        return None, ""
    extra = count - rows * columns
    if extra >= columns or columns > _LONGEST_GAP * count:
        return None, (
            f"The header promises {rows} x {columns} points but there are {count} patterns: they "
            "are shown as a list."
        )
    if extra < 0:
        return (-(-count // columns), columns), (
            f"The scan ends early: {count} of {rows} x {columns} points were recorded, and these "
            "are shown."
        )
    if extra > 0:
        return (rows, columns), (
            f"The scan of {rows} x {columns} points is followed by {extra} more "
            f"pattern{'s' if extra > 1 else ''}, which {'are' if extra > 1 else 'is'} left over."
        )
    return (rows, columns), ""


def lay_out(source: Source, rows: int, columns: int) -> Source:
    """Lay a list of patterns out row by row, as far as they are there; see `fit_grid`.

    Points that were not recorded cannot be read.
    """
    grid, note = fit_grid(source.count, rows, columns)
    notes = (*source.notes, note) if note else source.notes
    if grid is None:
        return replace(source, notes=notes)
    read = source.read
    if math.prod(grid) > source.count:
        read = Ordered(source.path, read, in_order(source.count, math.prod(grid)))
    return replace(source, shape=(*grid, *source.frame_shape), read=read, notes=notes)


def in_order(count: int, points: int) -> NDArray[np.int64]:
    """Return the number of the pattern at each of `points`; -1 behind the last of `count`."""
    order = np.arange(points)
    order[count:] = -1
    return order


class Ordered:
    """Reads the patterns of a file in the order of a grid.

    Parameters
    ----------
    path
        For messages.
    read
        Reads the patterns by their number in the file.
    order : ndarray of int
        Number in the file of every point of the grid; -1: none.
    """

    def __init__(self, path: str, read: ReadPatterns, order: NDArray[np.int64]) -> None:
        self._path, self._read, self._order = path, read, order

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Read the points start, ..., stop - 1 of the grid."""
        wanted = self._order[start:stop]
        if (wanted < 0).any():
            missing = start + int(np.argmax(wanted < 0))
            raise InputError(f"{self._path}: pattern {missing} was never recorded.")
        if (np.diff(wanted) == 1).all():
            return self._read(int(wanted[0]), int(wanted[-1]) + 1)
        return np.concatenate([self._read(int(i), int(i) + 1) for i in wanted])
