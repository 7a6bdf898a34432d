"""Patterns that lie one after the other in a file become the rows and columns of a scan."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.readers.grids import Ordered, fit_grid, in_order
from napari_diffraction.patterns.readers.source import Source
from napari_diffraction.patterns.stack import KikuchiGeometry


@dataclass(frozen=True, eq=False)
class ScanHeader:
    """What the header of an EBSD scan says.

    Attributes
    ----------
    rows, columns
        Size of the grid; 0: not known.
    hexagonal
        Whether every second row is shifted by half a step.
    order : ndarray of int, (rows * columns,), or None
        Number in the file of every point of the grid, row by row; -1: never recorded.  ``None``:
        they lie in order.
    pc : ndarray, (3,) or (n, 3), or None
        Pattern centre in Bruker's convention, one or one for each pattern in the file.
    sample_tilt, camera_tilt, voltage
        As in `KikuchiGeometry`.
    step
        Distance of rows and of columns in um.
    background : ndarray of float32, (h, w), or None
        Static background that was recorded beside the scan.
    """

    rows: int = 0
    columns: int = 0
    hexagonal: bool = False
    order: NDArray[np.int64] | None = None
    pc: NDArray[np.float64] | None = None
    sample_tilt: float | None = None
    camera_tilt: float | None = None
    voltage: float | None = None
    step: tuple[float, float] | None = None
    background: NDArray[np.float32] | None = None


def as_scan(source: Source, header: ScanHeader) -> Source:
    """Lay the patterns of a source out as the header says, as far as they are there.

    A scan that was stopped has its last row filled up with patterns that cannot be read.  Where
    header and patterns do not fit together (see `fit_grid`), or on a hexagonal grid, the patterns
    stay a list and a note says why.
    """
    flat = (source.count, *source.frame_shape)
    grid: tuple[int, int] | None
    note, order = "", None
    if len(source.shape) == 4:
        grid = source.shape[0], source.shape[1]
    else:
        grid, order, note = _grid(source.count, header)
    shape = flat if grid is None else (*grid, *source.frame_shape)
    read = source.read
    if grid is not None and order is None and math.prod(grid) != source.count:
        order = in_order(source.count, math.prod(grid))
    if order is not None:
        read = Ordered(source.path, source.read, order)
    return replace(
        source,
        shape=shape,
        read=read,
        # patterns out of order are not worth being read in runs
        run=1 if isinstance(read, Ordered) and header.order is not None else source.run,
        geometry=_geometry(header, grid, order, source.count),
        background=header.background,
        step=header.step if grid is not None and _positive(header.step) else None,
        notes=(*source.notes, note) if note else source.notes,
    )


def usable_background(
    values: NDArray[Any], frame_shape: tuple[int, int]
) -> NDArray[np.float32] | None:
    """Return a static background if it is one of such patterns and not empty."""
    if values.size != math.prod(frame_shape):
        return None
    background = values.reshape(frame_shape).astype(np.float32)
    usable = np.isfinite(background).all() and background.min() >= 0 and np.ptp(background) > 0
    return background if usable else None


def _positive(step: tuple[float, float] | None) -> bool:
    return step is not None and all(math.isfinite(size) and size > 0 for size in step)


def _grid(
    count: int, header: ScanHeader
) -> tuple[tuple[int, int] | None, NDArray[np.int64] | None, str]:
    if header.hexagonal:
        note = "The scan lies on a hexagonal grid: it is shown as a list of patterns, not as a map."
        return None, None, note
    if header.order is not None and header.rows > 0 and header.columns > 0:
        missing = int(np.count_nonzero(header.order < 0))
        note = f"{missing} points of the grid were not recorded." if missing else ""
        return (header.rows, header.columns), header.order, note
    grid, note = fit_grid(count, header.rows, header.columns)
    return grid, None, note


def _geometry(
    header: ScanHeader,
    grid: tuple[int, int] | None,
    order: NDArray[np.int64] | None,
    count: int,
) -> KikuchiGeometry:
    mean, pc_map = None, None
    if header.pc is not None:
        centres = np.atleast_2d(np.asarray(header.pc, dtype=np.float64))
        good = centres[_plausible(centres)]
        if len(good):
            mean = good.mean(0)
            if grid is not None and len(centres) == count and np.ptp(good, axis=0).max() > 1e-6:
                pc_map = np.where(_plausible(centres)[:, np.newaxis], centres, mean)
                if order is not None:
                    pc_map = np.where((order < 0)[:, np.newaxis], mean, pc_map[order])
                pc_map = pc_map.reshape(*grid, 3)
    return KikuchiGeometry(
        None if mean is None else (float(mean[0]), float(mean[1]), float(mean[2])),
        header.sample_tilt,
        header.camera_tilt,
        header.voltage if header.voltage is None or header.voltage > 0 else None,
        pc_map,
    )


def _plausible(centres: NDArray[np.float64]) -> NDArray[np.bool_]:
    # writers leave zeros or -1 where nothing was calibrated
    sides = (centres[:, :2] > -1) & (centres[:, :2] < 2)
    return np.asarray(sides.all(1) & (centres[:, 2] > 0.05) & (centres[:, 2] < 10))


def bruker_pc(
    convention: str, centres: NDArray[Any], frame_shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Convert pattern centres to Bruker's convention.

    Parameters
    ----------
    convention
        "bruker", "edax" (y from below, distance in units of the shorter side) or "oxford" (y from
        below and distance, both in units of the width).
    centres : ndarray, (..., 3)
        x, y and distance.
    frame_shape
        Height and width of the patterns in pixels.
    """
    height, width = frame_shape
    x, y, z = np.moveaxis(np.asarray(centres, dtype=np.float64), -1, 0)
    if convention == "edax":
        y, z = 1 - y, z * min(height, width) / height
    elif convention == "oxford":
        y, z = 1 - y * width / height, z * width / height
    return np.stack([x, y, z], -1)
