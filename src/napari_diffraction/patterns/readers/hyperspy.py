"""Calibration in HyperSpy's layout, the same in its HDF5 (.hspy) and Zarr (.zspy) files."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import Any

from napari_diffraction.patterns.geometry import electron_wavelength, per_angstrom
from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry, SpotGeometry

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
    wavelength = pixel_size = None
    with suppress(KeyError, TypeError, ValueError):
        wavelength = electron_wavelength(float(microscope["beam_energy"]))
    with suppress(KeyError, TypeError, ValueError):
        pixel_size = per_angstrom(float(axis["scale"]), str(axis["units"]))
    return SpotGeometry(wavelength, pixel_size)


def _kikuchi(microscope: dict[str, Any]) -> KikuchiGeometry:
    voltage = None
    with suppress(KeyError, TypeError, ValueError):
        voltage = float(microscope["beam_energy"])
    return KikuchiGeometry(voltage=voltage)


def _attributes(group: Any, name: str) -> dict[str, Any]:
    return dict(group[name].attrs) if name in group else {}
