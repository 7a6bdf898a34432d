"""Zarr, formats 2 and 3: an array, or the biggest stack in a group; in a folder, or zipped."""

from __future__ import annotations

import math
import os
import zipfile
from functools import lru_cache
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import ZipStore

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import hyperspy
from napari_diffraction.patterns.readers.datasets import Candidate, choose, stack_shape
from napari_diffraction.patterns.readers.own_numbers import SPOTS
from napari_diffraction.patterns.readers.slices import read_run
from napari_diffraction.patterns.readers.source import (
    Source,
    check_frame_bytes,
    native,
    to_grey,
)
from napari_diffraction.patterns.stack import SpotGeometry

_ROOTS = (".zgroup", ".zarray", "zarr.json")
_ZIP = b"PK\x03\x04"


def looks_zipped(path: str) -> bool:
    """Whether a file is a Zarr store packed into a .zip."""
    with open(path, "rb") as file:
        if file.read(4) != _ZIP:
            return False
    with zipfile.ZipFile(path) as archive:
        return any(name in archive.NameToInfo for name in _ROOTS)


def open_store(path: str, dataset: str | None = None) -> Source:
    """Open a Zarr store, a folder or a .zip, among them those of HyperSpy."""
    if not os.path.isdir(path) and not looks_zipped(path):
        raise InputError(
            f"{path} is neither a folder nor a .zip of Zarr's; it may be damaged or misnamed."
        )
    root = _root(path, os.path.getmtime(path))
    arrays = {"": root} if isinstance(root, zarr.Array) else _arrays(root)
    candidates = [Candidate(name, a.shape, np.dtype(a.dtype)) for name, a in arrays.items()]
    chosen = choose(path, candidates, dataset if arrays.keys() != {""} else None)
    stack = stack_shape(chosen.shape)
    assert stack is not None
    shape, colours = stack
    chunks = arrays[chosen.name].chunks
    chunk_bytes = int(np.prod(chunks, dtype=object)) * chosen.dtype.itemsize
    stored = _stored(path) if chunk_bytes > 2**26 else 0
    check_frame_bytes(path, chunk_bytes, stored)
    lead = chunks[: -3 if colours else -2]
    read = _Patterns(path, chosen.name, colours)
    run = int(lead[-1]) if lead else 1
    return Source(
        path,
        shape,
        native(chosen.dtype),
        read,
        run=run,
        dataset=chosen.name or None,
        geometry=hyperspy.geometry_of(root, chosen.name) or _own(root, arrays[chosen.name]),
        step=hyperspy.step_of(root, chosen.name) if len(shape) == 4 else None,
    )


def _own(root: Any, array: zarr.Array) -> SpotGeometry:
    """Read the calibration from the attributes of the store and of its array, which go first."""
    numbers = {}
    for name in SPOTS:
        value = array.attrs.get(name, root.attrs.get(name))
        # JSON may hold anything
        if isinstance(value, int | float) and math.isfinite(value):
            numbers[name] = float(value)
    return SpotGeometry.of(numbers)


def _arrays(group: zarr.Group) -> dict[str, Any]:
    members = group.members(max_depth=None)
    return {name: member for name, member in members if isinstance(member, zarr.Array)}


def _stored(path: str) -> int:
    """Size of a store on the disk, in bytes."""
    if not os.path.isdir(path):
        return os.path.getsize(path)
    with os.scandir(path) as entries:
        return sum(_stored(e.path) if e.is_dir() else e.stat().st_size for e in entries)


@lru_cache(maxsize=4)
def _root(path: str, changed: float) -> Any:
    # The file of a zipped store stays open, since its table of contents may be long; a folder
    # holds no open file.  Nothing is unpacked to the disk.
    if os.path.isdir(path):
        return zarr.open(path, mode="r")
    return zarr.open(ZipStore(path, mode="r"), mode="r")


class _Patterns:
    def __init__(self, path: str, name: str, colours: bool) -> None:
        self._path, self._name, self._colours = path, name, colours
        self._changed = os.path.getmtime(path)

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        root = _root(self._path, self._changed)
        data = root[self._name] if self._name else root
        frames = read_run(data, data.shape[: -3 if self._colours else -2], start, stop)
        return to_grey(frames) if self._colours else frames
