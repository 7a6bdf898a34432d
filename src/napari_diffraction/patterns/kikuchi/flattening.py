"""Kikuchi patterns binned and corrected, and their background and uneven contrast taken out."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_diffraction.patterns.kikuchi.coarse import blurred, interpolate_row

#: Beyond so many deviations a pixel is clipped, and beyond so many it has no value at all.
_CLIPPED, _LOST = 4.5, 8.0
_ROUNDS = 3
#: Values of a flattened picture lie within so many times the local contrast.
_MOST = 4.0
#: Least local contrast, in parts of the picture's.
_LEAST = 0.25
#: Pictures that a thread takes at a time.
_AT_A_TIME = 32


def in_threads(work: Callable[[slice], None], count: int) -> None:
    """Do some work on all of ``count`` pictures, so many at a time."""
    parts = [slice(start, start + _AT_A_TIME) for start in range(0, count, _AT_A_TIME)]
    if len(parts) < 2:
        for part in parts:
            work(part)
        return
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        list(pool.map(work, parts))


def reducer(size: int, out: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Which pixels make up each of fewer, along one axis, and how much of each belongs to it.

    Parameters
    ----------
    size, out
        Number of pixels before and after; the one need not divide the other.

    Returns
    -------
    first : ndarray of int64, (out,)
        First pixel of each.
    share : ndarray of float32, (out, k)
        Shares of the pixels from the first one on.
    """
    edges = np.linspace(0, size, out + 1)
    first = np.minimum(np.floor(edges[:-1] + 1e-9), size - 1).astype(np.int64)
    count = math.ceil(size / out - 1e-9) + (size % out > 0)
    count = min(count, size)
    first = np.minimum(first, size - count)
    pixel = first[:, None] + np.arange(count)
    share = np.minimum(pixel + 1, edges[1:, None]) - np.maximum(pixel, edges[:-1, None])
    return first, np.clip(share, 0, None).astype(np.float32)


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})  # type: ignore[untyped-decorator]
def reduce(
    frame: Any,
    gain: Any,
    first_row: Any,
    row_share: Any,
    first_column: Any,
    column_share: Any,
    out: Any,
) -> None:
    """Sums of frame times gain over the pixels of a smaller picture; NaN stays NaN."""
    h, w = out.shape
    line = np.empty(frame.shape[1], np.float32)
    whole = row_share.shape[1] == 1 and column_share.shape[1] == 1
    for i in range(h):
        row = first_row[i]
        if whole:
            for j in range(w):
                out[i, j] = np.float32(frame[row, j]) * gain[row, j]
            continue
        line[:] = 0
        for k in range(row_share.shape[1]):
            share = row_share[i, k]
            if share > 0:
                for c in range(len(line)):
                    line[c] += share * np.float32(frame[row + k, c]) * gain[row + k, c]
        for j in range(w):
            column = first_column[j]
            total = np.float32(0)
            for k in range(column_share.shape[1]):
                total += column_share[j, k] * line[column + k]
            out[i, j] = total


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def mend(frame: Any, gain: Any) -> Any:
    """A frame whose NaN and infinite values become, times the gain, the mean of the others."""
    total, count = 0.0, 0
    for row in range(frame.shape[0]):
        for column in range(frame.shape[1]):
            value = float(frame[row, column])
            if gain[row, column] > 0 and math.isfinite(value):
                total += value * gain[row, column]
                count += 1
    mean = total / max(count, 1)
    out = np.empty(frame.shape, np.float32)
    for row in range(frame.shape[0]):
        for column in range(frame.shape[1]):
            value = float(frame[row, column])
            if math.isfinite(value):
                out[row, column] = value
            else:
                out[row, column] = mean / gain[row, column] if gain[row, column] > 0 else 0.0
    return out


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})  # type: ignore[untyped-decorator]
def _moments(picture: Any, weight: Any) -> tuple[float, float]:
    """Weighted mean and deviation."""
    total, square, light = 0.0, 0.0, 0.0
    for row in range(picture.shape[0]):
        a, b, c = np.float32(0), np.float32(0), np.float32(0)
        for column in range(picture.shape[1]):
            share = weight[row, column]
            value = picture[row, column] * share
            a += value
            b += value * picture[row, column]
            c += share
        total, square, light = total + float(a), square + float(b), light + float(c)
    lit = max(light, 1e-6)
    mean = total / lit
    return mean, math.sqrt(max(square / lit - mean * mean, 0.0))


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def standardise(picture: Any, weight: Any, sign: float) -> None:
    """Zero mean and unit deviation over the weight; 0 where there is none, or no structure."""
    shift = np.float32(picture[picture.shape[0] // 2, picture.shape[1] // 2])
    if not math.isfinite(shift):
        shift = np.float32(0)
    # small numbers first: the squares of large ones leave no digits for the deviation
    picture -= shift
    mean, spread = _moments(picture, weight)
    if not math.isfinite(spread) or spread <= 1e-6 * abs(mean + shift) or spread < 1e-30:
        picture[:] = 0
        return
    scale = np.float32(sign / spread)
    middle = np.float32(mean)
    for row in range(picture.shape[0]):
        for column in range(picture.shape[1]):
            value = (picture[row, column] - middle) * scale
            picture[row, column] = value if weight[row, column] > 0 else np.float32(0)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def bin_frames(frames: Any, gain: Any, rows: Any, columns: Any, share: Any, out: Any) -> None:
    """Bin frames and multiply them by the gain; `share` undoes the sums."""
    for i in range(len(frames)):
        reduce(frames[i], gain, rows[0], rows[1], columns[0], columns[1], out[i])
        total = np.float32(0)
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                total += out[i, row, column]
        if not math.isfinite(total):
            whole = mend(frames[i], gain)
            reduce(whole, gain, rows[0], rows[1], columns[0], columns[1], out[i])
        for row in range(out.shape[1]):
            for column in range(out.shape[2]):
                out[i, row, column] *= share[row, column]


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def standardise_all(pictures: Any, weight: Any, sign: float) -> None:
    """Standardise each of the pictures where they lie."""
    for i in range(len(pictures)):
        standardise(pictures[i], weight, sign)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def without_background(pictures: Any, weight: Any, wide: Any, out: Any, scale: Any) -> None:
    """Fill `out` with pictures less their background, and `scale` with its relative deviation.

    That is its deviation over the mean of the picture, or over the deviation of that if greater.
    """
    weighted = np.empty(weight.shape, np.float32)
    for i in range(len(pictures)):
        mean, whole = _moments(pictures[i], weight)
        for row in range(weight.shape[0]):
            for column in range(weight.shape[1]):
                value = pictures[i, row, column] - np.float32(mean)
                weighted[row, column] = value * weight[row, column]
        background = blurred(weighted, *wide)
        _minus(weighted, weight, background, wide[0], out[i])
        _, spread = _moments(out[i], weight)
        reach = np.float32(_CLIPPED * spread)
        for row in range(weight.shape[0]):
            for column in range(weight.shape[1]):
                out[i, row, column] = min(max(out[i, row, column], -reach), reach)
        _, spread = _moments(out[i], weight)
        level = max(mean, whole)
        scale[i] = spread / level if level > 0 else 0.0


@njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})  # type: ignore[untyped-decorator]
def _minus(picture: Any, weight: Any, grid: Any, cell: int, out: Any) -> float:
    """Fill `out` with the picture less its background; the greatest absolute value of it."""
    most = np.float32(0)
    line = np.empty(picture.shape[1], np.float32)
    for row in range(picture.shape[0]):
        interpolate_row(grid, cell, row, line)
        for column in range(picture.shape[1]):
            value = (picture[row, column] - line[column]) * weight[row, column]
            out[row, column] = value
            most = max(most, abs(value))
    return float(most)


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def flatten(pictures: Any, weight: Any, wide: Any, even: Any, out: Any) -> None:
    """Take the background off, even the contrast out, and standardise.

    `wide` and `even` are the arguments of the Gaussians of background and contrast.
    """
    h, w = weight.shape
    line = np.empty(w, np.float32)
    weighted = np.empty((h, w), np.float32)
    for i in range(len(pictures)):
        flat = out[i]
        for row in range(h):
            for column in range(w):
                weighted[row, column] = pictures[i, row, column] * weight[row, column]
        background = blurred(weighted, *wide)
        most = _minus(weighted, weight, background, wide[0], flat)
        for _ in range(_ROUNDS):
            _, spread = _moments(flat, weight)
            if not most > _CLIPPED * spread:
                break
            _without_outliers(flat, weight, background, wide[0], spread, line, weighted)
            background = blurred(weighted, *wide)
            most = _minus(weighted, weight, background, wide[0], flat)
        _, spread = _moments(flat, weight)
        for row in range(h):
            for column in range(w):
                weighted[row, column] = flat[row, column] ** 2
        contrast = blurred(weighted, *even)
        least = np.float32(max((_LEAST * spread) ** 2, 1e-20))
        for row in range(len(contrast)):
            for column in range(contrast.shape[1]):
                contrast[row, column] = 1 / math.sqrt(max(contrast[row, column], least))
        for row in range(h):
            interpolate_row(contrast, even[0], row, line)
            for column in range(w):
                value = flat[row, column] * line[column]
                flat[row, column] = min(max(value, np.float32(-_MOST)), np.float32(_MOST))
        standardise(flat, weight, 1.0)
        for row in range(h):
            for column in range(w):
                flat[row, column] *= weight[row, column]


@njit(nogil=True, cache=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _without_outliers(
    flat: Any, weight: Any, background: Any, cell: int, spread: float, line: Any, weighted: Any
) -> None:
    """Background plus what is left when outliers are clipped, and the farthest dropped."""
    reach, lost = np.float32(_CLIPPED * spread), np.float32(_LOST * spread)
    for row in range(flat.shape[0]):
        interpolate_row(background, cell, row, line)
        for column in range(flat.shape[1]):
            value = flat[row, column]
            if abs(value) > lost:
                value = np.float32(0)
            value = min(max(value, -reach), reach)
            weighted[row, column] = (value + line[column]) * weight[row, column]
