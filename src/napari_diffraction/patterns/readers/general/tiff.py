"""TIFF: single images, stacks of pages, ImageJ and tifffile stacks, scans."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import per_angstrom
from napari_diffraction.patterns.readers.memory import MappedPatterns, open_mapped
from napari_diffraction.patterns.readers.own_numbers import POSITIVE, geometry_of_numbers
from napari_diffraction.patterns.readers.source import (
    Source,
    check_declared_size,
    check_frame_bytes,
    native,
    size_text,
    to_grey,
)
from napari_diffraction.patterns.stack import Geometry, SpotGeometry

# Up to here all pages are looked at; in longer files only those that are read.
_FEW_PAGES = 256
_UNIT_TAG, _SCALE_TAG = 65003, 65009  # as DigitalMicrograph and HyperSpy write them


def _open(path: str) -> tifffile.TiffFile:
    # an OME header may name other files; this is about the one that a person chose
    return tifffile.TiffFile(path, is_ome=False)


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open a TIFF file of one image, a stack of pages or a scan."""
    with _open(path) as tif:
        count, whole_chain = _count(tif)
        if count == 0:
            raise InputError(f"{path} holds no image; it may be damaged or cut short.")
        page = tif.pages.first
        if page.dtype is None:
            raise InputError(f"{path} holds a kind of number that is not known; save it anew.")
        geometry = _beside(path) or SpotGeometry(pixel_size=_pixel_size(tif, page))
        whole = tif.is_shaped or tif.is_imagej
        # naming the series of a long file of plain pages would take a look at every page
        series = _biggest(tif) if whole or (whole_chain and count <= _FEW_PAGES) else []
        mappable = len(series) == 1 and series[0].dataoffset is not None
        if mappable and series[0].axes[-1] != "S" and _palette(tif, page) is None:
            mapped = _contiguous(path, series[0], tif.byteorder, geometry, count)
            if mapped is not None:
                return mapped
        source = _paged(path, tif, series if whole_chain else [], geometry, count)
        note = "The file ends early: its list of pages breaks off behind those that are shown."
        return source if whole_chain else replace(source, notes=(*source.notes, note))


def _count(tif: tifffile.TiffFile) -> tuple[int, bool]:
    """Count the pages, up to where a file that was cut short breaks their chain off."""
    count = len(tif.pages)
    try:
        if count:
            tif.pages[count - 1]
    except (tifffile.TiffFileError, IndexError):
        return count - 1, False
    size = tif.tiff.offsetsize
    tif.filehandle.seek(tif.pages.next_page_offset or 0)
    # where the place of one more page would stand
    return count, not count or tif.filehandle.read(size) in (bytes(size), b"")


def _biggest(tif: tifffile.TiffFile) -> list[tifffile.TiffPageSeries]:
    """Return the biggest series and those that continue it, as a program that adds images makes."""
    try:
        biggest = max(tif.series, key=lambda series: series.size)
    except tifffile.TiffFileError:
        return []  # cut short within the description of a page: those before it can be read
    alike = [series for series in tif.series if _kind(series) == _kind(biggest)]
    return alike if len(alike) > 1 and all(map(_is_paged, alike)) else [biggest]


def _kind(series: tifffile.TiffPageSeries) -> tuple[Any, ...]:
    shape = series.shape
    # what is added to a stack may be longer or shorter, while a scan is one of its own
    if len(_axes_before(series)) == 1:
        shape = shape[1:]
    return len(series.shape), shape, series.dtype, series.axes[-1]


def _is_paged(series: tifffile.TiffPageSeries) -> bool:
    """Whether each image of a series is a page."""
    return _page_numbers(series) is not None and np.prod(_axes_before(series)) == len(series.pages)


def _axes_before(series: tifffile.TiffPageSeries) -> tuple[int, ...]:
    """Return the shape of a series without that of its images."""
    shape: tuple[int, ...] = series.shape[: -3 if series.axes[-1] == "S" else -2]
    return shape


def _lead(series: list[tifffile.TiffPageSeries], count: int) -> tuple[int, ...]:
    """Return (rows, columns) for what was written as a four-dimensional array, else (n,)."""
    shape = _axes_before(series[0])
    if series[0].kind == "shaped" and len(shape) == 2 and shape[0] * shape[1] == count:
        return int(shape[0]), int(shape[1])
    return (count,)


def _left_out(number: int) -> tuple[str, ...]:
    if number < 1:  # fewer pages are there than a file that was cut short promises
        return ()
    return (f"{number} images of another size or kind in the file are left out.",)


def _contiguous(
    path: str,
    series: tifffile.TiffPageSeries,
    byteorder: str,
    geometry: Geometry,
    pages: int,
) -> Source | None:
    # tifffile marks arrays of three or four images as colours but keeps their shape
    if ("S" in series.axes and series.kind != "shaped") or len(series.shape) < 2:
        return None
    dtype = np.dtype(series.dtype).newbyteorder(byteorder)
    count = int(np.prod(series.shape[:-2]))
    shape = (*_lead([series], count), *series.shape[-2:])
    read = MappedPatterns(path, series.dataoffset, shape, dtype)
    notes = _left_out(pages - len(series.pages))
    return open_mapped(read, to_end=False, geometry=geometry, notes=notes)


def _paged(
    path: str,
    tif: tifffile.TiffFile,
    series: list[tifffile.TiffPageSeries],
    geometry: Geometry,
    pages: int,
) -> Source:
    indices = _all_numbers(series)
    notes: tuple[str, ...] = ()
    planes = 1
    if indices is None:
        first = tif.pages.first
        lead: tuple[int, ...] = (pages,)
    else:
        first = tif.pages[indices[0]]
        planes = _patterns_of(first, series)
        lead = _lead(series, planes * len(indices))
        notes = _left_out(pages - len(indices))
    shape = _grey_shape(path, first)
    stored = os.path.getsize(path)
    dtype = np.dtype(first.dtype)
    frame_bytes = int(np.prod(first.shape)) * dtype.itemsize
    check_frame_bytes(path, frame_bytes, stored)
    if first.compression == tifffile.COMPRESSION.NONE and first.bitspersample >= 8:
        check_declared_size(path, frame_bytes, stored)
    if first.is_tiled:
        check_frame_bytes(path, first.tilewidth * first.tilelength * dtype.itemsize, stored)
    read = _Pages(path, indices, planes)
    return Source(path, (*lead, *shape), native(dtype), read, geometry=geometry, notes=notes)


def _palette(tif: tifffile.TiffFile, page: Any) -> NDArray[np.uint8] | None:
    """Return the grey of each number of a page that stands for a colour, else ``None``.

    The colours of ImageJ only say how its numbers are shown, which are intensities all the same.
    """
    if page.photometric != tifffile.PHOTOMETRIC.PALETTE or tif.is_imagej:
        return None
    if page.dtype != np.uint8 or page.colormap is None or page.colormap.shape != (3, 256):
        return None
    # colours have 16 bits, but some programs write 8
    colours = page.colormap.T >> (8 if page.colormap.max() > 255 else 0)
    grey: NDArray[np.uint8] = to_grey(colours.astype(np.uint8))
    return grey


def _patterns_of(page: Any, series: list[tifffile.TiffPageSeries]) -> int:
    """Return how many patterns a page holds: tifffile marks arrays of three or four as colours."""
    return int(page.shape[0]) if page.axes == "SYX" and series[0].kind == "shaped" else 1


def _all_numbers(series: list[tifffile.TiffPageSeries]) -> list[int] | None:
    """Return the pages of several series in the order of the file."""
    parts = [_page_numbers(one) for one in series]
    known = [part for part in parts if part is not None]
    return sorted(chain(*known)) if known and len(known) == len(parts) else None


def _page_numbers(series: tifffile.TiffPageSeries) -> list[int] | None:
    numbers = [page.index for page in series.pages if page is not None]
    # pages inside others are numbered by tuples
    plain = [number for number in numbers if isinstance(number, int)]
    return plain if len(plain) == len(series.pages) else None


def _grey_shape(path: str, page: Any) -> tuple[int, int]:
    if page.axes == "YX":
        return page.shape[0], page.shape[1]
    if page.axes == "YXS":
        return page.shape[0], page.shape[1]
    if page.axes == "SYX":
        return page.shape[1], page.shape[2]
    raise InputError(f"{path} holds pages that are no plain images ({page.axes}); save it anew.")


class _Pages:
    """Reads pages of a TIFF file, which is open during a call only."""

    def __init__(self, path: str, indices: list[int] | None, planes: int = 1) -> None:
        self._path, self._indices, self._planes = path, indices, planes
        self._lock = Lock()
        # keeps where each page lies, found on first use
        self._tif: tifffile.TiffFile | None = None

    def __getstate__(self) -> dict[str, Any]:
        return {"_path": self._path, "_indices": self._indices, "_planes": self._planes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(*state.values())  # type: ignore[misc]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        with self._lock:
            if self._tif is None:
                self._tif = _open(self._path)
            else:
                self._tif.filehandle.open()
            try:
                frames = [self._page(self._tif, index) for index in range(start, stop)]
            finally:
                self._tif.filehandle.close()
        if any(frame.shape != frames[0].shape for frame in frames):
            raise InputError(f"{self._path} holds pages of different sizes; split it.")
        return np.stack(frames)

    def _page(self, tif: tifffile.TiffFile, index: int) -> NDArray[Any]:
        index, plane = divmod(index, self._planes)
        number = index if self._indices is None else self._indices[index]
        page: Any = tif.pages[number]
        height, width = _grey_shape(self._path, tif.pages.first)
        if self._indices is None and _grey_shape(self._path, page) != (height, width):
            raise InputError(
                f"{self._path}: page {number} has {size_text(_grey_shape(self._path, page))} but "
                f"the first has {size_text((height, width))}; split the file by size."
            )
        if max(page.databytecounts, default=0) > tif.filehandle.size:
            # tifffile takes memory for all of it before it reads
            raise InputError(f"{self._path}: page {number} is damaged: it is longer than the file.")
        data: NDArray[Any] = page.asarray(maxworkers=1)
        palette = _palette(tif, page)
        if palette is not None:
            grey: NDArray[Any] = palette[data]
            return grey
        if self._planes > 1:
            return np.ascontiguousarray(data[plane])
        if page.axes == "SYX":
            data = np.moveaxis(data, 0, -1)
        return to_grey(data) if "S" in page.axes else data


def _beside(path: str) -> Geometry | None:
    """Return the calibration in the ``.json`` that an export of ours writes beside its file."""
    try:
        facts = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
        numbers = {name: float(value) for name, value in facts["geometry"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None  # none there, or one of another program
    known = {
        name: value
        for name, value in numbers.items()
        if np.isfinite(value) and (value > 0 or name not in POSITIVE)
    }
    return geometry_of_numbers(known) if known else None


def _pixel_size(tif: tifffile.TiffFile, page: Any) -> float | None:
    """Return 1/A per pixel, where ImageJ, DigitalMicrograph or HyperSpy wrote it down."""
    unit, scale = page.tags.get(_UNIT_TAG), page.tags.get(_SCALE_TAG)
    # others may use the same tags for anything
    if unit is not None and scale is not None and isinstance(scale.value, float):
        found = per_angstrom(scale.value, str(unit.value))
        if found is not None:
            return found
    resolution = page.tags.get("XResolution")
    if tif.imagej_metadata and resolution is not None:
        pixels, units = resolution.value
        if pixels and units:
            return per_angstrom(units / pixels, str(tif.imagej_metadata.get("unit", "")))
    return None
