"""Bring any frame to one form: bright spots on a flat background, in units of its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

#: Larger frames are binned until the longer side is at most this.
WORK_SIZE = 400
#: Blocks across the shorter side, in which background and noise are measured.
_BLOCKS = 20
_SAMPLES = 33
#: A pixel this far below the background, in units of its noise, lies in a shadow.
_SHADOW = -5.0


@dataclass(frozen=True)
class FlatFrame:
    """A frame with its background taken off.

    Attributes
    ----------
    signal : ndarray of float32, (h, w)
        Counts above the background over the noise.  Pixels without a value are 0.
    binning
        Pixels of the frame per pixel of `signal`, along each side.
    inverted
        Whether the frame showed dark spots on a bright background.
    empty
        Whether the frame holds no structure at all: no valid pixel, or all alike.
    noise
        Median noise over the median contrast of the frame's bright pixels; 0 for a frame without
        noise.
    shadow : ndarray of bool, (h, w), or None
        Pixels that a beam stop or a gap hides, where there are any.
    """

    signal: NDArray[np.float32]
    binning: int
    inverted: bool
    empty: bool
    noise: float
    shadow: NDArray[np.bool_] | None = None


def flatten(frame: NDArray[Any]) -> FlatFrame:
    """Make the spots bright, take the background off and divide by the noise.

    Background and noise are the clipped mean and deviation of samples of each block of the frame
    (or the differences of neighbouring pixels, where they are smaller), smoothed over neighbouring
    blocks and interpolated.

    Parameters
    ----------
    frame : ndarray, (h, w)
        Any real dtype; NaN and infinity are pixels without a value.
    """
    image, binning = _binned(np.asarray(frame))
    valid = np.isfinite(image)
    if not valid.all():
        image = np.where(valid, image, np.float32(np.nan))
    background, noise, tail = block_statistics(image, block_size(image.shape))
    if not np.isfinite(background).any():
        return FlatFrame(np.zeros(image.shape, np.float32), binning, False, True, 0.0)
    inverted = _is_inverted(background, noise, tail)
    background, noise = smooth_blocks(background), smooth_blocks(noise)
    low, contrast, quantum = _contrast(image)
    if not contrast > 0:
        return FlatFrame(np.zeros(image.shape, np.float32), binning, inverted, True, 0.0)
    middle = float(np.median(noise))
    # Where nothing was counted the noise is not nought but one quantum; and a frame without any
    # noise needs a unit, too.
    least = max(0.3 * middle, _unit(contrast, quantum))
    sign = -1.0 if inverted else 1.0
    signal = normalise(image, background, np.maximum(noise, np.float32(least)), sign)
    shadow = _shadow(image, signal, background, low)
    if inverted or middle < 3e-4 * contrast or not 0.001 < shadow.mean() < 0.25:
        return FlatFrame(signal, binning, inverted, False, middle / contrast)
    # What a beam stop or a gap hides must not count as background of what lies beside it.
    shadow = _grown(shadow)
    image = np.where(shadow, np.float32(np.nan), image)
    background, noise, _ = block_statistics(image, block_size(image.shape))
    background, noise = smooth_blocks(background), smooth_blocks(noise)
    signal = normalise(image, background, np.maximum(noise, np.float32(least)), sign)
    return FlatFrame(signal, binning, inverted, False, middle / contrast, shadow)


def least_noise(image: NDArray[np.float32]) -> float:
    """Noise to be taken where none is seen: one quantum, or some unit on a frame without noise."""
    _, contrast, quantum = _contrast(image)
    return _unit(contrast, quantum)


def _unit(contrast: float, quantum: float) -> float:
    return max(min(quantum, 0.05 * contrast), 1e-4 * contrast)


def _shadow(
    image: NDArray[np.float32],
    signal: NDArray[np.float32],
    background: NDArray[np.float32],
    low: float,
) -> NDArray[np.bool_]:
    """Pixels far below their surroundings and nearly as dark as the darkest."""
    dark = low + 0.15 * (float(np.median(background)) - low)
    return np.asarray((signal < _SHADOW) & (image < dark))


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and the pixels next to it."""
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    across = out.copy()
    out[:, 1:] |= across[:, :-1]
    out[:, :-1] |= across[:, 1:]
    return out


def _is_inverted(
    background: NDArray[np.float32], noise: NDArray[np.float32], tail: NDArray[np.float32]
) -> bool:
    """Whether dark spots outweigh bright ones, away from shadows and the direct beam."""
    step = _nine(background)[0]
    spotty = (np.abs(tail) > 3) & (step < 6 * noise + 0.02 * np.nanmax(np.abs(background)))
    evidence = np.sum(np.where(spotty, np.sign(tail), 0))
    # Nearly every camera shows bright spots: it takes some evidence to believe the opposite.
    return bool(evidence < -4)


def _contrast(image: NDArray[np.float32]) -> tuple[float, float, float]:
    """Low end and range of the frame without its extremes, and the smallest step of its values."""
    sample = np.sort(image.ravel()[:: max(1, image.size // 16384) | 1])
    sample = sample[np.isfinite(sample)]
    steps = np.diff(sample)
    steps = steps[steps > 0]
    if not len(steps):
        low, high = float(np.nanmin(image)), float(np.nanmax(image))
        return low, high - low, high - low
    low, high = float(sample[len(sample) // 1000]), float(sample[-1 - len(sample) // 1000])
    return low, max(high - low, float(steps.min())), float(steps.min())


def _binned(frame: NDArray[Any]) -> tuple[NDArray[np.float32], int]:
    """The frame as float32, averaged over squares of pixels where it is large."""
    if min(frame.shape) == 0:
        frame = np.zeros((1, 1), dtype=np.float32)
    if not frame.dtype.isnative or frame.dtype == np.float16:
        frame = frame.astype(np.float32)  # compiled code takes neither
    factor = int(np.ceil(max(frame.shape) / WORK_SIZE))
    if factor == 1:
        return np.ascontiguousarray(frame, dtype=np.float32), 1
    h, w = (n // factor * factor for n in frame.shape)
    return _bin(np.ascontiguousarray(frame[:h, :w]), factor), factor


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _bin(frame, factor):  # type: ignore[no-untyped-def]
    out = np.zeros((frame.shape[0] // factor, frame.shape[1] // factor), dtype=np.float32)
    share = np.float32(1.0 / (factor * factor))
    for i in range(out.shape[0]):
        line = out[i]
        for k in range(factor):
            row = frame[i * factor + k]
            for j in range(len(line)):
                for m in range(factor):
                    line[j] += np.float32(row[j * factor + m])
        for j in range(len(line)):
            line[j] *= share
    return out


def block_size(shape: tuple[int, ...]) -> int:
    """Side of the blocks in which background and noise are measured, in pixels."""
    return int(np.clip(min(shape) // _BLOCKS, 6, 32))


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _insertion_sort(values, n):  # type: ignore[no-untyped-def]
    """Sort the first n values in place; for so few this is the fastest way."""
    for k in range(1, n):
        v = values[k]
        i = k
        while i > 0 and values[i - 1] > v:
            values[i] = values[i - 1]
            i -= 1
        values[i] = v


@nb.njit(cache=True, nogil=True, error_model="numpy")
def sorted_deviations(values, n, out):  # type: ignore[no-untyped-def]
    """Deviations of the first n values, which are sorted, from their median, smallest first."""
    middle = values[n // 2]
    below, above = n // 2 - 1, n // 2 + 1
    out[0] = 0
    for k in range(1, n):
        if below < 0 or (above < n and values[above] - middle < middle - values[below]):
            out[k] = values[above] - middle
            above += 1
        else:
            out[k] = middle - values[below]
            below -= 1


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _two_highest(strip, sign, out):  # type: ignore[no-untyped-def]
    """Highest and second highest of ``sign * strip`` in each column; pixels without value pass."""
    first, second = out[0], out[1]
    out[:] = -np.inf
    for row in strip:
        # Written as choices between two values, which run on many columns at once.
        for j in range(len(row)):
            v = sign * row[j]
            lower = first[j] if first[j] < v else v
            second[j] = lower if lower > second[j] else second[j]
            first[j] = v if v > first[j] else first[j]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _third_highest(columns, left, right):  # type: ignore[no-untyped-def]
    """Third highest value of some columns: one dead or hot pixel says nothing."""
    high1 = high2 = high3 = np.float32(-np.inf)
    for k in range(2):
        for j in range(left, right):
            v = columns[k, j]
            if v > high3:
                if v > high1:
                    high1, high2, high3 = v, high1, high2
                elif v > high2:
                    high2, high3 = v, high2
                else:
                    high3 = v
    return high3


@nb.njit(cache=True, nogil=True, error_model="numpy")
def block_statistics(image, block):  # type: ignore[no-untyped-def]
    """Background, noise, and whether the bright or the dark tail is longer, of each block."""
    rows, columns = max(1, image.shape[0] // block), max(1, image.shape[1] // block)
    background = np.full((rows, columns), np.nan, dtype=np.float32)
    noise = np.full((rows, columns), np.nan, dtype=np.float32)
    tail = np.zeros((rows, columns), dtype=np.float32)
    values = np.empty(_SAMPLES, dtype=np.float32)
    deviations = np.empty(_SAMPLES, dtype=np.float32)
    steps = np.empty(_SAMPLES, dtype=np.float32)
    bright = np.empty((2, image.shape[1]), dtype=np.float32)
    dark = np.empty((2, image.shape[1]), dtype=np.float32)
    # Multiples of the golden ratio spread evenly over any block.
    places = (np.arange(_SAMPLES) * 0.6180339887498949) % 1.0
    for r in range(rows):
        # Blocks of equal size to a pixel: between their middles the background is interpolated.
        top, bottom = r * image.shape[0] // rows, (r + 1) * image.shape[0] // rows
        _two_highest(image[top:bottom], np.float32(1), bright)
        _two_highest(image[top:bottom], np.float32(-1), dark)
        for c in range(columns):
            left, right = c * image.shape[1] // columns, (c + 1) * image.shape[1] // columns
            area = (bottom - top) * (right - left)
            n = 0
            for number in range(min(area, _SAMPLES)):
                k = int(places[number] * area)
                i, j = top + k // (right - left), left + k % (right - left)
                v = image[i, j]
                if np.isfinite(v):
                    values[n] = v
                    # Differences of neighbours: noise without the slope of the background.
                    step = abs(v - image[i, j + 1 if j + 1 < image.shape[1] else j - 1])
                    steps[n] = step if np.isfinite(step) else 0
                    n += 1
            if n < 8:
                continue
            _insertion_sort(values, n)
            middle = values[n // 2]
            sorted_deviations(values, n, deviations)
            spread = deviations[n // 2] * np.float32(1.4826)
            # Low counts: the median is a whole number, the clipped mean is not.
            reach = 3 * spread + np.float32(1e-6) * abs(middle)
            if spread == 0:
                reach = 3 * np.float32(np.mean(deviations[: max(1, n * 3 // 4)])) + reach
            total, square, m = 0.0, 0.0, 0
            for k in range(n):
                if abs(values[k] - middle) <= reach:
                    total += values[k]
                    square += (values[k] - middle) ** 2
                    m += 1
            mean = total / m
            background[r, c] = mean
            noise[r, c] = np.sqrt(max(square / m - (mean - middle) ** 2, 0.0)) * 1.02
            _insertion_sort(steps, n)
            if steps[n // 2] > 0:
                noise[r, c] = min(noise[r, c], np.float32(1.15) * steps[n // 2])
            high, low = _third_highest(bright, left, right), -_third_highest(dark, left, right)
            reach = high - low
            if 0 < reach < np.float32(np.inf):
                skew = (high - mean) - (mean - low)
                tail[r, c] = skew / (noise[r, c] + np.float32(0.02) * reach)
    return background, noise, tail


def smooth_blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill blocks without a value and take the median over 3 x 3 blocks."""
    if np.isnan(values).any():
        values = np.where(np.isnan(values), np.float32(np.nanmedian(values)), values)
    return np.asarray(_nine(values)[1])


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _nine(values):  # type: ignore[no-untyped-def]
    """Range and median over 3 x 3 blocks; at the edge the outermost blocks count again."""
    rows, columns = values.shape
    spread = np.empty((rows, columns), dtype=np.float32)
    middle = np.empty((rows, columns), dtype=np.float32)
    window = np.empty(9, dtype=np.float32)
    for r in range(rows):
        for c in range(columns):
            n, total = 0, np.float32(0)
            for a in range(r - 1, r + 2):
                for b in range(c - 1, c + 2):
                    window[n] = values[min(max(a, 0), rows - 1), min(max(b, 0), columns - 1)]
                    total += window[n]
                    n += 1
            _insertion_sort(window, 9)
            # Beside a block without a value nothing is known.
            spread[r, c] = window[8] - window[0] if np.isfinite(total) else np.nan
            middle[r, c] = window[4]
    return spread, middle


@nb.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "arcp", "reassoc"})
def normalise(image, background, noise, sign):  # type: ignore[no-untyped-def]
    """(image - background) / noise, both interpolated between the middles of the blocks."""
    h, w = image.shape
    rows, columns = background.shape
    out = np.empty((h, w), dtype=np.float32)
    lower = np.empty(w, dtype=np.int32)
    part = np.empty(w, dtype=np.float32)
    for j in range(w):
        x = min(max((j + 0.5) * columns / w - 0.5, 0.0), columns - 1.0)
        lower[j] = min(int(x), max(columns - 2, 0))
        part[j] = x - lower[j]
    line_b = np.empty(columns + 1, dtype=np.float32)
    line_n = np.empty(columns + 1, dtype=np.float32)
    for i in range(h):
        y = min(max((i + 0.5) * rows / h - 0.5, 0.0), rows - 1.0)
        r = min(int(y), max(rows - 2, 0))
        t = np.float32(y - r)
        r2 = min(r + 1, rows - 1)
        for c in range(columns):
            line_b[c] = background[r, c] * (1 - t) + background[r2, c] * t
            line_n[c] = noise[r, c] * (1 - t) + noise[r2, c] * t
        line_b[columns] = line_b[columns - 1]
        line_n[columns] = line_n[columns - 1]
        for j in range(w):
            c, s = lower[j], part[j]
            b = line_b[c] * (1 - s) + line_b[c + 1] * s
            n = line_n[c] * (1 - s) + line_n[c + 1] * s
            v = np.float32(sign) * (image[i, j] - b) / n
            out[i, j] = v if v == v else np.float32(0)
    return out
