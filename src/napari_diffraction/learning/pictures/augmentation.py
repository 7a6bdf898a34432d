"""What is done to pictures at random while a network learns from them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from napari_diffraction.learning.pictures.recipe import Augmentation


def augmented(picture: Tensor, how: Augmentation) -> Tensor:
    """Change every picture at random; the random numbers are those of torch.

    Parameters
    ----------
    picture : Tensor, (n, 1, size, size)
        From 0 to 255.
    how
        What may be done.

    Returns
    -------
    Tensor of float32, (n, 1, size, size)
    """
    out = picture.float()
    if how.mirror:
        out = _where(_half(out), out.flip(-1), out)
    if how.quarters:
        out = _where(_half(out), out.flip(-2), out)
        out = _where(_half(out), out.transpose(-1, -2), out)
    if how.turn or how.shift or how.scale:
        out = _moved(out, how)
    if how.contrast:
        gain, offset = (1 + how.contrast * _even(out)), 255 * how.contrast * _even(out) / 2
        out = out * gain + offset
    if how.noise:
        strength = 255 * how.noise * _even(out).abs()
        out = out + strength * torch.randn_like(out)
    return out.clamp(0, 255)


def _even(like: Tensor) -> Tensor:
    """Random numbers from -1 to 1, one a picture."""
    return 2 * torch.rand(len(like), 1, 1, 1, device=like.device) - 1


def _half(like: Tensor) -> Tensor:
    return _even(like) < 0


def _where(chosen: Tensor, one: Tensor, other: Tensor) -> Tensor:
    return torch.where(chosen, one, other)


def _moved(picture: Tensor, how: Augmentation) -> Tensor:
    """Turn, scale and shift about the middle; what comes in from outside is black."""
    angle = math.radians(how.turn) * _even(picture).flatten()
    scale = torch.exp(math.log1p(how.scale) * _even(picture).flatten())
    move = torch.stack([2 * how.shift * _even(picture).flatten() for _ in range(2)], 1)
    cos, sin = torch.cos(angle) / scale, torch.sin(angle) / scale
    rows = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    matrix = torch.cat([rows, move[:, :, None]], dim=2)
    grid = functional.affine_grid(matrix, list(picture.shape), align_corners=False)
    return functional.grid_sample(picture, grid, align_corners=False)
