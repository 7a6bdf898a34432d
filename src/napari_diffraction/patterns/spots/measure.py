"""Measure the spots of a pattern: place, intensity, and how far they stand out of the noise.

Slower and finer than `patterns.spots.peaks`, at the full resolution of the frame: bad
pixels are mended, the background is taken off ring by ring around the direct beam, and what a beam
stop or a gap hides is left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.patterns.counts import plain_counts
from napari_diffraction.patterns.spots.background import (
    Background,
    block_mean,
    block_noise,
    radial_background,
    without_bad_pixels,
)
from napari_diffraction.patterns.spots.blocks import (
    block_size,
    block_statistics,
    normalise,
    smooth_blocks,
)
from napari_diffraction.patterns.spots.direct_beam import direct_beam
from napari_diffraction.patterns.spots.electrons import are_no_chance
from napari_diffraction.patterns.spots.flatten import NOISE_FREE, flatten, least_noise
from napari_diffraction.patterns.spots.peaks import MOST, beside, maxima
from napari_diffraction.patterns.spots.shapes import best_widths, halved, measure, to_centroids
from napari_diffraction.patterns.spots.smoothing import noise_top, smoothed

#: Least height of a spot over the noise of a pixel.
THRESHOLD = 2.5
#: Least height over the noise of the smoothed frame, which is what chance is judged by.
_SIGNIFICANT = 5.0
#: Width of the smoothing over that of a spot: as wide finds most, narrower keeps neighbours apart.
_NARROW = 0.8
#: Images, each half as large as the one before, in which the width of the spots is looked for,
_LEVELS = 4
#: with a window of this width in pixels.
_STEP = 0.9
#: Widths that are tried, at this many of the strongest places.
_WIDTHS = 0.6 * 1.25 ** np.arange(14)
_TRIED = 60
_LARGE = 320
#: Half width of the direct beam, at most, over the radius that was measured of what is seen of it.
_WIDEST = 2.0


@dataclass(frozen=True)
class Spots:
    """The spots of one pattern.

    Attributes
    ----------
    position : ndarray of float64, (n, 2)
        x and y in pixels, the centre of the first pixel being (0, 0); strongest first.
    intensity : ndarray of float32, (n,)
        Sum of the values over the background, to 2.2 deviations of a Gaussian of the typical width;
        of the tail 5 to 25 % are lost, more in wide spots, alike for all spots of a pattern.
    snr : ndarray of float32, (n,)
        Height over the noise of a single pixel.
    centre
        x and y of the direct beam in pixels, also where a beam stop hides it.
    beam_radius
        Radius of the direct beam in pixels.
    radius
        Typical radius of a spot in pixels, at half its height.
    hidden : ndarray of bool, (h, w)
        Pixels that a beam stop or a gap hides or that have no value.
    """

    position: NDArray[np.float64]
    intensity: NDArray[np.float32]
    snr: NDArray[np.float32]
    centre: tuple[float, float]
    beam_radius: float
    radius: float
    hidden: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.position)


@dataclass(frozen=True)
class LevelFrame:
    """A frame without its background.

    Attributes
    ----------
    residual : ndarray of float32, (h, w)
        Values over the background around the direct beam; NaN where hidden.
    signal : ndarray of float32, (h, w)
        What is left of it above its surroundings, over the noise of a pixel; 0 where hidden.
    centre, beam_radius
        Of the direct beam, in pixels.
    hidden : ndarray of bool, (h, w)
        As in `Spots`.
    noisy
        Whether the frame has noise at all.
    """

    residual: NDArray[np.float32]
    signal: NDArray[np.float32]
    centre: tuple[float, float]
    beam_radius: float
    hidden: NDArray[np.bool_]
    noisy: bool


def find_spots(frame: NDArray[Any], threshold: float = THRESHOLD) -> Spots:
    """Find and measure the spots of a pattern; the direct beam is none.

    Parameters
    ----------
    frame : ndarray, (h, w)
        Any real dtype; bright spots on dark or dark on bright.
    threshold
        Least height of a spot over the noise of a pixel.
    """
    level = take_off_background(frame)
    x, y, width = _candidates(level)
    cx, cy = level.centre
    keep = np.hypot(x - cx, y - cy) > level.beam_radius
    keep &= ~beside(level.hidden, x, y, int(width) + 1)
    keep &= are_no_chance(frame, x, y, width)
    found = _measured(level, np.stack([x, y], axis=1)[keep], width, refine=True)
    strong = found.snr >= threshold
    order = np.argsort(-found.intensity[strong], kind="stable")[:MOST]
    return Spots(
        found.position[strong][order],
        found.intensity[strong][order],
        found.snr[strong][order],
        level.centre,
        level.beam_radius,
        found.radius,
        level.hidden,
    )


def measure_spots(frame: NDArray[Any], position: ArrayLike) -> Spots:
    """Measure spots at given places, which somebody has set by hand; they are not moved.

    Parameters
    ----------
    frame : ndarray, (h, w)
        As for `find_spots`.
    position : array, (n, 2)
        x and y in pixels.  The order is kept.
    """
    level = take_off_background(frame)
    _, _, width = _candidates(level)
    places = np.asarray(position, dtype=float).reshape(-1, 2)
    return _measured(level, places, width, refine=False)


def take_off_background(frame: NDArray[Any]) -> LevelFrame:
    """Mend bad pixels, find the direct beam, and take the background off.

    Parameters
    ----------
    frame : ndarray, (h, w)
        Any real dtype.
    """
    coarse = flatten(frame)
    middle = ((frame.shape[1] - 1) / 2, (frame.shape[0] - 1) / 2)
    if coarse.empty:
        nothing = np.zeros(frame.shape, np.float32)
        return LevelFrame(nothing, nothing, middle, 0.0, ~np.isfinite(frame), False)
    noisy = coarse.noise >= NOISE_FREE
    image = _image(frame, mend=True)
    if coarse.inverted:
        image = -image
    bins, offset = coarse.binning, (coarse.binning - 1) / 2
    x, y, radius = direct_beam(coarse.signal, 1.0)
    centre = (x * bins + offset, y * bins + offset)
    background = radial_background(image, centre, _enlarged(coarse.shadow, bins, image.shape))
    residual = np.where(background.hidden, np.float32(np.nan), image - background.level)
    return LevelFrame(
        residual,
        _over_noise(residual, background.level, least_noise(image)),
        background.centre,
        _whole_radius(background, radius * bins),
        background.hidden,
        noisy,
    )


def _whole_radius(background: Background, radius: float) -> float:
    """Radius of the direct beam, of which a gap may hide a part: from the profile of its rings.

    Where nothing is hidden beside the beam, or it as a whole, or it does not stand out of its halo,
    the radius stays as it was.
    """
    x, y = (round(at) for at in background.centre)
    reach = int(radius) + 2
    near = background.hidden[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
    if not near.any() or near.all():
        return radius
    height = background.profile - np.nanmin(background.profile)
    below = np.flatnonzero(height < 0.5 * height[:2].max())
    if not len(below) or below[0] > _WIDEST * radius:
        return radius
    return max(radius, 1.4 * float(below[0]))


def _enlarged(
    shadow: NDArray[np.bool_] | None, bins: int, shape: tuple[int, ...]
) -> NDArray[np.bool_] | None:
    """A shadow in a binned frame as one in the frame itself."""
    if shadow is None or bins == 1:
        return shadow
    out = np.zeros(shape, bool)
    large = shadow.repeat(bins, axis=0).repeat(bins, axis=1)
    out[: large.shape[0], : large.shape[1]] = large
    return out


def _image(frame: NDArray[Any], *, mend: bool) -> NDArray[np.float32]:
    frame = plain_counts(frame)
    if mend:
        return np.asarray(without_bad_pixels(np.ascontiguousarray(frame)))
    image = np.array(frame, dtype=np.float32)
    image[~np.isfinite(image)] = np.nan
    return image


def _over_noise(
    residual: NDArray[np.float32], level: NDArray[np.float32], least: float
) -> NDArray[np.float32]:
    """What is left over the noise, which goes with the level as far as it is counting noise."""
    block = block_size(residual.shape)
    noise, dark = block_noise(residual, block), block_mean(level, block)
    if not np.isfinite(noise).any():
        return np.zeros(residual.shape, np.float32)
    expected = np.sqrt(_counting_noise(noise.ravel(), dark.ravel(), level, least)).astype(
        np.float32
    )
    scaled = residual / expected
    background, _ = block_statistics(scaled, block)
    noise = np.maximum(smooth_blocks(block_noise(scaled, block)), np.float32(0.8))
    return np.asarray(normalise(scaled, smooth_blocks(background), noise, 1.0), np.float32)


def _counting_noise(
    noise: NDArray[np.float32], dark: NDArray[np.float32], level: NDArray[np.float32], least: float
) -> NDArray[np.float32]:
    """Variance of every pixel: that of the darkest blocks, and what rises with the level."""
    known = np.isfinite(noise) & np.isfinite(dark)
    variance, height = noise[known] ** 2, dark[known]
    order = np.argsort(height)
    few = max(3, len(order) // 5)
    base, floor = float(np.median(variance[order[:few]])), float(np.median(height[order[:few]]))
    top = order[-few:]
    rise = float(np.median((variance[top] - base) / np.maximum(height[top] - floor, 1e-9)))
    rise = max(rise, 0.0) if height[top].min() > floor else 0.0
    return np.asarray(
        np.maximum(base + rise * (level - floor), max(least, 0.3 * np.sqrt(base)) ** 2),
        np.float32,
    )


def _candidates(level: LevelFrame) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    """Local maxima, and the width of a spot (deviation of a Gaussian in pixels)."""
    pyramid = [level.signal]
    while len(pyramid) < _LEVELS and min(pyramid[-1].shape) >= 64:
        pyramid.append(halved(pyramid[-1]))
    width = _width(pyramid, level.centre, level.beam_radius)
    # Wide spots are looked for where they are small, which is quicker.
    scale = min(int(max(np.log2(width / 1.2), 0)), len(pyramid) - 1)
    x, y, _ = _blobs(pyramid[scale], scale, max(_NARROW * width / 2**scale, 0.6))
    return x, y, width


def _width(
    pyramid: list[NDArray[np.float32]], centre: tuple[float, float], beam_radius: float
) -> float:
    """Width of the strongest spots: that of the Gaussian by which each stands out most."""
    # Of large frames the finest image is left out: narrow spots are still seen in the next.
    first = int(len(pyramid) > 1 and max(pyramid[0].shape) > _LARGE)
    blobs = [_blobs(image, scale, _STEP) for scale, image in enumerate(pyramid) if scale >= first]
    x, y, height = (np.concatenate([blob[k] for blob in blobs]) for k in range(3))
    away = np.hypot(x - centre[0], y - centre[1]) > 1.5 * beam_radius + 2
    x, y, height = x[away], y[away], height[away]
    order = np.argsort(-height)[:_TRIED]
    if not len(order):
        return 1.5
    best, width = best_widths(pyramid[0], x[order], y[order], _WIDTHS)
    chosen = _apart(x[order], y[order], best, width)
    return float(np.median(width[chosen][:40]))


def _apart(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    height: NDArray[np.float32],
    width: NDArray[np.float32],
) -> list[int]:
    """Those that do not lie within a stronger one, strongest first."""
    chosen: list[int] = []
    for k in np.argsort(-height):
        if all((x[k] - x[j]) ** 2 + (y[k] - y[j]) ** 2 > (2.5 * width[j]) ** 2 for j in chosen):
            chosen.append(int(k))
    return chosen


def _blobs(
    image: NDArray[np.float32], scale: int, width: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Local maxima of an image of the pyramid: x, y in pixels of the frame, and height."""
    smooth = smoothed(image, width)
    least = max(_SIGNIFICANT, noise_top(smooth))
    x, y, height, _, _ = maxima(image, smooth, width, least)
    bins = 2**scale
    return x * bins + (bins - 1) / 2, y * bins + (bins - 1) / 2, height


def _measured(level: LevelFrame, xy: NDArray[Any], width: float, *, refine: bool) -> Spots:
    position = np.ascontiguousarray(xy, dtype=np.float64)
    if refine:
        to_centroids(level.signal, position, width)
    intensity, snr = measure(level.residual, level.signal, position, width)
    return Spots(
        position,
        intensity,
        snr,
        level.centre,
        level.beam_radius,
        1.1774 * width,
        level.hidden,
    )
