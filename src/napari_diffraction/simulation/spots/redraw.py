"""Redraw measured patterns as clean ones: the semi-synthetic route of Gorelik et al. (2025).

What is found in a pattern of a camera is drawn as the training patterns are: black and white, every
spot of the same size and brightness, the direct beam in the middle and a little larger.  Beam stop,
background, noise and bad pixels are gone, and so is what the peak finder missed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.spots.measure import THRESHOLD, find_spots
from napari_diffraction.patterns.stack import PatternStack, SpotGeometry
from napari_diffraction.simulation.conditions import DetectorEffects
from napari_diffraction.simulation.spots.render import fill_disc

#: Height and width of a redrawn pattern in pixels.
SIZE = 256
#: Size and place of what is drawn: those of the paper's patterns.
_CLEAN = DetectorEffects()
#: The farthest spot lies at least this share of the frame's longer side from the beam, lest two
#: spots beside the beam are taken for a whole pattern.
_LEAST_REACH = 0.2


def redraw(
    position: ArrayLike, centre: tuple[float, float], longer_side: int, size: int = SIZE
) -> NDArray[np.uint8]:
    """Draw spots as a clean pattern, scaled so that the farthest lies near the edge.

    Parameters
    ----------
    position : array, (n, 2)
        x and y in pixels.
    centre
        x and y of the direct beam, which comes to lie in the middle.
    longer_side
        Of the frame in which the spots were found, in pixels.
    size
        Height and width to be drawn, in pixels; sizes of spots go with it.

    Returns
    -------
    ndarray of uint8, (size, size)
        0 and 255.
    """
    away = np.asarray(position, dtype=float).reshape(-1, 2) - centre
    reach = max(float(np.hypot(*away.T).max(initial=0)), _LEAST_REACH * longer_side)
    image = np.zeros((size, size), dtype=np.uint8)
    middle, scale = (size - 1) / 2, size / SIZE
    for x, y in middle + away * (_CLEAN.extent * size / 2 / reach):
        fill_disc(image, x, y, scale * _CLEAN.spot_radius, 255)
    fill_disc(image, middle, middle, scale * _CLEAN.central_radius, 255)
    return image


def redraw_frame(
    frame: NDArray[Any], threshold: float = THRESHOLD, size: int = SIZE
) -> NDArray[np.uint8]:
    """Find the spots of a pattern and draw them as a clean one.

    Parameters
    ----------
    frame : ndarray, (h, w)
        Any real dtype.
    threshold
        See `napari_diffraction.patterns.spots.measure.find_spots`.
    size
        See `redraw`.
    """
    spots = find_spots(frame, threshold)
    return redraw(spots.position, spots.centre, max(frame.shape), size)


def redrawn_stack(stack: PatternStack) -> PatternStack:
    """Return a stack whose patterns are redrawn when they are looked at.

    Raises
    ------
    InputError
        The patterns are Kikuchi patterns, which have no spots.
    """
    if not isinstance(stack.geometry, SpotGeometry):
        raise InputError(
            f"{stack.name} holds Kikuchi patterns, which have no spots to redraw: leave "
            "'redraw' out."
        )
    data = stack.data.rechunk({-2: -1, -1: -1})
    return replace(
        stack,
        data=da.map_blocks(
            _redrawn_block, data, chunks=(*data.chunks[:-2], (SIZE,), (SIZE,)), dtype=np.uint8
        ),
        geometry=SpotGeometry(stack.geometry.wavelength, None, ((SIZE - 1) / 2,) * 2),
        notes=(*stack.notes, "Every pattern is redrawn from the spots found in it."),
        read=lambda index: redraw_frame(stack.frame(index)),
        reopen=None if stack.reopen is None else partial(_redrawn_again, stack.reopen),
    )


def _redrawn_again(reopen: Callable[[], PatternStack]) -> PatternStack:
    return redrawn_stack(reopen())


def _redrawn_block(block: NDArray[Any]) -> NDArray[np.uint8]:
    frames = block.reshape(-1, *block.shape[-2:])
    out = np.zeros((len(frames), SIZE, SIZE), dtype=np.uint8)
    for image, frame in zip(out, frames, strict=True):
        image[:] = redraw_frame(frame)
    return out.reshape(*block.shape[:-2], SIZE, SIZE)


#: What can be done to the patterns before a model sees them, by name.
PREPROCESSING: dict[str, Callable[[PatternStack], PatternStack]] = {"redraw": redrawn_stack}


def preprocessed(stack: PatternStack, name: str | None) -> PatternStack:
    """Prepare the patterns of a stack by one of `PREPROCESSING`, or leave them as they are.

    Raises
    ------
    InputError
        The name is unknown, or it does not go with this kind of patterns.
    """
    if name is None:
        return stack
    if name not in PREPROCESSING:
        raise InputError(
            f"There is no preprocessing '{name}': use {' or '.join(PREPROCESSING)}, or none."
        )
    return PREPROCESSING[name](stack)
