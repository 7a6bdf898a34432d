"""What EBSD systems write into HDF5 beside the patterns: grid, step, pattern centre, tilts."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.readers.ebsd.scan import (
    ScanHeader,
    bruker_pc,
    usable_background,
)

#: Names of data sets that hold EBSD patterns, the preferred ones first.
PATTERNS = (
    re.compile(r"(.*/)?EBSD/Data/(Processed Patterns|Pattern|RawPatterns|patterns)"),
    re.compile(r"(.*/)?EBSD/Data/Unprocessed Patterns|EMData/\w+/EBSDPatterns"),
)
_EMSOFT = re.compile(r"EMData/(\w+)/EBSDPatterns")


def is_scan(file: h5py.File) -> bool:
    """Whether a file is laid out as EBSD systems do, with patterns in it or without."""
    groups = (
        file[name]
        for name in file
        # a link may lead out of the folder
        if file.get(name, getclass=True, getlink=True) is h5py.HardLink
    )
    return any(
        isinstance(group, h5py.Group) and "EBSD/Header" in group and "EBSD/Data" in group
        for group in groups
    )


def scan_header(
    file: h5py.File, dataset: str, count: int, frame_shape: tuple[int, int]
) -> ScanHeader | None:
    """Read the header of the EBSD scan that a data set belongs to.

    Parameters
    ----------
    file
        Opened file.
    dataset
        Name of the patterns.
    count
        Number of patterns.
    frame_shape
        Their height and width.

    Returns
    -------
    ScanHeader or None
        ``None``: the data set is of no EBSD system that is known.
    """
    if not any(name.fullmatch(dataset) for name in PATTERNS):
        return None
    emsoft = _EMSOFT.fullmatch(dataset)
    if emsoft is not None:
        return _emsoft(file, emsoft[1])
    ebsd = dataset.rsplit("/", 2)[0]
    header = Values(file, f"{ebsd}/Header")
    for key, vendor in (
        ("Y Cells", _oxford),
        ("nRows", _edax),
        ("NROWS", _bruker),
        ("n_rows", _kikuchipy),
    ):
        if key in header:
            known = vendor(_Scan(file, ebsd, header, count, frame_shape))
            return replace(known, background=_background(header, dataset, frame_shape))
    return ScanHeader()


def _background(
    header: Values, dataset: str, frame_shape: tuple[int, int]
) -> NDArray[np.float32] | None:
    """Read the static background, if there is one that can be used."""
    names = ["static_background", "StaticBackground", "Static Background"]
    if dataset.endswith("/Unprocessed Patterns"):
        # of Oxford, which took it off from the others
        names.insert(0, "Unprocessed Static Background")
    values = header.array(*names)
    return None if values is None else usable_background(values, frame_shape)


class Values:
    """Numbers and texts of a group, read with care: damaged types can crash the library.

    Parameters
    ----------
    file
        Opened file.
    name
        The group; it may be missing.
    """

    def __init__(self, file: h5py.File, name: str) -> None:
        group = file.get(name)
        self._group = group if isinstance(group, h5py.Group) else None

    def _item(self, name: str) -> h5py.Dataset | None:
        if self._group is None or name not in self._group:
            return None
        item = self._group[name]
        return item if isinstance(item, h5py.Dataset) and item.shape is not None else None

    def __contains__(self, name: str) -> bool:
        return self._item(name) is not None

    def array(self, *names: str) -> NDArray[np.float64] | None:
        """Return the first of the named arrays, flat."""
        for name in names:
            item = self._item(name)
            if item is not None and item.size and item.dtype.kind in "iuf":
                return np.ravel(item[()]).astype(np.float64)
        return None

    def number(self, *names: str) -> float | None:
        """Return the first of the named numbers that is finite."""
        for name in names:
            values = self.array(name)
            if values is not None and math.isfinite(values[0]):
                return float(values[0])
        return None

    def text(self, name: str, *, lower: bool = True) -> str:
        """Return a text, in lower case unless told otherwise; empty where there is none."""
        item = self._item(name)
        if item is None or item.dtype.kind not in "SO" or item.size != 1:
            return ""
        value = np.ravel(item[()])[0]
        text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
        text = text.strip("\0 ")
        return text.lower() if lower else text


class _Scan:
    def __init__(
        self,
        file: h5py.File,
        ebsd: str,
        header: Values,
        count: int,
        frame_shape: tuple[int, int],
    ) -> None:
        self.file, self.ebsd, self.header = file, ebsd, header
        self.count, self.frame_shape = count, frame_shape
        self.data = Values(file, f"{ebsd}/Data")

    def grid(self, rows: str, columns: str) -> tuple[int, int]:
        return int(self.header.number(rows) or 0), int(self.header.number(columns) or 0)

    def step(self, y: str, x: str) -> tuple[float, float] | None:
        rows, columns = self.header.number(y), self.header.number(x)
        return None if rows is None or columns is None else (rows, columns)

    def centres(
        self, values: Values, names: Sequence[str], convention: str = "bruker"
    ) -> NDArray[np.float64] | None:
        parts = [values.array(name) for name in names]
        known = [part for part in parts if part is not None]
        if len(known) != 3 or len({part.size for part in known}) != 1:
            return None
        return bruker_pc(convention, np.stack(known, -1), self.frame_shape)


def _degrees(radians: float | None) -> float | None:
    return None if radians is None else round(math.degrees(radians), 6)


def _oxford(scan: _Scan) -> ScanHeader:
    rows, columns = scan.grid("Y Cells", "X Cells")
    names = ("Pattern Center X", "Pattern Center Y", "Detector Distance")
    orientation = scan.header.array("Detector Orientation Euler")
    camera = None
    if orientation is not None and orientation.size == 3:
        camera = round(math.degrees(orientation[1]) - 90.0, 6)
    return ScanHeader(
        rows,
        columns,
        pc=scan.centres(scan.data, names, "oxford"),
        sample_tilt=_degrees(scan.header.number("Tilt Angle")),
        camera_tilt=camera,
        voltage=scan.header.number("Beam Voltage"),
        step=scan.step("Y Step", "X Step"),
    )


def _edax(scan: _Scan) -> ScanHeader:
    rows, columns = scan.grid("nRows", "nColumns")
    calibration = Values(scan.file, f"{scan.ebsd}/Header/Pattern Center Calibration")
    return ScanHeader(
        rows,
        columns,
        hexagonal=scan.header.text("Grid Type").startswith("hex"),
        pc=scan.centres(calibration, ("x-star", "y-star", "z-star"), "edax"),
        sample_tilt=scan.header.number("Sample Tilt"),
        camera_tilt=scan.header.number("Camera Elevation Angle"),
        voltage=scan.header.number("Acceleration Voltage", "kV", "KV"),
        step=scan.step("Step Y", "Step X"),
    )


def _bruker(scan: _Scan) -> ScanHeader:
    rows, columns = scan.grid("NROWS", "NCOLS")
    order = None
    places = recorded_places(scan.file, scan.ebsd, scan.count)
    if places is not None:
        y, x = places
        rows, columns = int(y.max()) + 1, int(x.max()) + 1
        order = np.full(rows * columns, -1, np.int64)
        order[y * columns + x] = np.arange(scan.count)
        if np.array_equal(order, np.arange(scan.count)):
            order = None
    return ScanHeader(
        rows,
        columns,
        hexagonal=scan.header.text("Grid Type").startswith("hex"),
        order=order,
        pc=scan.centres(scan.data, ("PCX", "PCY", "DD")),
        sample_tilt=scan.header.number("Sample Tilt", "SampleTilt"),
        camera_tilt=scan.header.number("CameraTilt"),
        voltage=scan.header.number("KV"),
        step=scan.step("YSTEP", "XSTEP"),
    )


def recorded_places(
    file: h5py.File, ebsd: str, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Read where the points of a scan of Bruker lie.

    They may be a region of interest, or a whole scan, in the order of recording.

    Parameters
    ----------
    file
        Opened file.
    ebsd
        Name of the group of the scan.
    count
        Number of points.

    Returns
    -------
    (ndarray of int, ndarray of int) or None
        Row and column of every point, from 0; ``None``: not given, or no map.
    """
    beside = ebsd.rpartition("/")[0]
    for group, prefix in ((f"{ebsd}/SEM", ""), (f"{beside}/SEM", "SEM ")):
        values = Values(file, group)
        y, x = values.array(f"{prefix}IY"), values.array(f"{prefix}IX")
        if y is None or x is None or not y.size == x.size == count:
            continue
        places = np.unique(np.stack([y, x]), axis=1)
        # two patterns at one place, or a few strewn over a huge field, are no map
        if places.shape[1] == count and np.ptp(y) * np.ptp(x) < 20 * count + 20:
            return (y - y.min()).astype(np.int64), (x - x.min()).astype(np.int64)
    return None


def _kikuchipy(scan: _Scan) -> ScanHeader:
    rows, columns = scan.grid("n_rows", "n_columns")
    microscope = Values(scan.file, f"{scan.ebsd.rpartition('/')[0]}/SEM/Header")
    crystal_map = Values(scan.file, f"{scan.ebsd}/CrystalMap/crystal_map/header")
    grid = scan.header.text("grid_type") or crystal_map.text("grid_type")
    return ScanHeader(
        rows,
        columns,
        hexagonal=grid.startswith("hex"),
        pc=scan.centres(scan.header, ("pcx", "pcy", "pcz")),
        sample_tilt=scan.header.number("sample_tilt"),
        camera_tilt=scan.header.number("elevation_angle"),
        voltage=microscope.number("beam_energy"),
        step=scan.step("step_y", "step_x"),
    )


def _emsoft(file: h5py.File, name: str) -> ScanHeader:
    settings = Values(file, f"NMLparameters/{name}NameList")
    names = ("xpc", "ypc", "L", "delta", "numsx", "numsy")
    x, y, distance, pixel, width, height = (settings.number(name) for name in names)
    pc = None
    if x is not None and y is not None and distance and pixel and width and height:
        # before version 5 x was counted the other way
        version = Values(file, f"EMheader/{name}").text("Version")
        sign = -1.0 if re.match(r"[0-4]_", version) else 1.0
        pc = np.array([0.5 - sign * x / width, 0.5 - y / height, distance / (pixel * height)])
    return ScanHeader(
        pc=pc,
        camera_tilt=settings.number("thetac"),
        voltage=settings.number("energymax"),
        sample_tilt=settings.number("sig"),
    )
