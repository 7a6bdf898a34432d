"""What stands in every frame and is no pattern: dust, dead pixels, numbers burnt in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_diffraction.patterns.kikuchi.coarse import CoarseBlur

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

#: Deviations from the background, in units of the local contrast, at which a speck begins, and as
#: far as it reaches; bands go from about -3 to 5.
_DARK, _BRIGHT = (-5.0, -2.7), (7.0, 4.5)
#: Pixels that change less from frame to frame than this part of what those around them do.
_STILL = 0.3
#: Frames from which on it can be told how much a pixel changes.
_ENOUGH = 8
#: Pixels of a frame are dead or hot beyond this part of the median of those around them.
_DEAD = 0.5
#: Lines along an edge are dull when their median is so far from the background; at most this part
#: of the frame.
_DULL, _EDGES = 0.9, 0.05
_ROUNDS = 4


def standing(pictures: Floats, weight: Floats, sigma: float, even: float) -> Mask:
    """Find what stands in every picture and is no pattern.

    Parameters
    ----------
    pictures : ndarray of float32, (n, h, w)
        Frames of one camera, with zero mean and unit deviation.
    weight : ndarray of float32, (h, w)
        0 behind the mask.
    sigma, even
        Standard deviations of the Gaussians of background and contrast in pixels.

    Returns
    -------
    ndarray of bool, (h, w)
        True at specks and beside them.
    """
    values = _contrast(pictures.mean(0), weight, sigma, even)
    found = np.zeros(weight.shape, bool)
    for sign, (begin, end) in ((-1, _DARK), (1, _BRIGHT)):
        # a speck reaches as far as what is less out of the common still hangs together with it
        found |= ndimage.binary_propagation(
            sign * values > abs(begin), mask=sign * values > abs(end)
        )
    if len(pictures) >= _ENOUGH:
        change = pictures.std(0)
        reach = max(5, round(0.1 * min(weight.shape)) | 1)
        around = ndimage.median_filter(np.where(weight > 0, change, np.median(change)), reach)
        found |= (change < _STILL * around) & (weight > 0)
    return np.asarray((ndimage.binary_dilation(found) | _dull_edges(values, weight)) & (weight > 0))


def _dull_edges(values: Floats, weight: Floats) -> Mask:
    """Rows and columns along the edges of the frame that are dark, or bright, as a whole."""
    found = np.zeros(weight.shape, bool)
    for axis in (0, 1):
        for step in (1, -1):
            lines = np.moveaxis(values, axis, 0)[::step]
            lit = np.moveaxis(weight, axis, 0)[::step] > 0
            marked = np.moveaxis(found, axis, 0)[::step]
            for k in range(max(1, round(_EDGES * len(lines)))):
                if lit[k].sum() <= 0.2 * lit.shape[1]:
                    continue  # mostly behind the mask, as the rim of a round screen: no word on it
                if abs(np.median(lines[k][lit[k]])) < _DULL:
                    break
                marked[k] = True
    return found


def _contrast(picture: Floats, weight: Floats, sigma: float, even: float) -> Floats:
    """Deviations from the background in units of the local contrast, outliers left out of both."""
    wide, near = CoarseBlur.of(weight, sigma, 5), CoarseBlur.of(weight, even)
    lit = weight > 0
    if not lit.any():
        return np.zeros_like(picture)
    kept = picture
    for _ in range(_ROUNDS):
        background = wide.blur(kept, weight)
        apart = picture - background
        spread = 1.4826 * float(np.median(np.abs(apart[lit])))
        inside = np.where(np.abs(apart) < 4 * spread, apart, 0)
        kept = background + inside
    local = np.maximum(near.blur(inside**2, weight), (0.25 * spread) ** 2)
    return np.asarray(apart / np.sqrt(np.maximum(local, 1e-12)) * weight, np.float32)


def dead_pixels(frame: Floats) -> Mask:
    """Find single pixels that are far darker or brighter than all about them.

    Parameters
    ----------
    frame : ndarray of float32, (h, w)
        Mean of some frames, without NaN.
    """
    around = ndimage.median_filter(frame, 5)
    apart = np.abs(frame - around)
    noise = 1.4826 * float(np.median(apart))
    level = np.maximum(around, float(np.median(frame)) * 0.1)
    return np.asarray((apart > _DEAD * level) & (apart > 8 * noise))
