"""Master patterns: all directions of one crystal, from which patterns are projected."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.errors import InputError
from napari_diffraction.simulation.kikuchi.bands import bands_at
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure


@dataclass(frozen=True, eq=False)
class MasterPattern:
    """Intensity of a crystal in every direction, in the square Lambert projection.

    Attributes
    ----------
    hemispheres : ndarray of float32, (2, side, side)
        Northern (z >= 0 in the crystal's Cartesian frame) and southern hemisphere; rows run along
        y, columns along x, both from -1 to 1, the equator being the edge of the square.
    name
        The crystal.
    voltage
        Energy of the electrons in keV.
    """

    hemispheres: NDArray[np.float32]
    name: str = ""
    voltage: float = 20.0

    def project(
        self,
        rotation: NDArray[Any],
        pc: NDArray[Any],
        shape: tuple[int, int],
        oversample: int = 1,
    ) -> NDArray[np.float32]:
        """Project patterns onto the screen, with bilinear interpolation.

        Parameters
        ----------
        rotation : ndarray, (n, 3, 3)
            Turns directions of the detector's frame into the crystal's.
        pc : ndarray, (n, 3) or (3,)
            Pattern centres in Bruker's convention.
        shape
            Height and width in pixels.
        oversample
            A pixel is the mean over so many points each way, as it collects over its area.

        Returns
        -------
        ndarray of float32, (n, h, w)
        """
        rotation = np.ascontiguousarray(rotation, dtype=np.float32).reshape(-1, 3, 3)
        pc = np.broadcast_to(np.asarray(pc, dtype=np.float32), (len(rotation), 3))
        h, w = shape
        frames = np.empty((len(rotation), h * oversample, w * oversample), dtype=np.float32)
        side = self.hemispheres.shape[1]
        flat = np.ascontiguousarray(self.hemispheres, dtype=np.float32).ravel()
        _project(flat, side, rotation, np.ascontiguousarray(pc), frames)
        if oversample == 1:
            return frames
        return np.asarray(frames.reshape(-1, h, oversample, w, oversample).mean(axis=(2, 4)))


def master_pattern(
    structure: Structure, conditions: KikuchiConditions | None = None, half_width: int = 200
) -> MasterPattern:
    """Compute the master pattern of a crystal from its bands.

    Parameters
    ----------
    structure
        The crystal.
    conditions
        Voltage and profile of the bands; excess and deficiency are left out, since they depend on
        the direction of the beam.
    half_width
        Pixels from the pole to the equator.

    Returns
    -------
    MasterPattern
        Of ``2 half_width + 1`` pixels a side.
    """
    conditions = conditions or KikuchiConditions()
    line = np.linspace(-1, 1, 2 * half_width + 1)
    directions = lambert_directions(*np.meshgrid(line, line))
    crystal = reflectors(structure, conditions.reflectors, conditions.spacing)
    profile = conditions.profile()
    profile[5] = 0
    north = bands_at(crystal.normal, crystal.g, crystal.u, profile, directions)
    # One of each pair g, -g is enough for both halves: without excess they mirror each other.
    south = north[::-1, ::-1]
    return MasterPattern(np.stack([north, south]), structure.name, conditions.voltage)


def lambert_directions(x: NDArray[Any], y: NDArray[Any]) -> NDArray[np.float64]:
    """Unit vectors, (..., 3), of the northern hemisphere at points of the Lambert square.

    Parameters
    ----------
    x, y
        Coordinates from -1 to 1 (Rosca 2010).
    """
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    steep = np.abs(y) > np.abs(x)
    major, minor = np.where(steep, y, x), np.where(steep, x, y)
    turn = np.pi / 4 * np.divide(minor, major, out=np.zeros_like(major), where=major != 0)
    radius = major * np.sqrt(np.maximum(2 - major**2, 0))
    along, across = radius * np.cos(turn), radius * np.sin(turn)
    return np.stack(
        [np.where(steep, across, along), np.where(steep, along, across), 1 - major**2], axis=-1
    )


def load_master(path: str | Path, energy: float | None = None) -> MasterPattern:
    """Read a master pattern in the Lambert projection.

    Parameters
    ----------
    path
        HDF5 file of EMsoft's EMEBSDmaster (as kikuchipy ships one), or .npz with ``hemispheres``.
    energy
        In keV; the nearest one of the file is taken, by default the highest.

    Raises
    ------
    InputError
        No such file, or no master pattern in it.
    """
    path = Path(path)
    try:
        if path.suffix.lower() == ".npz":
            with np.load(path, allow_pickle=False) as content:
                halves = np.asarray(content["hemispheres"], dtype=np.float32)
            return _checked(path, halves, energy or 20.0)
        with h5py.File(path) as file:
            group = file["EMData/EBSDmaster"]
            energies = np.atleast_1d(group["EkeVs"][()])
            at = len(energies) - 1 if energy is None else int(np.abs(energies - energy).argmin())
            halves = np.stack([_half(group[name], at) for name in ("mLPNH", "mLPSH")])
        return _checked(path, halves, float(energies[at]))
    except (OSError, KeyError, ValueError, IndexError) as error:
        raise InputError(
            f"{path}: no master pattern can be read from it ({error}); "
            "give the HDF5 file of EMsoft's EMEBSDmaster, or an .npz with hemispheres."
        ) from error


def _half(data: Any, at: int) -> NDArray[np.float32]:
    """One hemisphere at one energy, summed over the kinds of atoms where these come apart."""
    values = np.asarray(data[..., at, :, :], dtype=np.float32)
    return np.asarray(values.reshape(-1, *values.shape[-2:]).sum(axis=0))


def _checked(path: Path, halves: NDArray[np.float32], voltage: float) -> MasterPattern:
    if (
        halves.ndim != 3
        or len(halves) != 2
        or halves.shape[1] != halves.shape[2]
        or halves.size < 8
    ):
        raise ValueError(f"two square hemispheres expected, not {halves.shape}")
    return MasterPattern(halves, path.stem, voltage)


@nb.njit(parallel=True, fastmath=True, cache=True, error_model="numpy")
def _project(flat, side, rotation, pc, frames):  # type: ignore[no-untyped-def]
    n, h, w = frames.shape
    one, half, zero = np.float32(1), np.float32(0.5), np.float32(0)
    scale = np.float32((side - 1) / 2)
    last = np.int32(side - 2)
    for i in nb.prange(n):
        r = rotation[i]
        across = np.float32(w) / (np.float32(h) * pc[i, 2])
        column = np.empty(w, dtype=np.float32)
        row = np.empty(w, dtype=np.float32)
        first = np.empty(w, dtype=np.int32)
        for line in range(h):
            y = (pc[i, 1] - (np.float32(line) + half) / np.float32(h)) / pc[i, 2]
            for c in range(w):
                x = ((np.float32(c) + half) / np.float32(w) - pc[i, 0]) * across
                length = one / np.sqrt(x * x + y * y + one)
                sx = (r[0, 0] * x + r[0, 1] * y + r[0, 2]) * length
                sy = (r[1, 0] * x + r[1, 1] * y + r[1, 2]) * length
                sz = (r[2, 0] * x + r[2, 1] * y + r[2, 2]) * length
                # distance from the pole: sqrt(1 - |z|) without loss of digits
                radius = np.sqrt((sx * sx + sy * sy) / (one + abs(sz)))
                steep = abs(sy) > abs(sx)
                major, minor = (sy, sx) if steep else (sx, sy)
                q = minor / (major if abs(major) > np.float32(1e-20) else np.float32(1e-20))
                turned = radius * _octant(q)
                along = radius if major > zero else -radius
                turned = turned if major > zero else -turned
                u = ((turned if steep else along) + one) * scale
                v = ((along if steep else turned) + one) * scale
                u0 = min(max(np.int32(u), np.int32(0)), last)
                v0 = min(max(np.int32(v), np.int32(0)), last)
                column[c], row[c] = u - np.float32(u0), v - np.float32(v0)
                south = np.int32(0) if sz >= zero else np.int32(side * side)
                first[c] = south + v0 * np.int32(side) + u0
            for c in range(w):
                at, du, dv = first[c], column[c], row[c]
                upper = flat[at] + (flat[at + 1] - flat[at]) * du
                lower = flat[at + side] + (flat[at + side + 1] - flat[at + side]) * du
                frames[i, line, c] = upper + (lower - upper) * dv


@nb.njit(inline="always")
def _octant(q):  # type: ignore[no-untyped-def]
    """Return 4 / pi times the arc tangent of q, -1 to 1, to 2e-6."""
    s = q * q
    p = np.float32(-0.01172120)
    p = np.float32(0.05265332) + s * p
    p = np.float32(-0.11643287) + s * p
    p = np.float32(0.19354346) + s * p
    p = np.float32(-0.33262347) + s * p
    p = np.float32(0.99997726) + s * p
    return np.float32(4 / np.pi) * q * p
