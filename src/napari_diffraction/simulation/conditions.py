"""What can be set in a simulation of spot patterns, every setting with its unit and meaning."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.reflections import INTENSITY_MODELS
from napari_diffraction.errors import InputError


def setting(default: Any, unit: str, low: float, high: float, tip: str) -> Any:
    """Declare a setting with its unit, its range and what it means."""
    return field(default=default, metadata={"unit": unit, "range": (low, high), "tip": tip})


def check_settings(settings: Any) -> None:
    """Raise `InputError` for a number outside the range of its setting."""
    for item in fields(settings):
        value = getattr(settings, item.name)
        if "range" not in item.metadata:
            continue
        low, high = item.metadata["range"]
        if not low <= value <= high:
            unit = item.metadata["unit"]
            raise InputError(
                f"The setting {item.name} is {value:g}, outside {low:g} to {high:g}"
                f"{' ' + unit if unit else ''}: give a value in this range."
            )


@dataclass(frozen=True)
class SpotConditions:
    """How the crystal meets the beam.  The defaults are those of Gorelik et al. (2025)."""

    wavelength: float = setting(
        0.0251, "A", 0.005, 0.1, "Electron wavelength: 0.0251 A at 200 kV, 0.0197 A at 300 kV"
    )
    resolution: float = setting(
        1.0, "A", 0.2, 20.0, "Smallest plane spacing that still gives spots"
    )
    excitation_error: float = setting(
        0.01, "1/A", 1e-4, 0.1, "Reflections this close to the Ewald sphere are excited"
    )
    intensities: str = field(
        default="equal",
        metadata={
            "choices": INTENSITY_MODELS,
            "tip": "equal: all spots alike; random: Wilson statistics; "
            "kinematical: |F|^2 of a random structure",
        },
    )
    falloff: float = setting(
        0.0, "A^2", 0.0, 50.0, "Overall B factor: how fast intensities fall with resolution"
    )
    rocking: bool = field(
        default=False,
        metadata={"tip": "Weaken a reflection with its distance from the Ewald sphere"},
    )
    in_plane: bool = field(
        default=False, metadata={"tip": "Turn every pattern about the beam by a random angle"}
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.intensities not in INTENSITY_MODELS:
            raise InputError(
                f"Unknown intensities '{self.intensities}': "
                f"use one of {', '.join(INTENSITY_MODELS)}."
            )


@dataclass(frozen=True)
class DetectorEffects:
    """How the camera sees the spots.  Every effect is off by default.

    With `signal` 0 the image is black and white, 0 and 255, as in Gorelik et al. (2025), and shows
    no backgrounds, noise and bad pixels; with a signal it is in counts.
    """

    extent: float = setting(
        0.95, "", 0.1, 5.0, "Radius of the resolution limit over half the frame; >1 is clipped"
    )
    spot_radius: float = setting(1.5, "px", 0.3, 40.0, "Radius of a spot")
    spot_softness: float = setting(0.0, "", 0.0, 1.0, "0: discs with a hard edge; 1: Gaussians")
    central_radius: float = setting(2.5, "px", 0.0, 100.0, "Radius of the direct beam; 0: none")
    signal: float = setting(
        0.0, "counts", 0.0, 1e6, "Brightness of a spot of mean intensity; 0: black and white"
    )
    central_signal: float = setting(
        10.0, "", 0.0, 1e5, "Brightness of the direct beam over that of a mean spot"
    )
    background: float = setting(0.0, "counts", 0.0, 1e5, "Even background")
    halo: float = setting(0.0, "counts", 0.0, 1e6, "Inelastic background at the direct beam")
    halo_width: float = setting(
        0.2, "", 0.01, 2.0, "Radius over half the frame at which the halo has fallen to a third"
    )
    carbon: float = setting(0.0, "counts", 0.0, 1e5, "Diffuse rings of amorphous carbon")
    ice: float = setting(0.0, "counts", 0.0, 1e5, "Sharp rings of hexagonal ice")
    poisson: bool = field(default=False, metadata={"tip": "Counting noise"})
    read_noise: float = setting(0.0, "counts", 0.0, 1e4, "Noise of the read-out, standard dev.")
    gain: float = setting(1.0, "", 1e-3, 1e3, "Detector units per count")
    offset: float = setting(0.0, "", -1e4, 1e5, "Detector units added to every pixel")
    saturation: float = setting(65535.0, "", 1.0, 65535.0, "Largest value the detector gives")
    hot_pixels: float = setting(
        0.0, "", 0.0, 0.1, "Share of pixels that are far too bright, others in every pattern"
    )
    dead_pixels: float = setting(
        0.0, "", 0.0, 0.2, "Share of pixels that are zero, others in every pattern"
    )
    gap_width: float = setting(
        0.0, "px", 0.0, 64.0, "Width of the gaps between the four detector modules"
    )
    beam_stop: float = setting(0.0, "", 0.0, 0.8, "Radius of the beam stop over half the frame")
    beam_stop_arm: float = setting(
        0.0, "", 0.0, 0.5, "Half width of the beam stop's arm over half the frame"
    )
    beam_stop_angle: float = setting(0.0, "deg", -360.0, 360.0, "Direction of the arm")
    shift_x: float = setting(0.0, "", -0.5, 0.5, "Direct beam off centre, share of the frame")
    shift_y: float = setting(0.0, "", -0.5, 0.5, "Direct beam off centre, share of the frame")
    ellipticity: float = setting(0.0, "", 0.0, 0.3, "Stretch of the pattern along one direction")
    ellipticity_angle: float = setting(0.0, "deg", -360.0, 360.0, "Direction of the stretch")
    distortion: float = setting(
        0.0,
        "",
        -0.2,
        0.2,
        "Barrel (<0) or pincushion (>0): shift at half the frame over its radius",
    )
    elongation: float = setting(0.0, "", 0.0, 3.0, "Stretch of every spot along one direction")
    elongation_angle: float = setting(0.0, "deg", -360.0, 360.0, "Direction of the stretch")
    missing: float = setting(0.0, "", 0.0, 0.9, "Share of spots left out")
    false_spots: float = setting(0.0, "", 0.0, 2.0, "Spots at random places, share of the spots")
    jitter: float = setting(0.0, "px", 0.0, 50.0, "Random error of the positions, standard dev.")

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def is_clean(self) -> bool:
        """Whether the pattern shows each reflection, nothing else, and each where it belongs."""
        return (
            not self.poisson
            and self.read_noise == 0
            and self.missing == self.false_spots == self.jitter == 0
            and self.beam_stop == self.beam_stop_arm == self.gap_width == 0
        )

    def row(self) -> NDArray[np.float64]:
        """Return the settings in the order of the fields, for the renderer, shape (n_fields,)."""
        return np.array([float(getattr(self, item.name)) for item in fields(self)])


def realistic_effects(rng: np.random.Generator, size: int = 256) -> DetectorEffects:
    """Draw the effects of an ordinary camera and sample at random.

    The ranges are those for which the shipped zone classifier is trained.

    Parameters
    ----------
    rng
        Source of randomness.
    size
        Frame size in pixels, to which the sizes of spots and gaps are fitted.
    """
    scale = size / 256

    def log(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    def maybe(share: float, value: float) -> float:
        return value if rng.uniform() < share else 0.0

    signal = log(12, 500)
    background = maybe(0.8, log(0.02, 0.4) * signal)
    stop = rng.uniform() < 0.3
    return DetectorEffects(
        extent=rng.uniform(0.6, 1.3),
        spot_radius=max(0.6, scale * log(0.8, 3.5)),
        spot_softness=rng.uniform(0.2, 1.0),
        central_radius=scale * log(1.5, 8.0),
        signal=signal,
        central_signal=log(3, 300),
        background=background,
        halo=maybe(0.8, log(0.1, 4.0) * signal),
        halo_width=log(0.05, 0.5),
        carbon=maybe(0.3, log(0.05, 0.5) * signal),
        ice=maybe(0.1, log(0.05, 0.5) * signal),
        poisson=True,
        read_noise=maybe(0.6, log(0.3, 4.0)),
        gain=log(0.5, 8.0) if rng.uniform() < 0.5 else 1.0,
        offset=maybe(0.4, rng.uniform(0, 100)),
        saturation=65535.0 if rng.uniform() < 0.7 else log(500, 20000),
        hot_pixels=maybe(0.4, log(1e-5, 5e-4)),
        dead_pixels=maybe(0.4, log(1e-5, 1e-3)),
        gap_width=maybe(0.15, scale * rng.uniform(1, 6)),
        beam_stop=rng.uniform(0.03, 0.15) if stop else 0.0,
        beam_stop_arm=rng.uniform(0.01, 0.05) if stop and rng.uniform() < 0.7 else 0.0,
        beam_stop_angle=rng.uniform(0, 360),
        shift_x=float(np.clip(rng.normal(0, 0.025), -0.15, 0.15)),
        shift_y=float(np.clip(rng.normal(0, 0.025), -0.15, 0.15)),
        ellipticity=maybe(0.5, rng.uniform(0, 0.05)),
        ellipticity_angle=rng.uniform(0, 180),
        distortion=maybe(0.4, rng.uniform(-0.08, 0.08)),
        elongation=maybe(0.3, rng.uniform(0, 1.0)),
        elongation_angle=rng.uniform(0, 180),
        missing=maybe(0.5, rng.uniform(0, 0.15)),
        false_spots=maybe(0.3, rng.uniform(0, 0.06)),
        jitter=maybe(0.5, scale * rng.uniform(0, 0.4)),
    )


def realistic_conditions(rng: np.random.Generator) -> SpotConditions:
    """Draw beam and crystal conditions of an ordinary experiment (80 to 300 kV) at random."""
    return SpotConditions(
        wavelength=rng.uniform(0.0197, 0.0418),
        resolution=rng.uniform(0.8, 1.2),
        excitation_error=float(np.exp(rng.uniform(np.log(0.006), np.log(0.015)))),
        intensities=str(rng.choice(INTENSITY_MODELS, p=(0.2, 0.4, 0.4))),
        falloff=rng.uniform(0, 4),
        rocking=bool(rng.uniform() < 0.5),
        in_plane=True,
    )


def exposed_effects(rng: np.random.Generator, size: int = 256) -> DetectorEffects:
    """Draw the effects of a long exposure: strong, wide, clipped and distorted patterns."""
    scale = size / 256

    def log(low: float, high: float) -> float:
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    signal = log(400, 20_000)
    return replace(
        realistic_effects(rng, size),
        extent=rng.uniform(0.8, 2.2),
        spot_radius=scale * log(1.5, 6.0),
        spot_softness=rng.uniform(0.6, 1.0),
        central_radius=scale * log(4, 14),
        signal=signal,
        central_signal=log(3, 100),
        background=log(0.001, 0.1) * signal,
        halo=log(0.1, 6.0) * signal,
        halo_width=log(0.1, 0.6),
        carbon=log(0.01, 0.2) * signal if rng.uniform() < 0.3 else 0.0,
        read_noise=0.0,
        saturation=65535.0 if rng.uniform() < 0.5 else log(2000, 60_000),
        distortion=rng.uniform(-0.15, 0.15),
        elongation=rng.uniform(0, 1.2) if rng.uniform() < 0.5 else 0.0,
    )


def exposed_conditions(rng: np.random.Generator) -> SpotConditions:
    """Draw beam and crystal conditions of a thin crystal in a long exposure at random."""
    return replace(
        realistic_conditions(rng),
        resolution=rng.uniform(0.6, 1.2),
        excitation_error=float(np.exp(rng.uniform(np.log(0.008), np.log(0.03)))),
        intensities=str(rng.choice(INTENSITY_MODELS, p=(0.1, 0.5, 0.4))),
        falloff=rng.uniform(0, 2),
    )
