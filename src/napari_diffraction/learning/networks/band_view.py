"""What the Bravais classifier sees: the bands of a pattern; alike in training and in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_diffraction.learning.networks import bravais_view
from napari_diffraction.patterns.kikuchi.band_finder import (
    PROFILE_BINS,
    PROFILE_SPAN,
    Bands,
    find_bands,
)
from napari_diffraction.patterns.stack import KikuchiGeometry

if TYPE_CHECKING:
    from napari_diffraction.patterns.stack import PatternStack

#: Greatest number of bands that are looked at, in the smaller square and in the larger.
BANDS = (16, 24)
#: The number of pixels behind a profile is told at every so many of its values.
_COARSE = 4
#: Taken where nothing is known of the pattern centre, in Bruker's convention.
USUAL_CENTRE = (0.5, 0.35, 0.6)
#: Sine of the angle to its plane to which a band is drawn (standard deviation).
_HALF_WIDTH = 0.025
#: What the card of a model keeps, so that it is never used with other preprocessing.
PREPROCESSING: dict[str, Any] = {
    **bravais_view.PREPROCESSING,
    "bands": list(BANDS),
    "profile": PROFILE_BINS,
    "span": PROFILE_SPAN,
}


def measure(frames: Tensor, lit: Tensor, pc: NDArray[np.float32]) -> Bands:
    """Scale frames to a square, even background and contrast out, and find the bands.

    Parameters
    ----------
    frames : Tensor, (n, h, w)
        Intensities on any scale, NaN and infinity counting as masked.
    lit : Tensor, (n, h, w) or (h, w)
        1 where the screen is lit, 0 behind a mask; one for all frames is quicker.
    pc : ndarray, (n, 3) or (1, 3)
        Pattern centre as fractions of the square's side.
    """
    return _find(*flat(frames, lit), np.asarray(pc, np.float32))


def _find(
    pictures: NDArray[np.float32], weights: NDArray[np.float32], pc: NDArray[np.float32]
) -> Bands:
    most = BANDS[bravais_view.SIDES.index(pictures.shape[-1])]
    return find_bands(pictures, weights, pc, most)


def flat(
    frames: Tensor, lit: Tensor, side: int = 0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """First part of `measure`: pictures (n, s, s) of even contrast, and weights.

    Parameters
    ----------
    frames, lit
        See there.
    side
        Of the square; 0: by the number of pixels.
    """
    x, weight = bravais_view.shrink(frames, lit, side)
    x = bravais_view.flatten(x, weight)[:, 0]
    area = weight.sum(dim=(1, 2), keepdim=True).clamp_min(1)
    x = x / torch.sqrt((x * x).sum(dim=(1, 2), keepdim=True) / area).clamp_min(1e-6)
    return x.numpy(), weight.numpy()


def as_inputs(bands: Bands) -> tuple[Tensor, ...]:
    """Make the inputs of `napari_diffraction.learning.networks.band_network.BandNetwork`."""
    area = np.ascontiguousarray(bands.area[..., ::_COARSE])
    values = (bands.normal, bands.strength, bands.profile, area, bands.count)
    return tuple(torch.from_numpy(value) for value in values)


def centre_in_square(
    pc: tuple[float, float, float], shape: tuple[int, int]
) -> tuple[float, float, float]:
    """Convert a pattern centre of a frame to that of the square in which the frame stands."""
    top, left, height, width = bravais_view.shown_part(shape)
    return left + pc[0] * width, top + pc[1] * height, pc[2] * height


def looker(
    stack: PatternStack,
) -> Callable[[NDArray[Any]], tuple[Tensor, Tensor, tuple[float, float, float]]]:
    """Find mask and static background of a scan; return what prepares one of its frames.

    Returns
    -------
    callable
        Takes a frame (h, w); returns it, binned and with the static background divided out, where
        the screen is lit, and the pattern centre in the square.
    """
    look = bravais_view.looker(stack)
    known = stack.geometry.pc if isinstance(stack.geometry, KikuchiGeometry) else None
    centre = centre_in_square(known or USUAL_CENTRE, stack.frame_shape)
    return lambda frame: (*look(frame), centre)


def tensors(
    seen: Sequence[tuple[Tensor, Tensor, tuple[float, float, float]]],
) -> tuple[Tensor, ...]:
    """Make the network's inputs from what the looker gave for several frames."""
    frames, lit, centres = zip(*seen, strict=True)
    one_mask = all(one is lit[0] for one in lit)
    one_centre = all(one == centres[0] for one in centres)
    pc = np.array(centres[:1] if one_centre else centres, np.float32)
    return as_inputs(measure(torch.stack(frames), lit[0] if one_mask else torch.stack(lit), pc))


def drawn(seen: tuple[Tensor, Tensor, tuple[float, float, float]]) -> Tensor:
    """Where the bands of a frame lie in the square, the sum over each being 1.

    Parameters
    ----------
    seen
        What the looker gave.

    Returns
    -------
    Tensor of float32, (1, k, s, s)
        Zeros beyond the last band.
    """
    frame, lit, pc = seen
    pictures, weights = flat(frame[None], lit)
    found = _find(pictures, weights, np.array([pc], np.float32))
    at = (np.arange(pictures.shape[-1]) + 0.5) / pictures.shape[-1]
    x, y = np.meshgrid((at - pc[0]) / pc[2], (pc[1] - at) / pc[2])
    direction = np.stack([x, y, np.ones_like(x)]) / np.sqrt(x * x + y * y + 1)
    sine = np.einsum("kj,jhw->khw", found.normal[0], direction)
    place = np.exp(-0.5 * (sine / _HALF_WIDTH) ** 2) * weights[0]
    place[found.count[0] :] = 0
    place /= np.maximum(place.sum(axis=(1, 2), keepdims=True), 1e-6)
    return torch.from_numpy(place[None].astype(np.float32))
