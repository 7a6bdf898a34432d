"""The rings around the direct beam: their brightness, and the place where they are most alike."""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.sorting import quantile
from napari_diffraction.patterns.spots.blocks import sort_columns, sorting_network

#: Pixels of a ring that are looked at, and while the centre is looked for.
MANY, _FEW = 128, 48
_MANY_NETWORK, _FEW_NETWORK = sorting_network(MANY), sorting_network(_FEW)
#: Side in pixels of the smaller image in which the centre is found.
_COARSE = 128
#: Times that the centre is moved, pixels at a time, and share of the frame in all.
_MOVES, _LONGEST, _FARTHEST = 8, 2.0, 0.06


def ring_centre(image: NDArray[np.float32], beam: tuple[float, float]) -> tuple[float, float]:
    """Find where the background is most alike all around.

    Parameters
    ----------
    image : ndarray of float32, (h, w)
        NaN is a pixel without a value, or one that is hidden.
    beam
        x and y of what looks like the direct beam, in pixels.
    """
    bins = min(max(1, round(max(image.shape) / _COARSE)), *image.shape)
    h, w = (n // bins * bins for n in image.shape)
    coarse = image[:h, :w].reshape(h // bins, bins, w // bins, bins).mean((1, 3), np.float32)
    offset = (bins - 1) / 2
    starts = [((beam[0] - offset) / bins, (beam[1] - offset) / bins), _middle_of_halo(coarse)]
    settled = [_settle(coarse, start) for start in starts]
    # What looks like the beam is mostly it: the halo must fit clearly better, unless its middle is
    # hidden, as the beam would be seen nowhere then.
    x, y, variation = settled[1]
    better = 1.0 if _is_hidden(coarse, x, y) else 0.94
    x, y, _ = settled[1] if variation < better * settled[0][2] else settled[0]
    return x * bins + offset, y * bins + offset


def _is_hidden(image: NDArray[np.float32], x: float, y: float) -> bool:
    row, column = max(round(y) - 1, 0), max(round(x) - 1, 0)
    return bool(np.isnan(image[row : row + 3, column : column + 3]).any())


def _middle_of_halo(image: NDArray[np.float32]) -> tuple[float, float]:
    """Brightest place of a frame smoothed so far that spots do not count, x and y."""
    known = np.isfinite(image).astype(np.float32)
    low = float(np.nanmin(image)) if known.any() else 0.0
    filled = np.nan_to_num(image - np.float32(low))
    filled = np.minimum(filled, np.float32(quantile(filled, 0.995)))
    # What is hidden is taken to be as its surroundings, lest a stop push the middle aside.
    width = 0.05 * max(image.shape)
    wide = _widely_smoothed(filled, width) / np.maximum(_widely_smoothed(known, width), 1e-3)
    wide -= wide.min()
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    h, w = image.shape
    r2 = ((y + 0.5) / h - 0.5) ** 2 + ((x + 0.5) / w - 0.5) ** 2
    i, j = np.unravel_index(int(np.argmax(wide * np.exp(-r2 / (2 * 0.15**2)))), image.shape)
    return float(j), float(i)


@nb.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _widely_smoothed(image, width):  # type: ignore[no-untyped-def]
    """Smooth by a Gaussian to four times its width; beyond the edge the image is mirrored."""
    h, w = image.shape
    reach = int(4 * width + 0.5)
    taps = np.exp(-0.5 * (np.arange(reach + 1) / width) ** 2).astype(np.float32)
    taps /= 2 * taps.sum() - taps[0]
    across, out = np.empty((2, h, w), dtype=np.float32)
    padded = np.empty(w + 2 * reach, dtype=np.float32)
    for i in range(h):
        for j in range(len(padded)):
            padded[j] = image[i, _mirrored(j - reach, w)]
        for j in range(w):
            across[i, j] = taps[0] * image[i, j]
        for k in range(1, reach + 1):
            left, right, tap = padded[reach - k :], padded[reach + k :], taps[k]
            for j in range(w):
                across[i, j] += tap * (left[j] + right[j])
    for i in range(h):
        for j in range(w):
            out[i, j] = taps[0] * across[i, j]
        for k in range(1, reach + 1):
            above, below, tap = _mirrored(i - k, h), _mirrored(i + k, h), taps[k]
            for j in range(w):
                out[i, j] += tap * (across[above, j] + across[below, j])
    return out


@nb.njit(cache=True, nogil=True)
def _mirrored(i, n):  # type: ignore[no-untyped-def]
    """The place of n that a place beyond either edge is a mirror image of."""
    i %= 2 * n
    return min(i, 2 * n - 1 - i)


def _settle(image: NDArray[np.float32], start: tuple[float, float]) -> tuple[float, float, float]:
    """Move a centre by least squares; return it, and how much its rings vary (`_variation`).

    A profile P(r) seen from a place off by d leaves - P'(r) (d_x cos + d_y sin).
    """
    unknown = ~np.isfinite(image)
    x, y = start
    profile, noise, area = rings(image, unknown, x, y, _FEW)
    at_start = variation = _variation(noise, area)
    misfit = _misfit(noise, area)
    for _ in range(_MOVES):
        dx, dy = better_centre(image, unknown, profile, noise, x, y)
        length = float(np.hypot(dx, dy))
        if not 0 < length < np.inf:
            break
        if length > _LONGEST:
            dx, dy = dx * _LONGEST / length, dy * _LONGEST / length
        if np.hypot(x + dx - start[0], y + dy - start[1]) > _FARTHEST * max(image.shape):
            return *start, at_start
        profile, noise, area = rings(image, unknown, x + dx, y + dy, _FEW)
        new = _misfit(noise, area)
        if new > misfit:
            break
        x, y, misfit, variation = x + dx, y + dy, new, _variation(noise, area)
        if length < 0.05:
            break
    return x, y, variation


def _misfit(noise: NDArray[np.float32], area: NDArray[np.float32]) -> float:
    """Mean noise of all pixels; near its middle, the beam keeps a centre where it is."""
    return float(np.average(noise, weights=area)) if area.any() else 0.0


def _variation(noise: NDArray[np.float32], area: NDArray[np.float32]) -> float:
    """Geometric mean of the pixels' noise, which tells how likely they are about a centre.

    In the plain mean the beam speaks against its own middle, as its slope counts as noise there.
    """
    known = (area > 0) & (noise > 0)
    if not known.any():
        return 0.0
    return float(np.exp(np.average(np.log(noise[known]), weights=area[known])))


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _sorted_deviations(values, n, out):  # type: ignore[no-untyped-def]
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
def rings(image, unknown, cx, cy, samples):  # type: ignore[no-untyped-def]
    """Clipped mean, deviation and area of each ring of one pixel's width; empty ones are filled.

    ``samples`` is `MANY` or `_FEW`.
    """
    h, w = image.shape
    far_x, far_y = max(cx, w - 1 - cx), max(cy, h - 1 - cy)
    size = int(np.sqrt(far_x * far_x + far_y * far_y)) + 3
    values = np.full((samples, size), np.inf, dtype=np.float32)
    taken = np.zeros(size, dtype=np.int64)
    area = np.zeros(size, dtype=np.float32)
    x, y = np.empty(samples), np.empty(samples)
    for k in range(samples):
        x[k], y[k] = np.cos(2 * np.pi * k / samples), np.sin(2 * np.pi * k / samples)
    for r in range(size):
        every = max(1, int(samples / (6.2832 * r + 1)))  # a small ring has fewer pixels
        for k in range(0, samples, every):
            i, j = int(np.floor(cy + r * y[k] + 0.5)), int(np.floor(cx + r * x[k] + 0.5))
            if 0 <= i < h and 0 <= j < w and not unknown[i, j]:
                values[k, r] = image[i, j]
                taken[r] += 1
        # of rings with too few pixels the noise is not known
        area[r] = (r + 0.5) * taken[r] * every if taken[r] >= 4 else 0.0
    # All rings are sorted at once; what is not there is infinite and comes last.
    sort_columns(values, _FEW_NETWORK if samples == _FEW else _MANY_NETWORK)
    deviation = np.empty(samples, dtype=np.float32)
    sample = np.empty(samples, dtype=np.float32)
    profile = np.full(size, np.nan, dtype=np.float32)
    noise = np.zeros(size, dtype=np.float32)
    for r in range(size):
        n = taken[r]
        if n < 4:
            continue
        line = sample[:n]
        for k in range(n):
            line[k] = values[k, r]
        middle = line[n // 2]
        _sorted_deviations(line, n, deviation)
        reach = np.float32(3 * 1.4826) * deviation[n // 2]
        if reach == 0:  # few counts: the median deviation is none, the mean is
            reach = 3 * np.float32(np.mean(deviation[: max(1, n * 3 // 4)]))
        total, square, m = 0.0, 0.0, 0
        for v in line:
            if abs(v - middle) <= reach:
                total += v - middle
                square += (v - middle) ** 2
                m += 1
        profile[r] = middle + total / m
        noise[r] = np.sqrt(max(square / m - (total / m) ** 2, 0.0))
    last = np.float32(np.nan)
    for r in range(size):  # outwards, and the middle from its surroundings
        if np.isfinite(profile[r]):
            last = profile[r]
        else:
            profile[r] = last
    for r in range(size - 2, -1, -1):
        if not np.isfinite(profile[r]):
            profile[r], noise[r] = profile[r + 1], noise[r + 1]
    return profile, noise, area


@nb.njit(cache=True, nogil=True, error_model="numpy")
def spread(profile, shape, cx, cy):  # type: ignore[no-untyped-def]
    """The profile at the distance of every pixel."""
    out = np.empty(shape, dtype=np.float32)
    for i in range(shape[0]):
        for j in range(shape[1]):
            r = np.sqrt((i - cy) ** 2 + (j - cx) ** 2)
            k = int(r)
            t = np.float32(r - k)
            out[i, j] = profile[k] * (1 - t) + profile[k + 1] * t
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def better_centre(image, unknown, profile, noise, cx, cy):  # type: ignore[no-untyped-def]
    """Where the centre lies rather, relative to where it is taken to be; 0, 0 if that is unsure."""
    h, w = image.shape
    size = len(profile)
    slope = np.zeros(size, dtype=np.float32)
    for r in range(2, size - 2):
        slope[r] = (2 * profile[r + 2] + profile[r + 1] - profile[r - 1] - 2 * profile[r - 2]) / 10
    xx, xy, yy, rx, ry = 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(0, h, 2):
        for j in range(i // 2 % 2, w, 2):
            if unknown[i, j]:
                continue
            x, y = j - cx, i - cy
            distance = np.sqrt(x * x + y * y)
            r = int(distance + 0.5)
            if r < 3 or noise[r] <= 0:
                continue
            left = image[i, j] - profile[r]
            if abs(left) > 3 * noise[r]:
                continue
            per = -slope[r] / noise[r] / distance
            a, b = per * x, per * y
            xx += a * a
            xy += a * b
            yy += b * b
            rx += a * left / noise[r]
            ry += b * left / noise[r]
    determinant = xx * yy - xy * xy
    # The error of a coordinate is about the root of the other term over the determinant.
    if determinant <= 0 or max(xx, yy) > 0.04 * determinant:
        return 0.0, 0.0
    return (yy * rx - xy * ry) / determinant, (xx * ry - xy * rx) / determinant
