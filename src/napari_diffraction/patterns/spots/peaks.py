"""Find the spots of a diffraction pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.sorting import quantile
from napari_diffraction.patterns.spots.direct_beam import direct_beam
from napari_diffraction.patterns.spots.electrons import are_no_chance
from napari_diffraction.patterns.spots.flatten import NOISE_FREE, FlatFrame, flatten
from napari_diffraction.patterns.spots.rings import ring_centre
from napari_diffraction.patterns.spots.smoothing import noise_top, smoothed

#: A spot must stand this far out of the noise of the smoothed frame.
THRESHOLD = 5.0
#: Strongest spots that are kept.
MOST = 500
#: Pixels around a spot in which JPEG leaves echoes of it, and their greatest share of its height.
_ECHO_REACH, _ECHO_SHARE = 12.0, 0.12
_DIRECTIONS = 12


@dataclass(frozen=True)
class Peaks:
    """The spots of one pattern.

    Attributes
    ----------
    position : ndarray of float32, (n, 2)
        x and y in pixels of the frame, strongest first, without the direct beam.
    height : ndarray of float32, (n,)
        Height over the noise of the smoothed frame.
    radius
        Typical radius of a spot in pixels.
    centre
        Estimated position x, y of the direct beam.
    beam_radius
        Radius of the direct beam in pixels.
    flat
        The frame without its background.
    smooth : ndarray of float32, (h, w)
        `flat.signal`, smoothed to the size of the spots, over its noise.
    """

    position: NDArray[np.float32]
    height: NDArray[np.float32]
    radius: float
    centre: tuple[float, float]
    beam_radius: float
    flat: FlatFrame
    smooth: NDArray[np.float32]


def find_peaks(frame: NDArray[Any], threshold: float = THRESHOLD) -> Peaks:
    """Find the spots of a pattern, wherever the background, whatever the size of the spots.

    The flattened frame is smoothed to the size of its spots (found in a first round); a spot is a
    local maximum above the threshold that falls off in every direction, which rings and edges do
    not.  Single bright pixels are taken for defects, unless most spots are that small.

    Parameters
    ----------
    frame : ndarray, (h, w)
        Any real dtype; bright spots on dark or dark on bright.
    threshold
        Least height of a spot over the noise of the smoothed frame.
    """
    flat = flatten(frame)
    middle = ((frame.shape[1] - 1) / 2, (frame.shape[0] - 1) / 2)
    if flat.empty:
        nothing = np.zeros((0, 2), np.float32)
        return Peaks(nothing, nothing[:, 0], 1.0, middle, 0.0, flat, flat.signal)
    sample = flat.signal.ravel()[:: max(1, flat.signal.size // 16384) | 1]
    high = int(0.999 * len(sample))
    width = first_width(flat.signal, max(8.0, 0.1 * float(np.partition(sample, high)[high])))
    for _ in range(3):
        smooth = smoothed(flat.signal, width)
        least = max(threshold, noise_top(smooth))
        x, y, height, size, single = maxima(flat.signal, smooth, width, least)
        if len(x) < 3:
            # The rows of a wide beam alone were guessed to be spots.
            if width < 1.6:
                break
            width = 0.8
            continue
        strong = np.argsort(height)[::-1][:40]
        found = min(max(quantile(size[strong], 0.5), 0.6), 12.0)
        if abs(found - width) < 0.3 * width + 0.1:
            break
        width = found
    cx, cy, beam = direct_beam(flat.signal, width)
    if flat.shadow is not None and flat.seen is not None:
        cx, cy, beam = _behind(flat.seen, flat.shadow, (cx, cy), beam, 1.5 * width)
    bins, offset = flat.binning, (flat.binning - 1) / 2
    sure = are_no_chance(frame, x * bins + offset, y * bins + offset, width * bins)
    x, y, height, single = (values[sure] for values in (x, y, height, single))
    # Spots of a single pixel are believed where the frame has no noise or most spots are such.
    believed = flat.noise < NOISE_FREE or len(single) >= 80
    tiny = len(single) > 0 and single.mean() > 0.6 and believed
    keep = (~single | tiny) & (np.hypot(x - cx, y - cy) > beam)
    if flat.shadow is not None:
        # The edge of a shadow has no background of its own.
        keep &= ~beside(flat.shadow, x, y, int(2 * width) + 1)
    if frame.dtype.itemsize == 1 and flat.noise < NOISE_FREE:
        keep &= ~_echoes(x, y, height, _ECHO_REACH / bins)
    order = np.argsort(-height[keep], kind="stable")[:MOST]
    position = np.stack([x[keep], y[keep]], axis=1)[order] * bins + offset
    return Peaks(
        position.astype(np.float32),
        height[keep][order],
        width * 1.5 * bins,
        (cx * bins + offset, cy * bins + offset),
        beam * bins,
        flat,
        smooth,
    )


def _behind(
    seen: NDArray[np.float32],
    shadow: NDArray[np.bool_],
    beam: tuple[float, float],
    radius: float,
    least: float,
) -> tuple[float, float, float]:
    """Where the direct beam is if a beam stop hides it, which the halo around tells; its radius."""
    x, y = ring_centre(seen, beam)
    # In the middle of a wide stop nothing is bright that the dark could be seen against.
    i, j, near = round(y), round(x), max(2, round(0.02 * max(shadow.shape)))
    if shadow[max(i - near, 0) : i + near + 1, max(j - near, 0) : j + near + 1].any():
        if np.hypot(x - beam[0], y - beam[1]) > radius + near:
            return x, y, least
        # The beam itself is seen, at least in part; where nothing covers it, its middle is better.
        i, j, around = round(beam[1]), round(beam[0]), int(radius / 1.4) + 1
        covered = shadow[
            max(i - around, 0) : i + around + 1, max(j - around, 0) : j + around + 1
        ].any()
        return (x, y, radius) if covered else (*beam, radius)
    return *beam, radius


def beside(
    hidden: NDArray[np.bool_], x: NDArray[np.floating], y: NDArray[np.floating], reach: int
) -> NDArray[np.bool_]:
    """Whether something is hidden near a place, where the background is not known."""
    if not hidden.any():
        return np.zeros(len(x), bool)
    rows, columns = (np.round(values).astype(int) for values in (y, x))
    return np.array(
        [
            hidden[max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1].any()
            for i, j in zip(rows, columns, strict=True)
        ],
        bool,
    )


@nb.njit(cache=True, nogil=True)
def first_width(signal, level):  # type: ignore[no-untyped-def]
    """Guess the width of the spots from the length of bright runs along the rows.

    The lower third is taken rather than the median: the direct beam gives many long runs.
    """
    lengths = np.zeros(64, dtype=np.int64)
    for i in range(signal.shape[0]):
        run, row, bright = 0, signal[i], 0
        for j in range(len(row)):
            bright += row[j] > level
        if not bright:  # as most rows, and that is soon told
            continue
        for j in range(len(row)):
            if row[j] > level:
                run += 1
            elif run > 0:
                lengths[min(run, 63)] += 1
                run = 0
    total, below = lengths.sum(), 0
    if total < 6:
        return 0.8
    for k in range(64):
        below += lengths[k]
        if 3 * below >= total:
            return min(max(0.45 * k, 0.8), 8.0)
    return 0.8


@nb.njit(cache=True, nogil=True, error_model="numpy")
def maxima(signal, smooth, width, threshold):  # type: ignore[no-untyped-def]
    """Local maxima with sub-pixel position, height, size, and whether they are one pixel alone."""
    h, w = smooth.shape
    reach = max(1, int(np.floor(width + 0.5)))
    far = 1.0 + 2.5 * width
    room = ((h + 1) // 2) * ((w + 1) // 2)  # no two maxima touch
    xs = np.empty(room, dtype=np.float32)
    ys = np.empty(room, dtype=np.float32)
    heights = np.empty(room, dtype=np.float32)
    sizes = np.empty(room, dtype=np.float32)
    singles = np.empty(room, dtype=np.bool_)
    n = 0
    angles = 2 * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
    directions = np.stack((np.sin(angles), np.cos(angles)))
    high = np.empty(w, dtype=np.int64)
    for i in range(1, h - 1):
        # Which pixels are high enough is told of a whole row at once; NaN is none.
        line, found = smooth[i], 0
        for j in range(1, w - 1):
            high[found] = j
            found += line[j] >= threshold
        for j in high[:found]:
            top = line[j]
            if n == room or line[j - 1] > top or line[j + 1] > top:
                continue
            if not _is_top(smooth, i, j, reach):
                continue
            if _ridge(smooth, i, j, top, far, directions):
                continue
            dx = _vertex(smooth[i, j - 1], top, smooth[i, j + 1])
            dy = _vertex(smooth[i - 1, j], top, smooth[i + 1, j])
            around = np.float32(0)
            second = np.float32(-np.inf)
            first = np.float32(-np.inf)
            for a in range(i - 1, i + 2):
                for b in range(j - 1, j + 2):
                    v = signal[a, b]
                    around += v
                    if v > first:
                        second, first = first, v
                    elif v > second:
                        second = v
            xs[n], ys[n], heights[n] = j + dx, i + dy, top
            sizes[n] = _size(signal, j + dx, i + dy, 2 + int(3 * width))
            singles[n] = second < 0.2 * first and second < 4
            n += 1
    return xs[:n].copy(), ys[:n].copy(), heights[:n].copy(), sizes[:n].copy(), singles[:n].copy()


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _is_top(smooth, i, j, reach):  # type: ignore[no-untyped-def]
    """Whether no pixel nearby is higher; of equal ones the first counts."""
    top = smooth[i, j]
    for a in range(max(0, i - reach), min(smooth.shape[0], i + reach + 1)):
        for b in range(max(0, j - reach), min(smooth.shape[1], j + reach + 1)):
            v = smooth[a, b]
            if v > top or (v == top and (a < i or (a == i and b < j))):
                return False
    return True


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _ridge(smooth, i, j, top, far, directions):  # type: ignore[no-untyped-def]
    """Whether the height hardly falls in two or more directions, as along a ring or an edge."""
    flat = 0
    for k in range(_DIRECTIONS):
        dy, dx = directions[0, k], directions[1, k]
        least = top
        for step in range(1, 4):
            a = int(np.floor(i + dy * far * step / 3 + 0.5))
            b = int(np.floor(j + dx * far * step / 3 + 0.5))
            if 0 <= a < smooth.shape[0] and 0 <= b < smooth.shape[1]:
                least = min(least, smooth[a, b])
            else:
                least = np.float32(0)
        if least > 0.7 * top:
            flat += 1
    return flat >= 2


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _echoes(x, y, height, reach):  # type: ignore[no-untyped-def]
    """Which maxima lie next to a far higher one, as those do that JPEG makes around a spot."""
    out = np.zeros(len(x), dtype=np.bool_)
    for k in range(len(x)):
        for j in range(len(x)):
            near = abs(x[j] - x[k]) < reach and abs(y[j] - y[k]) < reach
            if near and height[k] < _ECHO_SHARE * height[j]:
                out[k] = True
    return out


@nb.njit(cache=True, nogil=True, inline="always")
def _vertex(before, top, after):  # type: ignore[no-untyped-def]
    """Offset of the vertex of a parabola through three values."""
    bend = before - 2 * top + after
    if bend >= 0:
        return 0.0
    return min(max(0.5 * (before - after) / bend, -0.5), 0.5)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _size(signal, x, y, reach):  # type: ignore[no-untyped-def]
    """Width of the Gaussian whose area at half of its height is that of the spot."""
    i0, j0 = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
    top = signal[i0, j0]
    half = 0.5 * top
    area = 0.0
    for a in range(max(0, i0 - reach), min(signal.shape[0], i0 + reach + 1)):
        for b in range(max(0, j0 - reach), min(signal.shape[1], j0 + reach + 1)):
            if (a - y) ** 2 + (b - x) ** 2 <= reach * reach and signal[a, b] > half:
                area += 1.0
    return np.sqrt(area / np.pi) / 1.1774
