"""NumPy's own files: .npy is mapped, .npz unpacked; nothing is ever unpickled."""

from __future__ import annotations

import os
import struct
import zipfile
from functools import lru_cache
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.datasets import Candidate, choose, stack_shape
from napari_diffraction.patterns.readers.memory import MappedPatterns, open_mapped
from napari_diffraction.patterns.readers.source import (
    Source,
    check_declared_size,
    native,
    to_grey,
)

# A packed .npz has to be unpacked as a whole, so it may not be too large.
_UNPACKED_BYTES = 2**30


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    version = npy.read_magic(file)
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return shape, fortran, dtype


def _refuse_objects(path: str, dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise InputError(
            f"{path} holds Python objects, which are not read for safety; save plain numbers."
        )


def looks_like_patterns(path: str) -> bool:
    """Tell from the header alone whether an .npy file holds images and not a table."""
    with open(path, "rb") as file:
        shape, _, dtype = _header(file)
    return dtype.kind in "buif" and stack_shape(shape) is not None


def open_npy(path: str, dataset: str | None = None) -> Source:
    """Open an .npy file of one image, a stack or a scan."""
    with open(path, "rb") as file:
        shape, fortran, dtype = _header(file)
        offset = file.tell()
    _refuse_objects(path, dtype)
    choose(path, [Candidate("the array", shape, dtype)], None)
    return open_mapped(_mapped(path, offset, shape, dtype, fortran))


def _mapped(
    path: str, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any], fortran: bool
) -> MappedPatterns:
    stack = stack_shape(shape)
    return MappedPatterns(
        path, offset, shape, dtype, colours=stack is not None and stack[1], fortran=fortran
    )


def open_npz(path: str, dataset: str | None = None) -> Source:
    """Open the biggest stack in an .npz file."""
    candidates, infos = [], {}
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                continue
            with archive.open(info) as file:
                shape, fortran, dtype = _header(file)
                header = file.tell()
            name = info.filename.removesuffix(".npy")
            candidates.append(Candidate(name, shape, dtype))
            infos[name] = info, header, fortran
    for candidate in candidates:
        if len(candidates) == 1 or candidate.name == dataset:
            _refuse_objects(path, candidate.dtype)
    chosen = choose(path, candidates, dataset)
    info, header, fortran = infos[chosen.name]
    needed = header + chosen.dtype.itemsize * int(np.prod(chosen.shape, dtype=object))
    check_declared_size(path, needed, info.file_size)
    if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 0x1:
        offset = _data_offset(path, info) + header
        read = _mapped(path, offset, chosen.shape, chosen.dtype, fortran)
        source = open_mapped(read, to_end=False)
    else:
        source = _packed(path, chosen, info.file_size)
    return Source(path, source.shape, source.dtype, source.read, source.run, chosen.name)


def _data_offset(path: str, info: zipfile.ZipInfo) -> int:
    # the local header repeats name and extra field, whose length may differ from the directory's
    with open(path, "rb") as file:
        file.seek(info.header_offset + 26)
        name, extra = struct.unpack("<HH", file.read(4))
    return info.header_offset + 30 + int(name) + int(extra)


def _packed(path: str, chosen: Candidate, unpacked: int) -> Source:
    if unpacked > max(_UNPACKED_BYTES, 10 * os.path.getsize(path)):
        raise InputError(
            f"{path} unpacks to {unpacked / 2**30:,.1f} GB of memory; save it as .npy or Zarr."
        )
    stack = stack_shape(chosen.shape)
    assert stack is not None
    read = _PackedPatterns(path, chosen.name, os.path.getmtime(path), stack[1])
    return Source(path, stack[0], native(chosen.dtype), read)


class _PackedPatterns:
    def __init__(self, path: str, name: str, changed: float, colours: bool) -> None:
        self._key = path, name, changed
        self._colours = colours

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        data = _unpacked(*self._key)
        inner = data.shape[-3:] if self._colours else data.shape[-2:]
        frames = data.reshape(-1, *inner)[start:stop]
        return to_grey(frames) if self._colours else frames.copy()


@lru_cache(maxsize=1)
def _unpacked(path: str, name: str, changed: float) -> NDArray[Any]:
    with np.load(path, allow_pickle=False) as archive:
        return np.ascontiguousarray(archive[name])
