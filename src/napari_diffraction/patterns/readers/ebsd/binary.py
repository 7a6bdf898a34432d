"""Binary files of EBSD cameras: EDAX .up1/.up2, NORDIF .dat and Oxford .ebsp."""

from __future__ import annotations

import importlib
import math
import os
import re
import struct
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.at_once import at_once
from napari_diffraction.patterns.readers.ebsd.scan import (
    ScanHeader,
    as_scan,
    usable_background,
)
from napari_diffraction.patterns.readers.general.pictures import open_file as open_picture
from napari_diffraction.patterns.readers.memory import MappedPatterns, open_all
from napari_diffraction.patterns.readers.source import Source, explained, native, size_text
from napari_diffraction.patterns.stack import KikuchiGeometry

if TYPE_CHECKING:
    import dask.array as da

_DTYPES: dict[str, np.dtype[Any]] = {".up1": np.dtype("u1"), ".up2": np.dtype("<u2")}
_LARGEST_SIDE = 20_000
_SETTINGS, _BACKGROUND = "setting.txt", "background acquisition pattern.bmp"


def _mapped(path: str, offset: int, frame_shape: tuple[int, int], dtype: np.dtype[Any]) -> Source:
    """All whole patterns that follow each other in a file from an offset on."""
    frame = MappedPatterns(path, offset, (1, *frame_shape), dtype)
    count = frame.whole_in(os.path.getsize(path))
    if count < 1:
        raise InputError(
            f"{path} is cut short: it ends before its first pattern of {size_text(frame_shape)}; "
            "copy or record it again."
        )
    return open_all(frame)


# --- EDAX .up1 and .up2


@dataclass(frozen=True)
class _UpHeader:
    frame_shape: tuple[int, int]
    offset: int
    scan: ScanHeader


def _up_header(path: str) -> _UpHeader | None:
    """Read the header of an EDAX file, or return ``None`` where it is none."""
    with open(path, "rb") as file:
        head = file.read(42)
    if len(head) < 16:
        return None
    version, width, height, offset = struct.unpack_from("<4I", head)
    sides = 2 <= width <= _LARGEST_SIDE and 2 <= height <= _LARGEST_SIDE
    if not (1 <= version <= 10 and sides and 16 <= offset <= 4096):
        return None
    scan = ScanHeader()
    if version >= 3 and len(head) == 42:
        columns, rows, hexagonal, dx, dy = struct.unpack_from("<xIIBdd", head, 16)
        scan = ScanHeader(rows, columns, hexagonal=bool(hexagonal), step=(dy, dx))
    return _UpHeader((height, width), offset, scan)


def looks_like_up(path: str) -> bool:
    """Whether a file begins like a pattern file of EDAX."""
    return _up_header(path) is not None


def open_up(path: str, dataset: str | None = None) -> Source:
    """Open an .up1 (8 bit) or .up2 (16 bit) file of EDAX."""
    header = _up_header(path)
    if header is None:
        raise InputError(f"{path} does not begin like a pattern file of EDAX; it may be damaged.")
    dtype = _DTYPES[Path(path).suffix.lower()]
    return as_scan(_mapped(path, header.offset, header.frame_shape, dtype), header.scan)


# --- NORDIF .dat with its Setting.txt


def _beside(path: str, name: str) -> str | None:
    """Find one of the files that NORDIF writes beside the patterns."""
    folder = os.path.dirname(os.path.abspath(path))
    with os.scandir(folder) as entries:
        found = [entry.path for entry in entries if entry.name.lower() == name]
    return found[0] if found else None


def looks_like_nordif(path: str) -> bool:
    """Whether a .dat file has the settings of NORDIF beside it."""
    return _beside(path, _SETTINGS) is not None


def open_nordif(path: str, dataset: str | None = None) -> Source:
    """Open a .dat file of NORDIF, whose sizes stand in the Setting.txt beside it."""
    beside = _beside(path, _SETTINGS)
    if beside is None:
        raise InputError(
            f"{path} needs the Setting.txt that NORDIF wrote into the same folder; put it there."
        )
    settings = _Settings(Path(beside).read_text(encoding="latin-1"))
    size = settings.pair("Acquisition settings", "Resolution")
    if size is None or not all(2 <= side <= _LARGEST_SIDE for side in size):
        raise InputError(
            f"{beside} does not give the resolution of the patterns, so {path} cannot be read."
        )
    # written as rows x columns, unlike the resolution
    rows, columns = settings.pair("Area", "Number of samples") or (0, 0)
    step = settings.number("Area", "Step size")
    elevation = settings.number("Detector angles", "Elevation")
    width, height = size
    scan = ScanHeader(
        rows,
        columns,
        background=_nordif_background(path, (height, width)),
        sample_tilt=settings.number("Microscope", "Tilt angle"),
        # 0 rather than -0
        camera_tilt=None if elevation is None else -elevation + 0.0,
        voltage=settings.number("Microscope", "Accelerating voltage"),
        step=None if step is None else (step, step),
    )
    return as_scan(_mapped(path, 0, (height, width), np.dtype("u1")), scan)


def _nordif_background(path: str, frame_shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """Read the static background from the picture beside the patterns."""
    picture = _beside(path, _BACKGROUND)
    if picture is None:
        return None
    try:
        with explained(picture):
            return usable_background(open_picture(picture).read(0, 1), frame_shape)
    except InputError:  # the scan is no worse for it
        return None


class _Settings:
    def __init__(self, text: str) -> None:
        self._blocks: dict[str, dict[str, str]] = {}
        block: dict[str, str] = {}
        for line in text.splitlines():
            title = re.fullmatch(r"\[(.+)\]", line.strip())
            if title:
                block = self._blocks.setdefault(title[1].lower(), {})
            else:
                name, _, value = line.partition("\t")
                block.setdefault(name.strip().lower(), value.partition("\t")[0].strip())

    def _value(self, block: str, name: str) -> str:
        return self._blocks.get(block.lower(), {}).get(name.lower(), "")

    def number(self, block: str, name: str) -> float | None:
        try:
            number = float(self._value(block, name))
        except ValueError:
            return None
        return number if math.isfinite(number) else None

    def pair(self, block: str, name: str) -> tuple[int, int] | None:
        match = re.fullmatch(r"(\d{1,7})\s*x\s*(\d{1,7})", self._value(block, name))
        return (int(match[1]), int(match[2])) if match else None


# --- Oxford .ebsp, through kikuchipy


def open_ebsp(path: str, dataset: str | None = None) -> Source:
    """Open an .ebsp file of Oxford Instruments with kikuchipy.

    Raises
    ------
    InputError
        Among others, when kikuchipy is not installed.
    """
    signal = _load_ebsp(path)
    data = signal.data
    axes = signal.axes_manager.navigation_axes
    grid = data.ndim == 4
    step = (float(axes[1].scale), float(axes[0].scale)) if grid else None
    shape = data.shape if data.ndim > 2 else (1, *data.shape)
    return Source(
        path,
        tuple(int(size) for size in shape),
        native(data.dtype),
        _Ebsp(path, data.reshape(-1, *data.shape[-2:])),
        geometry=KikuchiGeometry(),
        step=step,
    )


def _load_ebsp(path: str) -> Any:
    try:
        kikuchipy = importlib.import_module("kikuchipy")
    except ModuleNotFoundError as error:
        raise InputError(
            f"{path}: .ebsp files need an optional package; install it with "
            '`pip install "napari-diffraction[em]"`.'
        ) from error
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kikuchipy.load(path, lazy=True)


class _Ebsp:
    """Reads from the lazy array of kikuchipy; another process loads it anew."""

    def __init__(self, path: str, data: da.Array) -> None:
        self._path, self._data = path, data

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._path,)

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        return at_once(self._data[start:stop])


def _reopened(path: str) -> _Ebsp:
    data = _load_ebsp(path).data
    return _Ebsp(path, data.reshape(-1, *data.shape[-2:]))
