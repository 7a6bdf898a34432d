"""The lattice planes that make Kikuchi bands, with their electron structure factors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import gemmi
import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure

#: Reflections weaker than this share of the strongest one are left out.
_WEAKEST = 1e-4

#: Most reflections evaluated; the resolution of a larger cell is lowered to stay below.
_MOST = 6000

#: Points of the scattering factor tables, evenly in s^2.
_GRID = 1024

_CENTRINGS = ("P", "A", "C", "I", "F", "R")
_LATTICE_POINTS = (1, 2, 2, 2, 4, 3)


@dataclass(frozen=True, eq=False)
class Reflectors:
    """The strongest lattice planes of a crystal, one of each pair g and -g, strongest first.

    Attributes
    ----------
    hkl : ndarray of int32, (n, 3)
        Miller indices.
    normal : ndarray of float32, (n, 3)
        Unit vector along g in the cartesian frame of the crystal (a along x, b in the xy plane).
    g : ndarray of float32, (n,)
        Length of g in 1/A.
    u : ndarray of float32, (n,)
        Fourier coefficient of the potential, |U_g| = |F_g| / (pi V), in 1/A^2.
    """

    hkl: NDArray[np.int32]
    normal: NDArray[np.float32]
    g: NDArray[np.float32]
    u: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.u)


def reflectors(structure: Structure, count: int = 160, d_min: float = 0.5) -> Reflectors:
    """Find the strongest lattice planes of a structure.

    Structure factors are those of neutral atoms for electrons (gemmi's c4322), with Debye-Waller
    factors exp(-B s^2).  Reflections of equal strength are kept or left out together.

    Parameters
    ----------
    structure
        The crystal.
    count
        Most planes to return.
    d_min
        Smallest plane spacing in A; a larger one is taken for large cells.

    Raises
    ------
    InputError
        No atoms, an element without scattering factor, or no reflection up to this resolution.
    """
    if not len(structure.species):
        raise InputError(f"{structure.name} has no atoms: give a structure with atoms.")
    centring = _centring(structure.space_group)
    # A sphere of radius 1/d holds 4/3 pi V/d^3 reflections, of which one of each pair counts.
    volume = structure.cell.volume / _LATTICE_POINTS[centring]
    d_min = max(d_min, (2 / 3 * np.pi * volume / _MOST) ** (1 / 3))
    order, start, tables = _groups(structure, 1 / (4 * d_min**2))
    reciprocal = structure.cell.reciprocal_basis
    half = np.floor(structure.cell.lengths / d_min).astype(np.int64)
    room = int(2.2 * np.pi * volume / (3 * d_min**3)) + int(8 * np.sum(half**2)) + 64
    hkl, vectors, amplitudes = _structure_factors(
        reciprocal, half, 1 / d_min**2, centring, structure.positions[order], start, tables, room
    )
    if not len(amplitudes) or amplitudes.max() <= 0:
        raise InputError(f"{structure.name} has no reflection with a spacing above {d_min:g} A.")
    chosen = _strongest(amplitudes, count)
    length = np.linalg.norm(vectors[chosen], axis=1)
    return Reflectors(
        hkl[chosen],
        (vectors[chosen] / length[:, None]).astype(np.float32),
        length.astype(np.float32),
        (amplitudes[chosen] / (np.pi * structure.cell.volume)).astype(np.float32),
    )


def _strongest(amplitudes: NDArray[np.float64], count: int) -> NDArray[np.intp]:
    """Return the numbers of the strongest reflections, whole sets of equal ones, in order."""
    first = np.arange(len(amplitudes))
    if len(first) > count:
        first = np.argpartition(-amplitudes, count)[: count + 1]
    first = first[np.argsort(-amplitudes[first], kind="stable")]
    strength = amplitudes[first]
    keep = strength > _WEAKEST * strength[0]
    if len(first) > count:  # the one too many says which set is torn apart
        whole = strength > strength[count] * (1 + 1e-4)
        keep &= whole if whole.any() else np.arange(len(first)) < count
    return np.asarray(first[keep])


@lru_cache(maxsize=256)
def _centring(space_group: int) -> int:
    group = gemmi.find_spacegroup_by_number(space_group)
    return _CENTRINGS.index(group.centring_type()) if group else 0


@lru_cache(maxsize=1024)
def _scattering(element: str, s2_max: float) -> NDArray[np.float64]:
    """Electron scattering factor in A, at even steps of s^2 = g^2 / 4 from 0 to its maximum."""
    try:
        coefficients = np.array(gemmi.Element(element).c4322.get_coefs())
    except (AttributeError, ValueError):
        coefficients = np.zeros(0)
    if not coefficients.any():
        raise InputError(f"No electron scattering factor is known for the element '{element}'.")
    a, b = coefficients.reshape(2, -1)
    s2 = np.linspace(0, s2_max, _GRID)
    return np.asarray(a @ np.exp(-b[:, None] * s2))


def _groups(
    structure: Structure, s2_max: float
) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.float64]]:
    """Sort the atoms by element, occupancy and B, and tabulate the scattering of each kind."""
    kinds: dict[tuple[str, float, float], list[int]] = {}
    keys = zip(
        structure.species, structure.occupancy.tolist(), structure.b_iso.tolist(), strict=True
    )
    for atom, key in enumerate(keys):
        kinds.setdefault(key, []).append(atom)
    s2_max = float(np.ceil(s2_max * 64) / 64)  # few different tables for cells of all sizes
    s2 = np.linspace(0, s2_max, _GRID)
    tables = np.stack([occ * _scattering(el, s2_max) * np.exp(-b * s2) for el, occ, b in kinds])
    order = np.array([atom for atoms in kinds.values() for atom in atoms])
    start = np.cumsum([0, *map(len, kinds.values())]).astype(np.int64)
    return order, start, np.concatenate([tables, np.full((1, _GRID), s2_max)])


@nb.njit(cache=True, nogil=True)
def _waves(x, half):  # type: ignore[no-untyped-def]
    """Cosine and sine of 2 pi h x, h from -half to half, shape (2 half + 1, atoms)."""
    c = np.empty((2 * half + 1, len(x)), dtype=np.float32)
    s = np.empty((2 * half + 1, len(x)), dtype=np.float32)
    for j in range(len(x)):
        turn = x[j] - np.floor(x[j])
        for h in range(half + 1):
            phase = 2 * np.pi * ((h * turn) % 1.0)
            cosine, sine = np.cos(phase), np.sin(phase)
            c[half + h, j] = cosine
            c[half - h, j] = cosine
            s[half + h, j] = sine
            s[half - h, j] = -sine
    return c, s


@nb.njit(cache=True, nogil=True)
def _lattice_row(centring, h, k):  # type: ignore[no-untyped-def]
    """Step and remainder of l in the row h k l, as far as the centring allows; step 0: none."""
    step, rest = 1, 0
    if centring == 1:  # A
        step, rest = 2, k % 2
    elif centring == 2 and (h + k) % 2:  # C
        step = 0
    elif centring == 3:  # I
        step, rest = 2, (h + k) % 2
    elif centring == 4:  # F
        step, rest = (0, 0) if (h + k) % 2 else (2, h % 2)
    elif centring == 5:  # R, obverse
        step, rest = 3, (h - k) % 3
    return step, rest


@nb.njit(cache=True, nogil=True, fastmath=True, error_model="numpy")
def _structure_factors(  # type: ignore[no-untyped-def]
    reciprocal, half, g2_max, centring, positions, start, tables, room
):
    """|F| of one of each pair of reflections within the sphere, with hkl and g."""
    n_atoms, n_kinds = len(positions), len(start) - 1
    hc, hs = _waves(positions[:, 0], half[0])
    kc, ks = _waves(positions[:, 1], half[1])
    lc, ls = _waves(positions[:, 2], half[2])
    bc = np.empty(n_atoms, dtype=np.float32)
    bs = np.empty(n_atoms, dtype=np.float32)
    hkl = np.empty((room, 3), dtype=np.int32)
    vectors = np.empty((room, 3))
    amplitudes = np.empty(room)
    u, v, w = reciprocal[0], reciprocal[1], reciprocal[2]
    ww = w[0] * w[0] + w[1] * w[1] + w[2] * w[2]
    scale = (tables.shape[1] - 1) / (4 * tables[n_kinds, 0])
    m = 0
    for h in range(half[0] + 1):
        for k in range(-half[1] if h else 0, half[1] + 1):
            step, rest = _lattice_row(centring, h, k)
            if step == 0:
                continue
            x, y, z = h * u[0] + k * v[0], h * u[1] + k * v[1], h * u[2] + k * v[2]
            b = x * w[0] + y * w[1] + z * w[2]
            inside = b * b - ww * (x * x + y * y + z * z - g2_max)
            if inside < 0:
                continue
            low = max(int(np.ceil((-b - np.sqrt(inside)) / ww)), -half[2])
            high = min(int(np.floor((-b + np.sqrt(inside)) / ww)), half[2])
            if h == 0 and k == 0:
                low = 1
            low += (rest - low) % step
            for j in range(n_atoms):
                c1, s1 = hc[half[0] + h, j], hs[half[0] + h, j]
                c2, s2 = kc[half[1] + k, j], ks[half[1] + k, j]
                bc[j] = c1 * c2 - s1 * s2
                bs[j] = c1 * s2 + s1 * c2
            for n in range(low, high + 1, step):
                if m == room:
                    break
                gx, gy, gz = x + n * w[0], y + n * w[1], z + n * w[2]
                at = (gx * gx + gy * gy + gz * gz) * scale
                cell = min(int(at), tables.shape[1] - 2)
                part = at - cell
                real, imaginary = 0.0, 0.0
                wave_c, wave_s = lc[half[2] + n], ls[half[2] + n]
                for kind in range(n_kinds):
                    re, im = np.float32(0), np.float32(0)
                    for j in range(start[kind], start[kind + 1]):
                        re += bc[j] * wave_c[j] - bs[j] * wave_s[j]
                        im += bc[j] * wave_s[j] + bs[j] * wave_c[j]
                    f = tables[kind, cell] * (1 - part) + tables[kind, cell + 1] * part
                    real += f * re
                    imaginary += f * im
                hkl[m, 0], hkl[m, 1], hkl[m, 2] = h, k, n
                vectors[m, 0], vectors[m, 1], vectors[m, 2] = gx, gy, gz
                amplitudes[m] = np.sqrt(real * real + imaginary * imaginary)
                m += 1
    return hkl[:m], vectors[:m], amplitudes[:m]
