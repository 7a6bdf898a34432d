"""Smoothed frames, in which spots stand out of their surroundings, and their noise."""

from __future__ import annotations

from functools import lru_cache

import numba as nb
import numpy as np
from numpy.typing import NDArray


def smoothed(signal: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Smooth by a Gaussian, take off the surroundings and divide by the noise that is left."""
    # Brightest pixels are cut before smoothing, lest the direct beam drown its neighbours.
    out = convolve(signal, half_gaussian(width), np.float32(4000))
    # Rings and the slope of the halo are wider than spots: what surrounds a place is taken off.
    _take_off_surroundings(out, signal, int(np.ceil(2.5 * width)) + 1)
    sample = out.ravel()[:: max(1, out.size // 8192) | 1]
    middle = _median(sample)
    noise = 1.4826 * float(_median(np.abs(sample - middle)))
    # White noise of deviation 1 keeps 1 / (2 sqrt(pi) width) of it.
    out -= middle
    out *= np.float32(1 / max(noise, 0.5 / (np.sqrt(np.pi) * width)))
    return np.asarray(out)


def _median(values: NDArray[np.float32]) -> np.float32:
    """Upper median, sooner than `numpy.median` has it."""
    return np.float32(np.partition(values, len(values) // 2)[len(values) // 2])


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _take_off_surroundings(out, signal, reach):  # type: ignore[no-untyped-def]
    """Subtract the clipped signal, averaged twice over squares of ``2 reach + 1`` pixels.

    Beyond the edge the outermost pixels go on.
    """
    h, w = signal.shape
    share = np.float32(1.0 / (2 * reach + 1))
    across = np.empty((h, w), dtype=np.float32)
    lines, means = np.empty((2, 4, w), dtype=np.float32)
    for i in range(0, h, 4):
        for k in range(4):
            row = min(i + k, h - 1)
            for j in range(w):
                lines[k, j] = min(max(signal[row, j], np.float32(-6)), np.float32(8))
        _running_means(lines, reach, share, means)
        _running_means(means, reach, share, lines)
        across[i : i + 4] = lines[: h - i]
    down = np.empty((h, w), dtype=np.float32)
    _running_mean_down(across, reach, share, down)
    _running_mean_down(down, reach, share, across)
    for i in range(h):
        for j in range(w):
            out[i, j] -= across[i, j]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _running_means(lines, reach, share, out):  # type: ignore[no-untyped-def]
    """Running means along four lines; one alone would wait for each of its sums."""
    a, b, c, d = lines[0], lines[1], lines[2], lines[3]
    to_a, to_b, to_c, to_d = out[0], out[1], out[2], out[3]
    last = lines.shape[1] - 1
    sum_a = sum_b = sum_c = sum_d = np.float32(0)
    for k in range(-reach, reach + 1):
        j = min(max(k, 0), last)
        sum_a += a[j]
        sum_b += b[j]
        sum_c += c[j]
        sum_d += d[j]
    for j in range(last + 1):
        to_a[j] = sum_a * share
        to_b[j] = sum_b * share
        to_c[j] = sum_c * share
        to_d[j] = sum_d * share
        new, old = min(j + reach + 1, last), max(j - reach, 0)
        sum_a += a[new] - a[old]
        sum_b += b[new] - b[old]
        sum_c += c[new] - c[old]
        sum_d += d[new] - d[old]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _running_mean_down(image, reach, share, out):  # type: ignore[no-untyped-def]
    h, w = image.shape
    total = np.zeros(w, dtype=np.float32)
    for k in range(-reach, reach + 1):
        i = min(max(k, 0), h - 1)
        for j in range(w):
            total[j] += image[i, j]
    for i in range(h):
        new, old = min(i + reach + 1, h - 1), max(i - reach, 0)
        for j in range(w):
            out[i, j] = total[j] * share
            total[j] += image[new, j] - image[old, j]


@nb.njit(cache=True, nogil=True)
def noise_top(smooth):  # type: ignore[no-untyped-def]
    """Height that hardly any maximum of the noise reaches, from the heights of all maxima.

    Sparse counts have a longer tail than normal noise, the fewer the longer: the wider apart the
    median of the heights and their quantile of 84 % are.  Of normal noise these differ by 0.66, of
    0.6 counts a pixel by 0.84, of 0.2 by 1.1, and the highest of 20,000 maxima have 4.4, 5.8 and
    7.5 (Poisson noise, spots of 0.8 to 2 pixels).  Where there is no noise it is 0.
    """
    heights = np.zeros(400, dtype=np.int64)
    w = smooth.shape[1]
    top = np.zeros(w, dtype=np.uint8)
    for i in range(1, smooth.shape[0] - 1, 2):  # every other row tells enough
        for j in range(w - 2):  # without branches, so that it runs on many pixels at once
            v = smooth[i, j + 1]
            aside = (v > np.float32(0.2)) & (smooth[i, j] < v) & (smooth[i, j + 2] <= v)
            top[j] = aside & (smooth[i - 1, j + 1] < v) & (smooth[i + 1, j + 1] <= v)
        for j in range(w - 2):
            if top[j]:
                heights[min(int(smooth[i, j + 1] * 40), 399)] += 1
    total, below = heights.sum(), heights[:200].sum()
    half, middle_of_low, upper, so_far = -1.0, -1.0, -1.0, 0
    for k in range(400):
        so_far += heights[k]
        if half < 0 and so_far >= 0.5 * total:
            half = (k + 0.5) / 40
        if middle_of_low < 0 and so_far >= 0.5 * below:
            middle_of_low = (k + 0.5) / 40
        if upper < 0 and so_far >= 0.84 * below:
            upper = (k + 0.5) / 40
    # Maxima of noise lie at 1 to 2 deviations; higher ones are those of a clean pattern, and many
    # spots among few maxima of noise must not lift the threshold beyond reason.
    return min(4.4 + 8 * (upper - middle_of_low - 0.66), 10.0) if total > 50 and half < 4 else 0.0


@nb.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def convolve(image, half, most):  # type: ignore[no-untyped-def]
    """Convolve with a separable kernel that is alike to either side; beyond the frame all is 0.

    ``half`` is the kernel from its middle outwards; values above ``most`` count as that.
    """
    h, w = image.shape
    reach = (len(half) + 1) // 3 * 3  # three pairs at a time
    taps = np.zeros(reach + 1, dtype=np.float32)
    taps[: len(half)] = half
    across = np.zeros((h + 2 * reach, w), dtype=np.float32)
    out = np.empty((h, w), dtype=np.float32)
    padded = np.zeros(w + 2 * reach, dtype=np.float32)
    for i in range(h):
        line, row = across[i + reach], image[i]
        for j in range(w):
            v = min(row[j], most)
            padded[reach + j] = v
            line[j] = taps[0] * v
        for k in range(1, reach, 3):
            one, two, three = taps[k], taps[k + 1], taps[k + 2]
            left, right = padded[reach - k - 2 :], padded[reach + k :]
            for j in range(w):
                line[j] += (
                    one * (left[j + 2] + right[j])
                    + two * (left[j + 1] + right[j + 1])
                    + three * (left[j] + right[j + 2])
                )
    # Taking a row out as an array of its own costs as much as adding three.
    for i in range(h):
        m = i + reach
        for j in range(w):
            out[i, j] = taps[0] * across[m, j]
        for k in range(1, reach, 3):
            one, two, three = taps[k], taps[k + 1], taps[k + 2]
            for j in range(w):
                out[i, j] += (
                    one * (across[m - k, j] + across[m + k, j])
                    + two * (across[m - k - 1, j] + across[m + k + 1, j])
                    + three * (across[m - k - 2, j] + across[m + k + 2, j])
                )
    return out


@lru_cache(maxsize=64)
def half_gaussian(width: float) -> NDArray[np.float32]:
    """A Gaussian of sum 1 from its middle to 2.5 times its width, as `convolve` takes it."""
    # The first guesses of the width are few, and so are the sizes of frames.
    reach = max(1, int(np.ceil(2.5 * width)))
    taps = np.exp(-0.5 * (np.arange(reach + 1) / width) ** 2).astype(np.float32)
    return np.asarray(taps / (2 * taps.sum() - taps[0]))
