"""PNG, JPEG and BMP: one pattern a file; GIF: a stack; colours turned into grey."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from napari_diffraction.patterns.readers.source import Source, check_frame_bytes, to_grey

_PLAIN = {"1": "b1", "L": "u1", "I;16": "u2", "I;16B": "u2", "I;16L": "u2", "I": "i4", "F": "f4"}


def open_file(path: str, dataset: str | None = None) -> Source:
    """Open a picture as a stack of one pattern."""
    with Image.open(path) as image:
        width, height = image.size
        dtype = np.dtype(_PLAIN.get(image.mode, "u1"))
        # the decoder holds up to four channels
        check_frame_bytes(path, width * height * max(dtype.itemsize, len(image.getbands())))
    return Source(path, (1, height, width), dtype, _Picture(path))


def open_gif(path: str, dataset: str | None = None) -> Source:
    """Open a GIF as a stack of its pictures.

    A file that was cut short gives the pictures before the cut, the last of them as far as it goes.
    """
    with Image.open(path) as image:
        width, height = image.size
        check_frame_bytes(path, width * height * 4)
        count = getattr(image, "n_frames", 1)
    # each picture is drawn over the one before: they are read from the start, many at a time
    return Source(path, (count, height, width), np.dtype("u1"), _Gif(path), run=count)


@dataclass(frozen=True)
class _Gif:
    path: str

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        frames = []
        with Image.open(self.path) as image:
            for number in range(start, stop):
                image.seek(number)
                grey = image if image.mode == "L" else image.convert("RGB")
                pixels = np.asarray(grey)
                frames.append(pixels if pixels.ndim == 2 else to_grey(pixels))
        return np.stack(frames)


@dataclass(frozen=True)
class _Picture:
    path: str

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        with Image.open(self.path) as image:
            if image.mode in _PLAIN:
                grey = np.asarray(image)
            else:
                grey = to_grey(np.asarray(image.convert("RGB")))
        return grey.astype(grey.dtype.newbyteorder("="))[np.newaxis]
