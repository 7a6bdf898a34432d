"""HDF5, NeXus and CXI: finds the patterns and reads them, opening the file for each call only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from threading import RLock
from typing import Any

import h5py
import hdf5plugin  # noqa: F401  (registers bitshuffle and other compressions)
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import hyperspy
from napari_diffraction.patterns.readers.companions import arina, with_beside
from napari_diffraction.patterns.readers.datasets import Candidate, choose, stack_shape
from napari_diffraction.patterns.readers.ebsd.hdf5 import PATTERNS, is_scan, scan_header
from napari_diffraction.patterns.readers.ebsd.scan import as_scan
from napari_diffraction.patterns.readers.hdf5.calibration import geometry_of, step_of
from napari_diffraction.patterns.readers.hdf5.emd import axes_of
from napari_diffraction.patterns.readers.hdf5.links import (
    ALLOW,
    Absent,
    Gaps,
    gaps,
    refusal,
    refuse_outside,
)
from napari_diffraction.patterns.readers.hdf5.masks import masked_pixels, without_pixels
from napari_diffraction.patterns.readers.hdf5.survey import Survey, survey
from napari_diffraction.patterns.readers.slices import read_run
from napari_diffraction.patterns.readers.source import (
    Source,
    check_frame_bytes,
    native,
    to_grey,
)
from napari_diffraction.patterns.stack import SpotGeometry

# HDF5 serves one thread at a time; opening and closing one file from several is not worth a race.
_lock = RLock()


@contextmanager
def opened(path: str, cache: bool = True) -> Iterator[h5py.File]:
    """Open a file for reading, for one thread at a time; see `_Patterns` for the cache."""
    with _lock, _file(path, {} if cache else {"rdcc_nbytes": 0}) as file:
        yield file


def _file(path: str, cache: dict[str, int]) -> h5py.File:
    # without locking, so that files on network drives and those still being written open, too
    try:
        return h5py.File(path, "r", locking=False, **cache)
    except OSError as error:
        if "already open for write" not in str(error):
            raise
        # by a program that still writes, or was stopped while it did
        return h5py.File(path, "r", locking=False, swmr=True, **cache)


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
    with opened(path) as file:
        found = survey(path, file)
        scan = is_scan(file)
        fits = _is_stack if scan else _has_images
        nothing = dataset is None and not any(map(fits, found.candidates))
        _explain_broken(path, found, dataset, nothing)
        if scan and nothing:
            raise InputError(
                f"{path} holds an EBSD scan without its patterns; save it again with them."
            )
        chosen = choose(path, found.candidates, dataset, found.parts)
        members = chosen.members or ((chosen.name, chosen.shape[0]),)
        parts = [_part(file, name, count, found) for name, count in members]
        there = [part for part in parts if isinstance(part, h5py.Dataset)]
        stack = stack_shape(chosen.shape)
        assert stack is not None
        shape, colours = stack
        turned = not colours and is_turned(there[0])
        if turned:
            shape = (*shape[:-2], shape[-1], shape[-2])
        run = _run(path, there[0], colours)
        for part in there:
            refuse_outside(path, part)
        missing = gaps(parts, 3 if colours else 2)
        geometry = hyperspy.geometry_of(file, chosen.name)
        geometry = geometry or geometry_of(file, found.scalars, chosen.name)
        axes = axes_of(there[0])
        if axes and isinstance(geometry, SpotGeometry) and geometry.pixel_size is None:
            told = hyperspy.geometry_of_axis(axes[-1], geometry.wavelength)
            geometry = replace(told, centre=geometry.centre) if told.has_scale else geometry
        step = None
        if len(shape) == 4:
            step = step_of(file) or hyperspy.step_of(file, chosen.name)
            if step is None and len(axes) == 4:
                step = hyperspy.step_of_axes(*axes[:2])
        count = int(np.prod(shape[:-2]))
        ebsd = scan_header(file, chosen.name, count, (shape[-2], shape[-1]))
        beside = arina(path, file, count)
        plain = not (colours or turned)
        lead = (there[0].chunks or ())[: -3 if colours else -2]
        rows_together = any(length > 1 for length in lead[:-1])
        masked = masked_pixels(path, file, found.candidates, chosen) if plain else None
    reader = _Patterns(path, members, chosen.shape, colours, turned, missing, rows_together)
    if missing.count >= count:
        raise InputError(
            f"{path} links to {missing.files[0]}, which is not there; put it into the same folder."
        )
    source = Source(
        path,
        shape,
        native(chosen.dtype),
        reader,
        run=run,
        dataset=chosen.name,
        geometry=geometry,
        notes=_notes(found, chosen, missing, count),
        step=step,
    )
    if masked is not None:
        source = without_pixels(source, masked)
    return with_beside(source, beside) if ebsd is None else as_scan(source, ebsd)


def is_turned(data: h5py.Dataset) -> bool:
    """Whether the rows of images lie where others have their columns.

    MATLAB counts axes from the other end.
    """
    return "MATLAB_class" in data.attrs


def _has_images(candidate: Candidate) -> bool:
    return stack_shape(candidate.shape) is not None


def _is_stack(candidate: Candidate) -> bool:
    """Whether an array may be the patterns of a scan, not only some picture beside them."""
    shape = stack_shape(candidate.shape)
    patterns = any(name.fullmatch(candidate.name) for name in PATTERNS)
    return patterns or (shape is not None and math.prod(shape[0][:-2]) > 1)


def _part(file: h5py.File, name: str, count: int, found: Survey) -> h5py.Dataset | Absent:
    return Absent(count, found.broken[name]) if name in found.broken else file[name]


def _notes(found: Survey, chosen: Candidate, missing: Gaps, count: int) -> tuple[str, ...]:
    files = [name for name in missing.files if name]
    notes = [
        f"Linked data file missing: {name} (its patterns cannot be read)."
        for name in dict.fromkeys(files + found.broken_parts(chosen))
    ]
    if missing.count and not files:
        notes.append(f"{missing.count} of {count} patterns were never recorded.")
    if found.outside:
        number = len(found.outside)
        notes.append(
            f"{number} data set{'s' if number > 1 else ''} outside of this file's folder "
            f"{'are' if number > 1 else 'is'} left out; the environment variable {ALLOW}=anywhere "
            "allows them."
        )
    return tuple(notes)


def _explain_broken(path: str, found: Survey, dataset: str | None, nothing_else: bool) -> None:
    wanted = dataset.strip("/") if dataset else None
    for name, target in found.outside.items():
        if wanted == name or nothing_else:
            raise refusal(path, name, target)
    for name, target in found.broken.items():
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


@dataclass(frozen=True)
class _Patterns:
    path: str
    members: tuple[tuple[str, int], ...]
    shape: tuple[int, ...]
    colours: bool
    turned: bool
    missing: Gaps
    #: Whether chunks are kept once they are unpacked.  It pays where they hold several rows of a
    #: scan, which are read one after the other; else HDF5 takes twice the time with it.
    cache: bool

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        self.missing.check(self.path, start, stop)
        with opened(self.path, self.cache) as file:
            if len(self.members) == 1:
                lead = self.shape[: -3 if self.colours else -2]
                frames = read_run(file[self.members[0][0]], lead, start, stop)
            else:
                frames = np.concatenate(list(self._parts(file, start, stop)))
        if self.turned:
            return np.ascontiguousarray(frames.swapaxes(-1, -2))
        return to_grey(frames) if self.colours else frames

    def _parts(self, file: h5py.File, start: int, stop: int) -> Iterator[NDArray[Any]]:
        before = 0
        for name, count in self.members:
            low, high = max(start - before, 0), min(stop - before, count)
            if low < high:
                yield file[name][low:high]
            before += count
