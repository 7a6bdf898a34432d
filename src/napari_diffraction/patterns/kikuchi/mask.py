"""Where the screen of an EBSD camera is lit, and the background that all its patterns share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.blank import are_blank
from napari_diffraction.patterns.stack import PatternStack

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

# Masks are searched in frames binned to at most this.
_SEARCH_SIZE = 200
_MOST_FRAMES = 64
# The unlit part of a frame that is cut off for safety, as a fraction of its longer side.
_MARGIN = 0.02
# A mask hides at least and at most so much of a frame.
_AREA = (0.004, 0.7)
_CORNERS = (np.array([0, 0, -1, -1]), np.array([0, -1, 0, -1]))
_FEWEST = 20
_SAMPLE_BYTES = 2**28
# Least correlation of the patterns' mean with a background that was not taken off yet.
_HELD = 0.5
# Variance of the sharp structure of the mean over that of single patterns: about one over the
# number of orientations.
_LEFT_OVER = 0.12
# The darkest of the mean is so far below zero, in parts of its brightest, where a background was
# taken off or the patterns were normalised; offsets of a camera's dark current are smaller.
_BELOW_ZERO = 0.05


def find_mask(frames: NDArray[Any]) -> Mask:
    """Find where the screen is lit.

    Unlit are regions that reach two corners of the frame (or the only corner, where they hold no
    structure at all) and are darker, or smoother, than everything beside them, with a sharp edge
    in between; a pattern that fades towards its corners has no such edge.

    Parameters
    ----------
    frames : ndarray, (n, h, w) or (h, w)
        Patterns of one camera, the more the better; any real dtype.

    Returns
    -------
    ndarray of bool, (h, w)
        True where lit, less a margin of 2 % beside the edge; all True where there is no mask.
    """
    frames = np.asarray(frames)
    shape = frames.shape[-2:]
    small = _binned(frames.reshape(-1, *shape))
    unlit = np.zeros(small.shape[1:], bool)
    margin = max(1.0, _MARGIN * max(unlit.shape))
    if min(unlit.shape) >= 16:
        unlit |= _unlit(ndimage.gaussian_filter(small.mean(0), 0.6), margin)
        unlit |= _unlit(_texture(small), margin)
    if not unlit.any():
        return np.ones(shape, bool)
    lit = _largest(~_near(unlit, margin))
    binning = -(-max(shape) // _SEARCH_SIZE)
    rows = np.minimum(np.arange(shape[0]) // binning, lit.shape[0] - 1)
    columns = np.minimum(np.arange(shape[1]) // binning, lit.shape[1] - 1)
    return np.asarray(lit[np.ix_(rows, columns)])


def _binned(frames: NDArray[Any]) -> Floats:
    """Some of the frames, averaged over blocks to at most `_SEARCH_SIZE` pixels a side."""
    frames = frames[:: -(-len(frames) // _MOST_FRAMES)]
    height, width = frames.shape[1:]
    n = -(-max(height, width) // _SEARCH_SIZE)
    rows, columns = max(1, height // n), max(1, width // n)
    out = np.empty((len(frames), rows, columns), np.float32)
    for number, frame in enumerate(frames):
        part = np.nan_to_num(frame[: rows * n, : columns * n].astype(np.float32))
        out[number] = part.reshape(rows, n, columns, n).mean((1, 3))
    return out


def _texture(frames: Floats) -> Floats:
    """How much each neighbourhood varies within single frames."""
    variance = np.zeros(frames.shape[1:], np.float32)
    for frame in frames:
        # the second difference takes no notice of a slope
        sharp = frame - ndimage.uniform_filter(frame, 3)
        variance += np.maximum(ndimage.uniform_filter(sharp**2, 5), 0)
    return np.asarray(np.sqrt(variance / len(frames)), np.float32)


def _unlit(level: Floats, margin: float) -> Mask:
    """The dark regions at the corners of a map that have a sharp edge."""
    low, middle = float(level.min()), float(np.median(level))
    unlit = np.zeros(level.shape, bool)
    if not middle > low:
        return unlit
    slope = ndimage.gaussian_gradient_magnitude(level, 1.0)
    best: dict[tuple[int, int], tuple[float, Mask]] = {}
    for fraction in np.geomspace(0.01, 0.6, 20):
        labels, _ = ndimage.label(level < low + fraction * (middle - low))
        for number in np.unique(labels[_CORNERS]):
            region = labels == number
            if number == 0 or not _AREA[0] < region.mean() < _AREA[1]:
                continue
            if not _is_edge(level, region, margin):
                continue
            steepness = float(slope[_near(region, 1.0) & ~region].mean())
            for corner in zip(*_CORNERS, strict=True):
                if labels[corner] == number and steepness > best.get(corner, (0.0,))[0]:
                    best[corner] = steepness, region
    for _, region in best.values():
        # nothing but a mask is all alike; else one dark corner may be a matter of the pattern
        if len(best) > 1 or np.ptp(level[region]) == 0:
            unlit |= region
    return unlit


def _is_edge(level: Floats, region: Mask, margin: float) -> bool:
    """Whether a dark region ends in a step, clear of the scatter and steeper than what follows."""
    outward = ndimage.distance_transform_edt(~region)
    inward = ndimage.distance_transform_edt(region)
    # strips at both sides of the edge, in order from dark to bright
    near = level[(inward > min(margin, inward.max() / 2)) & (inward <= 3 * margin)]
    beside = level[(outward > margin) & (outward <= 3 * margin)]
    deep = level[inward > 3 * margin]
    further = level[(outward > 3 * margin) & (outward <= 6 * margin)]
    if min(near.size, beside.size, further.size) < 4:
        return False
    dark = float(np.median(near))
    step = float(np.median(beside)) - dark
    gap = float(np.percentile(beside, 10) - np.percentile(near, 90))
    # from strip to strip it is 4 margins across the edge, 2.5 beyond it
    expected = 1.6 * float(np.median(further) - np.median(beside))
    fading = dark - float(np.median(deep)) if deep.size >= 4 else 0.1 * step
    # behind a mask it is flat, even where the light fades strongly towards its edge
    flat = abs(fading) < 0.05 * step and step > 0.6 * expected
    steep = abs(fading) < 0.25 * step and step > 1.5 * expected
    return gap > 0.4 * step and (flat or steep)


def _near(region: Mask, distance: float) -> Mask:
    return np.asarray(ndimage.distance_transform_edt(~region) <= distance)


def _largest(mask: Mask) -> Mask:
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return np.asarray(ndimage.binary_fill_holes(labels == sizes.argmax()))


@dataclass(frozen=True)
class StaticBackground:
    """What all patterns of a scan share: the camera's response, not the crystals.

    Attributes
    ----------
    mean : ndarray of float32, (h, w)
        The one in the file, or the mean of a sample of the patterns.
    mask : ndarray of bool, (h, w)
        Where the screen is lit.
    usable
        Whether dividing by the mean leaves the Kikuchi bands alone.
    reason
        One sentence that says why it is usable or not.
    """

    mean: Floats
    mask: Mask
    usable: bool
    reason: str


def static_background(stack: PatternStack, most: int = 200, seed: int = 0) -> StaticBackground:
    """Average patterns all over a scan and judge whether the bands average out.

    They do not where most patterns show one or a few orientations; dividing by such a mean would
    erase what is to be looked at.

    Parameters
    ----------
    stack
        Patterns of one camera and one scan.
    most
        Number of patterns averaged, at most.
    seed
        For their choice.

    Raises
    ------
    InputError
        No pattern can be read.
    """
    frames = without_stray_gaps(sample(stack, most, seed))
    return background_of(frames, stack.background)


def background_of(
    frames: NDArray[Any], given: NDArray[np.float32] | None = None
) -> StaticBackground:
    """Judge the mean of frames as `static_background` does.

    Parameters
    ----------
    frames : ndarray, (n, h, w)
        From all over a scan, `without_stray_gaps`.
    given : ndarray of float32, (h, w), optional
        The background in the file; taken where the frames still hold it.
    """
    known = np.isfinite(frames).all(0)
    if not known.all():  # pixels that the detector masks
        frames = np.where(known, frames, 0)
    mean = frames.mean(0, dtype=np.float64).astype(np.float32)
    mask = find_mask(frames) & known
    # a gap says nothing of the light, and its mark, as -1, does not make the patterns signed
    seen = mask & ~stuck(frames)
    if not seen.any():
        seen = mask
    if _is_signed(mean, seen):
        reason = (
            "The patterns go below zero, as normalised ones or those without their background do: "
            "no static background is taken."
        )
        return StaticBackground(mean, mask, False, reason)
    if given is not None and _is_in(mean, given, seen):
        reason = "Static background: the one in the file."
        return StaticBackground(given, mask, True, reason)
    if len(frames) < _FEWEST:
        reason = f"Only {len(frames)} patterns: too few for a static background."
        return StaticBackground(mean, mask, False, reason)
    share = _bands_left(frames, mean, seen)
    if share > _LEFT_OVER:
        reason = (
            "The mean of the patterns still shows Kikuchi bands (one or few orientations): "
            "no static background is taken."
        )
        return StaticBackground(mean, mask, False, reason)
    reason = f"Static background: the mean of {len(frames)} patterns."
    return StaticBackground(mean, mask, True, reason)


def without_stray_gaps(frames: NDArray[Any]) -> NDArray[Any]:
    """Fill what single frames lack, lest a few damaged ones hide the screen from all.

    Parameters
    ----------
    frames : ndarray, (n, h, w)
        From all over a scan; NaN and infinity are no values.

    Returns
    -------
    ndarray, (n, h, w)
        Without a value, in all frames, are those pixels alone that most frames lack; others are
        the mean of the pixel where they were without.
    """
    if frames.dtype.kind != "f":
        return frames
    there = np.isfinite(frames)
    if there.all():
        return frames
    count = there.sum(0)
    total = np.where(there, frames, 0).sum(0, dtype=np.float64)
    mean = (total / np.maximum(count, 1)).astype(np.float32)
    known = 2 * count > len(frames)
    return np.where(known, np.where(there, frames, mean), np.float32(np.nan))


def stuck(frames: NDArray[Any]) -> Mask:
    """Find pixels with one value in all frames, as in a gap; none where most pixels are such.

    Parameters
    ----------
    frames : ndarray, (n, h, w)
        From all over a scan.

    Returns
    -------
    ndarray of bool, (h, w)
    """
    same = np.asarray(frames.min(0) == frames.max(0))
    if len(frames) < _FEWEST or same.mean() > 0.5:
        return np.zeros(same.shape, bool)
    return same


def _is_signed(mean: Floats, mask: Mask) -> bool:
    """Whether there is no zero from which intensities count, so that no ratio means anything."""
    low, high = np.percentile(mean[mask], [1, 99])
    return bool(low < -_BELOW_ZERO * abs(high))


def _is_in(mean: Floats, background: Floats, mask: Mask) -> bool:
    """Whether patterns still hold a background: their mean looks like it."""
    return bool(np.corrcoef(mean[mask], background[mask])[0, 1] > _HELD)


def sample(stack: PatternStack, most: int = 200, seed: int = 0) -> NDArray[Any]:
    """Read patterns that are not empty, chosen evenly all over the stack; else the first one.

    Raises
    ------
    InputError
        No pattern can be read.
    """
    return np.stack(list(_sample(stack, most, seed)) or [stack.frame(0)])


def _sample(stack: PatternStack, most: int, seed: int) -> Iterator[NDArray[Any]]:
    """Readable patterns that are not empty, chosen evenly all over the stack."""
    frame_bytes = math.prod(stack.frame_shape) * stack.data.dtype.itemsize
    count = max(1, min(most, len(stack), _SAMPLE_BYTES // frame_bytes))
    rng = np.random.default_rng(seed)
    places = (np.arange(count) + rng.random(count)) * len(stack) / count
    for index in places.astype(np.int64):
        try:
            frame = stack.frame(int(index))
        except InputError:
            continue
        if not are_blank(frame[None])[0]:
            yield frame


def _bands_left(frames: NDArray[Any], mean: Floats, mask: Mask) -> float:
    """Share of the patterns' band contrast (a variance) that is left in their mean.

    The contrast is the covariance between the bands seen in one half of the pixels and in the
    other, like the fields of a chessboard: their noise is not the same, the bands are.
    """
    smooth = _polynomial(mean, mask)
    inside = mask & (smooth > 0.05 * np.median(smooth[mask]))
    if np.count_nonzero(inside) < 50:
        return 1.0
    scale = np.where(inside, 1.0 / np.where(inside, smooth, 1), 0).astype(np.float32)
    sharp = _bands(mean * scale, inside)
    # dust and dead pixels are in every pattern, too, but they are no bands
    spread = 1.4826 * np.median(np.abs(sharp[inside]), axis=0).max()
    used = inside & (np.abs(sharp).max(-1) < 4 * spread)
    left = _covariance(sharp[used])
    step = -(-len(frames) // 40)
    single = [_bands(frame * scale, inside)[used] for frame in frames[::step]]
    contrast = float(np.mean([_covariance(values) for values in single]))
    noise = float(np.mean([values.var() for values in single])) - contrast
    return max(0.0, left / contrast) if contrast > 0.015 * noise else 0.0


def _covariance(halves: Floats) -> float:
    first, second = (halves - halves.mean(0)).T
    return float(np.mean(first * second))


def _polynomial(frame: Floats, mask: Mask, degree: int = 5) -> Floats:
    """The background of a frame: a polynomial, too stiff for bands."""
    y, x = (np.linspace(-1, 1, size) for size in frame.shape)
    step = -(-max(frame.shape) // 60)
    basis = np.polynomial.legendre.legvander
    terms = np.einsum("yi,xj->yxij", basis(y, degree), basis(x, degree))
    low = np.add.outer(np.arange(degree + 1), np.arange(degree + 1)) <= degree
    terms = terms[..., low]
    chosen = mask[::step, ::step]
    fit, *_ = np.linalg.lstsq(
        terms[::step, ::step][chosen], frame[::step, ::step][chosen], rcond=None
    )
    return np.asarray(terms @ fit, np.float32)


def _bands(frame: Floats, mask: Mask) -> Floats:
    """Structure as wide as Kikuchi bands, (h, w, 2), from either half of the pixels."""
    size = max(mask.shape)
    odd = np.indices(mask.shape).sum(0) % 2 == 1
    fine, wide = max(1.0, 0.012 * size), 0.05 * size
    halves = [
        _smooth(frame, mask & half, fine) - _smooth(frame, mask & half, wide)
        for half in (odd, ~odd)
    ]
    return np.asarray(np.stack(halves, -1), np.float32)


def _smooth(frame: Floats, mask: Mask, sigma: float) -> Floats:
    weight = ndimage.gaussian_filter(mask.astype(np.float32), sigma)
    smooth = ndimage.gaussian_filter(np.where(mask, frame, 0).astype(np.float32), sigma)
    return np.asarray(smooth / np.maximum(weight, 1e-6), np.float32)
