"""Reading patterns out of plain, uncompressed arrays inside a file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.readers.source import to_grey


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
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    colours: bool = False
    fortran: bool = False

    @property
    def bytes_needed(self) -> int:
        """Size that the file has at least, in bytes."""
        return self.offset + math.prod(self.shape) * self.dtype.itemsize

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        """Read the patterns start, ..., stop - 1."""
        inner = 3 if self.colours else 2
        lead = self.shape[:-inner]
        frames = self._scattered(start, stop, lead) if self.fortran else self._run(start, stop)
        return to_grey(frames) if self.colours else frames

    def _run(self, start: int, stop: int) -> NDArray[Any]:
        # Reading is much quicker than mapping where the file is huge.
        frame = self.shape[-3:] if self.colours else self.shape[-2:]
        size = math.prod(frame)
        with open(self.path, "rb") as file:
            file.seek(self.offset + start * size * self.dtype.itemsize)
            values = np.fromfile(file, self.dtype, (stop - start) * size)
        return values.reshape(stop - start, *frame)

    def _scattered(self, start: int, stop: int, lead: tuple[int, ...]) -> NDArray[Any]:
        data = np.memmap(
            self.path,
            self.dtype,
            mode="r",
            offset=self.offset,
            shape=self.shape,
            order="F",
        )
        where = (np.unravel_index(index, lead) for index in range(start, stop))
        return np.stack([np.array(data[position]) for position in where])
