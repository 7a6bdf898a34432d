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


@nb.njit(parallel=True, cache=True)
def _dominant_zones(start, hkl):  # type: ignore[no-untyped-def]
    n = len(start) - 1
    fraction = np.zeros(n, dtype=np.float32)
    uvw = np.zeros((n, 3), dtype=np.int64)
    count = np.zeros(n, dtype=np.int32)
    for i in nb.prange(n):
        spots = hkl[start[i] : start[i + 1]]
        m = len(spots)
        count[i] = m
        if m == 0:
            continue
        slots = 64  # of a hash table of zones, never more than half full
        while slots < 2 * m:
            slots *= 2
        keys = np.empty(slots, dtype=np.float64)
        tally = np.empty(slots, dtype=np.int32)
        stamp = np.full(slots, -1, dtype=np.int32)
        best = 0
        for a in range(m):
            # A zone not yet met has none of the first a reflections: it cannot beat this.
            if best >= m - a:
                break
            g0, g1, g2 = int(spots[a, 0]), int(spots[a, 1]), int(spots[a, 2])
            collinear = 1
            top = 0
            axis = np.zeros(3, dtype=np.int64)
            for b in range(a + 1, m):
                p, q, r = int(spots[b, 0]), int(spots[b, 1]), int(spots[b, 2])
                u, v, w = g1 * r - g2 * q, g2 * p - g0 * r, g0 * q - g1 * p
                if u == 0 and v == 0 and w == 0:
                    collinear += 1
                    continue
                # [uvw] is normal to hkl, so two of its components give the third, and their
                # ratio, correctly rounded, is the same number for the same plane.
                if g2 != 0:
                    s, t = u, v
                elif g1 != 0:
                    s, t = u, w
                else:
                    s, t = v, w
                key = s / t if t != 0 else np.inf
                slot = (np.int64(key * 40503.0) if t != 0 else 77) & (slots - 1)
                while stamp[slot] == a and keys[slot] != key:
                    slot = (slot + 1) & (slots - 1)
                if stamp[slot] != a:
                    stamp[slot] = a
                    keys[slot] = key
                    tally[slot] = 0
                tally[slot] += 1
                if tally[slot] > top:
                    top = tally[slot]
                    axis[0], axis[1], axis[2] = u, v, w
            if top + collinear > best:
                best = top + collinear
                uvw[i] = axis
        fraction[i] = best / m
    return fraction, uvw, count
