"""How good Kikuchi patterns are: band contrast."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_diffraction.patterns.kikuchi.flattening import in_threads, without_background
from napari_diffraction.patterns.kikuchi.preparation import Preparation

Floats = NDArray[np.float32]

#: Standard deviation of the Gaussian that either half of the pixels is blurred with, in pixels of
#: a picture of 60; bands are wider.
_SIGMA = 1.0
_REACH = 2
_OFFSETS = np.arange(-_REACH, _REACH + 1) / _SIGMA
_KERNEL = np.exp(-0.5 * (_OFFSETS[:, None] ** 2 + _OFFSETS**2)).astype(np.float32)


def band_contrast(pictures: Floats, preparation: Preparation) -> Floats:
    """Return how far the bands stand out of patterns: their deviation over the mean intensity.

    Noise does not count: the bands are what one half of the pixels shows and the other, too, like
    the fields of a chessboard.  On boundaries, scratches and dirt the contrast falls.

    Parameters
    ----------
    pictures : ndarray of float32, (n, h, w)
        As ``preparation.binned`` gives them, with some 60 pixels along the longer side.
    preparation
        ``thinned(60)``.

    Returns
    -------
    ndarray of float32, (n,)
        From 0, noise or nothing, to 1; usually below 0.2.  Of patterns without their background,
        the mean of which is about 0, the share of the whole deviation.
    """
    pictures = np.asarray(pictures, np.float32)
    weight, wide = preparation.weight, preparation.background.arguments()
    out = np.zeros(len(pictures), np.float32)

    def some(part: slice) -> None:
        raw = np.ascontiguousarray(pictures[part])
        flat = np.empty_like(raw)
        scale = np.empty(len(raw), np.float32)
        without_background(raw, weight, wide, flat, scale)
        _share(flat, weight, _KERNEL, out[part])
        out[part] = np.sqrt(out[part]) * scale

    in_threads(some, len(pictures))
    return np.clip(out, 0, 1)


def band_share(flat: Floats, weight: Floats) -> Floats:
    """Return the share of the variance of flattened pictures that is bands and not noise.

    Parameters
    ----------
    flat : ndarray of float32, (n, h, w)
        Of some 60 pixels along the longer side.
    weight : ndarray of float32, (h, w)
        0 behind the mask.

    Returns
    -------
    ndarray of float32, (n,)
        From 0 to 1: by the same halves as `band_contrast`.
    """
    out = np.zeros(len(flat), np.float32)
    in_threads(lambda part: _share(flat[part], weight, _KERNEL, out[part]), len(flat))
    return out


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})  # type: ignore[untyped-decorator]
def _share(pictures: Any, weight: Any, kernel: Any, out: Any) -> None:
    h, w = weight.shape
    reach = len(kernel) // 2
    # room for the kernel on all sides, and either half of the pixels without the other
    halves = np.zeros((2, h + 2 * reach, w + 2 * reach), np.float32)
    lights = np.zeros((2, h, w), np.float32)
    seen = np.zeros((2, h, w), np.float32)
    for row in range(h):
        for column in range(w):
            halves[(row + column) % 2, row + reach, column + reach] = weight[row, column]
    for half in range(2):
        _blur(halves[half], kernel, lights[half])
    enough = np.float32(0.1 * kernel.sum())
    for i in range(len(pictures)):
        for row in range(h):
            for column in range(w):
                halves[(row + column) % 2, row + reach, column + reach] = (
                    pictures[i, row, column] * weight[row, column]
                )
        for half in range(2):
            _blur(halves[half], kernel, seen[half])
        both, first, second, square, count = 0.0, 0.0, 0.0, 0.0, 0.0
        for row in range(h):
            for column in range(w):
                one, two = lights[0, row, column], lights[1, row, column]
                if weight[row, column] > 0 and one > enough and two > enough:
                    a, b = seen[0, row, column] / one, seen[1, row, column] / two
                    both += a * b
                    first += a
                    second += b
                    square += pictures[i, row, column] ** 2
                    count += 1
        if count > 0 and square > 0:
            covariance = both / count - first * second / count**2
            out[i] = min(max(covariance * count / square, 0.0), 1.0)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})  # type: ignore[untyped-decorator]
def _blur(padded: Any, kernel: Any, out: Any) -> None:
    h, w = out.shape
    for row in range(h):
        line = out[row]
        line[:] = 0
        for i in range(len(kernel)):
            for j in range(len(kernel)):
                share = kernel[i, j]
                source = padded[row + i, j : j + w]
                for column in range(w):
                    line[column] += share * source[column]
