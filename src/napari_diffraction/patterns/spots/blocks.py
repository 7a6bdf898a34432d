"""Background and noise of a frame, measured in blocks and interpolated between them."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

#: Blocks across the shorter side.
_BLOCKS = 20
#: Pixels of a block that are looked at.
_SAMPLES = 33


def block_size(shape: tuple[int, ...]) -> int:
    """Side of the blocks in which background and noise are measured, in pixels."""
    return int(np.clip(min(shape) // _BLOCKS, 6, 32))


def _sorting_network(n: int) -> NDArray[np.int64]:
    """Pairs of places which, compared and exchanged one after the other, sort n values.

    Merge exchange (Batcher 1968; Knuth, The Art of Computer Programming 3, algorithm 5.2.2 M).
    """
    pairs = []
    size = 1
    while size < n:
        apart = size
        while apart:
            for j in range(apart % size, n - apart, 2 * apart):
                for i in range(j, j + min(apart, n - j - apart)):
                    if i // (2 * size) == (i + apart) // (2 * size):
                        pairs.append((i, i + apart))
            apart //= 2
        size *= 2
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


_NETWORK = _sorting_network(_SAMPLES)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _sort_columns(values, network):  # type: ignore[no-untyped-def]
    """Sort every column in place; none of the values is NaN."""
    for pair in range(len(network)):
        upper, lower = values[network[pair, 0]], values[network[pair, 1]]
        for b in range(len(upper)):
            one, two = upper[b], lower[b]
            upper[b] = one if one < two else two
            lower[b] = two if one < two else one


@nb.njit(cache=True, nogil=True, error_model="numpy")
def block_statistics(image, block):  # type: ignore[no-untyped-def]
    """Background, noise, and whether the bright or the dark tail is longer, of each block.

    All blocks are sorted at once, a sample of each being a column: so it runs on many of them in
    one step.
    """
    rows, columns = max(1, image.shape[0] // block), max(1, image.shape[1] // block)
    values, steps, count = _samples(image, rows, columns)
    _sort_columns(values, _NETWORK)
    deviations = np.empty_like(values)
    middle = np.empty(rows * columns, dtype=np.float32)
    for b in range(rows * columns):
        middle[b] = values[count[b] // 2, b] if count[b] else 0
    for k in range(_SAMPLES):
        of, line = deviations[k], values[k]
        for b in range(len(middle)):
            of[b] = abs(line[b] - middle[b])
    _sort_columns(deviations, _NETWORK)
    reach = np.empty_like(middle)
    for b in range(len(middle)):
        spread = deviations[count[b] // 2, b] * np.float32(1.4826)
        # Low counts: the median is a whole number, the clipped mean is not.
        reach[b] = 3 * spread + np.float32(1e-6) * abs(middle[b])
        if spread == 0:
            reach[b] += 3 * np.mean(deviations[: max(1, count[b] * 3 // 4), b])
    total, square, inside = np.zeros((3, len(middle)))
    for k in range(_SAMPLES):
        line = values[k]
        for b in range(len(middle)):
            off = line[b] - middle[b]
            near = abs(off) <= reach[b]
            total[b] += line[b] if near else 0.0
            square[b] += off * off if near else 0.0
            inside[b] += 1.0 if near else 0.0
    _sort_columns(steps, _NETWORK)
    background = np.full((rows, columns), np.nan, dtype=np.float32)
    noise = np.full((rows, columns), np.nan, dtype=np.float32)
    for b in range(len(middle)):
        if count[b] < 8:
            continue
        r, c = b // columns, b % columns
        mean = total[b] / inside[b]
        background[r, c] = mean
        noise[r, c] = np.sqrt(max(square[b] / inside[b] - (mean - middle[b]) ** 2, 0.0)) * 1.02
        step = steps[count[b] // 2, b]
        if step > 0:
            noise[r, c] = min(noise[r, c], np.float32(1.15) * step)
    return background, noise, _tails(image, background, noise)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _samples(image, rows, columns):  # type: ignore[no-untyped-def]
    """Values of some pixels of each block, (33, blocks), their steps to the next pixel, and count.

    What is not there is infinite, so that it comes last when it is sorted.
    """
    values = np.full((_SAMPLES, rows * columns), np.inf, dtype=np.float32)
    steps = np.full((_SAMPLES, rows * columns), np.inf, dtype=np.float32)
    count = np.zeros(rows * columns, dtype=np.int64)
    # Multiples of the golden ratio spread evenly over any block.
    places = (np.arange(_SAMPLES) * 0.6180339887498949) % 1.0
    for r in range(rows):
        # Blocks of equal size to a pixel: between their middles the background is interpolated.
        top, bottom = r * image.shape[0] // rows, (r + 1) * image.shape[0] // rows
        for c in range(columns):
            left, right = c * image.shape[1] // columns, (c + 1) * image.shape[1] // columns
            area, b, n = (bottom - top) * (right - left), r * columns + c, 0
            for number in range(min(area, _SAMPLES)):
                k = int(places[number] * area)
                i, j = top + k // (right - left), left + k % (right - left)
                v = image[i, j]
                if np.isfinite(v):
                    values[n, b] = v
                    # Differences of neighbours: noise without the slope of the background.
                    step = abs(v - image[i, j + 1 if j + 1 < image.shape[1] else j - 1])
                    steps[n, b] = step if np.isfinite(step) else 0
                    n += 1
            count[b] = n
    return values, steps, count


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _tails(image, background, noise):  # type: ignore[no-untyped-def]
    """How far the third highest pixel of a block is from its mean beyond the third lowest."""
    rows, columns = background.shape
    tail = np.zeros((rows, columns), dtype=np.float32)
    bright = np.empty((2, image.shape[1]), dtype=np.float32)
    dark = np.empty((2, image.shape[1]), dtype=np.float32)
    for r in range(rows):
        strip = image[r * image.shape[0] // rows : (r + 1) * image.shape[0] // rows]
        _two_highest(strip, np.float32(1), bright)
        _two_highest(strip, np.float32(-1), dark)
        for c in range(columns):
            mean = background[r, c]
            if not np.isfinite(mean):
                continue
            left, right = c * image.shape[1] // columns, (c + 1) * image.shape[1] // columns
            high, low = _third_highest(bright, left, right), -_third_highest(dark, left, right)
            reach = high - low
            if 0 < reach < np.float32(np.inf):
                skew = (high - mean) - (mean - low)
                tail[r, c] = skew / (noise[r, c] + np.float32(0.02) * reach)
    return tail


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


def smooth_blocks(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Fill blocks without a value and take the median over 3 x 3 blocks."""
    if np.isnan(values).any():
        values = np.where(np.isnan(values), np.float32(np.nanmedian(values)), values)
    return np.asarray(nine(values)[1])


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
def nine(values):  # type: ignore[no-untyped-def]
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
    rows = len(background)
    out = np.empty((h, w), dtype=np.float32)
    wide_b, wide_n = _widened(background, w), _widened(noise, w)
    sign = np.float32(sign)
    for i in range(h):
        y = min(max((i + 0.5) * rows / h - 0.5, 0.0), rows - 1.0)
        r = min(int(y), max(rows - 2, 0))
        r2 = min(r + 1, rows - 1)
        t = np.float32(y - r)
        rest = np.float32(1) - t
        line, row = out[i], image[i]
        b, b2, n, n2 = wide_b[r], wide_b[r2], wide_n[r], wide_n[r2]
        for j in range(w):
            v = sign * (row[j] - (b[j] * rest + b2[j] * t)) / (n[j] * rest + n2[j] * t)
            line[j] = v if v == v else np.float32(0)
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _widened(values, w):  # type: ignore[no-untyped-def]
    """Interpolate along the rows of blocks, (rows, w)."""
    rows, columns = values.shape
    out = np.empty((rows, w), dtype=np.float32)
    for j in range(w):
        x = min(max((j + 0.5) * columns / w - 0.5, 0.0), columns - 1.0)
        c = min(int(x), max(columns - 2, 0))
        t = np.float32(x - c)
        for r in range(rows):
            out[r, j] = values[r, c] * (np.float32(1) - t) + values[r, min(c + 1, columns - 1)] * t
    return out
