"""Calibration as HyperSpy has it: in HDF5 (.hspy), in Zarr (.zspy), and from rosettasciio."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from napari_diffraction.patterns.geometry import electron_wavelength, in_angstrom, per_angstrom
from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry, SpotGeometry

_ANGLES = {"rad": 1.0, "mrad": 1e-3}
_DATA = re.compile(r"(Experiments/.+)/data")


def geometry_of(root: Any, dataset: str) -> Geometry | None:
    """Return the calibration of a HyperSpy signal.

    Parameters
    ----------
    root
        Opened HDF5 file or Zarr group.
    dataset
        Name of the data set.

    Returns
    -------
    SpotGeometry, KikuchiGeometry or None
        ``None``: not a HyperSpy signal.
    """
    match = _DATA.fullmatch(dataset)
    if match is None:
        return None
    signal = root[match[1]]
    if _attributes(signal, "metadata/Signal").get("signal_type") == "EBSD":
        return _kikuchi(_attributes(signal, "metadata/Acquisition_instrument/SEM"))
    axis = _attributes(signal, f"axis-{root[dataset].ndim - 1}")
    microscope = _attributes(signal, "metadata/Acquisition_instrument/TEM")
    wavelength = None
    with suppress(KeyError, TypeError, ValueError):
        wavelength = electron_wavelength(float(microscope["beam_energy"]))
    return geometry_of_axis(axis, wavelength)


def geometry_of_axis(axis: Mapping[str, Any], wavelength: float | None) -> SpotGeometry:
    """Return the calibration by scale and unit of an axis, which may also be of angles."""
    try:
        scale, unit = float(axis["scale"]), str(axis["units"])
    except (KeyError, TypeError, ValueError):
        return SpotGeometry(wavelength)
    if unit in _ANGLES and 0 < scale < math.inf:
        return SpotGeometry(pixel_angle=scale * _ANGLES[unit]).with_wavelength(wavelength)
    return SpotGeometry(wavelength, per_angstrom(scale, unit))


def step_of(root: Any, dataset: str) -> tuple[float, float] | None:
    """Return the step of a HyperSpy signal that is a scan, in um: that of rows and of columns.

    Parameters
    ----------
    root, dataset
        As of `geometry_of`.
    """
    match = _DATA.fullmatch(dataset)
    if match is None or root[dataset].ndim != 4:
        return None
    signal = root[match[1]]
    return step_of_axes(*(_attributes(signal, f"axis-{number}") for number in (0, 1)))


def step_of_axes(rows: Mapping[str, Any], columns: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the step of a scan in um from the scales and units of its axes."""
    y, x = _micrometres(rows), _micrometres(columns)
    return (y, x) if y is not None and x is not None else None


def _micrometres(axis: Mapping[str, Any]) -> float | None:
    with suppress(KeyError, TypeError, ValueError):
        scale = abs(float(axis["scale"]))
        length = in_angstrom(scale, str(axis["units"]))
        if length is not None and 0 < length < math.inf:
            return 1e-4 * length
    return None


def _kikuchi(microscope: dict[str, Any]) -> KikuchiGeometry:
    voltage = None
    with suppress(KeyError, TypeError, ValueError):
        voltage = float(microscope["beam_energy"])
    return KikuchiGeometry(voltage=voltage)


def _attributes(group: Any, name: str) -> dict[str, Any]:
    return dict(group[name].attrs) if name in group else {}
