"""What the zone classifier looks at: one function, used alike in training and in use.

Every frame becomes a picture of fixed size, centred on the direct beam and scaled to the reach of
the spots, with the flattened frame and the redrawn spots as its two planes; the difference vectors
of the spots as a second picture; and the features of the fitted net.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.spot_net.fit import FEATURES, NetFit, fit_net
from napari_diffraction.patterns.sorting import quantile
from napari_diffraction.patterns.spots.flatten import NOISE_FREE
from napari_diffraction.patterns.spots.peaks import Peaks, find_peaks

FloatArray = NDArray[np.float64]

if TYPE_CHECKING:
    import torch

PICTURE = 128
VECTORS = 64
#: Features besides those of the net.
EXTRA = ("noise", "noise_free", "spot_size", "beam_size", "reach", "strong_spots", "aspect")
N_FEATURES = len(FEATURES) + len(EXTRA)
#: Steps of the table of grey values per unit of noise.
_FINE = 16
#: From -1 to 300 times the noise, the faint drawn out; what is below 0 are shadows.
_GREYS = np.clip(
    24 + 42 * np.arcsinh(np.arange(-_FINE, 300 * _FINE + 1) / _FINE / 2.5), 0, 255
).astype(np.uint8)


@dataclass(frozen=True)
class View:
    """One pattern as the classifier sees it.

    Attributes
    ----------
    picture : ndarray of uint8, (2, 128, 128)
        The flattened frame, and the spots redrawn alike.
    vectors : ndarray of uint8, (64, 64)
        Difference vectors of the spots, the null vector in the middle.
    features : ndarray of float32, (n_features,)
        `napari_diffraction.indexing.spot_net.fit.FEATURES` and `EXTRA`.
    window
        What the picture shows: x and y of its middle, and its step, in pixels of the frame.
    """

    picture: NDArray[np.uint8]
    vectors: NDArray[np.uint8]
    features: NDArray[np.float32]
    window: tuple[float, float, float]


def is_ready() -> bool:
    """Whether the compiled functions are loaded; the first `view` may have to compile them."""
    return bool(_resample.signatures)


def tensors(seen: Sequence[View]) -> tuple[torch.Tensor, ...]:
    """Stack views into the inputs of the network: pictures, vectors, features."""
    import torch  # looking itself needs none of it

    return tuple(
        torch.from_numpy(np.stack([getattr(one, name) for one in seen]))
        for name in ("picture", "vectors", "features")
    )


def view(frame: NDArray[Any]) -> View:
    """Look at a frame, (h, w), of any real dtype."""
    peaks = find_peaks(frame)
    return view_peaks(peaks, fit_net(peaks))


def view_peaks(peaks: Peaks, fit: NetFit) -> View:
    """Look at a frame whose spots are known already."""
    bins = peaks.flat.binning
    h, w = peaks.smooth.shape
    offset = (bins - 1) / 2
    xy = (peaks.position.astype(np.float64) - offset) / bins
    cx, cy = ((c - offset) / bins for c in peaks.centre)
    distance = np.hypot(xy[:, 0] - cx, xy[:, 1] - cy)
    reach = 1.1 * quantile(distance, 0.95) if len(xy) >= 6 else 0.5 * min(h, w)
    reach = float(np.clip(reach, 0.15 * max(h, w), 0.75 * max(h, w)))
    picture = np.zeros((2, PICTURE, PICTURE), dtype=np.uint8)
    _resample(peaks.smooth, cx, cy, reach, _GREYS, picture[0])
    _redraw(xy, cx, cy, reach, picture[1])
    extra = np.array(
        [
            min(20 * peaks.flat.noise, 2.0),
            float(peaks.flat.noise < NOISE_FREE),
            10 * peaks.radius / bins / reach,
            5 * peaks.beam_radius / bins / reach,
            2 * reach / max(h, w),
            np.log1p(np.sum(peaks.height > 15)) / 4,
            min(h, w) / max(h, w),
        ],
        dtype=np.float32,
    )
    features = np.concatenate([fit.features, extra])
    window = (*peaks.centre, 2 * bins * reach / PICTURE)
    return View(picture, _difference_vectors(xy, reach), features, window)


def picture_places(seen: View, shape: tuple[int, int]) -> tuple[FloatArray, FloatArray]:
    """Where the rows and columns of a frame lie in its picture.

    Parameters
    ----------
    seen
        The frame as the classifier sees it.
    shape
        Height and width of the frame.

    Returns
    -------
    rows, columns : ndarray, (h,) and (w,)
        In pixels of the picture, which shows what lies from -0.5 to 127.5.
    """
    x, y, step = seen.window
    rows, columns = (np.arange(size, dtype=np.float64) for size in shape)
    return (rows - y) / step + (PICTURE - 1) / 2, (columns - x) / step + (PICTURE - 1) / 2


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _resample(smooth, cx, cy, reach, greys, out):  # type: ignore[no-untyped-def]
    """Bring the frame to the picture's size; the brightest of the pixels that fall together."""
    h, w = smooth.shape
    size = out.shape[0]
    scale = 2 * reach / size
    reach_px = max(0, int(scale / 2))
    for i in range(size):
        y = int(np.floor(cy + (i + 0.5 - size / 2) * scale + 0.5))
        if y < 0 or y >= h:
            continue
        for j in range(size):
            x = int(np.floor(cx + (j + 0.5 - size / 2) * scale + 0.5))
            if x < 0 or x >= w:
                continue
            top = smooth[y, x]
            for a in range(max(0, y - reach_px), min(h, y + reach_px + 1)):
                for b in range(max(0, x - reach_px), min(w, x + reach_px + 1)):
                    top = max(top, smooth[a, b])
            out[i, j] = greys[min(max(int(top * _FINE), -_FINE), 300 * _FINE) + _FINE]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _redraw(xy, cx, cy, reach, out):  # type: ignore[no-untyped-def]
    """Draw every spot as the same small blob at its sub-pixel place."""
    size = out.shape[0]
    scale = size / (2 * reach)
    for k in range(len(xy)):
        x = (xy[k, 0] - cx) * scale + size / 2 - 0.5
        y = (xy[k, 1] - cy) * scale + size / 2 - 0.5
        _stamp(out, x, y, np.float32(255.0))


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _stamp(out, x, y, height):  # type: ignore[no-untyped-def]
    """Raise the pixels around a place to a Gaussian of 0.8 pixels."""
    h, w = out.shape
    for i in range(max(0, int(y) - 1), min(h, int(y) + 3)):
        for j in range(max(0, int(x) - 1), min(w, int(x) + 3)):
            d2 = (i - y) ** 2 + (j - x) ** 2
            v = np.uint8(height * np.exp(-d2 / 1.28))
            if v > out[i, j]:
                out[i, j] = v


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _difference_vectors(xy, reach):  # type: ignore[no-untyped-def]
    """Histogram of the vectors between spots, up to 0.6 of the reach, per spot, as grey values."""
    n = min(len(xy), 240)
    counts = np.zeros((VECTORS, VECTORS), dtype=np.float32)
    scale = VECTORS / (1.2 * reach)
    for i in range(n):
        for j in range(n):
            if i == j:
                continue
            x = (xy[j, 0] - xy[i, 0]) * scale + VECTORS / 2 - 0.5
            y = (xy[j, 1] - xy[i, 1]) * scale + VECTORS / 2 - 0.5
            a, b = int(np.floor(y)), int(np.floor(x))
            if a < 0 or b < 0 or a >= VECTORS - 1 or b >= VECTORS - 1:
                continue
            t, s = y - a, x - b
            counts[a, b] += (1 - t) * (1 - s)
            counts[a, b + 1] += (1 - t) * s
            counts[a + 1, b] += t * (1 - s)
            counts[a + 1, b + 1] += t * s
    out = np.zeros((VECTORS, VECTORS), dtype=np.uint8)
    for a in range(VECTORS):
        for b in range(VECTORS):
            out[a, b] = np.uint8(min(255.0, 255 * np.sqrt(counts[a, b] / max(n, 1))))
    return out
