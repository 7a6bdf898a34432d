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
    """Patterns that lie uncompressed in a file; the file is mapped for each call only.

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
        data = np.memmap(
            self.path,
            self.dtype,
            mode="r",
            offset=self.offset,
            shape=self.shape,
            order="F" if self.fortran else "C",
        )
        inner = 3 if self.colours else 2
        lead = self.shape[:-inner]
        if len(lead) == 0:
            frames = np.array(data)[np.newaxis]
        elif len(lead) == 1:
            frames = np.array(data[start:stop])
        else:
            where = (np.unravel_index(index, lead) for index in range(start, stop))
            frames = np.stack([data[position] for position in where])
        return to_grey(frames) if self.colours else frames
