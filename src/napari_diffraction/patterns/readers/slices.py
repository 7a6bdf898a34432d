"""Neighbouring patterns of an array in few slices, each chunk of a file being unpacked once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

_Part = tuple[int | slice, ...]


def read_run(
    data: Any,
    lead: tuple[int, ...],
    start: int,
    stop: int,
    read: Callable[[Any], NDArray[Any]] = np.asarray,
) -> NDArray[Any]:
    """Read patterns by flat numbers, and no others.

    Parameters
    ----------
    data
        Data set of HDF5, array of Zarr, or whatever is sliced likewise.
    lead
        Its shape without that of a pattern.
    start, stop
        The patterns start, ..., stop - 1.
    read
        Makes an array of a slice.

    Returns
    -------
    ndarray, (stop - start, ...)
    """
    if not lead:
        return read(data[...])[np.newaxis]
    frame = data.shape[len(lead) :]
    parts = [read(data[part]).reshape(-1, *frame) for part in _parts(lead, start, stop)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _parts(lead: tuple[int, ...], start: int, stop: int) -> Iterator[_Part]:
    """Yield the end of the first row, the whole rows and the beginning of the last one."""
    if len(lead) == 1:
        yield (slice(start, stop),)
        return
    row = math.prod(lead[1:])
    (first, head), (last, tail) = divmod(start, row), divmod(stop, row)
    if first == last:
        yield from _within(first, lead, head, tail)
        return
    if head:
        yield from _within(first, lead, head, row)
        first += 1
    if first < last:
        yield (slice(first, last),)
    if tail:
        yield from _within(last, lead, 0, tail)


def _within(row: int, lead: tuple[int, ...], start: int, stop: int) -> Iterator[_Part]:
    for part in _parts(lead[1:], start, stop):
        yield row, *part
