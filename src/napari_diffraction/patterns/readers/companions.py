"""Text and files that cameras write beside a list of patterns: the rows and columns of its scan."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import h5py
import numpy as np

from napari_diffraction.patterns.geometry import plausible_wavelength
from napari_diffraction.patterns.readers.grids import lay_out
from napari_diffraction.patterns.readers.source import Source
from napari_diffraction.patterns.stack import SpotGeometry

_LARGEST_TEXT = 4 * 2**20


@dataclass(frozen=True)
class Beside:
    """What stands beside a list of patterns.

    Attributes
    ----------
    rows, columns
        Size of the scan.
    step
        Distance of rows and of columns in um.
    geometry
        Calibration.
    note
        A remark, where it is a guess.
    """

    rows: int
    columns: int
    step: tuple[float, float] | None = None
    geometry: SpotGeometry = SpotGeometry()
    note: str = ""


def with_beside(source: Source, beside: Beside | None) -> Source:
    """Lay a list of patterns out as what stands beside it says."""
    if beside is None or len(source.shape) != 3:
        return source
    known = source.geometry
    assert isinstance(known, SpotGeometry)
    scaled = known if known.has_scale else beside.geometry
    geometry = replace(scaled, centre=known.centre)
    geometry = geometry.with_wavelength(known.wavelength or beside.geometry.wavelength)
    scan = lay_out(replace(source, geometry=geometry), beside.rows, beside.columns)
    if len(scan.shape) != 4:
        return scan
    notes = (*scan.notes, beside.note) if beside.note else scan.notes
    return replace(scan, step=beside.step, notes=notes)


def direct_electron(path: str) -> Beside | None:
    """Read the ``_info.txt`` that a camera of Direct Electron writes beside its movie."""
    text = _first_text(_info_files(path))
    fields = dict(re.findall(r"^([^=\n]*?)\s*=[ \t]*([^\n]*?)\s*$", text, re.MULTILINE))
    if fields.get("Scan - Enable") != "Enable":
        return None
    if fields.get("Scan - Type", "Raster") != "Raster":
        return None
    part = "Scan - ROI Size" if fields.get("Scan - ROI Enable") == "Enable" else "Scan - Size"
    rows, columns = whole_number(fields.get(f"{part} Y")), whole_number(fields.get(f"{part} X"))
    if not rows or not columns:
        return None
    volts = _positive(fields.get("Instrument Accelerating Voltage (V)"))
    wavelength = plausible_wavelength(volts / 1000)
    # in 1/nm
    pixel = _positive(fields.get("Diffraction Pixel Size X")) / 10
    y, x = (
        _positive(fields.get(f"Specimen Pixel Size {axis} (nanometers)")) / 1000 for axis in "YX"
    )
    return Beside(
        rows, columns, (y, x) if y and x else None, SpotGeometry(wavelength, pixel or None)
    )


def _info_files(path: str) -> list[str]:
    """List where the text may stand: run_movie.mrc has run_movie_info.txt or run_info.txt."""
    stem = os.path.splitext(path)[0]
    folder, name = os.path.split(stem)
    parts = name.split("_")
    stems = ["_".join(parts[:n]) for n in range(len(parts), 0, -1)]
    return [os.path.join(folder, f"{stem}_info.txt") for stem in stems[:3]]


def _first_text(paths: list[str]) -> str:
    for path in paths:
        try:
            if os.path.getsize(path) <= _LARGEST_TEXT:
                return Path(path).read_text(encoding="latin-1")
        except OSError:
            continue
    return ""


def arina(path: str, master: h5py.File, count: int) -> Beside | None:
    """Read the scan of an Arina camera of Dectris: from ``x.h5`` beside ``x_master.h5``.

    Without that file a square number of patterns is taken for a square scan, and this is said.
    """
    description = master.get("entry/instrument/detector/description")
    if not isinstance(description, h5py.Dataset) or description.dtype.kind not in "SO":
        return None
    if description.size != 1 or b"arina" not in bytes(str(description[()]), "utf-8").lower():
        return None
    beside = path.removesuffix("_master.h5") + ".h5"
    if beside != path and os.path.isfile(beside):
        found = _stem_metadata(beside, master)
        if found is not None:
            return found
    side = math.isqrt(count)
    if side < 2 or side * side != count:
        return None
    note = f"The file does not say the size of its scan, which is taken to be {side} x {side}."
    return Beside(side, side, note=note)


def _stem_metadata(path: str, master: h5py.File) -> Beside | None:
    try:
        with h5py.File(path, "r", locking=False) as file:
            group = file.get("STEM Metadata")
            if not isinstance(group, h5py.Group):
                return None
            names = ("NumPixelsY", "NumPixelsX", "High Tension", "Camera Length", "Pixel Size",
                     "IsPixelSizeCalibrated")  # fmt: skip
            rows, columns, volts, length, step, calibrated = (_number(group, n) for n in names)
    except OSError:
        return None
    if not (1 <= rows < 1e6 and 1 <= columns < 1e6):
        return None
    wavelength = plausible_wavelength(volts / 1000)
    pixel = master.get("entry/instrument/detector/x_pixel_size")
    angle = None
    if length > 0 and isinstance(pixel, h5py.Dataset) and pixel.dtype.kind == "f":
        width = float(np.ravel(pixel[()])[0]) if pixel.size == 1 else 0.0
        angle = width / length if 0 < width < math.inf else None
    # in nm
    steps = (step / 1000, step / 1000) if calibrated and 0 < step < 1e6 else None
    geometry = SpotGeometry(pixel_angle=angle).with_wavelength(wavelength)
    return Beside(int(rows), int(columns), steps, geometry)


def _number(group: h5py.Group, name: str) -> float:
    """Return an attribute of one number, 0 where there is none."""
    if name not in group.attrs or group.attrs.get_id(name).dtype.kind not in "iuf":
        return 0.0
    values = group.attrs[name]
    number = float(values.flat[0]) if getattr(values, "size", 0) else 0.0
    return number if math.isfinite(number) else 0.0


def whole_number(text: str | None) -> int:
    """Return a whole number of at most seven digits that stands in a text, 0 where none does."""
    match = re.fullmatch(r"\s*(\d{1,7})\s*", text or "")
    return int(match[1]) if match else 0


def _positive(text: str | None) -> float:
    try:
        number = float(text or 0)
    except ValueError:
        return 0.0
    return number if math.isfinite(number) and number > 0 else 0.0
