"""Blockfiles (.blo) of NanoMegas, also of a scan that was stopped."""

from __future__ import annotations

import struct

import numpy as np

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import plausible_wavelength
from napari_diffraction.patterns.readers.memory import MappedPatterns, open_mapped
from napari_diffraction.patterns.readers.source import Source, check_header
from napari_diffraction.patterns.stack import SpotGeometry

# mark, version, offsets of the image and the patterns, flags, side of a pattern, its rotation,
# columns, rows, rotation of the scan, its steps in nm, voltage in V
_HEADER = struct.Struct("<6sHIIIHHHHHddI")
_FRAME_HEADER = 6


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open a blockfile: square patterns of 8 bit on a grid.

    Raises
    ------
    InputError
        It ends before its first pattern, or its header is damaged.
    """
    with open(path, "rb") as file:
        head = file.read(_HEADER.size)
    check_header(path, head, _HEADER.size)
    fields = _HEADER.unpack(head)
    offset, side, columns, rows = fields[3], fields[5], *fields[7:9]
    step_x, step_y, volts = fields[10:13]
    if min(side, rows, columns) < 1:
        raise InputError(
            f"{path} declares {columns}x{rows} patterns of {side} pixels: it is damaged."
        )
    shape = (rows, columns, side, side)
    read = MappedPatterns(path, offset, shape, np.dtype("u1"), before=_FRAME_HEADER)
    wavelength = plausible_wavelength(volts / 1000)
    steps = (step_y / 1000, step_x / 1000)
    step = steps if all(0 < size < 1e6 for size in steps) else None
    return open_mapped(read, geometry=SpotGeometry(wavelength=wavelength), step=step)
