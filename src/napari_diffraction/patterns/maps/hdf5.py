"""Maps in HDF5: those of orix, and those that EBSD systems keep beside their patterns."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

import h5py
import hdf5plugin  # noqa: F401  (registers compressions)
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.maps.vendor_map import (
    MapPhase,
    MapPoints,
    VendorMap,
    assemble,
    hexagonal_error,
)
from napari_diffraction.patterns.readers.ebsd.hdf5 import Values, recorded_places


def read_hdf5(path: str) -> VendorMap:
    """Read the map in a file: that of orix, or that beside the patterns of a vendor.

    Of several it is the largest, as it is of the patterns.
    """
    with h5py.File(path, "r", locking=False) as file:
        orix = _largest(file, "crystal_map", "data/phase_id")
        if orix is not None:
            return _orix(path, file, orix)
        vendor = _largest(file, "EBSD/Data", "Phase")
        if vendor is not None:
            return _vendor(path, file, vendor.removesuffix("/Data"))
    raise InputError(f"{path} holds no map: neither orix's nor that of an EBSD system.")


def _largest(file: h5py.File, ending: str, phases: str) -> str | None:
    """Return the group of such a name that holds most points, the first one among equals."""
    sizes = {}
    for name in _groups(file):
        if name.endswith(ending):
            item = file.get(f"{name}/{phases}")
            sizes[name] = (item.size or 0) if isinstance(item, h5py.Dataset) else 0
    return max(sizes, key=lambda name: sizes[name], default=None)


def _groups(file: h5py.File, prefix: str = "", depth: int = 4) -> Iterator[str]:
    group = file[prefix] if prefix else file
    for name in group:
        if group.get(name, getclass=True) is h5py.Group:
            full = f"{prefix}/{name}" if prefix else name
            yield full
            if depth:
                yield from _groups(file, full, depth - 1)


def _orix(path: str, file: h5py.File, name: str) -> VendorMap:
    header, data = Values(file, f"{name}/header"), Values(file, f"{name}/data")
    if header.text("grid_type").startswith("hex"):
        raise hexagonal_error(path)
    phase = data.array("phase_id")
    x, y = data.array("x"), data.array("y")
    if phase is None:
        raise InputError(f"{path}: the map {name} has no phases; choose another file.")
    n = len(phase)
    # orix leaves out the coordinate of a map that is only one point wide
    x = x if x is not None and len(x) == n else np.zeros(n)
    y = y if y is not None and len(y) == n else np.zeros(n)
    there = file.get(f"{name}/data/is_in_data")
    if there is not None and there.shape == (n,):
        phase = np.where(there[()].astype(bool), phase, -1)
    phases = {}
    for key in file.get(f"{name}/header/phases", ()):
        one = Values(file, f"{name}/header/phases/{key}")
        if re.fullmatch(r"\d+", key):
            group = one.number("space_group") or _integer(one.text("space_group"))
            phases[int(key)] = MapPhase(one.text("name", lower=False), int(group))
    step = header.number("y_step") or 0.0, header.number("x_step") or 0.0
    quality = data.array("confidence", "scores", "ci", "BC")
    points = MapPoints(
        x, y, phase.astype(np.int64), _angles(data, n, math.degrees(1)), _first(quality, n)
    )
    return assemble(path, points, phases, step, None)


def _integer(text: str) -> int:
    return int(text) if re.fullmatch(r"\d{1,3}", text) else 0


def _first(values: NDArray[np.float64] | None, n: int) -> NDArray[np.float64] | None:
    """The best of several values a point."""
    if values is None or not n or len(values) % n:
        return None
    return values.reshape(n, -1)[:, 0]


def _angles(data: Values, n: int, degrees: float) -> NDArray[np.float64] | None:
    # Oxford keeps all three together, always in radians
    euler = data.array("Euler")
    if euler is not None and euler.size == 3 * n:
        return np.degrees(euler.reshape(n, 3))
    for names in (("phi1", "Phi", "phi2"), ("Phi1", "Phi", "Phi2"), ("phi1", "PHI", "phi2")):
        parts = [_first(data.array(name), n) for name in names]
        known = [part for part in parts if part is not None]
        if len(known) == 3:
            return np.stack(known, -1) * degrees
    return None


def _vendor(path: str, file: h5py.File, ebsd: str) -> VendorMap:
    """Read the map beside the patterns in the file of an EBSD system."""
    header, data = Values(file, f"{ebsd}/Header"), Values(file, f"{ebsd}/Data")
    if header.text("Grid Type").startswith("hex"):
        raise hexagonal_error(path)
    phase = data.array("Phase")
    rows = int(header.number("Y Cells", "nRows", "NROWS") or 0)
    columns = int(header.number("X Cells", "nColumns", "NCOLS") or 0)
    if phase is None or rows < 1 or columns < 1:
        raise InputError(f"{path} holds no map: it has no phases or no size of the scan.")
    edax = "nRows" in header
    phases = {}
    for key in file.get(f"{ebsd}/Header/Phase" if edax else f"{ebsd}/Header/Phases", ()):
        one = Values(file, f"{ebsd}/Header/{'Phase' if edax else 'Phases'}/{key}")
        names = (one.text(n, lower=False) for n in ("Phase Name", "MaterialName", "Name"))
        if re.fullmatch(r"\d+", key):
            group = int(one.number("Space Group", "IT") or 0)
            phases[int(key)] = MapPhase(next(filter(None, names), ""), group)
    if edax and len(phases) == 1 and (phase == 0).all():
        phase = np.full(len(phase), next(iter(phases)))
    n = min(len(phase), rows * columns)
    confidence = data.array("CI")
    not_indexed = phase < 1
    if edax and confidence is not None and len(confidence) == len(phase):
        not_indexed |= confidence == -1
    row, column = np.divmod(np.arange(n), columns)
    places = recorded_places(file, ebsd, len(phase)) if "NROWS" in header else None
    if places is not None:
        (row, column), n = places, len(phase)
        rows, columns = int(row.max()) + 1, int(column.max()) + 1
    step = header.number("Y Step", "Step Y", "YSTEP"), header.number("X Step", "Step X", "XSTEP")
    dy, dx = (size if size and size > 0 else 1.0 for size in step)
    # EDAX writes radians, Oxford too, Bruker degrees
    angles = _angles(data, len(phase), 1.0 if "NROWS" in header else math.degrees(1))
    quality = _first(data.array("CI", "Band Contrast", "RadonQuality"), len(phase))
    points = MapPoints(
        column * dx,
        row * dy,
        np.where(not_indexed, -1, phase)[:n].astype(np.int64),
        None if angles is None else angles[:n],
        None if quality is None else quality[:n],
    )
    return assemble(path, points, phases, (dy, dx), (rows, columns))
