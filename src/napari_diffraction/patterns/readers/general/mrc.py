"""MRC: single patterns, stacks and stacks of volumes (scans)."""

from __future__ import annotations

import io
import os
import struct
import warnings
from typing import Any

import mrcfile
import numpy as np
from mrcfile.mrcinterpreter import MrcInterpreter

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import electron_wavelength
from napari_diffraction.patterns.readers.companions import direct_electron, with_beside
from napari_diffraction.patterns.readers.memory import MappedPatterns, open_mapped
from napari_diffraction.patterns.readers.source import Source, check_declared_size
from napari_diffraction.patterns.stack import SpotGeometry

_HEADER = 1024
_EXTENDED = slice(92, 96)  # where the header gives the length of the extended header
_VOLUME_STACKS = range(401, 631)
# IMOD writes this number, and flags of which the first one means signed bytes
_IMOD, _IMOD_STAMP = slice(152, 160), 1146047817


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open an MRC file.

    The voltage is taken from the extended header of FEI cameras.  The cell in the header is not:
    it is meant for images in real space.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        header, extended = _header(path)
        dtype = _dtype(header)
        columns, rows, sections = (int(header[name]) for name in ("nx", "ny", "nz"))
        deep, space_group = int(header.mz), int(header.ispg)
        offset = _HEADER + extended
        check_declared_size(path, offset, os.path.getsize(path))
        geometry = SpotGeometry(wavelength=_wavelength(path) if extended else None)
    if min(columns, rows, sections, extended + 1) < 1:
        raise InputError(f"{path} declares {columns}x{rows}x{sections} values: it is damaged.")
    shape: tuple[int, ...] = (sections, rows, columns)
    if space_group in _VOLUME_STACKS and deep > 0 and sections % deep == 0:
        shape = (sections // deep, deep, rows, columns)
    source = open_mapped(MappedPatterns(path, offset, shape, dtype), geometry=geometry)
    return with_beside(source, direct_electron(path))


def _header(path: str) -> tuple[Any, int]:
    """Return the header and the length of the extended header, in bytes.

    mrcfile takes memory for the whole extended header before it looks whether that is there, so
    it is shown a header without one.
    """
    with open(path, "rb") as file:
        head = bytearray(file.read(_HEADER))
    extended = head[_EXTENDED]
    head[_EXTENDED] = bytes(len(extended))
    # permissive, since many programs leave the map identifier out
    header = MrcInterpreter(io.BytesIO(head), permissive=True, header_only=True).header
    big = header.mode.dtype.byteorder == ">"
    return header, int.from_bytes(extended, "big" if big else "little", signed=True)


def _dtype(header: Any) -> np.dtype[Any]:
    """Return the type of the numbers: bytes are signed, but IMOD and old programs have others."""
    dtype: np.dtype[Any] = np.dtype(mrcfile.utils.data_dtype_from_header(header))
    if dtype.itemsize > 1:
        return dtype
    order = ">" if header.mode.dtype.byteorder == ">" else "<"
    stamp, flags = struct.unpack(f"{order}2i", header.tobytes()[_IMOD])
    unsigned = not flags & 1 if stamp == _IMOD_STAMP else float(header.dmax) > 127
    return np.dtype(np.uint8) if unsigned else dtype


def _wavelength(path: str) -> float | None:
    with mrcfile.open(path, mode="r", permissive=True, header_only=True) as file:
        try:
            volts = float(file.indexed_extended_header["HT"][0])
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            return None
    return electron_wavelength(volts / 1000.0) if 1e4 <= volts <= 1e7 else None
