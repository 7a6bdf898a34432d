"""Frames as compiled code takes them, without the numbers that detectors write where none is."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def plain_counts(frame: NDArray[Any]) -> NDArray[Any]:
    """Return a frame of a native dtype other than float16; NaN is a pixel without a value.

    Without one is what holds the greatest number of 32 or 64 bits without a sign: detectors write
    it for the pixels of a gap, and nothing counts as far.  Of 16 bits it may be a saturated pixel.

    Parameters
    ----------
    frame
        Any real dtype.
    """
    if frame.dtype.kind == "u" and frame.dtype.itemsize >= 4:
        none = frame == np.iinfo(frame.dtype).max
        if none.any():
            return np.where(none, np.float32(np.nan), frame.astype(np.float32))
    if not frame.dtype.isnative or frame.dtype == np.float16:
        return frame.astype(np.float32)
    return frame
