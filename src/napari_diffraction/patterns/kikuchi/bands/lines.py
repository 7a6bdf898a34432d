"""Bands of Kikuchi patterns at the resolution of the camera: lines first, planes with a centre.

A band is sought as a line on the screen, so that the same lines serve every pattern centre that is
tried: only the normals of the planes depend on it.
"""

from __future__ import annotations

import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.patterns.kikuchi.bands.certainty import probability
from napari_diffraction.patterns.kikuchi.bands.line_search import breadth_of, find_all, radon, room

#: Half widths of the inside of a filter in shares of the shorter side, and of the whole.
_INSIDES = (0.0095, 0.019, 0.035, 0.058)
_WHOLES = (0.036, 0.052, 0.078, 0.120)
#: Step of the angle of the lines in degrees, at 60 and at 120 pixels; it goes with the root of it.
_STEP_60 = 2.4


@dataclass(frozen=True, eq=False)
class Lines:
    """Bright bands found in ``n`` pictures as lines on the screen, the most certain first.

    Attributes
    ----------
    line : ndarray of float64, (n, k, 3)
        a, b, c of ``a x + b y = c`` in pixels, x to the right and y down from the middle of the
        picture, ``a^2 + b^2 = 1``.
    strength : ndarray of float32, (n, k)
        Contrast to either side in units of its own noise, were the pixels independent, as far as
        it is supported all along the line; 0 for no band.
    half_width : ndarray of float32, (n, k)
        Half width of the filter that answered best, in pixels: coarse.
    support : ndarray of float32, (n, k)
        Median contrast of the pieces of the line over their mean, at most 1.
    count : ndarray of int64, (n,)
        How many were found.
    shape
        Height and width of the pictures.
    """

    line: NDArray[np.float64]
    strength: NDArray[np.float32]
    half_width: NDArray[np.float32]
    support: NDArray[np.float32]
    count: NDArray[np.int64]
    shape: tuple[int, int]

    def __len__(self) -> int:
        return len(self.line)

    @property
    def probability(self) -> NDArray[np.float32]:
        """How probable it is that each band is real, (n, k); 0 for no band."""
        return probability(self.strength, self.support, self.half_width, min(self.shape))

    def __getitem__(self, which: Any) -> Lines:
        """Return the lines of some of the pictures."""
        return Lines(
            self.line[which],
            self.strength[which],
            self.half_width[which],
            self.support[which],
            self.count[which],
            self.shape,
        )

    def normals(self, pc: ArrayLike) -> NDArray[np.float64]:
        """Return the unit normals of the planes, (n, k, 3), for a pattern centre.

        Parameters
        ----------
        pc : array_like, (3,) or (n, 3)
            Bruker's convention.

        Returns
        -------
        ndarray of float64, (n, k, 3)
            In the detector's frame: x to the right, y up, z from the sample to the screen; zeros
            where there is no band.
        """
        vectors = plane_vectors(self.line, np.asarray(pc, float), self.shape)
        length = np.linalg.norm(vectors, axis=-1, keepdims=True)
        return np.asarray(vectors / np.where(length > 0, length, 1))


def plane_vectors(
    line: NDArray[np.float64], pc: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """Vectors along the normals of planes whose traces are lines, linear in the pattern centre.

    Parameters
    ----------
    line : ndarray, (n, k, 3)
        As in `Lines`.
    pc : ndarray, (3,) or (n, 3)
        Bruker's convention.
    shape
        Height and width of the pictures.
    """
    h, w = shape
    if pc.ndim == 2:
        pc = pc[:, None, :]
    a, b, c = np.moveaxis(line, -1, 0)
    distance = pc[..., 2] * h
    # the foot of the pattern centre on the screen, from the middle of the picture
    right, down = (pc[..., 0] - 0.5) * w, (pc[..., 1] - 0.5) * h
    return np.stack([a * distance, -b * distance, a * right + b * down - c], axis=-1)


def find_lines(
    pictures: NDArray[np.float32],
    weight: NDArray[np.float32],
    most: int = 16,
    threads: int | None = None,
) -> Lines:
    """Find bright bands by sums along lines.

    The sums are taken along straight lines at equal steps of the angle (a Radon transform by
    shears; Joseph 1982, IEEE Trans. Med. Imaging 1, 192-196), each divided by the weight it met, so
    that a mask is left out and not filled.  A maximum counts as far as its line's pieces agree:
    a line through a few bright zone axes is no band.

    Parameters
    ----------
    pictures : ndarray of float32, (n, h, w)
        Flattened: no background, zero mean and unit deviation.
    weight : ndarray of float32, (h, w)
        1 where the screen is lit, 0 behind a mask.
    most
        Greatest number of bands in a picture.
    threads
        Pictures looked at at a time; as many as there are processors by default.
    """
    n, h, w = pictures.shape
    found = Lines(
        np.zeros((n, most, 3)),
        np.zeros((n, most), np.float32),
        np.zeros((n, most), np.float32),
        np.zeros((n, most), np.float32),
        np.zeros(n, np.int64),
        (h, w),
    )
    pictures = np.ascontiguousarray(pictures, np.float32)
    weight = np.ascontiguousarray(weight, np.float32)
    slopes, filters = _settings(min(h, w))
    lit = _lit(weight, slopes)

    def some(part: slice) -> None:
        find_all(
            pictures[part],
            weight,
            *lit,
            slopes,
            filters,
            found.line[part],
            found.strength[part],
            found.half_width[part],
            found.support[part],
            found.count[part],
        )

    threads = threads or os.cpu_count() or 1
    size = max(1, -(-n // (4 * threads)))
    parts = [slice(start, start + size) for start in range(0, n, size)]
    if threads == 1 or len(parts) < 2:
        for part in parts:
            some(part)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(some, parts))
    return found


def _settings(side: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Slopes of the lines, and half widths of the filters in pixels."""
    step = _STEP_60 * math.sqrt(60 / side)
    beyond = 45 + step  # a maximum on the diagonal lies inside of one family
    count = 2 * math.ceil(beyond / step) + 1
    slopes = np.tan(np.radians(np.linspace(-beyond, beyond, count))).astype(np.float32)
    near = np.maximum(1, np.rint(np.array(_INSIDES) * side)).astype(np.int64)
    wide = np.maximum(near + 3, np.rint(np.array(_WHOLES) * side).astype(np.int64))
    return slopes, np.unique(np.stack([near, wide], axis=1), axis=0)


def _lit(
    weight: NDArray[np.float32], slopes: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight that every line meets, running sums, in the two families of lines."""
    sums = []
    for turned in (weight, np.ascontiguousarray(weight.T)):
        total = np.zeros((len(slopes), breadth_of(*turned.shape)), np.float32)
        radon(turned, slopes, room(*turned.shape), total)
        sums.append(np.pad(np.cumsum(total, axis=1, dtype=np.float64), ((0, 0), (1, 0))))
    return sums[0].astype(np.float32), sums[1].astype(np.float32)
