"""HDF5, NeXus and CXI: finds the patterns and reads them, opening the file for each call only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import RLock
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers bitshuffle and other compressions)
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import hyperspy
from napari_diffraction.patterns.readers.datasets import choose, stack_shape
from napari_diffraction.patterns.readers.ebsd_hdf5 import scan_header
from napari_diffraction.patterns.readers.ebsd_scan import as_scan
from napari_diffraction.patterns.readers.hdf5_survey import Survey, geometry_of, step_of, survey
from napari_diffraction.patterns.readers.source import (
    Source,
    check_frame_bytes,
    native,
    to_grey,
)

# HDF5 serves one thread at a time; opening and closing one file from several is not worth a race.
_lock = RLock()


@contextmanager
def _opened(path: str) -> Iterator[h5py.File]:
    # without locking, so that files on network drives and those still being written open, too
    with _lock, h5py.File(path, "r", locking=False) as file:
        yield file


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open the stack that an HDF5 file marks as its images, or else the biggest one.

    Virtual data sets and links to other files are followed; patterns whose linked file is missing
    are unreadable, the others are not.

    Raises
    ------
    AmbiguousDatasetError
        Several stacks fit equally well.
    InputError
        There is none, or its link is broken.
    """
    with _opened(path) as file:
        found = survey(file)
        _explain_broken(path, found, dataset)
        chosen = choose(path, found.candidates, dataset, found.parts)
        members = chosen.members or ((chosen.name, chosen.shape[0]),)
        first = file[members[0][0]]
        stack = stack_shape(chosen.shape)
        assert stack is not None
        shape, colours = stack
        run = _run(path, first, colours)
        missing = _missing(path, [file[name] for name, _ in members])
        geometry = hyperspy.geometry_of(file, chosen.name) or geometry_of(file, found.scalars)
        step = step_of(file) if len(shape) == 4 else None
        ebsd = scan_header(file, chosen.name, int(np.prod(shape[:-2])), (shape[-2], shape[-1]))
    reader = _Patterns(path, members, chosen.shape, colours, missing)
    if missing and sum(stop - start for start, stop, _ in missing) >= np.prod(shape[:-2]):
        raise InputError(
            f"{path} links to {missing[0][2]}, which is not there; put it into the same folder."
        )
    notes = tuple(
        f"Linked data file missing: {name} (its patterns cannot be read)."
        for name in dict.fromkeys([name for *_, name in missing] + found.broken_parts(chosen))
    )
    source = Source(
        path,
        shape,
        native(chosen.dtype),
        reader,
        run=run,
        dataset=chosen.name,
        geometry=geometry,
        notes=notes,
        step=step,
    )
    return source if ebsd is None else as_scan(source, ebsd)


def _explain_broken(path: str, found: Survey, dataset: str | None) -> None:
    wanted = dataset.strip("/") if dataset else None
    for name, target in found.broken.items():
        nothing_else = wanted is None and not any(stack_shape(c.shape) for c in found.candidates)
        if wanted == name or nothing_else:
            raise InputError(
                f"{path}: its data set {name} is a broken link to {target}; put that file beside "
                "it, where the link expects it."
            )


def _run(path: str, data: h5py.Dataset, colours: bool) -> int:
    """Return how many patterns share a chunk, having checked that chunks are of a sane size."""
    if data.is_virtual:
        return 1
    if data.id.get_storage_size() == 0 and data.external is None:
        raise InputError(f"{path}: nothing was ever written to {data.name}; record it again.")
    if data.chunks is None:
        return 1
    check_frame_bytes(path, int(np.prod(data.chunks)) * data.dtype.itemsize)
    lead = data.chunks[: -3 if colours else -2]
    return int(lead[-1]) if lead else 1


def _missing(path: str, members: list[h5py.Dataset]) -> tuple[tuple[int, int, str], ...]:
    """Return the patterns (start, stop) whose source file is missing, and that file.

    HDF5 itself gives zeros for them without a word.
    """
    gaps: list[tuple[int, int, str]] = []
    before = 0
    for data in members:
        if data.is_virtual and data.ndim == 3:
            folder = os.path.dirname(data.file.filename)
            for part in data.virtual_sources():
                if part.file_name == "." or "%" in part.file_name:
                    continue
                if not os.path.exists(os.path.join(folder, part.file_name)):
                    low, high = part.vspace.get_select_bounds()
                    gaps.append((before + int(low[0]), before + int(high[0]) + 1, part.file_name))
        before += data.shape[0]
    return tuple(gaps)


@dataclass(frozen=True)
class _Patterns:
    path: str
    members: tuple[tuple[str, int], ...]
    shape: tuple[int, ...]
    colours: bool
    missing: tuple[tuple[int, int, str], ...]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        for low, high, name in self.missing:
            if start < high and low < stop:
                raise InputError(f"{self.path} links to {name}, which is not there.")
        with _opened(self.path) as file:
            if len(self.members) == 1:
                frames = self._read(file[self.members[0][0]], start, stop)
            else:
                frames = np.concatenate(list(self._parts(file, start, stop)))
        return to_grey(frames) if self.colours else frames

    def _parts(self, file: h5py.File, start: int, stop: int) -> Iterator[NDArray[Any]]:
        before = 0
        for name, count in self.members:
            low, high = max(start - before, 0), min(stop - before, count)
            if low < high:
                yield file[name][low:high]
            before += count

    def _read(self, data: h5py.Dataset, start: int, stop: int) -> NDArray[Any]:
        lead = self.shape[: -3 if self.colours else -2]
        if not lead:
            return np.asarray(data[()])[np.newaxis]
        if len(lead) == 1:
            return np.asarray(data[start:stop])
        if len(lead) == 2:
            first, last = start // lead[1], (stop - 1) // lead[1]
            if first == last:
                return np.asarray(data[first, start - first * lead[1] : stop - first * lead[1]])
            # whole rows of the scan, and what is asked for of them
            rows = np.asarray(data[first : last + 1])
            flat = rows.reshape(-1, *rows.shape[2:])
            return flat[start - first * lead[1] : stop - first * lead[1]]
        return np.stack([data[np.unravel_index(i, lead)] for i in range(start, stop)])
