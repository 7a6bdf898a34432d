"""Profiles across Kikuchi bands, by the angle to their planes."""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

#: Step of a profile and how far it reaches to either side, in degrees.
STEP, SPAN = 0.2, 8.0
#: Number of values; the middle one lies on the plane itself.
BINS = 2 * round(SPAN / STEP) + 1
#: Angles of the values in degrees.
ANGLES = np.linspace(-SPAN, SPAN, BINS)


def band_profiles(
    pictures: NDArray[np.float32],
    weight: NDArray[np.float32],
    normals: NDArray[np.float64],
    pc: ArrayLike,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Sum up the pixels by their angle to planes, a pixel being shared by two values.

    On the sphere all of a band has one width (Hielscher, Bartel & Britton 2019, Ultramicroscopy
    207, 112836), on the screen it has not.

    Parameters
    ----------
    pictures : ndarray of float32, (n, h, w)
        Flattened.
    weight : ndarray of float32, (h, w)
        0 behind a mask.
    normals : ndarray of float64, (n, k, 3)
        Unit normals in the detector's frame.
    pc : array_like, (3,) or (n, 3)
        Pattern centres, Bruker's convention.

    Returns
    -------
    total, area : ndarray of float32, (n, k, BINS)
        Sums of intensities and of weights; their ratio is the profile.
    """
    n, h, w = pictures.shape
    k = normals.shape[1]
    total, area = (np.zeros((n, k, BINS), np.float32) for _ in range(2))
    centres = np.ascontiguousarray(np.broadcast_to(np.asarray(pc, float), (n, 3)))

    def some(part: slice) -> None:
        _profiles(
            np.ascontiguousarray(pictures[part], np.float32),
            weight,
            np.ascontiguousarray(normals[part]),
            centres[part],
            total[part],
            area[part],
        )

    threads = os.cpu_count() or 1
    size = max(1, -(-n // (2 * threads)))
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(some, [slice(start, start + size) for start in range(0, n, size)]))
    return total, area


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _profiles(
    pictures: Any, weight: Any, normals: Any, centres: Any, total: Any, area: Any
) -> None:
    h, w = weight.shape
    step, span = math.radians(STEP), math.radians(SPAN)
    limit = math.sin(span + step)
    for i in range(len(pictures)):
        pc = centres[i]
        distance = pc[2] * h
        for row in range(h):
            y = (pc[1] * h - (row + 0.5)) / distance
            for column in range(w):
                if weight[row, column] <= 0:
                    continue
                x = ((column + 0.5) - pc[0] * w) / distance
                far = 1 / math.sqrt(1 + x * x + y * y)
                for k in range(normals.shape[1]):
                    sine = (normals[i, k, 0] * x + normals[i, k, 1] * y + normals[i, k, 2]) * far
                    if abs(sine) >= limit:
                        continue
                    place = (math.asin(sine) + span) / step
                    low = math.floor(place)
                    part = place - low
                    value = pictures[i, row, column]
                    if 0 <= low < BINS:
                        total[i, k, low] += (1 - part) * value
                        area[i, k, low] += 1 - part
                    if 0 <= low + 1 < BINS:
                        total[i, k, low + 1] += part * value
                        area[i, k, low + 1] += part
