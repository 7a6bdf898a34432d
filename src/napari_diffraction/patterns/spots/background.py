"""What lies under the spots of a pattern: the radial background, bad pixels, what is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_diffraction.patterns.sorting import sort

#: Pixels of a ring that are looked at, and while the centre is looked for.
_SAMPLES, _FEW = 128, 48
#: What is hidden shows at most this share of the light that its ring shows,
_LIGHT = 0.3
#: is this many times the noise darker than its ring,
_DARKER = 4.0
#: and covers this share of the frame.
_HIDDEN = (2e-4, 0.3)
#: Side in pixels of the smaller image in which the centre is found.
_COARSE = 128
#: Times that the centre is moved, pixels at a time, and share of the frame in all.
_MOVES, _LONGEST, _FARTHEST = 8, 2.0, 0.06


@dataclass(frozen=True)
class Background:
    """A frame's background as far as it depends on the distance from the direct beam.

    Attributes
    ----------
    centre
        x and y of the direct beam in pixels.
    level : ndarray of float32, (h, w)
        The background of every pixel.
    hidden : ndarray of bool, (h, w)
        Pixels that a beam stop or a gap hides, and those next to them; pixels without a value.
    """

    centre: tuple[float, float]
    level: NDArray[np.float32]
    hidden: NDArray[np.bool_]


def radial_background(image: NDArray[np.float32], beam: tuple[float, float]) -> Background:
    """Find the background around the direct beam, and what hides it.

    The background of a ring is the clipped mean of its pixels, so that spots do not count.  The
    centre is where the rings are most alike all around; it is looked for from two places, the
    brightest spot near the middle and, as a beam stop may hide that, the middle of the halo.
    Hidden is what is far darker than its ring, and nearly as dark as the darkest of the frame.

    Parameters
    ----------
    image : ndarray of float32, (h, w)
        Bright spots on dark, without dead pixels; NaN is a pixel without a value.
    beam
        x and y of what looks like the direct beam, in pixels.
    """
    unknown = ~np.isfinite(image)
    cx, cy = _centre(image, beam)
    profile, noise, _ = _rings(image, unknown, cx, cy, _SAMPLES)
    dx, dy = _step(image, unknown, profile, noise, cx, cy)
    if 0.2 < np.hypot(dx, dy) < 2:
        cx, cy = cx + dx, cy + dy
        profile, noise, _ = _rings(image, unknown, cx, cy, _SAMPLES)
    sample = image.ravel()[:: max(1, image.size // 16384) | 1]
    sample = sample[np.isfinite(sample)]
    low = len(sample) // 1000
    floor = np.partition(sample, low)[low] if len(sample) else np.float32(0)
    dark = _hidden(image, profile, noise, cx, cy, floor)
    if _HIDDEN[0] < dark.mean() < _HIDDEN[1]:
        unknown |= dark
        profile, noise, _ = _rings(image, unknown, cx, cy, _SAMPLES)
        # An arm across the rings has drawn the centre to its side.
        for _ in range(2):
            dx, dy = _step(image, unknown, profile, noise, cx, cy)
            if not 0.2 < np.hypot(dx, dy) < 4:
                break
            cx, cy = cx + dx, cy + dy
            profile, noise, _ = _rings(image, unknown, cx, cy, _SAMPLES)
    return Background((cx, cy), _spread(profile, image.shape, cx, cy), unknown)


def _centre(image: NDArray[np.float32], beam: tuple[float, float]) -> tuple[float, float]:
    """Find the centre of the rings in a smaller image."""
    bins = min(max(1, round(max(image.shape) / _COARSE)), *image.shape)
    h, w = (n // bins * bins for n in image.shape)
    coarse = image[:h, :w].reshape(h // bins, bins, w // bins, bins).mean((1, 3), np.float32)
    offset = (bins - 1) / 2
    starts = [((beam[0] - offset) / bins, (beam[1] - offset) / bins), _middle_of_halo(coarse)]
    settled = [_settle(coarse, start) for start in starts]
    # What looks like the beam is mostly it: the halo must fit clearly better.
    x, y, _ = settled[1] if settled[1][2] < 0.94 * settled[0][2] else settled[0]
    return x * bins + offset, y * bins + offset


def _middle_of_halo(image: NDArray[np.float32]) -> tuple[float, float]:
    """Brightest place of a frame smoothed so far that spots do not count, x and y."""
    filled = np.nan_to_num(image, nan=float(np.nanmin(image)) if np.isfinite(image).any() else 0.0)
    wide = ndimage.gaussian_filter(
        np.minimum(filled, np.quantile(filled, 0.995)), 0.05 * max(image.shape)
    )
    wide -= wide.min()
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    h, w = image.shape
    r2 = ((y + 0.5) / h - 0.5) ** 2 + ((x + 0.5) / w - 0.5) ** 2
    i, j = np.unravel_index(int(np.argmax(wide * np.exp(-r2 / (2 * 0.15**2)))), image.shape)
    return float(j), float(i)


def _settle(image: NDArray[np.float32], start: tuple[float, float]) -> tuple[float, float, float]:
    """Move a centre by least squares; return it, and how much its rings vary (`_variation`).

    A profile P(r) seen from a place off by d leaves - P'(r) (d_x cos + d_y sin).
    """
    unknown = ~np.isfinite(image)
    x, y = start
    profile, noise, area = _rings(image, unknown, x, y, _FEW)
    misfit = _misfit(noise, area)
    for _ in range(_MOVES):
        dx, dy = _step(image, unknown, profile, noise, x, y)
        length = float(np.hypot(dx, dy))
        if not 0 < length < np.inf:
            break
        if length > _LONGEST:
            dx, dy = dx * _LONGEST / length, dy * _LONGEST / length
        if np.hypot(x + dx - start[0], y + dy - start[1]) > _FARTHEST * max(image.shape):
            return *start, _variation(*_rings(image, unknown, *start, _FEW)[1:])
        profile, noise, area = _rings(image, unknown, x + dx, y + dy, _FEW)
        new = _misfit(noise, area)
        if new > misfit:
            break
        x, y, misfit = x + dx, y + dy, new
        if length < 0.05:
            break
    return x, y, _variation(*_rings(image, unknown, x, y, _FEW)[1:])


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
def without_bad_pixels(frame):  # type: ignore[no-untyped-def]
    """Put the median of its neighbours in the place of a hot or a dead pixel, as float32.

    A pixel is bad where it stands out of its eight neighbours far more than they do of one another.
    """
    h, w = frame.shape
    out = np.empty((h, w), dtype=np.float32)
    for i in range(h):
        for j in range(w):
            out[i, j] = frame[i, j]
    around = np.empty(8, dtype=np.float32)
    for i in range(1, h - 1):
        for j in range(1, w - 1):
            v = np.float32(frame[i, j])
            left, right = np.float32(frame[i, j - 1]), np.float32(frame[i, j + 1])
            up, down = np.float32(frame[i - 1, j]), np.float32(frame[i + 1, j])
            hot = v > left and v > right and v > up and v > down
            if not hot and not (v < left and v < right and v < up and v < down):
                continue
            least, most = min(left, right, up, down), max(left, right, up, down)
            corners = np.float32(0)
            for a in (i - 1, i + 1):
                for b in (j - 1, j + 1):
                    n = np.float32(frame[a, b])
                    least, most = min(least, n), max(most, n)
                    corners += n
            reach = most - least
            if not np.isfinite(corners):
                continue
            # Whatever their median is; it is sought where it may decide.
            if hot:
                if v - least <= 4 * reach or v - most <= 3 * np.sqrt(max(v, np.float32(4))):
                    continue
            elif most - v <= 2 * reach:
                continue
            k = 0
            for a in range(i - 1, i + 2):
                for b in range(j - 1, j + 2):
                    if a != i or b != j:
                        around[k] = frame[a, b]
                        k += 1
            sort(around)
            middle = np.float32(0.5) * (around[3] + around[4])
            if v - middle > 4 * reach if hot else middle - v > 2 * reach:
                out[i, j] = middle
    return out


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
def _rings(image, unknown, cx, cy, samples):  # type: ignore[no-untyped-def]
    """Clipped mean, deviation and area of each ring of one pixel's width; empty ones are filled."""
    h, w = image.shape
    far_x, far_y = max(cx, w - 1 - cx), max(cy, h - 1 - cy)
    size = int(np.sqrt(far_x * far_x + far_y * far_y)) + 3
    values = np.empty((size, samples), dtype=np.float32)
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
                values[r, taken[r]] = image[i, j]
                taken[r] += 1
        # of rings with too few pixels the noise is not known
        area[r] = (r + 0.5) * taken[r] * every if taken[r] >= 4 else 0.0
    deviation = np.empty(samples, dtype=np.float32)
    profile = np.full(size, np.nan, dtype=np.float32)
    noise = np.zeros(size, dtype=np.float32)
    for r in range(size):
        n = taken[r]
        if n < 4:
            continue
        line = sort(values[r, :n])
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
def _spread(profile, shape, cx, cy):  # type: ignore[no-untyped-def]
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
def _step(image, unknown, profile, noise, cx, cy):  # type: ignore[no-untyped-def]
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


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _hidden(image, profile, noise, cx, cy, floor):  # type: ignore[no-untyped-def]
    """Pixels that are hidden, with their neighbours: patches, and whole rows and columns."""
    h, w = image.shape
    out = np.zeros((h, w), dtype=np.bool_)
    across, down = np.zeros((h, 2), dtype=np.int64), np.zeros((w, 2), dtype=np.int64)
    light = profile - floor
    limit = floor + np.float32(_LIGHT) * light
    upper = limit + noise
    ring = np.empty(w, dtype=np.int64)
    for i in range(h):
        for j in range(w):
            ring[j] = int(np.sqrt(np.float32(i - cy) ** 2 + np.float32(j - cx) ** 2) + 0.5)
        for j in range(i % 2, w, 2):  # every other one tells of rows and columns
            r = ring[j]
            if light[r] > 2 * noise[r]:
                black = image[i, j] < limit[r]
                across[i, 0] += 1
                down[j, 0] += 1
                across[i, 1] += black
                down[j, 1] += black
        if not 0 < i < h - 1:
            continue
        for j in range(1, w - 1):
            r = ring[j]
            if image[i, j] > upper[r]:
                continue
            total = np.float32(0)
            for a in range(i - 1, i + 2):
                for b in range(j - 1, j + 2):
                    total += image[a, b]
            total /= 9
            if total < limit[r] and profile[r] - total > _DARKER / 3 * noise[r]:
                out[i - 1 : i + 2, j - 1 : j + 2] = True
    for i in range(h):
        if across[i, 1] > 0.8 * across[i, 0] and across[i, 0] > 0.025 * w:
            out[max(i - 1, 0) : i + 2] = True
    for j in range(w):
        if down[j, 1] > 0.8 * down[j, 0] and down[j, 0] > 0.025 * h:
            out[:, max(j - 1, 0) : j + 2] = True
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def block_noise(image, block):  # type: ignore[no-untyped-def]
    """Noise of a pixel in each block, from the clipped mean difference of neighbours.

    Unlike medians it is right for few counts, too.
    """
    rows, columns = max(1, image.shape[0] // block), max(1, image.shape[1] // block)
    out = np.full((rows, columns), np.nan, dtype=np.float32)
    for r in range(rows):
        top, bottom = r * image.shape[0] // rows, (r + 1) * image.shape[0] // rows
        for c in range(columns):
            left, right = c * image.shape[1] // columns, (c + 1) * image.shape[1] // columns
            limit = np.float32(np.inf)
            for _ in range(3):
                total, n = np.float32(0), 0
                for i in range(top, bottom, 2):
                    for j in range(left, min(right, image.shape[1] - 1)):
                        d = abs(image[i, j + 1] - image[i, j])
                        if d <= limit:
                            total += d
                            n += 1
                if n < 8:
                    break
                limit = 4 * total / n
                out[r, c] = total / n / np.float32(1.128)  # mean difference of normal numbers
    return out


def block_mean(level: NDArray[np.float32], block: int) -> NDArray[np.float32]:
    """Mean of a smooth image in each of the blocks of `block_noise`, from every fourth pixel."""
    sparse = level[::4, ::4]
    rows, columns = max(1, level.shape[0] // block), max(1, level.shape[1] // block)
    tops = np.arange(rows) * sparse.shape[0] // rows
    lefts = np.arange(columns) * sparse.shape[1] // columns
    total = np.add.reduceat(np.add.reduceat(sparse, tops, 0), lefts, 1)
    height, width = np.diff(tops, append=sparse.shape[0]), np.diff(lefts, append=sparse.shape[1])
    return np.asarray(total / np.maximum(height[:, None] * width, 1), np.float32)
