"""Kikuchi bands and detectors in torch: the same formulas on the CPU and on a graphics card.

The numba twin of `bands` is `napari_diffraction.simulation.kikuchi.bands`.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from napari_diffraction.simulation.kikuchi.effects import COLUMNS

#: Columns of the rows of numbers that `bands` takes, in order.
PROFILE = ("wavelength", "width", "floor", "power", "plate", "excess", "saturation", "dip")


def wavelength(voltage: Tensor) -> Tensor:
    """Relativistic electron wavelength in A, voltage in kV (Reimer 1993, eq. 2.12)."""
    volts = 1e3 * voltage
    return 12.2643 / torch.sqrt(volts * (1 + 0.97845e-6 * volts))


def pixel_directions(pc: Tensor, shape: tuple[int, int]) -> Tensor:
    """Unit directions from the sample to the pixels, in the detector's frame.

    Parameters
    ----------
    pc : Tensor, (n, 3)
        Pattern centre in Bruker's convention: from the left over the width, from the top over the
        height, distance over the height.
    shape
        Height and width in pixels.

    Returns
    -------
    Tensor, (n, h * w, 3)
        x to the right, y up, z from the sample to the screen.
    """
    h, w = shape
    columns = (torch.arange(w, device=pc.device) + 0.5) / w
    rows = (torch.arange(h, device=pc.device) + 0.5) / h
    x = (columns[None, :] - pc[:, :1]) * (w / h) / pc[:, 2:]
    y = (pc[:, 1:2] - rows[None, :]) / pc[:, 2:]
    x = x[:, None, :].expand(-1, h, -1)
    y = y[:, :, None].expand(-1, -1, w)
    length = torch.rsqrt(x * x + y * y + 1)
    return torch.stack([x * length, y * length, length], dim=-1).flatten(1, 2)


def bands(
    normal: Tensor,
    g: Tensor,
    u: Tensor,
    rotation: Tensor,
    pc: Tensor,
    profile: Tensor,
    beam: Tensor,
    shape: tuple[int, int],
    pixel: float = 0.0,
) -> Tensor:
    """Sum the two-beam profiles of the bands of each pattern.

    The edges have the profile w / (1 + w^2) of two-beam theory with absorption (Reimer 1998,
    section 9.1), w being the deviation over the angular width lambda U_g / g of the reflection,
    less the dark line dip / (1 + w^2) that normal absorption leaves at the Bragg position.

    Parameters
    ----------
    normal : Tensor, (n, k, 3)
        Unit vectors of the reflections in the crystal's Cartesian frame.
    g, u : Tensor, (n, k)
        |g| in 1/A and |U_g| in 1/A^2; ``u = 0`` fills up short lists.
    rotation : Tensor, (n, 3, 3)
        Turns directions of the detector's frame into the crystal's.
    pc : Tensor, (n, 3)
        Pattern centre, see `pixel_directions`.
    profile : Tensor, (n, 8)
        Numbers named in `PROFILE`.
    beam : Tensor, (n, 3)
        Unit direction in which the beam travels, in the detector's frame.
    shape
        Height and width in pixels.
    pixel
        Half width of a pixel's response in pixels; 0 samples the middle of each.

    Returns
    -------
    Tensor of float32, (n, h, w)
    """
    length, width, floor, power, plate, excess, saturation, dip = profile.unbind(1)
    mine = torch.einsum("nki,nij->nkj", normal, rotation)
    t = (0.5 * length[:, None] * g).clamp_min(1e-6)
    own = floor[:, None] + width[:, None] * length[:, None] * u / g.clamp_min(1e-6)
    # A Lorentzian pixel makes of such a line a wider and weaker one of the same form.
    inverse = 1 / (own + pixel / (shape[0] * pc[:, 2:]))
    strongest = u.amax(dim=1, keepdim=True).clamp_min(1e-12)
    a = torch.where(u > 0, (u / strongest) ** power[:, None], torch.zeros_like(u))
    edge, hat = a * (1 - plate[:, None]) * own * inverse, 0.5 * a * plate[:, None]
    # Electrons mostly go on along the beam: the edge away from it gains, the other one loses.
    asymmetric = -a * excess[:, None] * torch.einsum("nki,ni->nk", mine, beam)
    direction = pixel_directions(pc, shape)
    total = _sum_profiles(mine, direction, t, inverse, edge, hat, asymmetric, dip)
    scale = torch.sqrt((a * a).sum(dim=1, keepdim=True)).clamp_min(1e-6)
    total = total / (1 + saturation[:, None] * total.abs() / scale)
    return total.reshape(-1, *shape)


def _sum_profiles(
    normal: Tensor,
    direction: Tensor,
    t: Tensor,
    inverse: Tensor,
    edge: Tensor,
    hat: Tensor,
    asymmetric: Tensor,
    dip: Tensor,
) -> Tensor:
    """Sum over the reflections; in chunks where nothing fuses the steps into one kernel."""
    if torch.compiler.is_compiling():
        return _profiles(normal, direction, t, inverse, edge, hat, asymmetric, dip).sum(dim=1)
    total = torch.zeros(direction.shape[:2], device=direction.device)
    budget = 2**27 if normal.is_cuda else 2**20
    step = max(1, budget // total.numel())
    for i in range(0, normal.shape[1], step):
        some = slice(i, i + step)
        ours: list[Any] = [v[:, some] for v in (t, inverse, edge, hat, asymmetric)]
        ours.append(dip)
        total += _profiles(normal[:, some], direction, *ours).sum(dim=1)
    return total


def _profiles(
    normal: Tensor,
    direction: Tensor,
    t: Tensor,
    inverse: Tensor,
    edge: Tensor,
    hat: Tensor,
    asymmetric: Tensor,
    dip: Tensor,
) -> Tensor:
    """Profile of each band at each pixel, (n, k, pixels)."""
    x = (
        normal[:, :, 0, None] * direction[:, None, :, 0]
        + normal[:, :, 1, None] * direction[:, None, :, 1]
        + normal[:, :, 2, None] * direction[:, None, :, 2]
    )
    plus = (t[:, :, None] - x) * inverse[:, :, None]
    minus = (t[:, :, None] + x) * inverse[:, :, None]
    r_plus, r_minus = torch.rsqrt(1 + plus * plus), torch.rsqrt(1 + minus * minus)
    y = x / t[:, :, None]
    low = dip[:, None, None]
    return (
        edge[:, :, None] * ((plus - low) * r_plus * r_plus + (minus - low) * r_minus * r_minus)
        + hat[:, :, None] * (plus * r_plus + minus * r_minus)
        + asymmetric[:, :, None] * y * torch.exp(-y * y)
    )


def random_rotations(n: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Uniform random rotation matrices, (n, 3, 3), from random quaternions (Shoemake 1992)."""
    q = torch.randn(n, 4, generator=generator, device=device)
    w, x, y, z = (q / q.norm(dim=1, keepdim=True)).unbind(1)
    rows = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        *(2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        *(2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def degrade(
    clean: Tensor, rows: Tensor, generator: torch.Generator, other: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Turn band sums into what a camera records.

    Parameters
    ----------
    clean : Tensor, (n, h, w)
        Band sums; all zeros where there is no pattern.
    rows : Tensor, (n, n_effects)
        Numbers of `napari_diffraction.simulation.kikuchi.effects.KikuchiEffects`, in the order of
        `COLUMNS`.
    generator
        Source of randomness, on the same device.
    other : Tensor, (n, h, w), optional
        Patterns of the neighbouring grains; by default those of the next ones in the batch.

    Returns
    -------
    frames : Tensor of float32, (n, h, w)
        Intensities, the mean background being about 1.
    lit : Tensor of float32, (n, h, w)
        1 where the screen is lit, 0 behind the mask.
    """
    n, h, w = clean.shape
    device = clean.device
    of = {name: rows[:, i, None, None] for i, name in enumerate(COLUMNS)}
    x = (2 * (torch.arange(w, device=device) + 0.5) / w - 1)[None, None, :]
    y = (2 * (torch.arange(h, device=device) + 0.5) / h - 1)[None, :, None]
    lit = _lit(of, x, y)
    signal = standardised(clean, lit)
    other = signal.roll(1, 0) if other is None else standardised(other, lit)
    share = of["overlap"]
    signal = (1 - share) * signal + share * other
    signal = signal - of["ghost"] * other.roll(1, 0)
    side = max(h, w)
    # The screen blurs, the camera bins: both are small matrices on either side of the picture.
    bin_y, bin_x = _binning(of["pixels"] * h / side, h), _binning(of["pixels"] * w / side, w)
    soft_y, soft_x = _blurring(of["blur"] * side, h), _blurring(of["blur"] * side, w)
    signal = (bin_y @ soft_y) @ signal @ (bin_x @ soft_x).mT
    dome = _bell(y - of["dome_y"], of["dome_width"]) * _bell(x - of["dome_x"], of["dome_width"])
    light = (1 - of["dome"]) + of["dome"] * dome
    light = light * (1 - of["vignetting"] * (x * x + y * y) / 2).clamp_min(0.02)
    light = light + of["residual"] * _smooth_field(n, h, w, generator, device)
    light = light.clamp_min(0.03)
    frames = light * (1 + of["contrast"] * signal).clamp_min(0.02)
    noise = torch.randn(n, h, w, generator=generator, device=device)
    frames = frames + of["noise"] * torch.sqrt(frames) * _unit(bin_y @ noise @ bin_x.mT)
    soft_y = _blurring(of["grain_size"] * side, h)
    soft_x = _blurring(of["grain_size"] * side, w)
    grain = torch.randn(n, h, w, generator=generator, device=device)
    frames = frames + light * of["grain"] * _unit(soft_y @ grain @ soft_x.mT)
    frames = frames * (1 + of["gain"] * torch.randn(n, h, w, generator=generator, device=device))
    stripes = torch.randn(n, h, 1, generator=generator, device=device)
    frames = frames + of["stripes"] * stripes
    frames = frames - of["dust"] * light * _spots(n, h, w, generator, device)
    dots = torch.rand(n, h, w, generator=generator, device=device)
    frames = torch.where(dots < of["dead"], torch.zeros_like(frames), frames)
    frames = torch.where(dots > 1 - of["dead"], 2.5 * torch.ones_like(frames), frames)
    frames = torch.sign(frames) * (frames.abs() + 1e-6) ** of["gamma"]
    step = of["step"].clamp_min(1e-6)
    frames = torch.where(of["step"] > 0, torch.round(frames / step) * step, frames)
    frames = torch.minimum(frames, of["ceiling"])
    frames = torch.where(lit > 0, frames, of["outside"].expand_as(frames))
    return frames, lit


def _lit(of: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """Where the screen is lit: within a circle and within a rectangle."""
    inside = (x - of["mask_x"]) ** 2 + (y - of["mask_y"]) ** 2 < of["mask_radius"] ** 2
    inside = inside & (x.abs() <= of["half_width"]) & (y.abs() <= of["half_height"])
    return inside.float()


def standardised(picture: Tensor, lit: Tensor) -> Tensor:
    """Zero mean and unit deviation over the lit screen; empty patterns stay empty."""
    area = lit.sum(dim=(1, 2), keepdim=True).clamp_min(1)
    mean = (picture * lit).sum(dim=(1, 2), keepdim=True) / area
    centred = picture - mean
    deviation = torch.sqrt((centred**2 * lit).sum(dim=(1, 2), keepdim=True) / area)
    return torch.where(deviation > 1e-6, centred / deviation.clamp_min(1e-6), 0 * centred)


def _unit(picture: Tensor) -> Tensor:
    return picture / picture.std(dim=(1, 2), keepdim=True).clamp_min(1e-6)


def _blurring(sigma: Tensor, size: int) -> Tensor:
    """Matrices (n, size, size) that blur a line; deviation (n, 1, 1) in pixels."""
    at = torch.arange(size, device=sigma.device)
    weight = _bell(at.float(), sigma.clamp_min(1e-3)[:, 0])[:, (at[:, None] - at[None, :]).abs()]
    return weight / weight.sum(dim=2, keepdim=True)


def _bell(apart: Tensor, deviation: Tensor) -> Tensor:
    """Gaussian of height 1."""
    return torch.exp(-(apart**2) / (2 * deviation**2))


def _binning(pixels: Tensor, size: int) -> Tensor:
    """Matrices (n, size, size) that bin a line to fewer pixels and draw these in its own; 0: all.

    Interpolating linearly between binned pixels is close to a triangle of their width.
    """
    at = torch.arange(size, device=pixels.device, dtype=torch.float32)
    apart = (at[None, :, None] - at[None, None, :]).abs()
    wide = torch.where(pixels > 0, size / pixels.clamp_min(1), torch.ones_like(pixels))
    weight = (1 - apart / wide.clamp_min(1)).clamp_min(0)
    return weight / weight.sum(dim=2, keepdim=True)


def _smooth_field(
    n: int, h: int, w: int, generator: torch.Generator, device: torch.device
) -> Tensor:
    """Smooth random fields of about unit deviation."""
    coarse = torch.randn(n, 5, 5, generator=generator, device=device)
    return _unit(_spread(5, h, device) @ coarse @ _spread(5, w, device).mT)


@lru_cache(maxsize=8)
def _spread(coarse: int, fine: int, device: torch.device) -> Tensor:
    """Matrix (fine, coarse) of the bicubic interpolation of a line."""
    lines = torch.eye(coarse, device=device)[None, :, :, None]
    wide = functional.interpolate(lines, (fine, 1), mode="bicubic", align_corners=True)
    return wide[0, :, :, 0].mT


def _spots(n: int, h: int, w: int, generator: torch.Generator, device: torch.device) -> Tensor:
    """Up to three round specks of dust of random size on each picture."""
    x = torch.linspace(-1, 1, w, device=device)
    y = torch.linspace(-1, 1, h, device=device)
    cx, cy, size, there = torch.rand(n, 3, 4, 1, generator=generator, device=device).unbind(2)
    size = 0.02 + 0.08 * size
    rows = _bell(y - 2 * cy + 1, size) * (there > 0.4)
    return rows.mT @ _bell(x - 2 * cx + 1, size)
