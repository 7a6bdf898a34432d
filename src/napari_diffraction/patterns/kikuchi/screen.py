"""Where directions and planes of a crystal meet the screen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def pixels(gnomonic: FloatArray, pc: Sequence[float], shape: tuple[int, int]) -> FloatArray:
    """Row and column of points on the screen, the centre of the first pixel being (0, 0).

    Parameters
    ----------
    gnomonic : ndarray, (..., 2)
        x to the right and y up, at distance 1.
    pc
        Pattern centre in Bruker's convention.
    shape
        Height and width in pixels.
    """
    h, w = shape
    column = gnomonic[..., 0] * pc[2] * h + pc[0] * w - 0.5
    row = pc[1] * h - gnomonic[..., 1] * pc[2] * h - 0.5
    return np.stack([row, column], axis=-1)


def clipped(
    normals: FloatArray, pc: Sequence[float], shape: tuple[int, int]
) -> tuple[FloatArray, NDArray[np.bool_]]:
    """Find the lines ``normal . (x, y, 1) = 0`` within a frame.

    A line is followed from the foot of its perpendicular to where it leaves the four sides.

    Parameters
    ----------
    normals : ndarray, (m, 3)
        In the detector's frame.
    pc, shape
        As for `pixels`.

    Returns
    -------
    ends : ndarray of float64, (m, 2, 2)
        Row and column of both ends.
    crosses : ndarray of bool, (m,)
        Whether the line meets the frame; elsewhere its ends mean nothing.
    """
    across = np.hypot(normals[:, 0], normals[:, 1])
    unit = normals / np.maximum(across, 1e-9)[:, None]
    foot = pixels(-unit[:, 2:] * unit[:, :2], pc, shape)
    way = np.stack([-unit[:, 0], -unit[:, 1]], axis=1)  # rows run down: (row, column) along it
    way[np.abs(way) < 1e-9] = 1e-9
    sides = np.stack([np.zeros(2) - 0.5, np.array(shape) - 0.5])
    reach = (sides[:, None] - foot) / way  # (side, line, axis)
    low, high = reach.min(axis=0).max(axis=1), reach.max(axis=0).min(axis=1)
    ends = foot[:, None] + np.stack([low, high], axis=1)[..., None] * way[:, None]
    return ends, (low < high) & (across > 1e-6)
