"""Bruker (.bcf): a container of AidAim ("SFS") that holds EBSD patterns among other files.

The layout is known from open programs that read it, RosettaSciIO for the container and BCF Tools of
BlueQuartz Software for the patterns: ``EBSDData/FrameDescription`` tells where in
``EBSDData/FrameData`` the pattern of each point begins.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.ebsd.scan import ScanHeader, as_scan
from napari_diffraction.patterns.readers.source import Source, check_frame_bytes, native

_MAGIC = b"AAMVHFSS"
_CHUNK_HEADER, _FIRST = 32, 0x118  # each chunk begins with 32 bytes, the first one at 0x118
_ITEM = struct.Struct("<iQ28xi176s?3s256s32s")
_PACKED = b"AACS"
_MOST_ITEMS = 10_000
_LARGEST_TABLE = 2**30
# x, y, bytes, width, height, bytes of a pixel, kind of pixel
_FRAME = struct.Struct("<6iB")
_NONE = 0xFFFF_FFFF_FFFF_FFFF


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open the EBSD patterns of a .bcf file as a scan.

    Raises
    ------
    InputError
        It holds no EBSD patterns, as files of X-ray maps do, or is damaged.
    """
    files = _files(path, os.path.getmtime(path))
    table, frames = (files.get(f"EBSDData/{name}") for name in ("FrameDescription", "FrameData"))
    if table is None or frames is None:
        raise InputError(
            f"{path} holds no EBSD patterns, or keeps them in a way that is not known; export the "
            "scan from Esprit as HDF5 and open that."
        )
    columns, rows, count = struct.unpack("<3i", table.read(0, 12))
    if min(columns, rows) < 1 or not 0 < count <= (table.size - 12) // 8 or count > rows * columns:
        raise InputError(f"{path} declares {rows} x {columns} points: it is damaged.")
    places = np.frombuffer(table.read(12, 8 * count), "<u8")
    kept = np.flatnonzero(places < _NONE)
    if not len(kept):
        raise InputError(f"{path} holds no pattern; choose another file.")
    width, height, deep = _FRAME.unpack(frames.read(int(places[kept[0]]), _FRAME.size))[3:6]
    if deep not in (1, 2) or min(width, height) < 2:
        raise InputError(f"{path} declares patterns of {width}x{height} pixels: it is damaged.")
    check_frame_bytes(path, width * height * deep)
    dtype = np.dtype("u1" if deep == 1 else "<u2")
    order = np.full(rows * columns, -1, np.int64)
    order[kept] = np.arange(len(kept))
    read = _Patterns(
        path, os.path.getmtime(path), places[kept].astype(np.int64), (height, width), dtype
    )
    source = Source(path, (len(kept), height, width), native(dtype), read)
    whole = len(kept) == rows * columns
    return as_scan(source, ScanHeader(rows, columns, order=None if whole else order))


@dataclass(frozen=True, eq=False)
class _Patterns:
    path: str
    changed: float
    places: NDArray[np.int64]
    shape: tuple[int, int]
    dtype: np.dtype[Any]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        frames = _files(self.path, self.changed)["EBSDData/FrameData"]
        size = math.prod(self.shape) * self.dtype.itemsize
        whole = np.empty((stop - start, *self.shape), self.dtype)
        for number, place in enumerate(self.places[start:stop]):
            head = _FRAME.unpack(frames.read(int(place), _FRAME.size))
            if (head[4], head[3]) != self.shape or head[5] != self.dtype.itemsize:
                raise InputError(f"{self.path}: pattern {start + number} is damaged.")
            pixels = frames.read(int(place) + _FRAME.size, size)
            whole[number] = np.frombuffer(pixels, self.dtype).reshape(self.shape)
        return whole


@dataclass(frozen=True, eq=False)
class _File:
    """A file inside of a container.

    Attributes
    ----------
    path
        The container.
    chunk
        Bytes that a chunk holds.
    starts : ndarray of int
        Where each chunk of the file lies in the container.
    stored
        Bytes in the container.
    blocks : ndarray of int, (n, 2), or None
        Place and size of the packed blocks within the stored file; ``None``: it is not packed.
    block, size
        Bytes of an unpacked block and of the whole file.
    """

    path: str
    chunk: int
    starts: NDArray[np.int64]
    stored: int
    blocks: NDArray[np.int64] | None
    block: int
    size: int

    def read(self, start: int, length: int) -> bytes:
        """Read bytes of the file; raise `ValueError` where it is shorter."""
        if start < 0 or length < 0 or start + length > self.size:
            raise ValueError("it ends before its patterns do")
        if self.blocks is None:
            return _stored(self.path, self.chunk, self.starts, start, length)
        first, last = start // self.block, (start + length - 1) // self.block
        parts = [self._unpacked(number) for number in range(first, last + 1)]
        at = start - first * self.block
        return b"".join(parts)[at : at + length]

    def _unpacked(self, number: int) -> bytes:
        assert self.blocks is not None
        place, size = (int(value) for value in self.blocks[number])
        packed = _stored(self.path, self.chunk, self.starts, place, size)
        return zlib.decompressobj().decompress(packed, self.block)


def _stored(path: str, chunk: int, starts: NDArray[np.int64], start: int, length: int) -> bytes:
    parts = []
    with open(path, "rb") as file:
        while length > 0:
            number, at = divmod(start, chunk)
            if number >= len(starts):
                raise ValueError("it ends before its patterns do")
            file.seek(int(starts[number]) + at)
            part = file.read(min(chunk - at, length))
            if not part:
                raise ValueError("it ends before its patterns do")
            parts.append(part)
            start, length = start + len(part), length - len(part)
    return b"".join(parts)


@lru_cache(maxsize=4)
def _files(path: str, changed: float) -> dict[str, _File]:
    """List the files of a container by their names with folders."""
    with open(path, "rb") as file:
        head = file.read(0x14C)
        if len(head) < 0x14C or not head.startswith(_MAGIC):
            raise InputError(f"{path} is no file of Bruker's; it may be damaged or misnamed.")
        (size,) = struct.unpack_from("<I", head, 0x128)
        tree, count = struct.unpack_from("<II", head, 0x140)
        if not 512 + _CHUNK_HEADER <= size <= 2**24 or not 0 < count <= _MOST_ITEMS:
            raise InputError(f"{path}: the table of its contents is damaged.")
        chunk = size - _CHUNK_HEADER
        a_chunk = chunk // 512
        raw = [_linked(file, size, tree, -(-count // a_chunk), a_chunk * 512)]
        items = [
            _ITEM.unpack_from(raw[0], 512 * number)
            for number in range(min(count, len(raw[0]) // 512))
        ]
        names = [item[6].split(b"\0")[0].decode("utf-8", "replace") for item in items]
        found = {}
        for item, name in zip(items, names, strict=True):
            if item[4]:
                continue
            parent = item[2]
            folder = f"{names[parent]}/" if 0 <= parent < len(names) else ""
            if folder == "EBSDData/":
                found[folder + name] = _file(path, file, size, item[0], item[1])
    return found


def _linked(file: Any, size: int, first: int, count: int, useful: int) -> bytes:
    """Read chunks each of which says where the next one is."""
    parts = []
    for _ in range(count):
        file.seek(first * size + _FIRST)
        head = file.read(_CHUNK_HEADER)
        if len(head) < _CHUNK_HEADER:
            break
        parts.append(file.read(useful))
        (first,) = struct.unpack_from("<I", head)
    return b"".join(parts)


def _file(path: str, file: Any, size: int, table: int, stored: int) -> _File:
    chunk = size - _CHUNK_HEADER
    number = -(-stored // chunk)
    if not 0 < 4 * number <= min(_LARGEST_TABLE, os.path.getsize(path)):
        raise InputError(f"{path}: the table of its contents is damaged.")
    useful = chunk // 4 * 4
    raw = _linked(file, size, table, -(-4 * number // useful), useful)
    starts = np.frombuffer(raw[: 4 * min(number, len(raw) // 4)], "<u4").astype(np.int64)
    starts = starts * size + _FIRST + _CHUNK_HEADER
    whole = _File(path, chunk, starts, stored, None, 0, stored)
    if stored < 0x80 or whole.read(0, 4) != _PACKED:
        return whole
    block, _, blocks = struct.unpack("<III", whole.read(4, 12))
    if not 0 < block <= 2**26 or not 0 < blocks <= stored:
        raise InputError(f"{path}: the table of its contents is damaged.")
    places, at = [], 0x80
    for _ in range(blocks):
        (length,) = struct.unpack("<I12x", whole.read(at, 16))
        places.append((at + 16, length))
        at += 16 + length
    last = len(zlib.decompressobj().decompress(whole.read(*places[-1]), block))
    unpacked = (blocks - 1) * block + last
    return _File(path, chunk, starts, stored, np.array(places, np.int64), block, unpacked)
