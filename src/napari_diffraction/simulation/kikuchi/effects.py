"""What a camera does to a Kikuchi pattern; every effect is a number, off by default."""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.simulation.conditions import setting


@dataclass(frozen=True)
class KikuchiEffects:
    """Camera and sample effects of one Kikuchi pattern.

    Positions run from -1 to 1 over the frame, x to the right and y down; intensities are relative
    to the mean background.
    """

    contrast: float = setting(1.0, "of background", 0.0, 2.0, "Deviation of the bands")
    noise: float = setting(0.0, "of background", 0.0, 1.0, "Shot noise of a pixel")
    grain: float = setting(0.0, "of background", 0.0, 1.0, "Noise that is correlated over pixels")
    grain_size: float = setting(0.01, "of width", 0.001, 0.1, "Correlation length of that noise")
    gain: float = setting(0.0, "relative", 0.0, 0.3, "Deviation of the pixels' gain")
    blur: float = setting(0.0, "of width", 0.0, 0.05, "Blur of the screen, standard deviation")
    pixels: float = setting(0.0, "px", 0.0, 512.0, "Pixels over the width after binning; 0: all")
    dome: float = setting(0.0, "", 0.0, 1.0, "Depth of the background's dome")
    dome_x: float = setting(0.0, "", -1.0, 1.0, "Centre of the dome, x")
    dome_y: float = setting(0.0, "", -1.0, 1.0, "Centre of the dome, y")
    dome_width: float = setting(1.0, "", 0.2, 4.0, "Width of the dome, standard deviation")
    vignetting: float = setting(0.0, "", 0.0, 1.0, "Loss of light at the corners")
    residual: float = setting(
        0.0, "of background", 0.0, 1.0, "Smooth remains of a bad static background"
    )
    ghost: float = setting(
        0.0, "of contrast", 0.0, 1.0, "Other patterns left behind by a bad static background"
    )
    overlap: float = setting(0.0, "", 0.0, 0.5, "Share of the neighbouring grain's pattern")
    dead: float = setting(0.0, "of pixels", 0.0, 0.1, "Dead pixels, and as many hot ones")
    dust: float = setting(0.0, "of background", 0.0, 1.0, "Darkness of specks of dust")
    stripes: float = setting(0.0, "of background", 0.0, 0.5, "Deviation of the rows")
    gamma: float = setting(1.0, "", 0.3, 3.0, "Exponent of the camera's response")
    step: float = setting(0.0, "of background", 0.0, 0.2, "Step of the digitisation; 0: none")
    ceiling: float = setting(
        1e6, "of background", 0.0, 1e6, "Intensity at which the camera saturates"
    )
    mask_x: float = setting(0.0, "", -1.0, 1.0, "Centre of the round mask, x")
    mask_y: float = setting(0.0, "", -1.0, 1.0, "Centre of the round mask, y")
    mask_radius: float = setting(10.0, "", 0.1, 10.0, "Radius of the round mask")
    half_width: float = setting(1.0, "", 0.1, 1.0, "Half width of the lit rectangle")
    half_height: float = setting(1.0, "", 0.1, 1.0, "Half height of the lit rectangle")
    outside: float = setting(0.0, "of background", 0.0, 3.0, "Intensity behind the mask")

    def row(self) -> NDArray[np.float32]:
        """Return the numbers in the order of `COLUMNS`."""
        return np.array(astuple(self), dtype=np.float32)


COLUMNS = tuple(item.name for item in fields(KikuchiEffects))


def realistic_rows(
    n: int, rng: np.random.Generator, hardness: float | NDArray[np.floating] = 1.0
) -> NDArray[np.float32]:
    """Draw the effects of ``n`` patterns from the range of real cameras.

    Parameters
    ----------
    n
        Number of patterns.
    rng
        Source of randomness.
    hardness
        One number or one for each pattern: 1 is the full range, 0 a nearly perfect camera.

    Returns
    -------
    ndarray of float32, (n, n_effects)
        Rows for `napari_diffraction.simulation.kikuchi.torch_bands.degrade`.
    """
    hard = np.broadcast_to(np.asarray(hardness, dtype=float), n)

    def uniform(low: float, high: float) -> NDArray[Any]:
        return rng.uniform(low, high, n)

    def log(low: float, high: float) -> NDArray[Any]:
        return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), n)))

    def some(share: float, values: NDArray[Any], otherwise: float = 0.0) -> NDArray[Any]:
        return np.where(rng.uniform(size=n) < share * hard, values, otherwise)

    columns = {name: np.full(n, value) for name, value in zip(COLUMNS, OFF, strict=True)}
    contrast = log(0.025, 0.4)
    columns["contrast"] = contrast
    # What counts is the noise beside the bands: a third of their deviation is a good pattern.
    columns["noise"] = contrast * log(0.05, 1.0) * (0.2 + 1.4 * hard)
    columns["grain"] = contrast * some(0.5, hard * uniform(0.0, 0.7))
    columns["grain_size"] = log(0.004, 0.04)
    columns["gain"] = contrast * some(0.3, hard * uniform(0.0, 0.4))
    columns["blur"] = some(0.7, uniform(0.0, 0.014))
    columns["pixels"] = some(0.4, log(40, 96))
    columns["dome"] = some(1.0, uniform(0.1, 0.95))
    columns["dome_x"], columns["dome_y"] = rng.normal(0, 0.25, n), rng.normal(0, 0.35, n)
    columns["dome_width"] = log(0.35, 1.5)
    columns["vignetting"] = some(0.4, uniform(0.0, 0.8))
    columns["residual"] = contrast * some(0.4, hard * uniform(0.0, 1.5))
    columns["ghost"] = some(0.15, hard * uniform(0.0, 0.35))
    columns["overlap"] = some(0.12, hard * uniform(0.0, 0.38))
    columns["dead"] = some(0.2, log(1e-4, 4e-3))
    columns["dust"] = some(0.25, log(0.02, 0.5))
    columns["stripes"] = contrast * some(0.1, hard * uniform(0.0, 0.3))
    columns["gamma"] = 1 + 0.4 * hard * uniform(-1.0, 1.0)
    columns["step"] = contrast * some(0.3, log(0.02, 0.5))
    columns["ceiling"] = some(0.15, 1 + contrast * uniform(1.0, 3.0), 1e6)
    round_mask = rng.uniform(size=n) < 0.45 * hard
    columns["mask_radius"] = np.where(round_mask, uniform(0.78, 1.25), 10.0)
    columns["mask_x"] = np.where(round_mask, rng.normal(0, 0.05, n), 0.0)
    columns["mask_y"] = np.where(round_mask, rng.normal(0, 0.05, n), 0.0)
    # Frames that are wider than high, or higher than wide, stand in a square.
    aspect = some(0.55, rng.choice([3 / 4, 0.77, 0.82, 0.65, 1.0], n), 1.0)
    wide = rng.uniform(size=n) < 0.85
    columns["half_height"] = np.where(wide, aspect, 1.0)
    columns["half_width"] = np.where(wide, 1.0, aspect)
    columns["outside"] = some(0.2, uniform(0.0, 2.0))
    return np.stack([columns[name] for name in COLUMNS], axis=1).astype(np.float32)


OFF = astuple(KikuchiEffects())
