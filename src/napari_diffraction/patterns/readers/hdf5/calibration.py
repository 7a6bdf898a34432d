"""What an HDF5 file says of microscope and camera: our own attributes, or what NeXus describes."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.geometry import in_angstrom, in_millimetres
from napari_diffraction.patterns.readers.own_numbers import NAMES, geometry_of_numbers
from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry

#: Names of the numbers that are looked for.
SCALARS = (
    "incident_wavelength",
    "detector_distance",
    "distance",
    "x_pixel_size",
    "y_pixel_size",
    "beam_center_x",
    "beam_center_y",
)
#: Numbers by their path in the file, each with its unit.
Scalars = dict[str, tuple[float, str]]
_PIXELS = ("", "px", "pixel", "pixels")


def text_of(value: Any) -> str:
    """Return the text of an attribute; empty where it is none.

    Some programs write texts as arrays of one.
    """
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


def geometry_of(file: h5py.File, scalars: Scalars, dataset: str) -> Geometry:
    """Return the calibration: of our own files from attributes of the root, else from NeXus.

    Parameters
    ----------
    file
        Opened file.
    scalars
        What it says of the experiment.
    dataset
        Name of the patterns: of several detectors or entries theirs counts.
    """
    numbers = {name: _finite_attribute(file, name) for name in NAMES}
    own = geometry_of_numbers({n: value for n, value in numbers.items() if value is not None})
    if isinstance(own, KikuchiGeometry):
        return replace(own, pc_map=_own_pc_map(file))
    if own.centre is None:
        x, y = (_centre(scalars, dataset, axis) for axis in "xy")
        # writers without a calibrated centre leave zeros
        own = replace(own, centre=(x, y) if x and y else None)
    if not own.has_scale:
        own = replace(own, pixel_angle=_pixel_angle(scalars, dataset))
    return own.with_wavelength(own.wavelength or _wavelength(scalars, dataset))


def _own_pc_map(file: h5py.File) -> NDArray[np.float64] | None:
    item = file.get("pattern_centre")
    if not isinstance(item, h5py.Dataset) or item.dtype.kind != "f" or len(item.shape or ()) != 3:
        return None
    return np.asarray(item[()], np.float64) if item.shape[-1] == 3 else None


def step_of(file: h5py.File) -> tuple[float, float] | None:
    """Return the step of a scan in one of our own files: that of rows and that of columns."""
    rows, columns = (_finite_attribute(file, f"step_{axis}") for axis in ("rows", "columns"))
    return None if rows is None or columns is None else (rows, columns)


def _finite_attribute(file: h5py.File, name: str) -> float | None:
    # other types are not even read: damaged ones can crash the HDF5 library
    if name not in file.attrs or file.attrs.get_id(name).dtype.kind not in "iuf":
        return None
    values = np.ravel(file.attrs[name])
    return float(values[0]) if len(values) and math.isfinite(values[0]) else None


def _nearest(scalars: Mapping[str, object], name: str, place: str) -> str | None:
    """Return the path of a number, of several of that name the one nearest to a place."""
    paths = [path for path in scalars if path.rsplit("/", 1)[-1] == name]
    return max(paths, key=lambda path: len(os.path.commonpath([path, place])), default=None)


def _wavelength(scalars: Scalars, dataset: str) -> float | None:
    path = _nearest(scalars, "incident_wavelength", dataset)
    value, unit = scalars[path] if path is not None else (math.nan, "")
    if not math.isfinite(value) or value <= 0:
        return None
    return in_angstrom(value, unit or "A")


def _millimetres(scalars: Scalars, path: str | None) -> float | None:
    """Return a length in mm; without a unit it is in m, as NeXus has it."""
    if path is None or path not in scalars:
        return None
    value, unit = scalars[path]
    return in_millimetres(value, unit or "m")


def _pixel_angle(scalars: Scalars, dataset: str) -> float | None:
    """Return the angle of a pixel in rad, from its size and the camera length."""
    pixel = _nearest(scalars, "x_pixel_size", dataset)
    if pixel is None:
        return None
    # "distance" alone may be that of a source or an aperture: only that of the detector counts
    beside = pixel.removesuffix("x_pixel_size") + "distance"
    distance = _nearest(scalars, "detector_distance", pixel) or beside
    size, length = (_millimetres(scalars, path) or 0.0 for path in (pixel, distance))
    usable = 0 < size < math.inf and 0 < length < math.inf
    return size / length if usable else None


def _centre(scalars: Scalars, dataset: str, axis: str) -> float | None:
    """Return a coordinate of the beam in pixels; NeXus gives it as a length, others in pixels."""
    pixel = _nearest(scalars, f"{axis}_pixel_size", dataset)
    path = _nearest(scalars, f"beam_center_{axis}", pixel or dataset)
    if path is None:
        return None
    value, unit = scalars[path]
    if unit.lower() not in _PIXELS:
        length, side = in_millimetres(value, unit), _millimetres(scalars, pixel)
        value = length / side if length is not None and side else math.nan
    return value if math.isfinite(value) else None
