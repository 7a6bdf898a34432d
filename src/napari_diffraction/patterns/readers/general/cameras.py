"""SMV (.img) and CBF: one frame a file, as crystallography's cameras write them."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass, replace
from typing import Any

import fabio
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import in_millimetres
from napari_diffraction.patterns.readers.memory import MappedPatterns, open_mapped
from napari_diffraction.patterns.readers.source import (
    Source,
    check_declared_size,
    check_frame_bytes,
)
from napari_diffraction.patterns.stack import SpotGeometry

_BINARY_START = "\x0c\x1a\x04\xd5"
_SMV_BYTES = {"char": 1, "short": 2, "mad": 2, "int": 4, "long": 4}
_NUMBER = r"([-+]?[\d.]+(?:[eE][-+]?\d+)?)"


def _number(text: str | None) -> float | None:
    match = re.search(_NUMBER, text or "")
    try:
        return float(match[1]) if match else None
    except ValueError:
        return None


def _positive(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) and value > 0 else None


def _geometry(
    wavelength: float | None,
    pixel: float | None,
    distance: float | None,
    centre: tuple[float | None, float | None],
) -> SpotGeometry:
    wavelength, pixel, distance = map(_positive, (wavelength, pixel, distance))
    x, y = map(_positive, centre)
    known = SpotGeometry(
        centre=(x, y) if x is not None and y is not None else None,
        pixel_angle=pixel / distance if pixel and distance else None,
    )
    return known.with_wavelength(wavelength)


def open_smv(path: str, dataset: str | None = None) -> Source:
    """Open an SMV image; its header gives wavelength (A), distance and pixel size (mm)."""
    with open(path, "rb") as file:
        head = file.read(4096).split(b"}")[0].decode("latin-1")
    fields = dict(re.findall(r"(\w+)\s*=\s*([^;\n]*);", head))
    try:
        width, height = int(fields["SIZE1"]), int(fields["SIZE2"])
        start = int(fields["HEADER_BYTES"])
    except (KeyError, ValueError) as error:
        raise InputError(f"{path}: the SMV header gives no size; it is damaged.") from error
    if min(width, height, start) < 1:
        raise InputError(f"{path} declares {width}x{height} pixels: its SMV header is damaged.")
    pixel = _number(fields.get("PIXEL_SIZE"))
    centre = _number(fields.get("BEAM_CENTER_X")), _number(fields.get("BEAM_CENTER_Y"))
    geometry = _geometry(
        _number(fields.get("WAVELENGTH")),
        pixel,
        _number(fields.get("DISTANCE")),
        _in_pixels(centre, pixel, (width, height)),
    )
    number = _smv_dtype(fields)
    if number is not None and "Data_type" not in fields:
        mapped = MappedPatterns(path, start, (1, height, width), number)
        return open_mapped(mapped, geometry=geometry, metadata=fields)
    # of d*TREK, which may also be packed
    check_declared_size(path, start + width * height, os.path.getsize(path))
    with fabio.open(path) as image:
        dtype = np.dtype(image.dtype)
    read = _Image(path, (height, width))
    return Source(path, (1, height, width), dtype, read, geometry=geometry, metadata=fields)


def _smv_dtype(fields: dict[str, str]) -> np.dtype[Any] | None:
    """Return the type of number that a header names, such as "unsigned_short" or "long_int"."""
    words = re.split(r"[\s_]+", fields.get("TYPE", "").strip().lower())
    order = ">" if fields.get("BYTE_ORDER", "").strip().lower() == "big_endian" else "<"
    if "float" in words or "double" in words:
        return np.dtype(f"{order}f{8 if 'double' in words else 4}")
    # "long int" and "short int" are named by their first word
    sizes = [_SMV_BYTES[word] for word in words if word in _SMV_BYTES]
    if not sizes:
        return None
    kind = "u" if "unsigned" in words or "mad" in words else "i"
    return np.dtype(f"{order}{kind}{sizes[0]}")


def _in_pixels(
    centre: tuple[float | None, float | None], pixel: float | None, size: tuple[int, int]
) -> tuple[float | None, float | None]:
    # some programs write millimetres, others pixels: what lies outside the frame in one is the
    # other
    x, y = centre
    if x is None or y is None or not _positive(pixel):
        return None, None
    assert pixel is not None
    if x <= size[0] * pixel and y <= size[1] * pixel:
        return x / pixel, y / pixel
    return (x, y) if x <= size[0] and y <= size[1] else (None, None)


def open_cbf(path: str, dataset: str | None = None) -> Source:
    """Open a CBF image, with what a miniCBF header says of wavelength, distance and beam."""
    with open(path, "rb") as file:
        head = file.read(65536).decode("latin-1")
    sizes = re.findall(r"X-Binary-Size-(?:Fastest|Second)-Dimension:\s*(\d+)", head)
    length = re.search(r"X-Binary-Size:\s*(\d+)", head)
    # fabio would look for this mark for ever
    section = head.find("--CIF-BINARY-FORMAT-SECTION--")
    marked = section >= 0 and head.find(_BINARY_START, section) >= 0
    if len(sizes) != 2 or length is None or not marked:
        raise InputError(f"{path}: the CBF header gives no image; it is damaged or cut short.")
    check_declared_size(path, int(length[1]), os.path.getsize(path))
    # 8 bytes: the decoder works in 64-bit integers
    check_frame_bytes(path, 8 * int(sizes[0]) * int(sizes[1]))
    with fabio.open(path) as image:
        (height, width), dtype = image.shape, np.dtype(image.dtype)
        dead = _marked(image.data)
    beam = re.search(rf"#\s*Beam_xy\s*\({_NUMBER},\s*{_NUMBER}\)", head)
    geometry = _geometry(
        _number(_field(head, "Wavelength")),
        _millimetres(_field(head, "Pixel_size")),
        _millimetres(_field(head, "Detector_distance")),
        (_number(beam[1]), _number(beam[2])) if beam else (None, None),
    )
    source = Source(
        path, (1, height, width), dtype, _Image(path, (height, width)), geometry=geometry
    )
    if not 0 < dead < height * width:
        return source
    note = f"The camera marks {dead:,} of {height * width:,} pixels, which have no value."
    read = _Image(path, (height, width), marks=True)
    return replace(source, dtype=np.dtype(np.float32), read=read, notes=(note,))


def _marked(data: NDArray[Any]) -> int:
    """Count the pixels that a counting camera marks: gaps by -1, bad ones by -2."""
    # a frame whose background was taken off has lower numbers, too
    if data.dtype.kind != "i" or data.min(initial=0) < -2:
        return 0
    return int(np.count_nonzero(data < 0))


def _field(head: str, name: str) -> str | None:
    match = re.search(rf"#\s*{name}\s+([^\r\n]*)", head)
    return match[1] if match else None


def _millimetres(text: str | None) -> float | None:
    match = re.match(rf"\s*{_NUMBER}\s*(\w+)", text or "")
    value = _number(text)
    return in_millimetres(value, match[2]) if match and value is not None else None


@dataclass(frozen=True)
class _Image:
    path: str
    shape: tuple[int, int]
    marks: bool = False

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        with fabio.open(self.path) as image:
            data = np.asarray(image.data)
        if self.marks:
            data = np.where(data < 0, np.float32(np.nan), data.astype(np.float32))
        return data[np.newaxis]
