"""TVIPS (.tvips): a recording in one file or several, of which the first one ends in 000."""

from __future__ import annotations

import os
import re
import struct
from bisect import bisect_right
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import electron_wavelength
from napari_diffraction.patterns.readers.memory import MappedPatterns, open_all
from napari_diffraction.patterns.readers.source import Source, check_frame_bytes, check_header
from napari_diffraction.patterns.stack import SpotGeometry

# bytes of the header, version, width, height, bits of a pixel; voltage, magnification, bytes before
# each frame
_HEADER = struct.Struct("<5I20xIII")
_BEFORE = {1: 12}
_MOST_FILES = 1000


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open a recording with all its parts, of each of them every whole frame.

    Raises
    ------
    InputError
        It is not the first part, the header is damaged, or no frame is whole.
    """
    match = re.fullmatch(r"(.*_)000(\.tvips)", path, re.IGNORECASE | re.DOTALL)
    if match is None:
        raise InputError(
            f"{path} is not the first part of a recording, whose name ends in _000.tvips: "
            "open that one."
        )
    with open(path, "rb") as file:
        head = file.read(_HEADER.size)
    check_header(path, head, _HEADER.size)
    start, version, width, height, bits, volts, _, before = _HEADER.unpack(head)
    before = _BEFORE.get(version, before)
    if version not in (1, 2) or bits not in (8, 16, 32) or min(width, height) < 1:
        raise InputError(f"{path}: its header is damaged, or of a version that is not known.")
    dtype = np.dtype(f"<u{bits // 8}")
    check_frame_bytes(path, width * height * dtype.itemsize + before)
    # written in kV by some versions and in V by others
    kilovolts = volts / 1000 if volts > 3000 else volts
    wavelength = electron_wavelength(kilovolts) if 1 <= kilovolts <= 3000 else None
    frame = MappedPatterns(path, start, (1, height, width), dtype, before=before)
    first = open_all(frame, geometry=SpotGeometry(wavelength=wavelength))
    parts = [first, *_further(frame, match[1], match[2])]
    if len(parts) == 1:
        return first
    starts = tuple(accumulate((part.count for part in parts), initial=0))
    read = _Parts(tuple(part.read for part in parts), starts)
    notes = dict.fromkeys(note for part in parts for note in part.notes)
    return replace(first, shape=(starts[-1], height, width), read=read, notes=tuple(notes))


def _further(frame: MappedPatterns, stem: str, suffix: str) -> list[Source]:
    parts = []
    for number in range(1, _MOST_FILES):
        name = f"{stem}{number:03d}{suffix}"
        if not os.path.exists(name):
            break
        part = replace(frame, path=name, offset=0)
        if part.whole_in(os.path.getsize(name)):
            parts.append(open_all(part))
    return parts


@dataclass(frozen=True)
class _Parts:
    reads: tuple[Any, ...]
    starts: tuple[int, ...]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        frames = []
        while start < stop:
            number = bisect_right(self.starts, start) - 1
            low, high = self.starts[number], min(stop, self.starts[number + 1])
            frames.append(self.reads[number](start - low, high - low))
            start = high
        return np.concatenate(frames)
