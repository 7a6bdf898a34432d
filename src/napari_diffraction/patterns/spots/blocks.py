"""Background and noise of a frame, measured in blocks and interpolated between them."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.sorting import sort

#: Blocks across the shorter side.
_BLOCKS = 20
#: Pixels of a block that are looked at.
_SAMPLES = 33


def block_size(shape: tuple[int, ...]) -> int:
    """Side of the blocks in which background and noise are measured, in pixels."""
    return min(max(min(shape) // _BLOCKS, 6), 32)


def sorting_network(n: int) -> NDArray[np.int64]:
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


_NETWORK = sorting_network(_SAMPLES)
_NINE = sorting_network(9)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def sort_columns(values, network):  # type: ignore[no-untyped-def]
    """Sort every column in place; none of the values is NaN."""
    for pair in range(len(network)):
        upper, lower = network[pair, 0], network[pair, 1]
        for b in range(values.shape[1]):
            one, two = values[upper, b], values[lower, b]
            values[upper, b] = one if one < two else two
            values[lower, b] = two if one < two else one


@nb.njit(cache=True, nogil=True, error_model="numpy")
def block_statistics(image, block):  # type: ignore[no-untyped-def]
    """Background and noise of each block.

    All blocks are sorted at once, a sample of each being a column: so it runs on many of them in
    one step.
    """
    rows, columns = max(1, image.shape[0] // block), max(1, image.shape[1] // block)
    values, steps, count = _samples(image, rows, columns)
    sort_columns(values, _NETWORK)
    deviations = np.empty_like(values)
    middle = np.empty(rows * columns, dtype=np.float32)
    for b in range(rows * columns):
        middle[b] = values[count[b] // 2, b] if count[b] else 0
    for k in range(_SAMPLES):
        of, line = deviations[k], values[k]
        for b in range(len(middle)):
            of[b] = abs(line[b] - middle[b])
    sort_columns(deviations, _NETWORK)
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
    sort_columns(steps, _NETWORK)
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
    return background, noise


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _samples(image, rows, columns):  # type: ignore[no-untyped-def]
    """Values of some pixels of each block, (33, blocks), their steps to the next pixel, and count.

    What is not there is infinite, so that it comes last when it is sorted.
    """
    infinite = np.float32(np.inf)
    values = np.full((_SAMPLES, rows * columns), infinite, dtype=np.float32)
    steps = np.full((_SAMPLES, rows * columns), infinite, dtype=np.float32)
    count = np.zeros(rows * columns, dtype=np.int64)
    at, beside = _sampled(image.shape, rows, columns)
    for r in range(rows):
        # Blocks of equal size to a pixel: between their middles the background is interpolated.
        top, bottom = r * image.shape[0] // rows, (r + 1) * image.shape[0] // rows
        taller = bottom - top - image.shape[0] // rows
        strip, first, last = image[top:bottom].ravel(), r * columns, (r + 1) * columns
        of_row = count[first:last]
        for n in range(_SAMPLES):
            places, neighbours = at[taller, n], beside[taller, n]
            value, step = values[n, first:last], steps[n, first:last]
            for c in range(columns):
                if places[c] < 0:
                    continue
                v = strip[places[c]]
                # Differences of neighbours: noise without the slope of the background.
                d = abs(v - strip[neighbours[c]])
                known = abs(v) < infinite
                value[c] = v if known else infinite
                step[c] = (d if d < infinite else np.float32(0)) if known else infinite
                of_row[c] += known
    return values, steps, count


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _sampled(shape, rows, columns):  # type: ignore[no-untyped-def]
    """Which pixels of the blocks of a row are looked at, and which beside them.

    Both are (2, 33, columns), as places in the row; rows of blocks have one height or a pixel more.
    A block of fewer pixels has places of -1.
    """
    h, w = shape
    at = np.full((2, _SAMPLES, columns), -1, dtype=np.int64)
    beside = at.copy()
    for taller in range(2):
        for c in range(columns):
            left, right = c * w // columns, (c + 1) * w // columns
            area = (h // rows + taller) * (right - left)
            for n in range(min(area, _SAMPLES)):
                # Multiples of the golden ratio spread evenly over any block.
                k = int((n * 0.6180339887498949) % 1.0 * area)
                first, j = k // (right - left) * w, left + k % (right - left)
                at[taller, n, c] = first + j
                beside[taller, n, c] = first + (j + 1 if j + 1 < w else j - 1)
    return at, beside


@nb.njit(cache=True, nogil=True, error_model="numpy")
def tails(image, background, noise):  # type: ignore[no-untyped-def]
    """How far the third highest pixel of a block is from its mean beyond the third lowest."""
    rows, columns = background.shape
    tail = np.zeros((rows, columns), dtype=np.float32)
    outermost = np.empty((4, image.shape[1]), dtype=np.float32)
    for r in range(rows):
        strip = image[r * image.shape[0] // rows : (r + 1) * image.shape[0] // rows]
        _outermost(strip, outermost)
        for c in range(columns):
            mean = background[r, c]
            if not np.isfinite(mean):
                continue
            left, right = c * image.shape[1] // columns, (c + 1) * image.shape[1] // columns
            high = _third_highest(outermost[:2], left, right)
            low = -_third_highest(outermost[2:], left, right)
            reach = high - low
            if 0 < reach < np.float32(np.inf):
                skew = (high - mean) - (mean - low)
                tail[r, c] = skew / (noise[r, c] + np.float32(0.02) * reach)
    return tail


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _outermost(strip, out):  # type: ignore[no-untyped-def]
    """Highest and second highest of each column, and those of its negative; no value passes."""
    high1, high2, low1, low2 = out[0], out[1], out[2], out[3]
    out[:] = -np.inf
    for i in range(len(strip)):
        row = strip[i]
        # Written as choices between two values, which run on many columns at once.
        for j in range(len(row)):
            v = row[j]
            rest = high1[j] if high1[j] < v else v
            high2[j] = rest if rest > high2[j] else high2[j]
            high1[j] = v if v > high1[j] else high1[j]
            v = -v
            rest = low1[j] if low1[j] < v else v
            low2[j] = rest if rest > low2[j] else low2[j]
            low1[j] = v if v > low1[j] else low1[j]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _third_highest(columns, left, right):  # type: ignore[no-untyped-def]
    """Third highest value of some columns: one dead or hot pixel says nothing."""
    high1 = high2 = high3 = np.float32(-np.inf)
    for k in range(2):
        for j in range(left, right):
            v = columns[k, j]
            rest = high1 if high1 < v else v
            high1 = v if v > high1 else high1
            last = high2 if high2 < rest else rest
            high2 = rest if rest > high2 else high2
            high3 = last if last > high3 else high3
    return high3


@nb.njit(cache=True, nogil=True, error_model="numpy")
def smooth_blocks(values):  # type: ignore[no-untyped-def]
    """Fill blocks without a value and take the median over 3 x 3 blocks."""
    rows, columns = values.shape
    filled = _framed(values)
    known = values.ravel()[~np.isnan(values.ravel())]
    if 0 < len(known) < values.size:
        known = sort(known)
        half = len(known) // 2
        # as numpy.nanmedian has it
        usual = known[half] if len(known) % 2 else (known[half - 1] + known[half]) / np.float32(2)
        filled = _framed(np.where(np.isnan(values), usual, values))
    out = np.empty((rows, columns), dtype=np.float32)
    nine = np.empty((9, columns), dtype=np.float32)
    for r in range(rows):
        for k in range(9):
            nine[k] = filled[r + k // 3, k % 3 : k % 3 + columns]
        sort_columns(nine, _NINE)
        out[r] = nine[4]
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def range_of_nine(values):  # type: ignore[no-untyped-def]
    """Greatest less least of 3 x 3 blocks; beside a block without a value nothing is known."""
    rows, columns = values.shape
    framed = _framed(values)
    out = np.empty((rows, columns), dtype=np.float32)
    for r in range(rows):
        for c in range(columns):
            least = most = framed[r, c]
            total = np.float32(0)
            for a in range(r, r + 3):
                for b in range(c, c + 3):
                    v = framed[a, b]
                    least, most = min(least, v), max(most, v)
                    total += v
            out[r, c] = most - least if np.isfinite(total) else np.float32(np.nan)
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _framed(values):  # type: ignore[no-untyped-def]
    """The blocks and a frame around them in which the outermost count again."""
    rows, columns = values.shape
    out = np.empty((rows + 2, columns + 2), dtype=np.float32)
    out[1:-1, 1:-1] = values
    out[1:-1, 0], out[1:-1, -1] = values[:, 0], values[:, -1]
    out[0], out[-1] = out[1], out[-2]
    return out


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
        for j in range(w):
            level = wide_b[r, j] * rest + wide_b[r2, j] * t
            v = sign * (image[i, j] - level) / (wide_n[r, j] * rest + wide_n[r2, j] * t)
            out[i, j] = v if v == v else np.float32(0)
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


@nb.njit(cache=True, nogil=True, error_model="numpy")
def means_of_squares(frame, factor):  # type: ignore[no-untyped-def]
    """The frame at a smaller size, each pixel the mean of a square; what is over is left out."""
    out = np.zeros((frame.shape[0] // factor, frame.shape[1] // factor), dtype=np.float32)
    share = np.float32(1.0 / (factor * factor))
    total = np.empty(out.shape[1] * factor, dtype=np.float32)
    for i in range(len(out)):
        total[:] = 0
        for k in range(factor):
            row = i * factor + k
            for j in range(len(total)):
                total[j] += np.float32(frame[row, j])
        line = out[i]
        if factor == 2:  # by a step known beforehand it runs on many pixels at once
            for j in range(len(line)):
                line[j] = (total[2 * j] + total[2 * j + 1]) * share
            continue
        for j in range(len(line)):
            for m in range(factor):
                line[j] += total[j * factor + m]
            line[j] *= share
    return out
