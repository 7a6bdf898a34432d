"""What the Bravais classifier looks at: one function, used alike in training and in use."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    from napari_diffraction.patterns.stack import PatternStack

#: Height and width of the square that the network sees: the smaller for frames of few pixels.
SIDES = (64, 128)
#: Background and contrast are taken over this share of the side (standard deviation).
_BACKGROUND = 0.11
_CONTRAST = 0.1
_CLIP = 4.0
#: What the card of a model keeps, so that it is never used with other preprocessing.
PREPROCESSING: dict[str, Any] = {
    "sides": list(SIDES),
    "surface": 4,
    "background": _BACKGROUND,
    "contrast": _CONTRAST,
    "clip": _CLIP,
}
#: Frames are averaged over blocks down to at least this before anything else.
_ENOUGH = 128
#: No frame is so many times as wide as it is high, or the other way round.
_NARROWEST = 32


def side_of(shape: Sequence[int]) -> int:
    """Side of the square to which a frame of a height and a width is scaled."""
    return SIDES[0] if max(shape) <= SIDES[0] else SIDES[1]


def standardise(frames: Tensor, lit: Tensor) -> Tensor:
    """Scale frames to the network's square and take out background and local contrast.

    What lies behind the mask is weighted out of every step (normalised convolution) and is never
    cropped or filled, as a crop changes the zoom and a filling has a look of its own.

    Parameters
    ----------
    frames : Tensor, (n, h, w)
        Intensities on any scale, NaN and infinity counting as masked.
    lit : Tensor, (n, h, w) or (h, w)
        1 where the screen is lit, 0 behind a mask; one for all frames is quicker.

    Returns
    -------
    Tensor of float32, (n, 2, s, s)
        The flattened pattern, 0 where nothing is lit, and the weight of each pixel.
    """
    return flatten(*shrink(frames, lit))


def shrink(frames: Tensor, lit: Tensor, side: int = 0) -> tuple[Tensor, Tensor]:
    """First half of `standardise`: scale to the square.

    Parameters
    ----------
    frames, lit
        See there.
    side
        Of the square; 0: as `side_of` says.

    Returns
    -------
    x, weight : Tensor of float32, (n, s, s)
        The weight is (1, s, s) where one is for all frames.
    """
    side = side or side_of(frames.shape[1:])
    frames = frames.float()
    weight = lit.float()
    if weight.ndim == 2:
        weight = weight[None]
    finite = torch.isfinite(frames)
    if len(weight) == len(frames) or not finite.all():
        weight = weight * finite
    frames = torch.nan_to_num(frames, nan=0.0, posinf=0.0, neginf=0.0)
    area = weight.sum(dim=(1, 2), keepdim=True).clamp_min(1)
    mean = (frames * weight).sum(dim=(1, 2), keepdim=True) / area
    centred = (frames - mean) * weight
    spread = torch.sqrt((centred**2).sum(dim=(1, 2), keepdim=True) / area)
    centred = centred / spread.clamp_min(1e-12)
    centred, weight = _letterboxed(centred, side), _letterboxed(weight, side)
    # Both were blurred alike by the scaling: their ratio is the mean over the lit pixels.
    x = torch.where(weight > 0.3, centred / weight.clamp_min(0.3), torch.zeros_like(centred))
    weight = _eroded(weight > 0.9).float()
    return x * weight, weight


def flatten(x: Tensor, weight: Tensor) -> Tensor:
    """Second half of `standardise`: take out background and local contrast.

    Returns
    -------
    Tensor of float32, (n, 2, s, s)
    """
    # A camera's dome is steep beside the bands: a surface first, then the neighbourhood, as a mean
    # over the neighbourhood alone leaves a rim behind; specks of dust must not pull at it.
    x = _clipped(x - _surface(x, weight), weight)
    for _ in range(2):
        x = (x - _blur(x, weight, _BACKGROUND)) * weight
    x = _clipped(x, weight)
    local = torch.sqrt(_blur(x * x, weight, _CONTRAST) + 1e-6)
    x = (x / local).clamp(-_CLIP, _CLIP) * weight
    return torch.stack([x, weight.expand_as(x)], dim=1)


def _letterboxed(pictures: Tensor, side: int) -> Tensor:
    """Scale pictures to fit the square, the rest being 0."""
    h, w = pictures.shape[1:]
    if (h, w) == (side, side):
        return pictures
    scale = side / max(h, w)
    shape = (max(1, round(h * scale)), max(1, round(w * scale)))
    small = functional.interpolate(
        pictures[:, None], shape, mode="bilinear", antialias=True, align_corners=False
    )[:, 0]
    top, left = (side - shape[0]) // 2, (side - shape[1]) // 2
    return functional.pad(small, (left, side - shape[1] - left, top, side - shape[0] - top))


def _clipped(x: Tensor, weight: Tensor) -> Tensor:
    """Clip a picture of zero mean at four times its deviation."""
    area = weight.sum(dim=(1, 2), keepdim=True).clamp_min(1)
    x = x * weight
    limit = _CLIP * torch.sqrt((x * x).sum(dim=(1, 2), keepdim=True) / area)
    return torch.minimum(torch.maximum(x, -limit), limit)


@lru_cache(maxsize=4)
def _powers(side: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Legendre polynomials of the square up to degree 4, (15, pixels), and their products."""
    at = torch.linspace(-1, 1, side, device=device)
    one = [torch.ones_like(at), at]
    for n in range(1, 4):
        one.append(((2 * n + 1) * at * one[n] - n * one[n - 1]) / (n + 1))
    basis = torch.stack(
        [(one[i][:, None] * one[j][None, :]).flatten() for i in range(5) for j in range(5 - i)]
    )
    return basis, (basis[:, None] * basis[None, :]).flatten(0, 1)


def _surface(x: Tensor, weight: Tensor) -> Tensor:
    """Polynomial of degree 4 fitted to the lit pixels by least squares."""
    basis, products = _powers(x.shape[-1], x.device)
    k = len(basis)
    weights = weight.flatten(1)
    normal = (weights @ products.T).reshape(-1, k, k) + torch.eye(k, device=x.device)
    right = (x.flatten(1) * weights) @ basis.T
    fitted: Tensor = torch.linalg.solve_ex(normal, right[:, :, None]).result[:, :, 0]
    return (fitted @ basis).reshape(x.shape)


def _eroded(lit: Tensor) -> Tensor:
    """Take one pixel off the lit area, but not at the frame's own edge."""
    dark = (~lit).float()[:, None]
    return functional.max_pool2d(dark, 3, stride=1, padding=1)[:, 0] == 0


@lru_cache(maxsize=8)
def _kernel(share: float, side: int, device: torch.device) -> Tensor:
    at = torch.arange(side, device=device, dtype=torch.float32)
    return torch.exp(-((at[:, None] - at[None, :]) ** 2) / (2 * (share * side) ** 2))


def _blur(picture: Tensor, weight: Tensor, share: float) -> Tensor:
    """Mean over the neighbourhood, weighted."""
    matrix = _kernel(share, picture.shape[-1], picture.device)
    total = matrix @ (picture * weight) @ matrix
    return total / (matrix @ weight @ matrix).clamp_min(1e-3)


def looker(stack: PatternStack) -> Callable[[NDArray[Any]], tuple[Tensor, Tensor]]:
    """Find mask and static background of a scan; return what prepares one of its frames.

    Returns
    -------
    callable
        Takes a frame (h, w); returns it, binned and with the static background divided out, and
        where the screen is lit.

    Raises
    ------
    InputError
        The frames are much too narrow for Kikuchi patterns, or none can be read.
    """
    from napari_diffraction.learning.networks.found_backgrounds import background_of_stack

    height, width = stack.frame_shape
    if max(height, width) > _NARROWEST * min(height, width):
        raise InputError(
            f"Frames of {height} x {width} pixels are too narrow for Kikuchi patterns: choose "
            "another dataset of the file."
        )
    background = background_of_stack(stack)
    lit = background.mask.astype(np.float32)
    gain: NDArray[Any] = np.ones_like(background.mean)
    if background.usable:
        floor = 0.02 * float(background.mean[background.mask].mean())
        gain = 1 / np.maximum(background.mean, max(floor, 1e-6))

    bins = max(1, max(lit.shape) // _ENOUGH)
    shown = torch.from_numpy((_binned(lit, bins) > 0.99).astype(np.float32))

    def look(frame: NDArray[Any]) -> tuple[Tensor, Tensor]:
        values = frame.astype(np.float32)
        return torch.from_numpy(_binned(values * gain, bins)), shown

    return look


def _binned(frame: NDArray[Any], bins: int) -> NDArray[Any]:
    if bins == 1:
        return frame
    h, w = (n // bins * bins for n in frame.shape)
    blocks = frame[:h, :w].reshape(h // bins, bins, w // bins, bins)
    return np.asarray(blocks.mean(axis=(1, 3)))


def shown_part(shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Where a frame stands in the square: top, left, height and width as shares of its side."""
    bins = max(1, max(shape) // _ENOUGH)
    binned = [size // bins for size in shape]
    side = side_of(binned)
    h, w = (max(1, round(size * side / max(binned))) for size in binned)
    return (side - h) // 2 / side, (side - w) // 2 / side, h / side, w / side


def square_places(shape: tuple[int, int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the rows and columns of a frame lie in the network's square.

    Parameters
    ----------
    shape
        Height and width of the frame.

    Returns
    -------
    rows, columns : ndarray, (h,) and (w,)
        In pixels of the square.
    """
    bins = max(1, max(shape) // _ENOUGH)
    binned = [size // bins for size in shape]
    side = side_of(binned)
    scale = side / max(binned)
    places = []
    for size, small in zip(shape, binned, strict=True):
        shown = max(1, round(small * scale))
        at = (np.arange(size) + 0.5) / bins * shown / small - 0.5
        places.append(at + (side - shown) // 2)
    return places[0], places[1]


def tensors(seen: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, ...]:
    """Make the network's input from what the looker gave for several frames."""
    frames, lit = zip(*seen, strict=True)
    alike = all(one is lit[0] for one in lit)
    return (standardise(torch.stack(frames), lit[0] if alike else torch.stack(lit)),)
