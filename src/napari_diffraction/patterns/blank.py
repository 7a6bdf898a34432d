"""Patterns that show nothing: one value everywhere, as room in a file that was never filled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def are_blank(frames: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether patterns show one value alone, dead pixels (NaN) aside.

    Parameters
    ----------
    frames : ndarray, (n, h, w)
        The patterns.

    Returns
    -------
    ndarray of bool, (n,)
    """
    flat = frames.reshape(len(frames), -1)
    return np.asarray(~(np.fmin.reduce(flat, axis=1) < np.fmax.reduce(flat, axis=1)))
