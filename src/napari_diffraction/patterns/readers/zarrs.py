"""Zarr, formats 2 and 3: an array, or the biggest stack in a group."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import hyperspy
from napari_diffraction.patterns.readers.datasets import Candidate, choose, stack_shape
from napari_diffraction.patterns.readers.source import (
    Source,
    check_frame_bytes,
    native,
    to_grey,
)
from napari_diffraction.patterns.stack import SpotGeometry


def open_folder(path: str, dataset: str | None = None) -> Source:
    """Open a Zarr store, among them those of HyperSpy."""
    if not os.path.isdir(path):
        raise InputError(f"{path} is a packed Zarr store; unpack it into a folder of this name.")
    root = zarr.open(path, mode="r")
    arrays = {"": root} if isinstance(root, zarr.Array) else _arrays(root)
    candidates = [Candidate(name, a.shape, np.dtype(a.dtype)) for name, a in arrays.items()]
    chosen = choose(path, candidates, dataset if arrays.keys() != {""} else None)
    stack = stack_shape(chosen.shape)
    assert stack is not None
    shape, colours = stack
    chunks = arrays[chosen.name].chunks
    chunk_bytes = int(np.prod(chunks, dtype=object)) * chosen.dtype.itemsize
    stored = sum(entry.stat().st_size for entry in _files(path)) if chunk_bytes > 2**26 else 0
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
        geometry=hyperspy.geometry_of(root, chosen.name) or SpotGeometry(),
    )


def _arrays(group: zarr.Group) -> dict[str, Any]:
    members = group.members(max_depth=None)
    return {name: member for name, member in members if isinstance(member, zarr.Array)}


def _files(folder: str) -> list[os.DirEntry[str]]:
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            found += _files(entry.path) if entry.is_dir() else [entry]
    return found


@lru_cache(maxsize=8)
def _array(path: str, name: str) -> Any:
    # holds no open file
    root = zarr.open(path, mode="r")
    return root[name] if name else root


class _Patterns:
    def __init__(self, path: str, name: str, colours: bool) -> None:
        self._path, self._name, self._colours = path, name, colours

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        data = _array(self._path, self._name)
        lead = data.shape[: -3 if self._colours else -2]
        if not lead:
            frames = np.asarray(data[...])[np.newaxis]
        elif len(lead) == 1:
            frames = np.asarray(data[start:stop])
        else:
            where = (np.unravel_index(index, lead) for index in range(start, stop))
            frames = np.stack([data[tuple(map(int, position))] for position in where])
        return to_grey(frames) if self._colours else frames
