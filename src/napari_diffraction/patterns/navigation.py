"""A picture of a scan: the mean intensity of each pattern, at once coarse and then ever finer."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.at_once import at_once
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

#: The first look reads at most so many patterns along each side, and takes about so long.
_COARSE, _COARSE_SECONDS = 16, 0.7
# Of larger patterns every second row and column is enough for a mean.
_ENOUGH_PIXELS = 64


@dataclass(frozen=True, eq=False)
class MapProgress(Progress):
    """A step of `navigation_map`.

    Attributes
    ----------
    picture : ndarray of float32, (rows, columns)
        The map so far, the same array each time.
    """

    picture: NDArray[np.float32] | None = None


def navigation_map(
    stack: PatternStack, patience: float = 60.0
) -> Generator[MapProgress, None, NDArray[np.float32]]:
    """Draw the mean intensity of each pattern of a scan.

    The first progress comes within a second, of patterns all over the scan; the others follow as
    they lie in the file, row by row, but rows far apart first.

    Parameters
    ----------
    stack
        A scan.
    patience
        Seconds after which the picture is left as coarse as it is.

    Yields
    ------
    MapProgress
        `done` and `total` count patterns.

    Returns
    -------
    ndarray of float32, (rows, columns)
        Where nothing was read, the value of a neighbour; 0 where a pattern cannot be read.

    Raises
    ------
    InputError
        The patterns are no scan.
    """
    if not stack.is_scan:
        raise InputError(f"{stack.name} is a list of patterns, not a scan: it has no map.")
    began = time.monotonic()
    picture = np.zeros(stack.data.shape[:2], np.float32)
    done = _look_around(stack, picture)
    yield MapProgress(done, len(stack), "Reading the scan", picture)
    done = 0
    for rows, columns in _blocks(stack):
        if time.monotonic() - began > patience:
            break
        thin = 2 if min(stack.frame_shape) >= _ENOUGH_PIXELS else 1
        block = at_once(stack.data[rows, columns])[..., ::thin, ::thin]
        picture[rows, columns] = _means(block)
        done += block.shape[0] * block.shape[1]
        yield MapProgress(done, len(stack), "Reading the scan", picture)
    return picture


def _look_around(stack: PatternStack, picture: NDArray[np.float32]) -> int:
    """Read patterns here and there and fill their neighbourhoods."""
    rows, columns = picture.shape
    began, done = time.monotonic(), 0
    step = -(-max(rows, columns) // _COARSE)
    while step >= 1 and not done:
        for row in range(0, rows, step):
            for column in range(0, columns, step):
                if time.monotonic() - began > _COARSE_SECONDS:
                    return done
                value = _mean(stack, row * columns + column)
                # below and to the right, so that what is not reached yet has a value, too
                picture[row:, column : column + step] = value
                done += 1
    return done


def _mean(stack: PatternStack, index: int) -> float:
    try:
        return float(_means(stack.frame(index)))
    except InputError:
        return 0.0


def _means(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Return the mean of each pattern without its dead pixels; 0 where all are dead."""
    if frames.dtype.kind != "f":
        return np.asarray(frames.mean((-2, -1), dtype=np.float32))
    alive = np.isfinite(frames)
    total = np.where(alive, frames, 0).sum((-2, -1), dtype=np.float32)
    return np.asarray(total / np.maximum(1, alive.sum((-2, -1))), np.float32)


def _blocks(stack: PatternStack) -> Iterator[tuple[slice, slice]]:
    """Parts of the scan as they are stored, rows far apart first."""
    edges = [np.cumsum((0, *sizes)) for sizes in stack.data.chunks[:2]]
    rows, columns = ([slice(int(a), int(b)) for a, b in pairwise(edge)] for edge in edges)
    step = 1 << (len(rows) - 1).bit_length()
    first = True
    while step >= 1:
        for number in range(0 if first else step, len(rows), step if first else 2 * step):
            for column in columns:
                yield rows[number], column
        step, first = step // 2, False
