"""Patterns with their peaks in one file of the Coherent X-ray Imaging data bank's layout.

Such a file holds the patterns in ``/entry_1/data_1/data`` and their peaks in ``/entry_1/result_1``:
``nPeaks``, and a row a pattern of ``peakXPosRaw``, ``peakYPosRaw`` and ``peakTotalIntensity``,
filled up with zeros.  Places are pixel indices: the centre of the first pixel is (0, 0).  CrystFEL,
which counts from the pixel's corner, adds the half pixel itself unless told
``--no-half-pixel-shift``.
"""

from __future__ import annotations

import math
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing_hdf5
from napari_diffraction.patterns.readers.hdf5.file import is_turned
from napari_diffraction.patterns.readers.hdf5.links import note_own
from napari_diffraction.patterns.readers.hdf5.survey import survey
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

DATA, PEAKS = "/entry_1/data_1/data", "/entry_1/result_1"
#: Version 1.60 of the layout.
_VERSION = 160
_HDF5 = (".h5", ".hdf5", ".nxs", ".cxi")
_BATCH = 64
_PACKED: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
_COLUMNS = {"peakXPosRaw": "x", "peakYPosRaw": "y", "peakTotalIntensity": "intensity"}


def write_cxi(
    stack: PatternStack, tables: Mapping[int, pd.DataFrame], path: Path
) -> Generator[Progress, None, Path]:
    """Write patterns and their peaks.

    Patterns of an HDF5 file are not copied: the new file refers to the old one, which has to stay
    where it is.  All others are copied, and so are those with masked pixels, of which the old file
    holds numbers.

    Parameters
    ----------
    stack
        The patterns.
    tables
        By the number of the pattern, a row a peak: ``x``, ``y`` in pixels and ``intensity``.
    path
        The file; its patterns are those of ``tables``, their numbers rising.

    Yields
    ------
    Progress

    Returns
    -------
    Path

    Raises
    ------
    InputError
        There is no pattern, or the file cannot be written.
    """
    if not tables:
        raise InputError(f"No pattern could be read, so there is nothing to write to {path.name}.")
    chosen = sorted(tables)
    most = max(1, *(len(tables[index]) for index in chosen))
    with replacing_hdf5(path) as file:
        file["cxi_version"] = _VERSION
        layout = _layout(stack, chosen)
        if layout is None:
            yield from _copy(stack, chosen, file)
        else:
            file.create_virtual_dataset(DATA, layout)
        group = file.create_group(PEAKS)
        group["nPeaks"] = np.array([len(tables[index]) for index in chosen], np.int32)
        for name, column in _COLUMNS.items():
            # one pattern of ice makes the rows of all others long, which memory need not hold
            values = group.create_dataset(
                name, (len(chosen), most), np.float32, chunks=(1, most), **_PACKED
            )
            for first in range(0, len(chosen), _BATCH):
                part = chosen[first : first + _BATCH]
                rows = np.zeros((len(part), most), np.float32)
                for row, index in zip(rows, part, strict=True):
                    row[: len(tables[index])] = tables[index][column]
                values[first : first + len(part)] = rows
        file["/entry_1/index"] = np.array(chosen, np.int64)
        yield Progress(len(chosen), len(chosen), f"Writing {path.name}")
    if layout is not None:
        note_own(path, {stack.source(index) for index in chosen})
    return path


def _layout(stack: PatternStack, chosen: list[int]) -> h5py.VirtualLayout | None:
    """Where each pattern lies in the files that hold it; ``None``: not in HDF5 as it is."""
    if not stack.dataset or not all(Path(one).suffix.lower() in _HDF5 for one in stack.sources):
        return None
    layout = h5py.VirtualLayout((len(chosen), *stack.frame_shape), stack.data.dtype)
    arrays: dict[str, list[tuple[str, int]]] = {}
    shapes: dict[tuple[str, str], tuple[int, ...]] = {}
    for row, index in enumerate(chosen):
        source = str(Path(stack.source(index)).absolute())
        if source not in arrays:
            arrays[source] = _arrays(source, stack.dataset)
        found = _within(arrays[source], stack.event(index))
        if found is None:
            return None
        name, event = found
        if (source, name) not in shapes:
            frame = stack.frame(index)  # opens the file in another way
            with h5py.File(source) as file:
                data = file[name]
                shapes[source, name] = data.shape
                if not _is_as_stored(frame, data, event):
                    return None
        shape = shapes[source, name]
        layout[row] = h5py.VirtualSource(source, name, shape)[_place(event, shape)]
    return layout


def _arrays(source: str, dataset: str) -> list[tuple[str, int]]:
    """Names of the arrays that make up a data set, and how many patterns each has."""
    with h5py.File(source) as file:
        if dataset in file:
            return [(dataset, math.prod(file[dataset].shape[:-2]))]
        found = survey(source, file).candidates
        return [part for one in found if one.name == dataset for part in one.members]


def _within(arrays: list[tuple[str, int]], event: int) -> tuple[str, int] | None:
    """Array that holds a pattern, and its number there; ``None``: other files call it otherwise."""
    for name, count in arrays:
        if event < count:
            return name, event
        event -= count
    return None


def _is_as_stored(frame: NDArray[Any], data: h5py.Dataset, event: int) -> bool:
    """Whether a pattern is what its file holds, not turned, grey of colours or without a mask."""
    if data.ndim < 3 or data.shape[-2:] != frame.shape or is_turned(data):
        return False
    stored = data[_place(event, data.shape)]
    return np.array_equal(frame, stored, equal_nan=stored.dtype.kind == "f")


def _place(event: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(int, np.unravel_index(event, shape[:-2])))


def _copy(
    stack: PatternStack, chosen: list[int], file: h5py.File
) -> Generator[Progress, None, None]:
    shape = stack.frame_shape
    data = file.create_dataset(
        DATA,
        shape=(len(chosen), *shape),
        dtype=stack.data.dtype,
        chunks=(1, *shape),
        **_PACKED,
    )
    for first in range(0, len(chosen), _BATCH):
        part = chosen[first : first + _BATCH]
        for row, frame in enumerate(stack.frames(part), first):
            if frame is not None:
                data[row] = frame
        yield Progress(first + len(part), len(chosen), "Writing patterns")
