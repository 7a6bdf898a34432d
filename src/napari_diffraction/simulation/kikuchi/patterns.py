"""Labelled Kikuchi patterns of known crystals."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.crystal.orientation import (
    beam_direction,
    detector_to_crystal,
    euler_angles,
    quaternions,
    random_orientations,
)
from napari_diffraction.crystal.reflectors import Reflectors, reflectors
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.geometry import wavelength
from napari_diffraction.patterns.stack import KikuchiGeometry
from napari_diffraction.progress import Progress, in_order
from napari_diffraction.simulation.conditions import check_settings, setting
from napari_diffraction.simulation.kikuchi.bands import PROFILE, bands, padded
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.workers import Workers

FloatArray = NDArray[np.float64]

#: Pixels that are simulated at a time.
_BATCH_PIXELS = 1 << 21


@dataclass(frozen=True)
class KikuchiConditions:
    """Microscope, and how the bands look.

    The defaults of the profile are those with which the patterns of nickel at 20 kV resemble
    EMsoft's dynamical ones most (correlation 0.93).
    """

    voltage: float = setting(20.0, "kV", 3.0, 40.0, "Acceleration voltage")
    pc_x: float = setting(0.5, "of width", -0.5, 1.5, "Pattern centre from the left edge")
    pc_y: float = setting(0.3, "of height", -0.5, 1.5, "Pattern centre from the upper edge")
    pc_z: float = setting(0.6, "of height", 0.2, 3.0, "Distance from the sample to the screen")
    pc_spread: float = setting(
        0.0, "", 0.0, 0.3, "Random deviation of the pattern centre from pattern to pattern"
    )
    sample_tilt: float = setting(70.0, "deg", 0.0, 90.0, "Tilt of the sample to the screen")
    camera_tilt: float = setting(0.0, "deg", -30.0, 30.0, "Elevation of the camera")
    reflectors: int = field(
        default=160,
        metadata={"unit": "", "range": (1, 2000), "tip": "How many of the strongest bands"},
    )
    spacing: float = setting(0.5, "A", 0.3, 3.0, "Smallest spacing of planes that make bands")
    width: float = setting(1.17, "", 0.1, 5.0, "Width of the edges over that of two-beam theory")
    floor: float = setting(0.0037, "rad", 1e-4, 0.05, "Width of the edges of the weakest bands")
    power: float = setting(1.23, "", 0.3, 3.0, "Strength of a band: this power of |U|")
    plate: float = setting(0.0, "", 0.0, 1.0, "Share of bands that are evenly bright inside")
    excess: float = setting(
        0.0, "", -2.0, 2.0, "Excess and deficiency: the edge away from the beam bright, one dark"
    )
    saturation: float = setting(4.0, "", 0.0, 20.0, "Saturation where many bands cross")
    dip: float = setting(0.49, "", 0.0, 2.0, "Depth of the dark line at the Bragg angle")

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def pc(self) -> tuple[float, float, float]:
        """Pattern centre in Bruker's convention."""
        return self.pc_x, self.pc_y, self.pc_z

    def profile(self) -> NDArray[np.float32]:
        """Return the numbers named in `napari_diffraction.simulation.kikuchi.bands.PROFILE`."""
        values = [getattr(self, name) for name in PROFILE[1:]]
        return np.array([wavelength(self.voltage), *values], dtype=np.float32)


@dataclass(frozen=True)
class SimulatedKikuchi:
    """Simulated Kikuchi patterns with everything that is known of them.

    Attributes
    ----------
    images : ndarray of uint8, (n, h, w)
        Each pattern over the whole range of grey.
    labels
        One row a pattern: ``index, label, structure, lattice, space_group, phi1, Phi, phi2, qw, qx,
        qy, qz, pc_x, pc_y, pc_z, voltage, seed``.  ``label`` is the Bravais lattice, the angles
        (Bunge, degrees) and the quaternion turn the sample's frame into the crystal's, and the
        pattern centre is in Bruker's convention.
    structures
        The crystals, by the names that ``structure`` gives.
    conditions, effects
        The settings; effects is an array where every pattern has its own.
    geometry
        Calibration of the images.
    """

    images: NDArray[np.uint8]
    labels: pd.DataFrame
    structures: tuple[Structure, ...]
    conditions: KikuchiConditions
    effects: KikuchiEffects | NDArray[np.float32]
    geometry: KikuchiGeometry

    def __len__(self) -> int:
        return len(self.images)


def simulate_kikuchi(
    structures: Sequence[Structure],
    conditions: KikuchiConditions | None = None,
    effects: KikuchiEffects | NDArray[np.float32] | None = None,
    *,
    patterns: int = 1000,
    size: int | tuple[int, int] = 128,
    seed: int = 0,
    orientations: NDArray[Any] | None = None,
    workers: Workers | None = None,
) -> Generator[Progress, None, SimulatedKikuchi]:
    """Simulate patterns of crystals in random orientations.

    Parameters
    ----------
    structures
        Crystals; their patterns follow one another.
    conditions
        Microscope and profile of the bands.
    effects
        What the camera does to every pattern, or, as rows for `kikuchi_torch.degrade`, to each of
        them.  By default nothing: only the bands are seen.
    patterns
        Number of patterns of each crystal.
    size
        Height and width in pixels.
    seed
        The same seed gives the same patterns.
    orientations : ndarray, (patterns, 3), optional
        Bunge's Euler angles in degrees, for every crystal; random by default.
    workers
        Other processes that draw the patterns.

    Raises
    ------
    InputError
        A number that makes no sense, or a crystal without reflections.
    """
    conditions = conditions or KikuchiConditions()
    effects = KikuchiEffects() if effects is None else effects
    shape = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    if orientations is not None:
        patterns = len(orientations)
    _check(structures, patterns, shape, seed)
    total = len(structures) * patterns
    angles, centres = draw_geometry(total, conditions, seed)
    if orientations is not None:
        angles = np.tile(np.asarray(orientations, dtype=float), (len(structures), 1))
    crystals = [reflectors(s, conditions.reflectors, conditions.spacing) for s in structures]
    which = np.repeat(np.arange(len(structures)), patterns)
    rows = effects.row() if isinstance(effects, KikuchiEffects) else np.asarray(effects)
    rows = np.broadcast_to(rows, (total, rows.shape[-1]))
    clean = isinstance(effects, KikuchiEffects) and _is_clean(effects)
    images = np.empty((total, *shape), dtype=np.uint8)
    step = max(1, min(256, _BATCH_PIXELS // (shape[0] * shape[1])))
    parts = [slice(first, min(first + step, total)) for first in range(0, total, step)]
    settings = tuple(crystals), conditions, shape, clean
    pieces = (
        (which[some], angles[some], centres[some], rows[some], seed + some.start) for some in parts
    )
    results: Iterator[NDArray[np.uint8]]
    if workers is None:
        camera = _Camera(*settings)
        results = (camera.draw(*piece) for piece in pieces)
    else:
        key = workers.share(_Camera, *settings)
        results = in_order(
            lambda piece: workers.submit(key, _Camera.draw, *piece), pieces, workers.ahead
        )
    for some, drawn in zip(parts, results, strict=True):
        images[some] = drawn
        yield Progress(some.stop, total, "Simulating patterns")
    return SimulatedKikuchi(
        images,
        _labels(structures, which, angles, centres, conditions, seed),
        tuple(structures),
        conditions,
        effects,
        KikuchiGeometry(
            conditions.pc, conditions.sample_tilt, conditions.camera_tilt, conditions.voltage
        ),
    )


@dataclass(frozen=True, eq=False)
class _Camera:
    """Draws some patterns at a time, here or in a worker."""

    crystals: tuple[Reflectors, ...]
    conditions: KikuchiConditions
    shape: tuple[int, int]
    clean: bool

    def draw(
        self,
        which: NDArray[np.int64],
        angles: NDArray[np.float64],
        centres: NDArray[np.float64],
        effects: NDArray[np.float32],
        seed: int,
    ) -> NDArray[np.uint8]:
        chosen = [self.crystals[number] for number in which]
        frames = _bands(chosen, angles, centres, self.conditions, self.shape)
        if not self.clean:
            frames = _degraded(frames, effects, seed)
        return to_grey(frames)


def simulate_one_kikuchi(
    structure: Structure,
    angles: ArrayLike,
    conditions: KikuchiConditions | None = None,
    effects: KikuchiEffects | None = None,
    *,
    pc: ArrayLike | None = None,
    size: int | tuple[int, int] = 128,
    seed: int = 0,
) -> NDArray[np.uint8]:
    """Simulate one pattern, fast enough for a live preview.

    Parameters
    ----------
    structure
        The crystal.
    angles
        Bunge's Euler angles in degrees.
    conditions, effects, size, seed
        As for `simulate_kikuchi`.
    pc
        Pattern centre in Bruker's convention, by default that of the conditions.

    Returns
    -------
    ndarray of uint8, (h, w)
    """
    conditions = conditions or KikuchiConditions()
    shape = (size, size) if isinstance(size, int) else size
    _check([structure], 1, shape, seed)
    crystal = reflectors(structure, conditions.reflectors, conditions.spacing)
    turned = np.asarray(angles, dtype=float).reshape(1, 3)
    centre = np.asarray(conditions.pc if pc is None else pc, dtype=float).reshape(1, 3)
    frames = _bands([crystal], turned, centre, conditions, shape)
    if effects is not None and not _is_clean(effects):
        frames = _degraded(frames, effects.row()[None], seed)
    return np.asarray(to_grey(frames)[0])


def draw_geometry(
    n: int, conditions: KikuchiConditions, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Draw the orientations and pattern centres that `simulate_kikuchi` uses.

    Parameters
    ----------
    n
        How many; fewer are the first of more.
    conditions
        Pattern centre and its spread.
    seed
        Seed of the simulation.

    Returns
    -------
    angles : ndarray of float64, (n, 3)
        Bunge's Euler angles in degrees.
    centres : ndarray of float64, (n, 3)
        Pattern centres in Bruker's convention.
    """
    angles = euler_angles(random_orientations(n, np.random.default_rng([seed, 0])))
    offsets = np.random.default_rng([seed, 1]).normal(size=(n, 3))
    centres = np.array(conditions.pc) + conditions.pc_spread * offsets
    centres[:, 2] = np.maximum(centres[:, 2], 0.2)
    return angles, centres


def to_grey(frames: NDArray[np.float32], outliers: float = 0.002) -> NDArray[np.uint8]:
    """Stretch each frame, (n, h, w), over 0 to 255; the few most extreme pixels are clipped."""
    flat = frames.reshape(len(frames), -1)
    ends = np.array([outliers, 1 - outliers]) * (flat.shape[1] - 1)
    low_at, high_at = np.round(ends).astype(int)
    ordered = np.partition(flat, (low_at, high_at), axis=1)
    low, high = ordered[:, low_at, None], ordered[:, high_at, None]
    grey = 255 * (flat - low) / np.maximum(high - low, 1e-6)
    return np.asarray(np.clip(np.rint(grey), 0, 255), dtype=np.uint8).reshape(frames.shape)


def _check(
    structures: Sequence[Structure], patterns: int, shape: tuple[int, int], seed: int
) -> None:
    if not structures:
        raise InputError("No crystal to simulate: give at least one structure.")
    if not 1 <= patterns <= 10_000_000:
        raise InputError(f"{patterns} patterns cannot be simulated: ask for at least one.")
    if not all(8 <= side <= 4096 for side in shape):
        raise InputError(
            f"Patterns of {shape[0]} x {shape[1]} pixels cannot be simulated: "
            "take 8 to 4096 pixels a side."
        )
    if seed < 0:
        raise InputError("The seed is a whole number of at least 0.")


def _bands(
    crystals: Sequence[Reflectors],
    angles: FloatArray,
    centres: FloatArray,
    conditions: KikuchiConditions,
    shape: tuple[int, int],
) -> NDArray[np.float32]:
    return bands(
        *padded(crystals),
        detector_to_crystal(angles, conditions.sample_tilt, conditions.camera_tilt),
        centres,
        np.tile(conditions.profile(), (len(angles), 1)),
        np.tile(beam_direction(conditions.camera_tilt), (len(angles), 1)),
        shape,
    )


def _is_clean(effects: KikuchiEffects) -> bool:
    """Whether nothing but the bands is seen; their contrast then is that of the grey levels."""
    off = KikuchiEffects()
    return replace(effects, contrast=off.contrast) == off


def _degraded(
    frames: NDArray[np.float32], rows: NDArray[np.float32], seed: int
) -> NDArray[np.float32]:
    import torch

    from napari_diffraction.simulation.kikuchi.torch_bands import degrade

    generator = torch.Generator().manual_seed(seed)
    seen, _ = degrade(torch.from_numpy(frames), torch.from_numpy(rows.copy()), generator)
    return np.asarray(seen.numpy())


def _labels(
    structures: Sequence[Structure],
    which: NDArray[np.intp],
    angles: FloatArray,
    centres: FloatArray,
    conditions: KikuchiConditions,
    seed: int,
) -> pd.DataFrame:
    from napari_diffraction.crystal.orientation import euler_matrices

    lattices = [s.lattice for s in structures]
    table = {
        "index": np.arange(len(which)),
        "label": np.array(lattices)[which],
        "structure": np.array([s.name for s in structures])[which],
        "lattice": np.array(lattices)[which],
        "space_group": np.array([s.space_group for s in structures])[which],
    }
    table |= dict(zip(("phi1", "Phi", "phi2"), angles.T, strict=True))
    turned = quaternions(euler_matrices(angles))
    table |= dict(zip(("qw", "qx", "qy", "qz"), turned.T, strict=True))
    table |= dict(zip(("pc_x", "pc_y", "pc_z"), centres.T, strict=True))
    frame = pd.DataFrame(table)
    frame["voltage"] = conditions.voltage
    frame["seed"] = seed
    return frame
