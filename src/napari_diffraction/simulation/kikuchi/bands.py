"""Kikuchi bands on the CPU: each pattern of its own crystal, orientation and geometry.

The formula is that of `simulation.kikuchi.torch_bands.bands`, the twin for graphics
cards, and the numbers agree to a thousandth of a pattern's deviation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.reflectors import Reflectors

FloatArray = NDArray[np.float32]

#: Columns of the rows of numbers that `bands` takes, in order.
PROFILE = ("wavelength", "width", "floor", "power", "plate", "excess", "saturation", "dip")
#: Half width at half height of a camera pixel's response, taken as a Lorentzian, in pixels.
PIXEL = 0.4

#: Side of the square tiles of pixels that are done together, and their pixels.
_SIDE = 8
_TILE = _SIDE * _SIDE

#: Widths beyond the edge from which on the flanks of a band follow their asymptotes.
_FLANK = 6.0

#: Bragg angles from which on excess and deficiency are nothing.
_FADED = 3.3

#: Tile radii from the middle of a band from which on its flank is a parabola within the tile.
_SMOOTH = 3.0


def padded(
    lists: Sequence[Reflectors], count: int | None = None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Pack lists of reflectors into arrays, with ``u = 0`` behind the end of short ones.

    Parameters
    ----------
    lists
        Reflectors of each pattern, strongest first.
    count
        Room for this many, by default for the longest list.

    Returns
    -------
    normal : ndarray of float32, (n, count, 3)
    g, u : ndarray of float32, (n, count)
    """
    count = count if count is not None else max((len(r) for r in lists), default=0)
    normal = np.zeros((len(lists), count, 3), dtype=np.float32)
    g = np.ones((len(lists), count), dtype=np.float32)
    u = np.zeros((len(lists), count), dtype=np.float32)
    for i, r in enumerate(lists):
        k = min(len(r), count)
        normal[i, :k], g[i, :k], u[i, :k] = r.normal[:k], r.g[:k], r.u[:k]
    return normal, g, u


def bands(
    normal: NDArray[Any],
    g: NDArray[Any],
    u: NDArray[Any],
    rotation: NDArray[Any],
    pc: NDArray[Any],
    profile: NDArray[Any],
    beam: NDArray[Any],
    shape: tuple[int, int],
    pixel: float = 0.0,
) -> FloatArray:
    """Sum the two-beam profiles of the bands of each pattern.

    Parameters
    ----------
    normal : ndarray, (n, k, 3)
        Unit vectors of the reflections in the crystal's Cartesian frame, strongest first.
    g, u : ndarray, (n, k)
        |g| in 1/A and |U_g| in 1/A^2; ``u = 0`` fills up short lists.
    rotation : ndarray, (n, 3, 3)
        Turns directions of the detector's frame into the crystal's.
    pc : ndarray, (n, 3)
        Pattern centre in Bruker's convention: from the left over the width, from the top over the
        height, distance over the height.
    profile : ndarray, (n, 8)
        Numbers named in `PROFILE`.
    beam : ndarray, (n, 3)
        Unit direction in which the beam travels, in the detector's frame.
    shape
        Height and width in pixels.
    pixel
        Half width of a pixel's response in pixels, see `PIXEL`; 0 samples the middle of each.

    Returns
    -------
    ndarray of float32, (n, h, w)
    """
    frames = np.empty((len(normal), *shape), dtype=np.float32)
    mine = np.einsum("nki,nij->nkj", normal, rotation).astype(np.float32)
    _render(
        mine,
        np.ascontiguousarray(g, dtype=np.float32),
        np.ascontiguousarray(u, dtype=np.float32),
        np.ascontiguousarray(pc, dtype=np.float32),
        np.ascontiguousarray(profile, dtype=np.float32),
        np.ascontiguousarray(beam, dtype=np.float32),
        np.float32(pixel),
        frames,
    )
    return frames


def bands_at(
    normal: NDArray[Any],
    g: NDArray[Any],
    u: NDArray[Any],
    profile: NDArray[Any],
    directions: NDArray[Any],
) -> FloatArray:
    """Sum the profiles of the bands of one crystal in given directions.

    Parameters
    ----------
    normal, g, u
        Reflectors of one crystal, as for `bands`, without the first axis.
    profile : ndarray, (8,)
        Numbers named in `PROFILE`; ``excess`` has to be 0.
    directions : ndarray, (..., 3)
        Unit vectors in the crystal's frame.

    Returns
    -------
    ndarray of float32, (...)
    """
    flat = np.asarray(directions, dtype=np.float32).reshape(-1, 3)
    room = -(-len(flat) // _TILE) * _TILE
    rays = np.zeros((room, 3), dtype=np.float32)
    rays[: len(flat)] = flat
    rays = np.ascontiguousarray(rays.reshape(-1, _TILE, 3).transpose(0, 2, 1))
    values = np.zeros((len(rays), _TILE), dtype=np.float32)
    numbers = (np.ascontiguousarray(part, dtype=np.float32) for part in (normal, g, u, profile))
    _render_at(*numbers, rays, values)
    return values.ravel()[: len(flat)].reshape(directions.shape[:-1])


@nb.njit(parallel=True, fastmath=True, cache=True, error_model="numpy")
def _render_at(normal, g, u, profile, rays, values):  # type: ignore[no-untyped-def]
    """Fill in the values of tiles of any directions."""
    band, strength = _parameters(
        normal, g, u, profile, np.zeros(3, dtype=np.float32), np.float32(0)
    )
    scale = profile[6] / strength
    for i in nb.prange(len(rays)):
        for k in range(band.shape[1]):
            _add_near(band, k, rays[i], values[i])
        for c in range(_TILE):
            values[i, c] = values[i, c] / (np.float32(1) + scale * abs(values[i, c]))


@nb.njit(parallel=True, fastmath=True, cache=True, error_model="numpy")
def _render(mine, g, u, pc, profile, beam, pixel, frames):  # type: ignore[no-untyped-def]
    """Fill in the frames, tile by tile: near bands pixel by pixel, far ones as one parabola."""
    n, h, w = frames.shape
    for i in nb.prange(n):
        band, strength = _parameters(
            mine[i], g[i], u[i], profile[i], beam[i], pixel / (np.float32(h) * pc[i, 2])
        )
        scale = profile[i, 6] / strength
        far = np.empty(band.shape[1], dtype=np.bool_)
        ray = np.empty((3, _TILE), dtype=np.float32)
        total = np.empty(_TILE, dtype=np.float32)
        for top in range(0, h, _SIDE):
            for left in range(0, w, _SIDE):
                middle = _rays(pc[i], h, w, top, left, ray)
                _add_far(band, middle, ray, far, total)
                for k in range(band.shape[1]):
                    if not far[k]:
                        _add_near(band, k, ray, total)
                for r in range(min(_SIDE, h - top)):
                    for c in range(min(_SIDE, w - left)):
                        value = total[r * _SIDE + c]
                        frames[i, top + r, left + c] = value / (np.float32(1) + scale * abs(value))


@nb.njit(fastmath=True, error_model="numpy")
def _parameters(normal, g, u, profile, beam, pixel):  # type: ignore[no-untyped-def]
    """Numbers of every band, one row each, and the root of the sum of the squared strengths.

    Rows: normal x, y, z; Bragg angle t; inverse width; strength of edges, plate, asymmetry; reach
    beyond which the flanks are smooth; p0, p1, p2, q0, q1, q2 of the flanks, which are
    (p0 - p1 x^2 + p2 x) / ((q0 - q1 x^2)^2 + q2) for x > 0; and the depth of the dips.  ``pixel``
    is the half width of a pixel's response in radians.
    """
    one, two = np.float32(1), np.float32(2)
    length, width, floor, power, plate, excess = profile[:6]
    dip = profile[7]
    count = 0
    strongest = np.float32(1e-12)
    for k in range(len(u)):
        if u[k] > 0:
            count += 1
            strongest = max(strongest, u[k])
    band = np.empty((16, count), dtype=np.float32)
    squares = np.float32(1e-12)
    j = 0
    for k in range(len(u)):
        if u[k] <= 0:
            continue
        a = (u[k] / strongest) ** power
        squares += a * a
        t = length * g[k] / two
        own = floor + width * length * u[k] / g[k]
        # A Lorentzian pixel makes of such a line a wider and weaker one of the same form.
        inverse = one / (own + pixel)
        edge, hat = a * (one - plate) * own * inverse, a * plate / two
        for axis in range(3):
            band[axis, j] = normal[k, axis]
        tilt = normal[k, 0] * beam[0] + normal[k, 1] * beam[1] + normal[k, 2] * beam[2]
        band[3, j], band[4, j], band[5, j], band[6, j] = t, inverse, edge, hat
        # Electrons mostly go on along the beam: the edge away from it gains, the other one loses.
        band[7, j] = -a * excess * tilt / t
        reach = t + np.float32(_FLANK) / inverse
        band[8, j] = max(reach, np.float32(_FADED) * t) if excess != 0 else reach
        # With c = 2 t / d and P = (t^2 - x^2) / d^2 the two edges sum up to
        # c (1 + P) / ((1 - P)^2 + c^2) and the two dips to (2 + c^2 - 2 P) over the same; far away
        # the plate falls as c |x| / d over the same.
        c = two * t * inverse
        square = inverse * inverse
        inner = t * t * square
        band[9, j] = edge * (c * (one + inner) - dip * (two + c * c - two * inner))
        band[10, j] = edge * square * (c + two * dip)
        band[11, j] = hat * c * inverse
        band[12, j], band[13, j], band[14, j] = inner - one, square, c * c
        band[15, j] = dip
        j += 1
    return band, np.sqrt(squares)


@nb.njit(fastmath=True, error_model="numpy")
def _rays(pc, h, w, top, left, ray):  # type: ignore[no-untyped-def]
    """Fill in the directions of a tile's pixels; return that of its middle, and its radius."""
    one, half = np.float32(1), np.float32(0.5)
    across = np.float32(w) / (np.float32(h) * pc[2])
    for r in range(_SIDE):
        y = (pc[1] - (np.float32(top + r) + half) / np.float32(h)) / pc[2]
        for c in range(_SIDE):
            x = ((np.float32(left + c) + half) / np.float32(w) - pc[0]) * across
            z = one / np.sqrt(x * x + y * y + one)
            ray[0, r * _SIDE + c] = x * z
            ray[1, r * _SIDE + c] = y * z
            ray[2, r * _SIDE + c] = z
    x = (np.float32(left + _SIDE // 2) / np.float32(w) - pc[0]) * across
    y = (pc[1] - np.float32(top + _SIDE // 2) / np.float32(h)) / pc[2]
    z = one / np.sqrt(x * x + y * y + one)
    x, y = x * z, y * z
    squared = np.float32(0)
    for corner in (0, _SIDE - 1, _TILE - _SIDE, _TILE - 1):
        dx, dy, dz = ray[0, corner] - x, ray[1, corner] - y, ray[2, corner] - z
        squared = max(squared, dx * dx + dy * dy + dz * dz)
    return x, y, z, np.sqrt(squared)


@nb.njit(fastmath=True, error_model="numpy")
def _add_far(band, middle, ray, far, total):  # type: ignore[no-untyped-def]
    """Start a tile with the flanks of all distant bands, as one polynomial of second order."""
    mx, my, mz, radius = middle
    smooth = np.float32(_SMOOTH) * radius
    one, two, zero = np.float32(1), np.float32(2), np.float32(0)
    f0 = fx = fy = fz = fxx = fyy = fzz = fxy = fxz = fyz = zero
    for k in range(band.shape[1]):
        nx, ny, nz = band[0, k], band[1, k], band[2, k]
        x = nx * mx + ny * my + nz * mz
        sign = one if x > zero else -one
        x = abs(x)
        distant = x > max(band[8, k] + radius, smooth)
        far[k] = distant
        on = one if distant else zero
        q = band[12, k] - band[13, k] * x * x
        dq = -two * band[13, k] * x
        over = one / (q * q + band[14, k])
        value = (band[9, k] - band[10, k] * x * x + band[11, k] * x) * over
        d1, d2 = two * q * dq, two * (dq * dq - two * q * band[13, k])
        first = (band[11, k] - two * band[10, k] * x - value * d1) * over
        second = (-two * band[10, k] - two * first * d1 - value * d2) * over
        value, first, second = on * value, on * sign * first, on * second / two
        f0 += value
        fx += first * nx
        fy += first * ny
        fz += first * nz
        fxx += second * nx * nx
        fyy += second * ny * ny
        fzz += second * nz * nz
        fxy += two * second * nx * ny
        fxz += two * second * nx * nz
        fyz += two * second * ny * nz
    for c in range(_TILE):
        x, y, z = ray[0, c] - mx, ray[1, c] - my, ray[2, c] - mz
        total[c] = (
            f0
            + x * (fx + fxx * x + fxy * y + fxz * z)
            + y * (fy + fyy * y + fyz * z)
            + z * (fz + fzz * z)
        )


@nb.njit(fastmath=True, error_model="numpy")
def _add_near(band, k, ray, total):  # type: ignore[no-untyped-def]
    """Add a band with its edges, its plate and its excess and deficiency to a tile."""
    one = np.float32(1)
    nx, ny, nz = band[0, k], band[1, k], band[2, k]
    t, inverse, edge, hat, asym = band[3, k], band[4, k], band[5, k], band[6, k], band[7, k]
    dip = band[15, k]
    eighth = np.float32(0.125) / (t * t)
    for c in range(_TILE):
        x = nx * ray[0, c] + ny * ray[1, c] + nz * ray[2, c]
        plus, minus = (t - x) * inverse, (t + x) * inverse
        r_plus, r_minus = one / np.sqrt(one + plus * plus), one / np.sqrt(one + minus * minus)
        # exp(-(x / t)^2) as the 8th power of a polynomial, for the vector units
        z = min(x * x * eighth, np.float32(4))
        p = one + z * (
            one + z * (np.float32(0.5) + z * (np.float32(1 / 6) + z * np.float32(1 / 24)))
        )
        p *= p
        p *= p
        total[c] += (
            r_plus * (hat * plus + edge * (plus - dip) * r_plus)
            + r_minus * (hat * minus + edge * (minus - dip) * r_minus)
            + asym * x / (p * p)
        )
