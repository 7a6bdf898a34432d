"""The direct beam of a spot pattern."""

from __future__ import annotations

from functools import lru_cache

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.spots.smoothing import convolve, half_gaussian


def direct_beam(signal: NDArray[np.float32], width: float) -> tuple[float, float, float]:
    """Position and radius of the direct beam: the greatest blob near the middle of the frame."""
    h, w = signal.shape
    step = max(1, min(h, w) // 64)
    coarse = _bin_clipped(signal, step)
    scale = max(1.0, min(coarse.shape) / 40)
    blob = convolve(coarse, half_gaussian(scale), np.float32(np.inf))
    weighted = np.maximum(blob, 0) * _expected(*blob.shape)
    if not weighted.max() > 0:
        return (w - 1) / 2, (h - 1) / 2, 1.5 * width
    i, j = np.unravel_index(int(weighted.argmax()), blob.shape)
    x, y, radius = _beam_extent(
        signal, j * step + step / 2, i * step + step / 2, 2.0 * step * scale
    )
    return x, y, max(radius, 1.5 * width)


@lru_cache(maxsize=8)
def _expected(h: int, w: int) -> NDArray[np.float64]:
    """How likely the beam is at each place: a Gaussian about the middle of the frame."""
    y, x = ((np.arange(size) + 0.5) / size - 0.5 for size in (h, w))
    return np.asarray(np.exp(-0.5 * (y[:, None] ** 2 + x**2) / 0.08**2))


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _bin_clipped(signal, step):  # type: ignore[no-untyped-def]
    out = np.zeros((signal.shape[0] // step, signal.shape[1] // step), dtype=np.float32)
    total = np.empty(out.shape[1] * step, dtype=np.float32)
    for i in range(len(out)):
        total[:] = 0
        for k in range(step):
            row = signal[i * step + k]
            for j in range(len(total)):
                total[j] += min(max(row[j], np.float32(0)), np.float32(500))
        line = out[i]
        for j in range(len(line)):
            for m in range(step):
                line[j] += total[j * step + m]
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
