"""PNG, JPEG and BMP: one pattern a file, colours turned into grey."""

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
