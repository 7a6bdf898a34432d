"""The dominant zone of a pattern: how many of its reflections lie in one net through the origin."""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

#: Fewest reflections that let a person see a two-dimensional net.
MIN_VISIBLE = 6


@dataclass(frozen=True)
class ZoneLabels:
    """For each pattern, the zone that holds most of its reflections.

    Attributes
    ----------
    fraction : ndarray of float32, (n,)
        Share of the reflections that lie in the dominant zone; 0 where there are none.
    uvw : ndarray of int32, (n, 3)
        Zone axis [uvw], without common divisor; 0 0 0 where the reflections span no plane.
    count : ndarray of int32, (n,)
        Number of reflections.
    strict : ndarray of bool, (n,)
        All reflections lie in one plane through the origin, span it, and are at least
        `MIN_VISIBLE`: a 2DZone in the sense of Gorelik et al. (2025).
    """

    fraction: NDArray[np.float32]
    uvw: NDArray[np.int32]
    count: NDArray[np.int32]
    strict: NDArray[np.bool_]


def label_zones(start: NDArray[np.int64], hkl: NDArray[np.int16]) -> ZoneLabels:
    """Find the dominant zone of each spot list, exactly.

    Parameters
    ----------
    start : ndarray of int64, (n + 1,)
        Pattern i owns the reflections ``start[i]:start[i + 1]``.
    hkl : ndarray of int16, (m, 3)
        Miller indices.
    """
    fraction, uvw, count = _dominant_zones(start, np.ascontiguousarray(hkl))
    divisor = np.gcd.reduce(uvw, axis=1)
    uvw = uvw // np.maximum(divisor, 1)[:, None]
    first = np.argmax(uvw != 0, axis=1)
    uvw *= np.where(uvw[np.arange(len(uvw)), first] < 0, -1, 1)[:, None]
    strict = (fraction == 1) & (divisor > 0) & (count >= MIN_VISIBLE)
    return ZoneLabels(fraction, uvw.astype(np.int32), count, strict)


@nb.njit(parallel=True, cache=True, error_model="numpy")
def _dominant_zones(start, hkl):  # type: ignore[no-untyped-def]
    n = len(start) - 1
    fraction = np.zeros(n, dtype=np.float32)
    uvw = np.zeros((n, 3), dtype=np.int64)
    count = np.zeros(n, dtype=np.int32)
    for i in nb.prange(n):
        m = start[i + 1] - start[i]
        count[i] = m
        if m == 0:
            continue
        spots = np.empty((3, m), dtype=np.float64)  # indices are exact in it, and so are products
        for b in range(m):
            for c in range(3):
                spots[c, b] = hkl[start[i] + b, c]
        slots = 64  # of a hash table of zones, at most a quarter full
        while slots < 4 * m:
            slots *= 2
        keys = np.empty(slots, dtype=np.float64)
        tally = np.full(slots, -1, dtype=np.int64)  # of reflection a: a m + members
        ratio = np.empty(m, dtype=np.float64)
        best = 0
        for a in range(m):
            # A zone not yet met has none of the first a reflections: it cannot beat this.
            if best >= m - a:
                break
            # [uvw] is normal to hkl, so the two components beside an index that is not 0 give the
            # third, and their ratio, correctly rounded, is the same number for the same plane.
            pivot = 2 if spots[2, a] != 0 else 1 if spots[1, a] != 0 else 0
            x, y, z = spots[pivot - 2], spots[pivot - 1], spots[pivot]
            for b in range(a + 1, m):
                ratio[b] = (y[a] * z[b] - z[a] * y[b]) / (z[a] * x[b] - x[a] * z[b])
            collinear, top, partner = 1, 0, a
            for b in range(a + 1, m):
                key = ratio[b]
                if np.isnan(key):  # 0 / 0
                    collinear += 1
                    continue
                slot = np.int64(0)
                if np.isinf(key):  # either sign: the same plane
                    key = np.inf
                else:
                    slot = np.int64(key * 40503.0) & (slots - 1)
                members = tally[slot] - a * m
                while members > 0 and keys[slot] != key:
                    slot = (slot + 1) & (slots - 1)
                    members = tally[slot] - a * m
                members = max(members, 0) + 1
                keys[slot] = key
                tally[slot] = a * m + members
                if members > top:
                    top, partner = members, b
            if top + collinear > best:
                best = top + collinear
                uvw[i] = _cross(spots[:, a], spots[:, partner])
        fraction[i] = best / m
    return fraction, uvw, count


@nb.njit(cache=True, inline="always")
def _cross(g, h):  # type: ignore[no-untyped-def]
    return g[1] * h[2] - g[2] * h[1], g[2] * h[0] - g[0] * h[2], g[0] * h[1] - g[1] * h[0]
