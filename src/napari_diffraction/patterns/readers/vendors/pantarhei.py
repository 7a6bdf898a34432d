"""Panta Rhei (.prz) of CEOS: a NumPy archive with a description in JSON."""

from __future__ import annotations

import json
import math
import zipfile
from dataclasses import replace
from typing import Any

from numpy.lib import format as npy

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import plausible_wavelength
from napari_diffraction.patterns.readers.general.arrays import open_npz
from napari_diffraction.patterns.readers.hyperspy import geometry_of_axis
from napari_diffraction.patterns.readers.source import Source
from napari_diffraction.patterns.stack import SpotGeometry

_LARGEST_TEXT = 16 * 2**20
_CAMERA, _TURNED = ["CameraX", "CameraY"], ["ScanY", "ScanX"]


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open the images of a .prz file; its pickled description, of old versions, is not read.

    Raises
    ------
    InputError
        The last two axes are not those of the camera, or there are no images.
    """
    source = open_npz(path, dataset or "data")
    about = _about(path)
    types = about.get("content.types")
    # the first one there is the last axis of the array
    axes = [str(kind) for kind in types] if isinstance(types, list) else []
    if set(_CAMERA) & set(axes) and (axes[:2] != _CAMERA or axes[2:4] == _TURNED):
        raise InputError(
            f"{path} does not hold its patterns one after the other; save it from Panta Rhei as "
            "HyperSpy (.hspy)."
        )
    return replace(source, dataset=None, geometry=_geometry(about))


def _about(path: str) -> dict[str, Any]:
    """Read the description; empty where there is none in JSON."""
    with zipfile.ZipFile(path) as archive:
        info = archive.NameToInfo.get("meta_data_json.npy")
        if info is None or info.file_size > _LARGEST_TEXT:
            return {}
        with archive.open(info) as file:
            try:
                found = json.loads(npy.read_array(file, allow_pickle=False).item())
            except ValueError:
                return {}
    first = found[0] if isinstance(found, list) and found else found
    return first if isinstance(first, dict) else {}


def _geometry(about: dict[str, Any]) -> SpotGeometry:
    volts = _number(about.get("electron_gun.voltage"))
    wavelength = plausible_wavelength(volts / 1000)
    axes = about.get("device.calib")
    axis = axes[0] if isinstance(axes, list) and axes else None
    if not isinstance(axis, dict):
        return SpotGeometry(wavelength)
    scale = _number(axis.get("value")) * (_number(axis.get("pixel_factor")) or 1.0)
    return geometry_of_axis({"scale": scale, "units": axis.get("unit", "")}, wavelength)


def _number(value: Any) -> float:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else 0.0
