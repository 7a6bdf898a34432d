"""From a source to a dask array whose patterns are read when they are looked at."""

from __future__ import annotations

import math
import uuid
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.source import Source, take

if TYPE_CHECKING:
    import dask.array as da

# The time of one step through a dask array grows with its number of chunks: 3 ms with 4,000.
_MOST_CHUNKS = 4096
_RUN_BYTES = 64 * 2**20


class LazyPatterns:
    """An array of patterns for dask, which asks it for parts; unreadable patterns are zeros.

    Parameters
    ----------
    source
        Where the patterns come from.
    """

    def __init__(self, source: Source) -> None:
        self.source = source
        self.shape = source.shape
        self.dtype = source.dtype
        self.ndim = len(source.shape)
        frame_bytes = source.dtype.itemsize * math.prod(source.frame_shape)
        self._run = max(1, min(source.run, source.count, _RUN_BYTES // frame_bytes))
        self._last: tuple[int, NDArray[Any]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_last": None}

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """Read the patterns ``start`` to ``stop - 1``, (stop - start, h, w), by flat numbers.

        Raises
        ------
        InputError
            One of them, at least, cannot be read.
        """
        if stop - start == 1:
            return self.frame(start)[np.newaxis]
        return take(self.source, int(start), int(stop))

    def __call__(self, index: int) -> NDArray[Any]:
        """Read one pattern; see `frame`."""
        return self.frame(index)

    def frame(self, index: int) -> NDArray[Any]:
        """Read one pattern, (h, w), by its flat number; raise `InputError` where it cannot be.

        Patterns stored together are read together and the last such run is kept, so that going
        through a compressed file does not unpack everything many times.
        """
        index = int(index)
        if not 0 <= index < self.source.count:
            raise IndexError(f"pattern {index} of {self.source.count}")
        if self._run == 1:
            return self._single(index)
        start = index - index % self._run
        last = self._last
        if last is None or last[0] != start:
            try:
                frames = take(self.source, start, min(start + self._run, self.source.count))
            except InputError:
                return self._single(index)
            self._last = last = (start, frames)
        kept: NDArray[Any] = last[1][index - start].copy()
        return kept

    def _single(self, index: int) -> NDArray[Any]:
        pattern: NDArray[Any] = take(self.source, index, index + 1)[0]
        return pattern

    def __getitem__(self, key: Any) -> NDArray[Any]:
        key = key if isinstance(key, tuple) else (key,)
        key = key + (slice(None),) * (self.ndim - len(key))
        lead = self.shape[:-2]
        axes = [_positions(part, size) for part, size in zip(key, lead, strict=False)]
        flat = np.ravel_multi_index(np.ix_(*axes), lead).ravel()
        inside = (slice(None), *(_kept(part) for part in key[-2:]))
        frames = np.zeros((len(flat), *self.shape[-2:]), self.dtype)[inside]
        edges = [0, *(np.flatnonzero(np.diff(flat) != 1) + 1), len(flat)]
        for first, last in pairwise(edges):
            if last > first:
                part = self._read_or_zeros(int(flat[first]), int(flat[last - 1]) + 1)
                frames[first:last] = part[inside]
        result = frames.reshape(*(len(axis) for axis in axes), *frames.shape[1:])
        whole = tuple(0 if isinstance(part, int | np.integer) else slice(None) for part in key)
        return result[whole]

    def _read_or_zeros(self, start: int, stop: int) -> NDArray[Any]:
        try:
            if stop - start == 1:
                return self.frame(start)[np.newaxis]
            return take(self.source, start, stop)
        except InputError:
            frames = np.zeros((stop - start, *self.source.frame_shape), self.dtype)
            if stop - start > 1:
                for index in range(start, stop):
                    frames[index - start] = self._read_or_zeros(index, index + 1)[0]
            return frames


def _positions(part: Any, size: int) -> list[int]:
    chosen = range(size)[part]
    return [chosen] if isinstance(chosen, int) else list(chosen)


def _kept(part: Any) -> slice:
    # an integer keeps its axis until the very end
    if isinstance(part, slice):
        return part
    return slice(int(part), int(part) + 1 or None)


def as_dask(patterns: LazyPatterns) -> da.Array:
    """Return a dask array over lazy patterns, with few patterns in a chunk."""
    import dask.array as da  # takes longer than a look at most files

    lead, frame = patterns.shape[:-2], patterns.shape[-2:]
    run = max(patterns._run, math.ceil(patterns.source.count / _MOST_CHUNKS))
    if len(lead) == 1:
        chunks: tuple[int, ...] = (min(run, lead[0]),)
    else:
        rows = max(1, math.ceil(lead[0] * math.ceil(lead[1] / min(run, lead[1])) / _MOST_CHUNKS))
        chunks = (rows, min(run, lead[1]))
    return da.from_array(
        patterns,
        chunks=(*chunks, *frame),
        name=f"patterns-{uuid.uuid4().hex}",
        lock=False,
        asarray=False,
        fancy=False,
        meta=np.empty((0,) * patterns.ndim, patterns.dtype),
    )
