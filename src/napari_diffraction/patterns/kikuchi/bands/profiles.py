"""Profiles across Kikuchi bands, by the angle to their planes.

A pattern is taken as a sum of bands: each adds to a pixel what its profile says at the angle of the
pixel to its plane.  Profiles are found by backfitting (Hastie and Tibshirani 1990, Generalized
Additive Models): each in turn is the mean of what the others leave.  So a weak band is seen beside
strong ones, and a direction without a band keeps a flat profile, where a plain mean would show
whatever runs nearby.

On the sphere all of a band has one width (Hielscher, Bartel and Britton 2019, Ultramicroscopy 207,
112836), on the screen it has not.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

#: Step of a profile and how far it reaches to either side of the plane, in degrees.
STEP, SPAN = 0.2, 8.0
#: Angles of the values of a profile in degrees.
ANGLES = STEP * np.arange(round(SPAN / STEP) + 1)
_LAST = len(ANGLES) - 1
_FARTHEST = math.sin(math.radians(SPAN))
#: Pixels of noise that a value is held at zero by.
_STIFFNESS = 20.0
_SWEEPS = 3


@dataclass(frozen=True, eq=False)
class Profiles:
    """Profiles of families of bands, alike on either side of the plane.

    Attributes
    ----------
    value : ndarray of float64, (f, len(ANGLES))
        Mean intensity that the family adds, in deviations of a picture.
    area : ndarray of float64, (f, len(ANGLES))
        Number of pixels behind each value.
    noise
        Standard deviation of a pixel about the sum of all bands.
    """

    value: NDArray[np.float64]
    area: NDArray[np.float64]
    noise: float


def band_profiles(
    pictures: Floats,
    weight: Floats,
    normals: NDArray[np.float64],
    pc: ArrayLike,
    family: NDArray[np.int64],
    sweeps: int = _SWEEPS,
) -> Profiles:
    """Find the profiles of families of bands from many pictures.

    Parameters
    ----------
    pictures : ndarray of float32, (n, h, w)
        Flattened.
    weight : ndarray of float32, (h, w)
        0 behind a mask.
    normals : ndarray of float64, (n, k, 3)
        Unit normals of the planes in the detector's frame.
    pc : array_like, (3,) or (n, 3)
        Pattern centres, Bruker's convention.
    family : ndarray of int64, (k,)
        Number of the family of each band; a family shares one profile.
    sweeps
        How often each profile is found anew.

    Returns
    -------
    Profiles
    """
    n = len(pictures)
    count = int(family.max()) + 1
    value, area = np.zeros((count, len(ANGLES))), np.zeros((count, len(ANGLES)))
    left = np.ascontiguousarray(pictures, np.float32) * (weight > 0)
    centres = np.ascontiguousarray(np.broadcast_to(np.asarray(pc, float), (n, 3)))
    members = [np.ascontiguousarray(normals[:, family == one]) for one in range(count)]
    threads = os.cpu_count() or 1
    size = max(1, -(-n // threads))
    parts = [slice(start, start + size) for start in range(0, n, size)]
    with ThreadPoolExecutor(threads) as pool:

        def found(one: int) -> tuple[Any, Any]:
            sums = list(
                pool.map(lambda p: _sums(left[p], weight, members[one][p], centres[p]), parts)
            )
            return sum(s[0] for s in sums), sum(s[1] for s in sums)

        def taken(one: int, change: NDArray[np.float64]) -> None:
            list(
                pool.map(
                    lambda p: _take(left[p], weight, members[one][p], centres[p], change), parts
                )
            )

        for sweep in range(sweeps):
            if sweep:
                strength = np.sqrt(np.average(value**2, axis=1))
                order = np.argsort(-strength, kind="stable")
            else:
                order = np.arange(count)
            for one in order:
                total, area[one] = found(one)
                change = total / (area[one] + _STIFFNESS)
                lit = area[one].sum()
                if lit > 0:
                    change -= np.average(change + value[one], weights=area[one])
                value[one] += change
                taken(one, change)
    lit = int((weight > 0).sum())
    noise = math.sqrt(float((left.astype(float) ** 2).sum()) / max(1, n * lit))
    return Profiles(value, area, noise)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _place(normal: Any, x: float, y: float, far: float) -> Any:
    """Step of a profile at a point of the screen, -1 beyond its end, and how far on the next is."""
    sine = abs(normal[0] * x + normal[1] * y + normal[2]) * far
    if sine >= _FARTHEST:
        return -1, 0.0
    place = sine * (1 + sine * sine / 6) / math.radians(STEP)
    low = int(place)
    return (low, place - low) if low < _LAST else (-1, 0.0)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _sums(pictures: Any, weight: Any, normals: Any, centres: Any) -> Any:
    """Sums of intensities and of pixels by the angle to the planes of one family."""
    total, area = np.zeros(_LAST + 1), np.zeros(_LAST + 1)
    h, w = weight.shape
    for i in range(len(pictures)):
        distance = centres[i, 2] * h
        for row in range(h):
            y = (centres[i, 1] * h - (row + 0.5)) / distance
            for column in range(w):
                if weight[row, column] <= 0:
                    continue
                x = ((column + 0.5) - centres[i, 0] * w) / distance
                far = 1 / math.sqrt(1 + x * x + y * y)
                for k in range(normals.shape[1]):
                    low, part = _place(normals[i, k], x, y, far)
                    if low < 0:
                        continue
                    value = pictures[i, row, column]
                    total[low] += (1 - part) * value
                    area[low] += 1 - part
                    total[low + 1] += part * value
                    area[low + 1] += part
    return total, area


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _take(pictures: Any, weight: Any, normals: Any, centres: Any, profile: Any) -> None:
    """Take the bands of one family off pictures."""
    h, w = weight.shape
    for i in range(len(pictures)):
        distance = centres[i, 2] * h
        for row in range(h):
            y = (centres[i, 1] * h - (row + 0.5)) / distance
            for column in range(w):
                if weight[row, column] <= 0:
                    continue
                x = ((column + 0.5) - centres[i, 0] * w) / distance
                far = 1 / math.sqrt(1 + x * x + y * y)
                for k in range(normals.shape[1]):
                    low, part = _place(normals[i, k], x, y, far)
                    if low < 0:
                        continue
                    pictures[i, row, column] -= np.float32(
                        (1 - part) * profile[low] + part * profile[low + 1]
                    )
