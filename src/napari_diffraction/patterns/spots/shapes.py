"""The shapes of spots: width, centroid, height and sum; compiled."""

from __future__ import annotations

import numba as nb
import numpy as np

from napari_diffraction.patterns.sorting import sort


@nb.njit(cache=True, nogil=True, error_model="numpy")
def best_widths(signal, xs, ys, widths):  # type: ignore[no-untyped-def]
    """Greatest height over noise under a Gaussian window, and its width, at each place."""
    h, w = signal.shape
    best = np.zeros(len(xs), dtype=np.float32)
    width = np.full(len(xs), widths[0], dtype=np.float32)
    for k in range(len(xs)):
        x, y = xs[k], ys[k]
        i0, j0 = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
        for s in widths:
            reach = int(np.ceil(2.2 * s))
            product, square, total, area, n = 0.0, 0.0, 0.0, 0.0, 0
            for i in range(max(0, i0 - reach), min(h, i0 + reach + 1)):
                for j in range(max(0, j0 - reach), min(w, j0 + reach + 1)):
                    g = np.exp(-0.5 * ((i - y) ** 2 + (j - x) ** 2) / (s * s))
                    v = min(signal[i, j], np.float32(4000))
                    product += g * v
                    square += g * g
                    total += v
                    area += g
                    n += 1
            # Height over the mean of the window, so that a wide one gains nothing from a slope.
            value = (product - area * total / n) / np.sqrt(square - area * area / n + 1e-9)
            if value > best[k]:
                best[k], width[k] = value, s
        if best[k] > 15:
            width[k] = _half_width(signal, x, y, width[k])
    return best, width


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _half_width(signal, x, y, width):  # type: ignore[no-untyped-def]
    """Width of a strong spot from where its height is halved, whatever stands beside it."""
    h, w = signal.shape
    i0, j0 = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
    top = _mean_of_nine(signal, i0, j0)
    if top <= 0:  # a bad pixel or a shadow in the midst
        return width
    reach = int(3 * width) + 2
    total = 0.0
    for k in range(16):
        c, s = np.cos(0.3927 * k), np.sin(0.3927 * k)
        before, radius = top, float(reach)
        for step in range(1, reach + 1):
            i, j = int(np.floor(y + s * step + 0.5)), int(np.floor(x + c * step + 0.5))
            if not 0 <= i < h or not 0 <= j < w:
                break
            v = _mean_of_nine(signal, i, j)
            if v < 0.5 * top:
                radius = step - (0.5 * top - v) / max(before - v, np.float32(1e-6))
                break
            before = v
        total += radius
    # The mean of nine pixels has widened it.
    return np.sqrt(max((total / 16 / 1.1774) ** 2 - 0.67, 0.25))


@nb.njit(cache=True, nogil=True, inline="always")
def _mean_of_nine(signal, i, j):  # type: ignore[no-untyped-def]
    h, w = signal.shape
    total, n = np.float32(0), 0
    for a in range(max(0, i - 1), min(h, i + 2)):
        for b in range(max(0, j - 1), min(w, j + 2)):
            total += signal[a, b]
            n += 1
    return total / n


@nb.njit(cache=True, nogil=True)
def halved(image):  # type: ignore[no-untyped-def]
    """The image at half the size, its white noise of unit deviation still of unit deviation."""
    out = np.empty((image.shape[0] // 2, image.shape[1] // 2), dtype=np.float32)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            a, b = 2 * i, 2 * j
            four = image[a, b] + image[a, b + 1] + image[a + 1, b] + image[a + 1, b + 1]
            out[i, j] = np.float32(0.5) * four
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def to_centroids(signal, position, width):  # type: ignore[no-untyped-def]
    """Move each place to the centroid under a Gaussian window, in steps that undo its pull."""
    h, w = signal.shape
    reach = int(np.ceil(2.5 * width))
    for k in range(len(position)):
        x0, y0 = position[k, 0], position[k, 1]
        x, y = x0, y0
        for _ in range(6):
            sx, sy, s = 0.0, 0.0, 0.0
            i0, j0 = int(np.floor(y + 0.5)), int(np.floor(x + 0.5))
            for i in range(max(0, i0 - reach), min(h, i0 + reach + 1)):
                for j in range(max(0, j0 - reach), min(w, j0 + reach + 1)):
                    d2 = (i - y) ** 2 + (j - x) ** 2
                    v = signal[i, j] * np.exp(-0.5 * d2 / (width * width))
                    sx += v * (j - x)
                    sy += v * (i - y)
                    s += v
            if s <= 0:
                break
            # Of two Gaussians of equal width the product lies half way.
            dx, dy = 2 * sx / s, 2 * sy / s
            x += dx
            y += dy
            if dx * dx + dy * dy < 1e-4:
                break
        # What runs away has been drawn to a neighbour.
        if (x - x0) ** 2 + (y - y0) ** 2 <= max(1.0, width * width):
            position[k, 0], position[k, 1] = x, y


@nb.njit(cache=True, nogil=True, error_model="numpy")
def measure(residual, signal, position, width):  # type: ignore[no-untyped-def]
    """Sum over the surroundings, and height over the noise by least squares, of each spot."""
    h, w = signal.shape
    n = len(position)
    intensity = np.zeros(n, dtype=np.float32)
    snr = np.zeros(n, dtype=np.float32)
    inner = max(1.5, 2.2 * width)
    outer = inner + max(2.0, width)
    ring = np.empty(int(4 * (outer + 1) ** 2) + 8, dtype=np.float32)
    for k in range(n):
        x, y = position[k, 0], position[k, 1]
        i0, j0, reach = int(np.floor(y + 0.5)), int(np.floor(x + 0.5)), int(outer) + 1
        total, area, m = 0.0, 0, 0
        product, square = 0.0, 0.0
        for i in range(max(0, i0 - reach), min(h, i0 + reach + 1)):
            for j in range(max(0, j0 - reach), min(w, j0 + reach + 1)):
                d2 = (i - y) ** 2 + (j - x) ** 2
                v = residual[i, j]
                if d2 > outer * outer or np.isnan(v):
                    continue
                if d2 > inner * inner:
                    ring[m] = v
                    m += 1
                    continue
                total += v
                area += 1
                g = np.exp(-0.5 * d2 / (width * width))
                product += g * signal[i, j]
                square += g * g
        around = sort(ring[:m])[m // 2] if m > 3 else np.float32(0)
        intensity[k] = total - area * around
        snr[k] = product / square if square > 0 else 0.0
    return intensity, snr
