"""Which reflections a crystal in a given orientation sends onto the detector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.reflections import ReflectionTable

#: Orientations at a time, so that their scratch arrays stay in the cache.
_BLOCK = 256


@dataclass(frozen=True)
class SpotLists:
    """The excited reflections of many orientations, one list after the other.

    Attributes
    ----------
    start : ndarray of int64, (n + 1,)
        Orientation i owns the entries ``start[i]:start[i + 1]`` of the other arrays.
    hkl : ndarray of int16, (m, 3)
        Miller indices, without 0 0 0.
    position : ndarray of float32, (m, 2)
        x and y of the reciprocal vector across the beam in 1/A.
    excitation : ndarray of float32, (m,)
        Signed distance to the Ewald sphere, |g + k| - 1/wavelength, in 1/A.
    intensity : ndarray of float32, (m,)
        Relative intensity, from the reflection table.
    """

    start: NDArray[np.int64]
    hkl: NDArray[np.int16]
    position: NDArray[np.float32]
    excitation: NDArray[np.float32]
    intensity: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.start) - 1

    def slice(self, index: int) -> slice:
        """Return the slice of the entries that belong to one orientation."""
        return slice(int(self.start[index]), int(self.start[index + 1]))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of reflections of each orientation, shape (n,)."""
        return np.diff(self.start)


def excited_reflections(
    table: ReflectionTable,
    rotations: NDArray[np.float64],
    wavelength: float = 0.0251,
    excitation_error: float = 0.01,
) -> SpotLists:
    """Find the reflections within the excitation error of the Ewald sphere.

    A reflection g is excited where ``| |g + k| - 1/wavelength | < excitation_error``, k being the
    wave vector of the beam along +z (Gorelik et al. 2025).

    Parameters
    ----------
    table
        Reflections of the crystal; those of intensity 0, like 0 0 0, are absent.
    rotations : ndarray, (n, 3, 3)
        Crystal to laboratory frame: x to the right, y down, z along the beam.
    wavelength
        In A.
    excitation_error
        Largest distance to the Ewald sphere in 1/A.
    """
    basis = table.cell.reciprocal_basis
    # The inner loop is solved, not searched: let it run along the axis with most reflections.
    order = np.argsort(np.linalg.norm(basis, axis=1))[::-1].astype(np.int64)
    lab = np.einsum("nij,kj->nki", np.asarray(rotations, dtype=float), basis[order])
    half = np.array(table.intensity.shape, dtype=np.int64) // 2
    strides = np.array(table.intensity.strides, dtype=np.int64) // table.intensity.itemsize
    flat = table.intensity.ravel()
    radius, gmax = 1.0 / wavelength, 1.0 / table.resolution
    crystal = (order, half, strides, flat, radius, excitation_error, gmax)
    # A shell of thickness 2 s holds about 2 pi g^2 s V reflections; room for twice as many.
    room = int(4 * np.pi * gmax**2 * excitation_error * table.cell.volume) + 64
    scratch = _scratch(min(len(lab), _BLOCK), room)
    parts = []
    for first in range(0, max(len(lab), 1), _BLOCK):
        block = lab[first : first + _BLOCK]
        counts = _excite(block, *crystal, *scratch)
        if counts.max(initial=0) > room:
            room = 2 * int(counts.max())
            scratch = _scratch(len(block), room)
            counts = _excite(block, *crystal, *scratch)
        parts.append((counts, *_pack(_starts(counts), *scratch)))
    counts, *columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return SpotLists(_starts(counts), *columns)


def _scratch(n: int, room: int) -> tuple[NDArray[Any], ...]:
    """Arrays for up to ``room`` reflections of each of ``n`` orientations."""
    return (
        np.empty((n, room, 3), dtype=np.int16),
        np.empty((n, room, 2), dtype=np.float32),
        np.empty((n, room), dtype=np.float32),
        np.empty((n, room), dtype=np.float32),
    )


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])


@nb.njit(cache=True, inline="always")
def _span(a, b, c):  # type: ignore[no-untyped-def]
    """Interval in which a l^2 + 2 b l + c <= 0 (a > 0); empty (low > high) where there is none."""
    d = b * b - a * c
    if d < 0:
        return 1.0, -1.0
    root = np.sqrt(d)
    return (-b - root) / a, (-b + root) / a


@nb.njit(parallel=True, cache=True, error_model="numpy")
def _excite(  # type: ignore[no-untyped-def]
    lab, order, half, strides, flat, radius, error, gmax, hkl, position, excitation, intensity
):
    """Fill in the excited reflections of each orientation and count all, with room or without."""
    n, room = len(lab), excitation.shape[1]
    counts = np.zeros(n, dtype=np.int64)
    outer, inner, g2max = (radius + error) ** 2, (radius - error) ** 2, gmax * gmax
    origin = half[0] * strides[0] + half[1] * strides[1] + half[2] * strides[2]
    s0, s1, s2 = strides[order[0]], strides[order[1]], strides[order[2]]
    for i in nb.prange(n):
        u, v, w = lab[i, 0], lab[i, 1], lab[i, 2]
        ww = w[0] * w[0] + w[1] * w[1] + w[2] * w[2]
        uw = (u[0] * w[0] + u[1] * w[1] + u[2] * w[2]) / ww
        vw = (v[0] * w[0] + v[1] * w[1] + v[2] * w[2]) / ww
        # components of u and v across w bound the second index
        pu = (u[0] - uw * w[0], u[1] - uw * w[1], u[2] - uw * w[2])
        pv = (v[0] - vw * w[0], v[1] - vw * w[1], v[2] - vw * w[2])
        vv = pv[0] * pv[0] + pv[1] * pv[1] + pv[2] * pv[2]
        uv = pu[0] * pv[0] + pu[1] * pv[1] + pu[2] * pv[2]
        uu = pu[0] * pu[0] + pu[1] * pu[1] + pu[2] * pu[2]
        m = 0
        for h in range(-half[order[0]], half[order[0]] + 1):
            k_low, k_high = _span(vv, h * uv, h * h * uu - g2max)
            k_low = max(np.ceil(k_low), -half[order[1]])
            k_high = min(np.floor(k_high), half[order[1]])
            for k in range(int(k_low), int(k_high) + 1):
                x = h * u[0] + k * v[0]
                y = h * u[1] + k * v[1]
                z = h * u[2] + k * v[2]
                b = x * w[0] + y * w[1] + z * w[2]
                g2 = x * x + y * y + z * z
                low, high = _span(ww, b, g2 - g2max)
                b_k = b + radius * w[2]
                g2_k = g2 + 2 * radius * z + radius * radius
                o_low, o_high = _span(ww, b_k, g2_k - outer)
                i_low, i_high = _span(ww, b_k, g2_k - inner)
                l_low = max(np.ceil(max(low, o_low)), -half[order[2]])
                l_high = min(np.floor(min(high, o_high)), half[order[2]])
                n_l = int(l_low)
                while n_l <= l_high:
                    if i_low < n_l < i_high:  # inside the shell's hollow: jump across
                        n_l = int(np.ceil(i_high))
                        continue
                    value = flat[origin + h * s0 + k * s1 + n_l * s2]
                    if value > 0:
                        if m < room:
                            gx, gy, gz = x + n_l * w[0], y + n_l * w[1], z + n_l * w[2]
                            hkl[i, m, order[0]] = h
                            hkl[i, m, order[1]] = k
                            hkl[i, m, order[2]] = n_l
                            position[i, m, 0] = gx
                            position[i, m, 1] = gy
                            excitation[i, m] = (
                                np.sqrt(gx * gx + gy * gy + (gz + radius) ** 2) - radius
                            )
                            intensity[i, m] = value
                        m += 1
                    n_l += 1
        counts[i] = m
    return counts


@nb.njit(parallel=True, cache=True)
def _pack(start, hkl, position, excitation, intensity):  # type: ignore[no-untyped-def]
    """Move the used part of the roomy arrays together."""
    total = start[-1]
    hkl_out = np.empty((total, 3), dtype=np.int16)
    position_out = np.empty((total, 2), dtype=np.float32)
    excitation_out = np.empty(total, dtype=np.float32)
    intensity_out = np.empty(total, dtype=np.float32)
    for i in nb.prange(len(start) - 1):
        n = start[i + 1] - start[i]
        hkl_out[start[i] : start[i + 1]] = hkl[i, :n]
        position_out[start[i] : start[i + 1]] = position[i, :n]
        excitation_out[start[i] : start[i + 1]] = excitation[i, :n]
        intensity_out[start[i] : start[i + 1]] = intensity[i, :n]
    return hkl_out, position_out, excitation_out, intensity_out
