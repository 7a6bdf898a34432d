"""Pixels that a detector masks: what is stored there, often the largest number, is no count."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.readers.datasets import Candidate
from napari_diffraction.patterns.readers.hdf5.links import refuse_outside
from napari_diffraction.patterns.readers.source import ReadPatterns, Source, check_frame_bytes

_Pixels = tuple[NDArray[np.int64], NDArray[np.int64]]


def masked_pixels(
    path: str, file: h5py.File, arrays: Sequence[Candidate], chosen: Candidate
) -> _Pixels | None:
    """Find the pixels that a detector of Dectris or NeXus masks.

    Parameters
    ----------
    path
        The file, for errors.
    file
        Opened.
    arrays
        What it holds.
    chosen
        The patterns.

    Returns
    -------
    (ndarray of int, ndarray of int) or None
        Their rows and columns; ``None``: there is no mask of this size, or it says nothing.
    """
    shape = chosen.shape[-2:]
    names = [
        one.name
        for one in arrays
        if one.name.rsplit("/", 1)[-1] == "pixel_mask"
        and one.shape == shape
        and one.dtype.kind in "bui"
        and one.name != chosen.name
    ]
    # of several detectors that of the patterns
    names.sort(key=lambda name: -len(os.path.commonpath([name, chosen.name])))
    for name in names:
        check_frame_bytes(path, math.prod(shape) * file[name].dtype.itemsize)
        refuse_outside(path, file[name])
        rows, columns = np.nonzero(file[name][()])
        # one that leaves nothing means the opposite, or was never made
        if 0 < len(rows) < math.prod(shape):
            return rows, columns
    return None


def without_pixels(source: Source, pixels: _Pixels) -> Source:
    """Take the values of masked pixels away: they become NaN."""
    dtype = source.dtype if source.dtype.kind == "f" else np.dtype(np.float32)
    number, total = len(pixels[0]), math.prod(source.frame_shape)
    note = f"The detector masks {number:,} of {total:,} pixels, which have no value."
    read = _Masked(source.read, pixels, dtype)
    return replace(source, dtype=dtype, read=read, notes=(*source.notes, note))


@dataclass(frozen=True, eq=False)
class _Masked:
    read: ReadPatterns
    pixels: _Pixels
    dtype: np.dtype[Any]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        frames = self.read(start, stop).astype(self.dtype)
        frames[:, self.pixels[0], self.pixels[1]] = np.nan
        return frames
