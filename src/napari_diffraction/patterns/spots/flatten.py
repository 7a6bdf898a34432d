"""Bring any frame to one form: bright spots on a flat background, in units of its noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_diffraction.patterns.counts import plain_counts
from napari_diffraction.patterns.sorting import quantile
from napari_diffraction.patterns.spots.blocks import (
    block_size,
    block_statistics,
    means_of_squares,
    normalise,
    range_of_nine,
    smooth_blocks,
    tails,
)

#: Frames with less noise have none.
NOISE_FREE = 1e-3
#: Deviation in whole counts that is noise, and counts that are whole, in parts of the contrast.
_COUNTED, _WHOLE = 0.3, 1e-6
#: The same in parts of the root of the counts.
_OF_ROOT = 0.4
#: Larger frames are binned until the longer side is at most this.
WORK_SIZE = 400
#: A pixel this far below the background, in units of its noise, lies in a shadow.
_SHADOW = -5.0
#: Side of the squares whose means show a shadow where few electrons are counted, how far below the
#: background these are, and the greatest share of it that they have.
_SQUARE, _SQUARE_SHADOW, _DARK = 4, -6.0, 0.4
#: Least and greatest share of a frame that a shadow covers.
_LEAST_HIDDEN, _MOST_HIDDEN = 0.001, 0.25


@dataclass(frozen=True)
class FlatFrame:
    """A frame with its background taken off.

    Attributes
    ----------
    signal : ndarray of float32, (h, w)
        Counts above the background over the noise.  Pixels without a value are 0.
    binning
        Pixels of the frame per pixel of `signal`, along each side.
    inverted
        Whether the frame showed dark spots on a bright background.
    empty
        Whether the frame holds no structure at all: no valid pixel, or all alike.
    noise
        Median noise over the contrast of the frame; below `NOISE_FREE` for a frame without noise.
    shadow : ndarray of bool, (h, w), or None
        Pixels that a beam stop or a gap hides, where there are any.
    seen : ndarray of float32, (h, w), or None
        The frame as it was, NaN in the shadow, where there is one.
    """

    signal: NDArray[np.float32]
    binning: int
    inverted: bool
    empty: bool
    noise: float
    shadow: NDArray[np.bool_] | None = None
    seen: NDArray[np.float32] | None = None


def flatten(frame: NDArray[Any]) -> FlatFrame:
    """Make the spots bright, take the background off and divide by the noise.

    Background and noise are the clipped mean and deviation of samples of each block of the frame
    (or the differences of neighbouring pixels, where they are smaller), smoothed over neighbouring
    blocks and interpolated.

    Parameters
    ----------
    frame : ndarray, (h, w)
        Any real dtype; NaN and infinity are pixels without a value.
    """
    image, binning = _binned(np.asarray(frame))
    valid = np.isfinite(image)
    if not valid.all():
        image = np.where(valid, image, np.float32(np.nan))
    background, noise = block_statistics(image, block_size(image.shape))
    if not np.isfinite(background).any():
        return FlatFrame(np.zeros(image.shape, np.float32), binning, False, True, 0.0)
    inverted = _is_inverted(background, noise, tails(image, background, noise))
    background, noise = smooth_blocks(background), smooth_blocks(noise)
    low, contrast, quantum = _contrast(image)
    if not contrast > 0:
        return FlatFrame(np.zeros(image.shape, np.float32), binning, inverted, True, 0.0)
    middle = quantile(noise, 0.5)
    # Where nothing was counted the noise is not nought but one quantum; and a frame without any
    # noise needs a unit, too.
    least = max(0.3 * middle, _unit(contrast, quantum))
    share = middle / contrast
    # Electrons vary by the root of their number; whole numbers that vary less show a slope alone.
    level = max(quantile(background, 0.5) - low, 0.0)
    counted = max(_COUNTED * quantum, _OF_ROOT * np.sqrt(quantum * level))
    if middle > counted and quantum > _WHOLE * contrast:
        share = max(share, NOISE_FREE)  # a direct beam may be ten thousand times as bright
    sign = -1.0 if inverted else 1.0
    noise = np.maximum(noise, np.float32(least))
    signal = normalise(image, background, noise, sign)
    gaps = (~valid, image) if _is_part(~valid) else (None, None)
    flat = FlatFrame(signal, binning, inverted, False, share, *gaps)
    if inverted or share < 3e-4:
        return flat
    shadow = _shadow(image, signal, background, low)
    shadow |= _faint_shadow(image, background, noise, low)
    if not _is_part(shadow):
        return flat
    # What a beam stop or a gap hides must not count as background of what lies beside it.
    shadow = _grown(shadow) | ~valid
    if not _is_part(shadow):  # the dark between wide discs
        return flat
    image = np.where(shadow, np.float32(np.nan), image)
    background, noise = block_statistics(image, block_size(image.shape))
    background, noise = smooth_blocks(background), smooth_blocks(noise)
    signal = normalise(image, background, np.maximum(noise, np.float32(least)), sign)
    return FlatFrame(signal, binning, inverted, False, share, shadow, image)


def _is_part(hidden: NDArray[np.bool_]) -> bool:
    """Whether pixels are so many that a beam stop or gaps hide them, and no more than these do."""
    return bool(_LEAST_HIDDEN < np.count_nonzero(hidden) / hidden.size < _MOST_HIDDEN)


def least_noise(image: NDArray[np.float32]) -> float:
    """Noise to be taken where none is seen: one quantum, or some unit on a frame without noise."""
    _, contrast, quantum = _contrast(image)
    return _unit(contrast, quantum)


def _unit(contrast: float, quantum: float) -> float:
    return max(min(quantum, 0.05 * contrast), 1e-4 * contrast)


def _shadow(
    image: NDArray[np.float32],
    signal: NDArray[np.float32],
    background: NDArray[np.float32],
    low: float,
) -> NDArray[np.bool_]:
    """Pixels far below their surroundings and nearly as dark as the darkest."""
    dark = low + 0.15 * (quantile(background, 0.5) - low)
    return np.asarray((signal < _SHADOW) & (image < dark))


def _faint_shadow(
    image: NDArray[np.float32],
    background: NDArray[np.float32],
    noise: NDArray[np.float32],
    low: float,
) -> NDArray[np.bool_]:
    """Squares of pixels that are dark as a whole, though none of their pixels stands out alone."""
    out = np.zeros(image.shape, bool)
    if min(image.shape) < 3 * _SQUARE:
        return out
    h, w = (n // _SQUARE * _SQUARE for n in image.shape)
    mean = means_of_squares(image[:h, :w], _SQUARE)
    nothing, one = np.zeros_like(mean), np.ones_like(background)
    expected = normalise(nothing, background, one, -1.0) - np.float32(low)
    above = mean - np.float32(low)
    deviation = normalise(nothing, noise, one, -1.0) / _SQUARE
    dark = (above < _DARK * expected) & (above - expected < _SQUARE_SHADOW * deviation)
    if dark.any():
        dark &= ndimage.uniform_filter(dark.astype(np.float32), 3) > 0.3  # not one alone
        # The edge runs through the squares beside.
        _mark_dark(image, np.float32(low), _grown(dark), expected, out)
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _mark_dark(image, low, squares, expected, out):  # type: ignore[no-untyped-def]
    """Mark the pixels of some squares about which nine have less than half of what is expected.

    Beyond the squares the outermost pixels go on; a pixel without a value is as expected.
    """
    h, w = squares.shape[0] * _SQUARE, squares.shape[1] * _SQUARE
    for r in range(len(squares)):
        for c in range(squares.shape[1]):
            if not squares[r, c]:
                continue
            for i in range(r * _SQUARE, (r + 1) * _SQUARE):
                for j in range(c * _SQUARE, (c + 1) * _SQUARE):
                    total = 0.0
                    for a in range(i - 1, i + 2):
                        for b in range(j - 1, j + 2):
                            y, x = min(max(a, 0), h - 1), min(max(b, 0), w - 1)
                            v = image[y, x] - low
                            total += v if np.isfinite(v) else expected[y // _SQUARE, x // _SQUARE]
                    out[i, j] = total / 9 < 0.5 * expected[r, c]


def _grown(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and the pixels next to it."""
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    across = out.copy()
    out[:, 1:] |= across[:, :-1]
    out[:, :-1] |= across[:, 1:]
    return out


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _is_inverted(background, noise, tail):  # type: ignore[no-untyped-def]
    """Whether dark spots outweigh bright ones, away from shadows and the direct beam."""
    step = range_of_nine(background)
    most = np.float32(0)
    for value in background.ravel():
        most = max(most, abs(value)) if np.isfinite(value) else most
    evidence = 0
    for r in range(len(step)):
        for c in range(step.shape[1]):
            even = step[r, c] < np.float32(6) * noise[r, c] + np.float32(0.02) * most
            evidence += np.sign(tail[r, c]) if even and abs(tail[r, c]) > 3 else 0
    # Nearly every camera shows bright spots: it takes some evidence to believe the opposite.
    return evidence < -4


def _contrast(image: NDArray[np.float32]) -> tuple[float, float, float]:
    """Low end and range of the frame without its extremes, and the smallest step of its values."""
    sample = np.sort(image.ravel()[:: max(1, image.size // 16384) | 1])
    sample = sample[np.isfinite(sample)]
    step = _least_step(sample)
    if step == np.inf:
        low, high = float(np.nanmin(image)), float(np.nanmax(image))
        return low, high - low, high - low
    low, high = float(sample[len(sample) // 1000]), float(sample[-1 - len(sample) // 1000])
    return low, max(high - low, step), step


@nb.njit(cache=True, nogil=True, error_model="numpy", fastmath={"nnan", "nsz"})
def _least_step(values):  # type: ignore[no-untyped-def]
    """Least difference of sorted values that is none of 0; infinite where all are alike."""
    least = np.float32(np.inf)
    for k in range(len(values) - 1):
        step = values[k + 1] - values[k]
        step = step if step > 0 else np.float32(np.inf)
        least = min(least, step)
    return float(least)


def _binned(frame: NDArray[Any]) -> tuple[NDArray[np.float32], int]:
    """Return the frame as float32, averaged over squares where it is large, and their side."""
    if min(frame.shape) == 0:
        frame = np.zeros((1, 1), dtype=np.float32)
    frame = plain_counts(frame)
    factor = int(np.ceil(max(frame.shape) / WORK_SIZE))
    if factor == 1:
        return np.ascontiguousarray(frame, dtype=np.float32), 1
    h, w = (n // factor * factor for n in frame.shape)
    return means_of_squares(np.ascontiguousarray(frame[:h, :w]), factor), factor
