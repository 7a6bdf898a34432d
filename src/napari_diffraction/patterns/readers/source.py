"""What every format hands over, and the errors and limits that all formats share."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import MOST_PATTERNS, Geometry, SpotGeometry

#: Reads the patterns start, ..., stop - 1 (flat numbers) as (stop - start, h, w).
ReadPatterns = Callable[[int, int], NDArray[Any]]

# A header is believed up to these limits; beyond them it is taken for damaged.  The largest
# cameras in use give frames of about 100 MB, which no compression brings below a 50th.
_FRAME_BYTES = 64 * 2**20
_MOST_PACKED = 50
# What these libraries log about damaged files is said in one sentence below.
for _library in ("tifffile", "fabio", "PIL"):
    logging.getLogger(_library).addHandler(logging.NullHandler())
_GREY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True)
class Source:
    """The patterns of one input, not read yet.

    Attributes
    ----------
    path
        File or folder, as a person named it.
    shape
        (n, h, w), or (rows, columns, h, w) for a scan.
    dtype
        Number type of the patterns.
    read
        Reads patterns by flat numbers.  It holds no open file between two calls and can be sent
        to another process.
    run
        How many neighbouring patterns are stored together and so are best read together.
    dataset
        Name of the data set inside the file, where there is one.
    geometry, step, background, notes, metadata
        As in `PatternStack`.
    sources, events
        Source file of every pattern and its number therein; empty: `path` holds them in order.
    """

    path: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    read: ReadPatterns
    run: int = 1
    dataset: str | None = None
    geometry: Geometry = field(default_factory=SpotGeometry)
    notes: tuple[str, ...] = ()
    metadata: dict[str, Any] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    events: tuple[int, ...] = ()
    step: tuple[float, float] | None = None
    background: NDArray[np.float32] | None = None

    @property
    def count(self) -> int:
        """Number of patterns."""
        return int(np.prod(self.shape[:-2]))

    @property
    def frame_shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.shape[-2], self.shape[-1]


def size_text(shape: tuple[int, ...]) -> str:
    """Return "512x256 pixels" (width first) for the shape of a frame."""
    return f"{shape[-1]}x{shape[-2]} pixels"


@contextmanager
def explained(path: str, format_name: str = "") -> Iterator[None]:
    """Turn whatever a library raises over a file into one `InputError` for a person."""
    try:
        yield
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError(f"{error.filename or path} does not exist; check the name.") from error
    except PermissionError as error:
        raise InputError(f"{path} may not be read: ask its owner for permission.") from error
    except MemoryError as error:
        raise InputError(
            f"{path} asks for more memory than there is; it may be damaged."
        ) from error
    except Exception as error:
        kind = f" as {format_name}" if format_name else ""
        raise InputError(
            f"{path} cannot be read{kind} ({_reason(error)}): it may be damaged or cut short."
        ) from error


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    text = " ".join(lines[0].split()).rstrip(".:") if lines else ""
    if not text or isinstance(error, KeyError):
        text = f"{type(error).__name__} {text}".strip()
    return text if len(text) <= 120 else text[:117] + "..."


def check_header(path: str, head: bytes, least: int) -> None:
    """Refuse a file that ends within its header of at least so many bytes."""
    if len(head) < least:
        raise InputError(f"{path} ends within its header; copy or record it again.")


def native(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the number type in this machine's byte order; long doubles become float64."""
    if dtype.kind == "f" and dtype.itemsize > 8:
        return np.dtype(np.float64)
    return dtype.newbyteorder("=")


def to_grey(images: NDArray[Any]) -> NDArray[Any]:
    """Turn colours, (..., 3) or (..., 4) with an ignored last channel, into grey.

    Returns
    -------
    ndarray, (...)
        Luminance in the dtype of the input.
    """
    if images.shape[-1] < 3:  # grey and alpha
        return np.ascontiguousarray(images[..., 0])
    grey = images[..., :3] @ _GREY
    if images.dtype.kind in "bui":
        grey = np.rint(grey)
    converted: NDArray[Any] = grey.astype(images.dtype)
    return converted


def check_declared_size(path: str, needed: int, present: int) -> None:
    """Refuse an uncompressed file that is shorter than its header says (both in bytes)."""
    if needed > present:
        raise InputError(
            f"{path} is cut short or damaged: its header promises {needed:,} bytes but it holds "
            f"{present:,}; copy or record it again."
        )


def check_frame_bytes(path: str, needed: int, stored: int | None = None) -> None:
    """Refuse an absurdly large frame (in bytes), such as a damaged header declares.

    Parameters
    ----------
    path
        File named in the error.
    needed
        Memory one frame takes, in bytes.
    stored
        Size of the file in bytes; looked up where not given.
    """
    if needed <= _FRAME_BYTES:
        return
    if stored is None:
        stored = os.path.getsize(path)
    if needed > _MOST_PACKED * stored:
        raise InputError(
            f"{path} declares patterns of {needed / 2**20:,.0f} MB each, far more than it holds: "
            "its header is damaged."
        )


def check_source(source: Source, stored: int | None = None) -> Source:
    """Check that a source holds patterns that can be shown, and return it."""
    if source.dtype.kind not in "buif":
        raise InputError(
            f"{source.path} holds {source.dtype} values, not patterns of real numbers; choose "
            "another file or data set."
        )
    if min(source.shape, default=0) < 1:
        raise InputError(f"{source.path} holds no pattern; choose another file.")
    if min(source.frame_shape) < 2:
        raise InputError(
            f"{source.path} holds no images (its frames have {size_text(source.shape)}); choose "
            "another file or data set."
        )
    if source.count > MOST_PATTERNS:
        raise InputError(
            f"{source.path} declares {source.count:,} patterns: its header is damaged."
        )
    height, width = source.frame_shape
    check_frame_bytes(source.path, height * width * source.dtype.itemsize, stored)
    return source


def take(source: Source, start: int, stop: int) -> NDArray[Any]:
    """Read patterns by flat numbers and make sure that they are what was promised.

    Returns
    -------
    ndarray, (stop - start, h, w)

    Raises
    ------
    InputError
        They cannot be read.
    """
    with explained(source.path):
        frames = np.asarray(source.read(start, stop))
    if frames.shape != (stop - start, *source.frame_shape):
        raise InputError(
            f"{source.path} gives {size_text(frames.shape)} for pattern {start} instead of "
            f"{size_text(source.shape)}: it is damaged."
        )
    converted: NDArray[Any] = frames.astype(source.dtype, copy=False)
    return converted
