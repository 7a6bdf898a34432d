"""How bright a pattern is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.counts import plain_counts

# More pixels than this say nothing new about brightness.
_PIXELS = 140_000
# No spots but Kikuchi bands or a camera mask: too much of the frame stands out of the background,
# or the background itself takes too much of the range.
_MOST_SPOTS = 0.15
_MOST_NOISE = 0.05


def contrast_limits(frame: NDArray[Any]) -> tuple[float, float]:
    """Return limits that show the spots of a pattern.

    The direct beam may be a thousand times brighter than a spot, so that limits from minimum to
    maximum show black.  Pixels that stand out of the background are taken instead: most of their
    brightness range is shown and only the brightest fifth of them is saturated.  In an inverted
    pattern, dark spots on white, the same is done downwards.

    Parameters
    ----------
    frame
        (h, w), any real dtype; NaN and infinities are ignored.

    Returns
    -------
    (low, high)
        Finite, low < high.
    """
    values = _sample(np.asarray(frame))
    if values.size == 0:
        return 0.0, 1.0
    lowest, middle, highest = (float(v) for v in (values.min(), np.median(values), values.max()))
    if lowest == highest:
        return min(lowest, 0.0), highest if highest > 0 else lowest + 1.0 if lowest == 0 else 0.0
    if _is_inverted(values, middle):
        low, high = _limits(-values, -middle, (-highest, -lowest))
        return 0.0 - high, 0.0 - low
    return _limits(values, middle, (lowest, highest))


def _sample(frame: NDArray[Any]) -> NDArray[Any]:
    step = int(np.ceil(np.sqrt(frame.size / _PIXELS))) if frame.size > _PIXELS else 1
    part = plain_counts(frame[::step, ::step]).ravel()
    dtype = np.float64 if part.dtype.itemsize > 4 or part.dtype.kind == "b" else np.float32
    values: NDArray[Any] = part.astype(dtype)
    if part.dtype.kind == "f":
        values = values[np.isfinite(values)]
    return values


def _is_inverted(values: NDArray[Any], middle: float) -> bool:
    # the tail towards the spots is the longer one; means are of use, since spots are few pixels
    below, above = np.partition(values, (len(values) // 100, -len(values) // 100 - 1))[
        [len(values) // 100, -len(values) // 100 - 1]
    ]
    if middle - below == above - middle:
        return bool(float(values.mean()) < middle)
    return bool(middle - below > above - middle)


def _limits(
    values: NDArray[Any], middle: float, extremes: tuple[float, float]
) -> tuple[float, float]:
    lowest, highest = extremes
    noise = 1.4826 * float(np.median(np.abs(values - middle)))
    spots = values[values > middle + 5.0 * noise]
    if len(spots) > _MOST_SPOTS * len(values) or noise > _MOST_NOISE * (highest - lowest):
        low, high = (float(value) for value in np.percentile(values, (0.5, 99.5)))
        return (low, high) if high > low else (lowest, highest)
    low = max(lowest, middle - noise)
    high = float(np.percentile(spots, 80)) if spots.size else highest
    high = min(highest, max(high, middle + 8.0 * noise))
    return low, high if high > low else highest
