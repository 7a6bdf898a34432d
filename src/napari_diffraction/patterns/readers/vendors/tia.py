"""Series of TIA (.ser), also of a scan that was stopped; the .emi beside it is not needed."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.grids import lay_out
from napari_diffraction.patterns.readers.source import (
    Source,
    check_declared_size,
    check_frame_bytes,
    check_header,
    native,
)
from napari_diffraction.patterns.stack import MOST_PATTERNS

_IMAGES = 0x4122
_PLACES = 0x4142
_WIDE = 0x220  # from this version on places in the file have 8 bytes
# what follows two calibrations of 20 bytes: kind of number, width, height
_ELEMENT, _BEFORE = struct.Struct("<40xHII"), 50
_DTYPES = {1: "<u1", 2: "<u2", 3: "<u4", 4: "<i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8"}


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open a series of images; rows come from the bottom.

    Raises
    ------
    InputError
        It holds spectra, or no image is whole.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        head = file.read(64)
        check_header(path, head, 34)
        version, kind, tags, total, valid = struct.unpack_from("<4xHIIII", head)
        wide = version >= _WIDE
        table, dimensions = struct.unpack_from("<QI" if wide else "<II", head, 22)
        if kind != _IMAGES:
            raise InputError(f"{path} holds no images but spectra; choose another file.")
        if not 0 < total <= min(MOST_PATTERNS, size) or dimensions > 8:
            raise InputError(f"{path} declares {total} images: its header is damaged.")
        sizes = _sizes(file, 34 if wide else 30, dimensions)
        file.seek(table)
        places = np.fromfile(file, "<u8" if wide else "<u4", 2 * total).astype(np.int64)
        starts, tagged = places[:total][:valid], places[total : 2 * total]
        if not len(starts):
            raise InputError(f"{path} holds no image; it may be cut short.")
        dtype, width, height = _element(path, file, int(starts[0]), size)
        fast_x = tags == _PLACES and _same_y(file, tagged)
    frame = width * height * dtype.itemsize
    whole = (starts > 0) & (starts + _BEFORE + frame <= size)
    if not whole[0]:
        check_declared_size(path, int(starts[0]) + _BEFORE + frame, size)
    count = len(starts) if whole.all() else int(np.argmin(whole))
    read = _Images(path, starts[:count], (height, width), dtype)
    source = Source(path, (count, height, width), native(dtype), read)
    grid = [length for length in sizes if length > 1]
    if len(grid) == 2 and len(sizes) == 2:
        rows, columns = (grid[1], grid[0]) if fast_x else (grid[0], grid[1])
        return lay_out(source, rows, columns)
    if count < total:
        note = f"The series ends early: {count} of {total} patterns were recorded."
        return replace(source, notes=(note,))
    return source


def _sizes(file: Any, at: int, dimensions: int) -> list[int]:
    """Return the length of each axis of the series."""
    file.seek(at)
    sizes = []
    for _ in range(dimensions):
        head = file.read(28)
        if len(head) < 28:
            return []
        length, words = struct.unpack("<I20xI", head)
        file.seek(words, os.SEEK_CUR)
        units = file.read(4)
        if len(units) < 4:
            return []
        file.seek(struct.unpack("<I", units)[0], os.SEEK_CUR)
        sizes.append(int(length))
    return sizes


def _element(path: str, file: Any, start: int, size: int) -> tuple[np.dtype[Any], int, int]:
    file.seek(start)
    head = file.read(_ELEMENT.size)
    kind, width, height = _ELEMENT.unpack(head) if len(head) == _ELEMENT.size else (0, 0, 0)
    if kind not in _DTYPES or min(width, height) < 1:
        raise InputError(f"{path}: its first image is damaged or of complex numbers.")
    dtype = np.dtype(_DTYPES[kind])
    check_frame_bytes(path, width * height * dtype.itemsize, size)
    return dtype, width, height


def _same_y(file: Any, places: NDArray[np.int64]) -> bool:
    """Whether the first two images were recorded at the same height: x is the fast axis."""
    heights = []
    for place in places[:2]:
        file.seek(int(place))
        tag = file.read(24)
        if len(tag) < 24:
            return False
        heights.append(struct.unpack("<8xdd", tag)[1])
    return len(heights) == 2 and heights[0] == heights[1]


@dataclass(frozen=True, eq=False)
class _Images:
    path: str
    starts: NDArray[np.int64]
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        frames = np.empty((stop - start, *self.shape), self.dtype)
        with open(self.path, "rb") as file:
            for number, place in enumerate(self.starts[start:stop]):
                file.seek(int(place))
                head = file.read(_BEFORE)
                _, width, height = _ELEMENT.unpack(head)
                if (height, width) != self.shape:
                    raise InputError(
                        f"{self.path}: image {start + number} has {width}x{height} pixels, unlike "
                        "the first one."
                    )
                frames[number] = np.fromfile(file, self.dtype, width * height).reshape(self.shape)
        return frames[:, ::-1]
