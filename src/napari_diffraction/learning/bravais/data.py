"""Training patterns of the Bravais classifier, made on the device that learns from them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.learning.bravais.structure_pool import LATTICES, StructurePool
from napari_diffraction.learning.networks.bravais_view import SIDES
from napari_diffraction.simulation.classes import NO_PATTERN
from napari_diffraction.simulation.kikuchi import bands as kikuchi_bands
from napari_diffraction.simulation.kikuchi.bands import PIXEL
from napari_diffraction.simulation.kikuchi.effects import COLUMNS, realistic_rows
from napari_diffraction.simulation.kikuchi.torch_bands import (
    bands,
    degrade,
    random_rotations,
    wavelength,
)

BRAVAIS_CLASSES = (*LATTICES, NO_PATTERN)
#: Share of training frames without a pattern.
_EMPTY = 0.07
#: How far the usual shares of the lattices are those among the known materials.
_KNOWN = 0.5
#: Share of training frames whose mask is not told.
_UNKNOWN = 0.06


@dataclass(frozen=True)
class Draw:
    """Numbers of a batch of patterns, drawn on the CPU.

    Attributes
    ----------
    profile : ndarray of float32, (n, 8)
        See `napari_diffraction.simulation.kikuchi.torch_bands.PROFILE`.
    pc, beam : ndarray of float32, (n, 3)
        Pattern centre, and the beam's direction in the detector's frame.
    effects : ndarray of float32, (n, n_effects)
        See `napari_diffraction.simulation.kikuchi.effects.realistic_rows`.
    reflections : ndarray of int64, (n,)
        How many of the strongest reflections show.
    empty : ndarray of bool, (n,)
        Frames without a pattern.
    unknown : ndarray of bool, (n,)
        Frames whose mask nobody told of.
    """

    profile: NDArray[np.float32]
    pc: NDArray[np.float32]
    beam: NDArray[np.float32]
    effects: NDArray[np.float32]
    reflections: NDArray[np.int64]
    empty: NDArray[np.bool_]
    unknown: NDArray[np.bool_]


def draw(n: int, rng: np.random.Generator, hardness: float = 1.0, empty: float = _EMPTY) -> Draw:
    """Draw geometry, diffraction and camera of ``n`` patterns from the range of real ones.

    Parameters
    ----------
    n
        Number of patterns.
    rng
        Source of randomness.
    hardness
        1 is the full range, within which some patterns are easier than others; less narrows
        geometry, noise and all other effects, for the start of a training.
    empty
        Share of frames without a pattern.
    """
    hard = hardness * np.sqrt(rng.uniform(size=n))
    usual = rng.uniform(size=n) > 0.4 * hard
    voltage = np.where(usual, rng.choice([15, 20, 20, 20, 25, 30], n), rng.uniform(5, 30, n))
    # Most profiles lie around the one that fits dynamical patterns best, some far from it.
    odd = rng.uniform(size=n) < 0.3 * hard
    profile = np.stack(
        [
            wavelength(torch.from_numpy(voltage)).numpy(),
            np.where(odd, _log(rng, 0.3, 3.0, n), _log(rng, 0.6, 1.8, n)),
            np.where(odd, _log(rng, 0.001, 0.012, n), _log(rng, 0.002, 0.007, n)),
            np.where(odd, rng.uniform(0.6, 1.9, n), rng.uniform(0.9, 1.6, n)),
            np.where(odd, rng.uniform(0.0, 0.8, n), np.maximum(rng.uniform(-0.2, 0.2, n), 0)),
            rng.normal(0.0, 0.6, n) * hard * (rng.uniform(size=n) < 0.7),
            np.where(odd, rng.uniform(0.0, 3.0, n), rng.uniform(1.0, 6.0, n)),
            np.where(odd, rng.uniform(0.0, 0.9, n), rng.uniform(0.2, 0.8, n)),
        ],
        axis=1,
    )
    pcz = np.clip(0.6 * np.exp(rng.normal(0, 0.1 + 0.25 * hard)), 0.33, 1.4)
    low = rng.uniform(size=n) < 0.15 * hard
    pcy = np.where(
        low, rng.uniform(0.3, 0.85, n), 0.35 + (0.08 + 0.17 * hard) * rng.uniform(-1, 1, n)
    )
    pc = np.stack([0.5 + (0.02 + 0.06 * hard) * rng.normal(size=n), pcy, pcz], axis=1)
    tilt = np.radians(rng.normal(5, 10, n))
    beam = np.stack([np.zeros(n), -np.cos(tilt), np.sin(tilt)], axis=1)
    effects, without = realistic_rows(n, rng, hard), rng.uniform(size=n) < empty
    for name in ("overlap", "ghost"):  # or a neighbour's pattern would show on an empty frame
        effects[without, COLUMNS.index(name)] = 0
    return Draw(
        profile.astype(np.float32),
        pc.astype(np.float32),
        beam.astype(np.float32),
        effects,
        _log(rng, 60, 161, n).astype(np.int64),
        without,
        rng.uniform(size=n) < _UNKNOWN * hard,
    )


def usual_shares(empty: float) -> dict[str, float]:
    """Return how often each class is met where nothing is known of a scan.

    Lattices are far from equally frequent among the materials that people look at: some of them
    are cubic face-centred, hardly any triclinic.  They count half as if all were alike, since a
    scan may hold anything, and half by the materials that the program knows.

    Parameters
    ----------
    empty
        Share of frames without a pattern.
    """
    count = Counter(structure.lattice for structure in MATERIALS.values())
    shares = {
        name: (1 - empty) * ((1 - _KNOWN) / len(LATTICES) + _KNOWN * count[name] / count.total())
        for name in LATTICES
    }
    return shares | {NO_PATTERN: empty}


def _log(rng: np.random.Generator, low: float, high: float, n: int) -> NDArray[Any]:
    return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), n)))


def _bands_in_numba(*arrays: Any) -> Tensor:
    """The bands of `torch_bands`, by their faster twin for processors."""
    values: list[Any] = [v.numpy() if isinstance(v, Tensor) else v for v in arrays]
    return torch.from_numpy(kikuchi_bands.bands(*values))


class PatternMaker:
    """Makes batches of patterns of the structures of a pool, on its device.

    Parameters
    ----------
    pool
        The structures.
    seed
        Of orientations, choice of structures and noise.
    side
        Of the patterns, in pixels.
    compiled
        Compile the sum over the bands into one kernel, which a graphics card needs.
    """

    def __init__(
        self, pool: StructurePool, seed: int, side: int = SIDES[-1], compiled: bool = False
    ) -> None:
        self.pool, self.side = pool, side
        self.generator = torch.Generator(pool.device).manual_seed(seed)
        self._bands: Any = torch.compile(bands, dynamic=False) if compiled else bands
        if pool.device.type == "cpu":
            self._bands = _bands_in_numba

    def frames(self, drawn: Draw, which: Tensor | None = None) -> tuple[Tensor, ...]:
        """Make the frames of a batch.

        Parameters
        ----------
        drawn
            From `draw`.
        which : Tensor of int64, (n,), optional
            Numbers of the structures; by default `any`.

        Returns
        -------
        frames, lit : Tensor, (n, side, side)
        label, laue : Tensor of int64, (n,)
            The number of the class, and that of the Laue group, -1 where there is no pattern.
        """
        device, n = self.pool.device, len(drawn.pc)
        if which is None:
            which = self.any(n)
        part = self.pool.take(which)
        profile, pc, beam, effects, count, empty, unknown = (
            torch.from_numpy(values).to(device, non_blocking=True)
            for values in (
                *(drawn.profile, drawn.pc, drawn.beam, drawn.effects),
                *(drawn.reflections, drawn.empty, drawn.unknown),
            )
        )
        rotation = random_rotations(n, self.generator, device)
        number = torch.arange(part["u"].shape[1], device=device)
        u = torch.where(number[None, :] < count[:, None], part["u"], torch.zeros_like(part["u"]))
        clean = self._clean(which, part["normal"], part["g"], u, rotation, pc, profile, beam)
        clean[empty] = self._clutter(int(empty.sum()))
        frames, lit = degrade(clean, effects, self.generator)
        lit = torch.where(unknown[:, None, None], torch.ones_like(lit), lit)
        label = torch.where(empty, len(LATTICES), part["label"])
        laue = torch.where(empty, -1, part["laue"])
        return frames, lit, label, laue

    def any(self, n: int) -> Tensor:
        """Draw numbers (n,) of structures of the pool, all being as likely."""
        device = self.pool.device
        return torch.randint(self.pool.count, (n,), generator=self.generator, device=device)

    def _clean(self, which: Tensor, *geometry: Tensor) -> Tensor:
        """Patterns before a perfect camera, of the structures of these numbers."""
        clean: Tensor = self._bands(*geometry, (self.side, self.side), PIXEL)
        return clean

    def _clutter(self, n: int) -> Tensor:
        """Frames without a pattern: nothing, or smooth shapes of several sizes."""
        device = self.pool.device
        total = torch.zeros(n, self.side, self.side, device=device)
        if n == 0:
            return total
        for cells in (4, 9, 20):
            coarse = torch.randn(n, 1, cells, cells, generator=self.generator, device=device)
            fine = functional.interpolate(coarse, total.shape[1:], mode="bicubic")[:, 0]
            there = torch.rand(n, 1, 1, generator=self.generator, device=device) > 0.7
            total += fine * there
        return total
