"""Find the spots of a diffraction pattern."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_diffraction.patterns.spots.flatten import FlatFrame, flatten

#: A spot must stand this far out of the noise of the smoothed frame.
THRESHOLD = 5.0
#: Strongest spots that are kept.
MOST = 500
#: Pixels around a spot in which JPEG leaves echoes of it, and their greatest share of its height.
_ECHO_REACH, _ECHO_SHARE = 12.0, 0.12
_ROOM = 4096
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
    sample = np.sort(flat.signal.ravel()[:: max(1, flat.signal.size // 16384) | 1])
    width = first_width(flat.signal, max(8.0, 0.1 * float(sample[int(0.999 * len(sample))])))
    for _ in range(3):
        smooth = smoothed(flat.signal, width)
        least = max(threshold, noise_top(smooth))
        x, y, height, size, single = maxima(flat.signal, smooth, width, least)
        if len(x) < 3:
            break
        strong = np.argsort(height)[::-1][:40]
        found = float(np.clip(np.median(size[strong]), 0.6, 12.0))
        if abs(found - width) < 0.3 * width + 0.1:
            break
        width = found
    cx, cy, beam = direct_beam(flat.signal, width)
    # Spots of a single pixel are believed where the frame has no noise or most spots are such.
    tiny = len(single) > 0 and single.mean() > 0.6 and (flat.noise < 1e-3 or len(single) >= 80)
    keep = (~single | tiny) & (np.hypot(x - cx, y - cy) > beam)
    if flat.shadow is not None:
        # The edge of a shadow has no background of its own.
        near = ndimage.uniform_filter(flat.shadow.astype(np.float32), 2 * int(2 * width) + 3)
        keep &= near[np.round(y).astype(int), np.round(x).astype(int)] < 1e-3
    bins = flat.binning
    if frame.dtype.itemsize == 1 and flat.noise < 1e-3:
        keep &= ~_echoes(x, y, height, _ECHO_REACH / bins)
    order = np.argsort(-height[keep], kind="stable")[:MOST]
    offset = (bins - 1) / 2
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


def smoothed(signal: NDArray[np.float32], width: float) -> NDArray[np.float32]:
    """Smooth by a Gaussian, take off the surroundings and divide by the noise that is left."""
    reach = max(1, int(np.ceil(2.5 * width)))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2).astype(np.float32)
    # Brightest pixels are cut before smoothing, lest the direct beam drown its neighbours.
    out = _convolve(np.minimum(signal, np.float32(4000)), taps / taps.sum())
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
    """Upper median; sorting floats is faster than `numpy.median`."""
    return np.float32(np.sort(values)[len(values) // 2])


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _take_off_surroundings(out, signal, reach):  # type: ignore[no-untyped-def]
    """Subtract the clipped signal, averaged twice over squares of ``2 reach + 1`` pixels.

    Beyond the edge the outermost pixels go on.
    """
    h, w = signal.shape
    share = np.float32(1.0 / (2 * reach + 1))
    across = np.empty((h, w), dtype=np.float32)
    line = np.empty(w, dtype=np.float32)
    for i in range(h):
        for j in range(w):
            line[j] = min(max(signal[i, j], np.float32(-6)), np.float32(8))
        _running_mean(line, reach, share, across[i])
        _running_mean(across[i], reach, share, line)
        across[i] = line
    down = np.empty((h, w), dtype=np.float32)
    _running_mean_down(across, reach, share, down)
    _running_mean_down(down, reach, share, across)
    for i in range(h):
        for j in range(w):
            out[i, j] -= across[i, j]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _running_mean(line, reach, share, out):  # type: ignore[no-untyped-def]
    last = len(line) - 1
    total = np.float32(0)
    for k in range(-reach, reach + 1):
        total += line[min(max(k, 0), last)]
    for j in range(last + 1):
        out[j] = total * share
        total += line[min(j + reach + 1, last)] - line[max(j - reach, 0)]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _running_mean_down(image, reach, share, out):  # type: ignore[no-untyped-def]
    h, w = image.shape
    total = np.zeros(w, dtype=np.float32)
    for k in range(-reach, reach + 1):
        row = image[min(max(k, 0), h - 1)]
        for j in range(w):
            total[j] += row[j]
    for i in range(h):
        line, new, old = out[i], image[min(i + reach + 1, h - 1)], image[max(i - reach, 0)]
        for j in range(w):
            line[j] = total[j] * share
            total[j] += new[j] - old[j]


@nb.njit(cache=True, nogil=True)
def noise_top(smooth):  # type: ignore[no-untyped-def]
    """Height that hardly any maximum of the noise reaches, from the heights of all maxima.

    Sparse counts have a longer tail than normal noise; where there is no noise it is 0.
    """
    heights = np.zeros(200, dtype=np.int64)
    for i in range(1, smooth.shape[0] - 1, 2):  # every other row tells enough
        for j in range(1, smooth.shape[1] - 1):
            v = smooth[i, j]
            if v <= 0.2 or smooth[i, j - 1] >= v or smooth[i, j + 1] > v:
                continue
            if smooth[i - 1, j] >= v or smooth[i + 1, j] > v:
                continue
            heights[min(int(v * 5), 199)] += 1
    total, below = heights.sum(), 0
    middle, upper = -1.0, -1.0
    for k in range(200):
        below += heights[k]
        if middle < 0 and below >= 0.5 * total:
            middle = (k + 0.5) / 5
        if upper < 0 and below >= 0.84 * total:
            upper = (k + 0.5) / 5
    # Maxima of noise lie at 1 to 2 deviations; higher ones are those of a clean pattern, and many
    # spots among few maxima of noise must not lift the threshold beyond reason.
    return min(middle + 4 * (upper - middle), 10.0) if total > 50 and middle < 4 else 0.0


@nb.njit(cache=True, nogil=True)
def first_width(signal, level):  # type: ignore[no-untyped-def]
    """Guess the width of the spots from the length of bright runs along the rows.

    The lower third is taken rather than the median: the direct beam gives many long runs.
    """
    lengths = np.zeros(64, dtype=np.int64)
    for i in range(signal.shape[0]):
        run = 0
        for j in range(signal.shape[1]):
            if signal[i, j] > level:
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


@nb.njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "reassoc"})
def _convolve(image, taps):  # type: ignore[no-untyped-def]
    """Convolve with a separable kernel; the frame goes on beyond its edge as 0."""
    h, w = image.shape
    reach = len(taps) // 2
    across = np.zeros((h, w), dtype=np.float32)
    out = np.zeros((h, w), dtype=np.float32)
    padded = np.zeros(w + 2 * reach, dtype=np.float32)
    for i in range(h):
        padded[reach : reach + w] = image[i]
        line = across[i]
        for k in range(2 * reach + 1):
            t, moved = taps[k], padded[k : k + w]
            for j in range(w):
                line[j] += t * moved[j]
    for i in range(h):
        line = out[i]
        for k in range(max(-reach, -i), min(reach, h - 1 - i) + 1):
            t, moved = taps[k + reach], across[i + k]
            for j in range(w):
                line[j] += t * moved[j]
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def maxima(signal, smooth, width, threshold):  # type: ignore[no-untyped-def]
    """Local maxima with sub-pixel position, height, size, and whether they are one pixel alone."""
    h, w = smooth.shape
    reach = max(1, int(np.floor(width + 0.5)))
    far = 1.0 + 2.5 * width
    xs = np.empty(_ROOM, dtype=np.float32)
    ys = np.empty(_ROOM, dtype=np.float32)
    heights = np.empty(_ROOM, dtype=np.float32)
    sizes = np.empty(_ROOM, dtype=np.float32)
    singles = np.empty(_ROOM, dtype=np.bool_)
    n = 0
    for i in range(1, h - 1):
        for j in range(1, w - 1):
            top = smooth[i, j]
            if top < threshold or n >= _ROOM:
                continue
            if smooth[i, j - 1] > top or smooth[i, j + 1] > top:
                continue
            if not _is_top(smooth, i, j, reach):
                continue
            if _ridge(smooth, i, j, top, far):
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
    return xs[:n], ys[:n], heights[:n], sizes[:n], singles[:n]


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
def _ridge(smooth, i, j, top, far):  # type: ignore[no-untyped-def]
    """Whether the height hardly falls in two or more directions, as along a ring or an edge."""
    flat = 0
    for k in range(_DIRECTIONS):
        angle = 2 * np.pi * k / _DIRECTIONS
        dx, dy = np.cos(angle), np.sin(angle)
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


def direct_beam(signal: NDArray[np.float32], width: float) -> tuple[float, float, float]:
    """Position and radius of the direct beam: the greatest blob near the middle of the frame."""
    h, w = signal.shape
    step = max(1, min(h, w) // 64)
    coarse = _bin_clipped(signal, step)
    scale = max(1.0, min(coarse.shape) / 40)
    reach = int(np.ceil(2.5 * scale))
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / scale) ** 2).astype(np.float32)
    blob = _convolve(coarse, taps / taps.sum())
    yy, xx = np.ogrid[: blob.shape[0], : blob.shape[1]]
    r2 = ((yy + 0.5) / blob.shape[0] - 0.5) ** 2 + ((xx + 0.5) / blob.shape[1] - 0.5) ** 2
    weighted = np.maximum(blob, 0) * np.exp(-0.5 * r2 / 0.08**2)
    if not weighted.max() > 0:
        return (w - 1) / 2, (h - 1) / 2, 1.5 * width
    i, j = np.unravel_index(int(weighted.argmax()), blob.shape)
    x, y, radius = _beam_extent(
        signal, j * step + step / 2, i * step + step / 2, 2.0 * step * scale
    )
    return x, y, max(radius, 1.5 * width)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _bin_clipped(signal, step):  # type: ignore[no-untyped-def]
    out = np.zeros((signal.shape[0] // step, signal.shape[1] // step), dtype=np.float32)
    for i in range(out.shape[0] * step):
        for j in range(out.shape[1] * step):
            out[i // step, j // step] += min(max(signal[i, j], np.float32(0)), np.float32(500))
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _beam_extent(signal, x, y, reach):  # type: ignore[no-untyped-def]
    """Refine the centre by the centroid of what is bright; radius where half the height is lost."""
    h, w = signal.shape
    for _ in range(3):
        top = np.float32(0)
        for a in range(max(0, int(y - reach)), min(h, int(y + reach) + 1)):
            for b in range(max(0, int(x - reach)), min(w, int(x + reach) + 1)):
                top = max(top, signal[a, b])
        sx, sy, s = 0.0, 0.0, 1e-9
        area = 0.0
        for a in range(max(0, int(y - reach)), min(h, int(y + reach) + 1)):
            for b in range(max(0, int(x - reach)), min(w, int(x + reach) + 1)):
                v = signal[a, b]
                if v > 0.5 * top and (a - y) ** 2 + (b - x) ** 2 <= reach * reach:
                    sx += b
                    sy += a
                    s += 1.0
                    area += 1.0
        x, y = sx / s if area else x, sy / s if area else y
        reach = max(3.0, 0.7 * reach)
    return x, y, 1.4 * np.sqrt(area / np.pi)
