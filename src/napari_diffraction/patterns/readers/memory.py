"""Reading patterns out of plain, uncompressed arrays inside a file."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.readers.datasets import lead_shape
from napari_diffraction.patterns.readers.grids import lay_out
from napari_diffraction.patterns.readers.source import (
    Source,
    check_declared_size,
    native,
    to_grey,
)


@dataclass(frozen=True)
class MappedPatterns:
    """Patterns that lie uncompressed in a file, which is opened for each call only.

    Attributes
    ----------
    path
        The file.
    offset
        Where the array starts, in bytes.
    shape
        Shape of the array in the file: (..., h, w), or (..., h, w, colours).
    dtype
        Number type with the byte order of the file.
    colours
        Whether the last axis holds colours.
    fortran
        Whether the first axis varies fastest.
    before, after
        Bytes of something else before and behind each pattern.
    upwards
        Whether the rows of a pattern come from the bottom.
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    colours: bool = False
    fortran: bool = False
    before: int = 0
    after: int = 0
    upwards: bool = False

    @property
    def lead(self) -> tuple[int, ...]:
        """Shape of the array without that of a pattern."""
        return self.shape[: -3 if self.colours else -2]

    @property
    def frame(self) -> tuple[int, ...]:
        """Shape of a pattern: (h, w), or (h, w, colours)."""
        return self.shape[len(self.lead) :]

    @property
    def _stride(self) -> int:
        return self.before + math.prod(self.frame) * self.dtype.itemsize + self.after

    @property
    def bytes_needed(self) -> int:
        """Size that the file has at least, in bytes."""
        return self.offset + math.prod(self.lead) * self._stride

    def whole_in(self, size: int) -> int:
        """Return how many whole patterns a file of so many bytes holds."""
        return max(0, size - self.offset) // self._stride

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Read the patterns start, ..., stop - 1."""
        frames = self._scattered(start, stop) if self.fortran else self._run(start, stop)
        if self.upwards:
            frames = frames[:, ::-1]
        return to_grey(frames) if self.colours else frames

    def _run(self, start: int, stop: int) -> NDArray[Any]:
        # Reading is much quicker than mapping where the file is huge.
        count = stop - start
        with open(self.path, "rb") as file:
            file.seek(self.offset + start * self._stride)
            if not self.before and not self.after:
                values = np.fromfile(file, self.dtype, count * math.prod(self.frame))
                return values.reshape(count, *self.frame)
            record = np.dtype(
                {
                    "names": ["pattern"],
                    "formats": [(self.dtype, self.frame)],
                    "offsets": [self.before],
                    "itemsize": self._stride,
                }
            )
            return np.fromfile(file, record, count)["pattern"]

    def _scattered(self, start: int, stop: int) -> NDArray[Any]:
        data = np.memmap(
            self.path,
            self.dtype,
            mode="r",
            offset=self.offset,
            shape=self.shape,
            order="F",
        )
        where = (np.unravel_index(index, self.lead) for index in range(start, stop))
        return np.stack([np.array(data[position]) for position in where])


def open_mapped(read: MappedPatterns, *, to_end: bool = True, **facts: Any) -> Source:
    """Make a source of patterns that lie uncompressed in a file.

    Of a file that ends before its header says, every whole pattern is kept: a stack is shorter, a
    scan has points that were never recorded.  Both are told, and so are patterns behind the last
    one.

    Parameters
    ----------
    read
        Reads them.
    to_end
        Whether nothing else follows behind the patterns.
    **facts
        Further attributes of the source.

    Raises
    ------
    InputError
        Not one pattern is whole.
    """
    size, count = os.path.getsize(read.path), math.prod(read.lead)
    there = read.whole_in(size)
    if there < 1 or read.fortran:
        check_declared_size(read.path, read.bytes_needed, size)
    lead = lead_shape(read.lead)
    shape = (*lead, *read.frame[:2])
    whole = Source(read.path, shape, native(read.dtype), read, **facts)
    if there == count or read.fortran:
        return whole
    if there > count:
        note = (
            f"Behind the {count} patterns of its header the file holds {there - count} more, which "
            "are left over."
        )
        return replace(whole, notes=(*whole.notes, note)) if to_end else whole
    kept = replace(whole, shape=(there, *whole.frame_shape))
    if len(lead) == 2:
        return lay_out(kept, *lead)
    note = f"The file ends early: {there} of {count} patterns are whole, and these are shown."
    return replace(kept, notes=(*kept.notes, note))


def open_all(frame: MappedPatterns, **facts: Any) -> Source:
    """Make a source of all whole patterns from an offset to the end of a file.

    A last one that is not whole, as a recording that was stopped leaves it, is told.

    Parameters
    ----------
    frame
        Reads them; its `shape` is that of the first pattern, (1, h, w).
    **facts
        Further attributes of the source.

    Raises
    ------
    InputError
        Not one pattern is whole.
    """
    size = os.path.getsize(frame.path)
    count = frame.whole_in(size)
    source = open_mapped(replace(frame, shape=(max(1, count), *frame.frame)), **facts)
    if replace(frame, shape=(count, *frame.frame)).bytes_needed >= size:
        return source
    return replace(source, notes=(*source.notes, "The last pattern is not whole and is left out."))
