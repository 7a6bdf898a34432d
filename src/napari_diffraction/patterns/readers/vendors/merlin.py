"""Merlin (.mib) of Quantum Detectors, also of a scan that was stopped."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.grids import lay_out
from napari_diffraction.patterns.readers.memory import MappedPatterns, open_all
from napari_diffraction.patterns.readers.source import Source, check_frame_bytes

_DTYPES = {"U01": ">u1", "U08": ">u1", "U16": ">u2", "U32": ">u4"}
_LARGEST_HEADER = 4096
# Pauses at the ends of rows are looked for in so many frames, and believed if nine of ten fit.
_TIMED = 10_000
_REGULAR = 0.9


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open a .mib file; the ``.hdr`` beside it, where there is one, tells the rows of a scan.

    Every frame has its own header: ``MQ1``, number of the frame, bytes of the header, chips, width,
    height, kind of number, and others, as text with commas.  Rows come from the bottom.

    Raises
    ------
    InputError
        The header is damaged, the numbers are raw ones of the chip, or no frame is whole.
    """
    with open(path, "rb") as file:
        fields = file.read(384).split(b",")
    try:
        head, width, height = int(fields[2]), int(fields[4]), int(fields[5])
        kind = fields[6].decode("ascii").strip()
    except (IndexError, ValueError) as error:
        raise InputError(f"{path}: its first header is damaged; record it again.") from error
    if kind not in _DTYPES:
        raise InputError(
            f"{path} holds {kind} numbers, which only the program of the camera can read; export "
            "it from there as 8, 16 or 32 bit."
        )
    if not (0 < head <= _LARGEST_HEADER and min(width, height) > 0):
        raise InputError(f"{path}: its first header is damaged; record it again.")
    dtype = np.dtype(_DTYPES[kind])
    check_frame_bytes(path, width * height * dtype.itemsize)
    frame = MappedPatterns(path, 0, (1, height, width), dtype, before=head, upwards=True)
    source = open_all(frame)
    total, columns = _scan(path)
    if columns == 1:
        columns = _columns_by_time(path, min(source.count, total), head, source)
    # all frames of one single trigger are a film
    if total < 1 or columns < 2 or total % columns or columns == total:
        return _told(source, total)
    return lay_out(source, total // columns, columns)


def _told(source: Source, total: int) -> Source:
    """Say where a list of patterns is not as long as it was meant to be."""
    if total < 1 or total == source.count:
        return source
    note = f"The header promises {total} patterns and {source.count} are there."
    return replace(source, notes=(*source.notes, note))


def _scan(path: str) -> tuple[int, int]:
    """Return the frames of the whole acquisition and those of one trigger; 0: not known."""
    try:
        found = next(p for p in (Path(path).with_suffix(s) for s in (".hdr", ".HDR")) if p.exists())
        text = found.read_text(encoding="latin-1")
    except (StopIteration, OSError):
        return 0, 0
    numbers = [
        re.search(rf"^Frames {what} \(Number\):\s*(\d{{1,9}})\s*$", text, re.MULTILINE)
        for what in ("in Acquisition", "per Trigger")
    ]
    total, each = (int(match[1]) if match else 0 for match in numbers)
    return total, each


def _columns_by_time(path: str, count: int, head: int, source: Source) -> int:
    """Return how many frames lie between two pauses, or 1 where they are not regular.

    A camera that is triggered for each point waits a little longer when the beam flies back.
    """
    height, width = source.frame_shape
    times = _times(path, min(count, _TIMED), head, head + height * width * source.dtype.itemsize)
    if times is None or len(times) < 4:
        return 1
    steps = np.diff(times)
    usual = np.median(steps)
    spread = np.median(np.abs(steps - usual))
    starts = np.flatnonzero(steps > usual + max(10 * spread, 1e-9)) + 1
    if not len(starts):
        return 1
    columns = int(starts[0])
    expected = np.arange(columns, len(times), columns)
    common = len(np.intersect1d(starts, expected))
    regular = common >= _REGULAR * max(len(starts), len(expected))
    return columns if regular else 1


def _times(path: str, count: int, head: int, stride: int) -> NDArray[np.float64] | None:
    """Return when each frame was recorded, in seconds from the first one."""
    stamps: list[Any] = []
    with open(path, "rb") as file:
        for number in range(count):
            file.seek(number * stride)
            found = re.search(
                rb",(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?)Z?,", file.read(head)
            )
            if found is None:
                return None
            stamps.append(found[1].decode("ascii"))
    try:
        times = np.array(stamps, "datetime64[ns]")
    except ValueError:
        return None
    seconds: NDArray[np.float64] = (times - times[0]).astype(np.float64) * 1e-9
    return seconds
