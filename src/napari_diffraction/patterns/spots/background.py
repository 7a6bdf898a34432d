"""What lies under the spots of a pattern: the radial background, bad pixels, what is hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.sorting import sort
from napari_diffraction.patterns.spots.rings import MANY, better_centre, ring_centre, rings, spread

#: What is hidden shows at most this share of the light that its ring shows,
_LIGHT = 0.3
#: is this many times the noise darker than its ring,
_DARKER = 4.0
#: and covers this share of the frame.
_HIDDEN = (2e-4, 0.3)


@dataclass(frozen=True)
class Background:
    """A frame's background as far as it depends on the distance from the direct beam.

    Attributes
    ----------
    centre
        x and y of the direct beam in pixels.
    profile : ndarray of float32, (n,)
        The background at each distance from it in whole pixels.
    level : ndarray of float32, (h, w)
        The background of every pixel.
    hidden : ndarray of bool, (h, w)
        Pixels that a beam stop or a gap hides, and those next to them; pixels without a value.
    """

    centre: tuple[float, float]
    profile: NDArray[np.float32]
    level: NDArray[np.float32]
    hidden: NDArray[np.bool_]


def radial_background(
    image: NDArray[np.float32],
    beam: tuple[float, float],
    shadow: NDArray[np.bool_] | None = None,
) -> Background:
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
    shadow : ndarray of bool, (h, w), optional
        Pixels that are known to be hidden.
    """
    unknown = ~np.isfinite(image)
    seen = image if shadow is None else np.where(shadow, np.float32(np.nan), image)
    cx, cy = ring_centre(seen, beam)
    profile, noise, _ = rings(image, unknown, cx, cy, MANY)
    dx, dy = better_centre(image, unknown, profile, noise, cx, cy)
    if 0.2 < np.hypot(dx, dy) < 2:
        cx, cy = cx + dx, cy + dy
        profile, noise, _ = rings(image, unknown, cx, cy, MANY)
    sample = image.ravel()[:: max(1, image.size // 16384) | 1]
    sample = sample[np.isfinite(sample)]
    low = len(sample) // 1000
    floor = np.partition(sample, low)[low] if len(sample) else np.float32(0)
    dark = _hidden(image, profile, noise, cx, cy, floor)
    if _HIDDEN[0] < dark.mean() < _HIDDEN[1]:
        unknown |= dark
        profile, noise, _ = rings(image, unknown, cx, cy, MANY)
        # An arm across the rings has drawn the centre to its side.
        for _ in range(2):
            dx, dy = better_centre(image, unknown, profile, noise, cx, cy)
            if not 0.2 < np.hypot(dx, dy) < 4:
                break
            cx, cy = cx + dx, cy + dy
            profile, noise, _ = rings(image, unknown, cx, cy, MANY)
    return Background((cx, cy), profile, spread(profile, image.shape, cx, cy), unknown)


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
