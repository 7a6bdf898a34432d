"""The picture of an EBSD scan: how well each pattern shows bands, at once coarse, then finer."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.kikuchi.preparation import Preparation, prepared
from napari_diffraction.patterns.kikuchi.quality import band_contrast
from napari_diffraction.patterns.navigation import navigation_map
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

Floats = NDArray[np.float32]

#: The first look reads at most so many patterns along each side, for so many seconds.
_COARSE, _SECONDS = 16, 1.5
#: Pictures of which the band contrast is measured; patterns read at a time.
_PIXELS, _AT_A_TIME = 60, 64
#: Patterns that tell what camera it is.
_SAMPLE = 64
#: Patterns of unknown kind are Kikuchi patterns where this much of them is bands, and their mean
#: is so many times their deviation; spots stand on a dark ground.
_BANDS, _BRIGHT = 0.01, 1.0


@dataclass(frozen=True, eq=False)
class _Camera:
    """How patterns of a scan are made ready for a look at their quality."""

    preparation: Preparation

    def quality(self, frames: NDArray[np.generic]) -> Floats:
        return band_contrast(self.preparation.binned(frames), self.preparation)


def scan_pictures(stack: PatternStack) -> Generator[Floats, None, None]:
    """Draw a scan, ever finer: of Kikuchi patterns the quality, of others the mean intensity.

    Parameters
    ----------
    stack
        A scan.

    Yields
    ------
    ndarray of float32, (rows, columns)
        The picture so far, the same array or another one each time.  The first look is always at
        mean intensities, as it takes no preparation.
    """
    means = navigation_map(stack)
    for step in means:
        if step.picture is not None:
            yield step.picture
        break
    camera = _camera(stack)
    if camera is None:
        for step in means:
            if step.picture is not None:
                yield step.picture
    else:
        means.close()
        yield from _qualities(stack, camera)


def _camera(stack: PatternStack) -> _Camera | None:
    """Look at the patterns; ``None`` where they are not of an EBSD camera."""
    known = isinstance(stack.geometry, KikuchiGeometry)
    indices = np.unique(np.linspace(0, len(stack) - 1, _SAMPLE).astype(int)).tolist()
    frames = [frame for frame in stack.frames(indices) if frame is not None]
    if not frames:
        return None
    some = np.stack(frames).astype(np.float32)
    spread = some.std(axis=(1, 2))
    if not (spread > 0).any():
        return None
    if not known and np.median(np.abs(some.mean(axis=(1, 2))) / (spread + 1e-9)) < _BRIGHT:
        return None
    camera = _Camera(prepared(some, stack.background, most=2 * _PIXELS).thinned(_PIXELS))
    if not known and float(np.median(camera.quality(some))) < _BANDS:
        return None
    return camera


def _qualities(stack: PatternStack, camera: _Camera) -> Generator[Floats, None, None]:
    """First here and there, then row by row, rows far apart first."""
    rows, columns = stack.data.shape[:2]
    picture = np.zeros((rows, columns), np.float32)
    step = -(-max(rows, columns) // _COARSE)
    began = time.monotonic()
    for row in range(0, rows, step):
        at = range(row * columns, (row + 1) * columns, step)
        coarse = np.repeat(_of(stack, camera, at), step)[:columns]
        picture[row:] = coarse  # and below, so that what is not reached yet has a value, too
        if time.monotonic() - began > _SECONDS:
            break
    yield picture
    for row, alike in _far_apart(rows):
        for start in range(0, columns, _AT_A_TIME):
            stop = min(start + _AT_A_TIME, columns)
            part = range(row * columns + start, row * columns + stop)
            # also for those rows below that are not reached yet
            picture[row : row + min(alike, step), start:stop] = _of(stack, camera, part)
            yield picture


def _of(stack: PatternStack, camera: _Camera, indices: range) -> Floats:
    """Quality of some patterns; 0 where one cannot be read."""
    empty = np.zeros(stack.frame_shape, stack.data.dtype)
    frames = [empty if frame is None else frame for frame in stack.frames(list(indices))]
    return camera.quality(np.stack(frames))


def _far_apart(rows: int) -> Generator[tuple[int, int], None, None]:
    """All rows, every 2^k-th first, then those halfway; and how many rows lie up to a known one."""
    step = 1 << max(rows - 1, 0).bit_length()
    yield 0, step
    while step > 1:
        for row in range(step // 2, rows, step):
            yield row, step // 2
        step //= 2
