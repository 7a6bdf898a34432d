"""Fast random numbers for the renderer: counting and read-out noise inside compiled loops."""

from __future__ import annotations

import numba as nb
import numpy as np
from scipy import special

# Small tables stay in the processor's cache, which is what makes them fast.
_LEVELS, _QUANTILES, _NORMALS = 128, 512, 8192
_POISSON_MAX = np.float32(16.0)

#: Quantiles of the normal distribution.
NORMAL = special.ndtri((np.arange(_NORMALS) + 0.5) / _NORMALS).astype(np.float32)

_means = float(_POISSON_MAX) * (np.arange(_LEVELS) / (_LEVELS - 1)) ** 2
#: Quantiles of Poisson distributions; the means are spaced evenly in their square root.
POISSON = np.stack(
    [
        np.searchsorted(
            special.pdtr(np.arange(64), max(mean, 1e-9)), (np.arange(_QUANTILES) + 0.5) / _QUANTILES
        )
        for mean in _means
    ]
).astype(np.uint8)


@nb.njit(cache=True, inline="always")
def mix(z):  # type: ignore[no-untyped-def]
    """Turn a counter into random bits (splitmix64; Steele, Lea and Flood 2014)."""
    z = z * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@nb.njit(cache=True, inline="always")
def next_bits(state):  # type: ignore[no-untyped-def]
    """Advance the counter ``state[0]`` and return 64 random bits."""
    state[0] += np.uint64(1)
    return mix(state[0])


@nb.njit(cache=True, inline="always")
def uniform(state):  # type: ignore[no-untyped-def]
    """Draw a number from [0, 1)."""
    return float(next_bits(state) >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@nb.njit(cache=True, inline="always")
def normal(bits, normal_table):  # type: ignore[no-untyped-def]
    """Turn the 13 lowest of some random bits into a standard normal number."""
    return normal_table[np.int64(bits & np.uint64(_NORMALS - 1))]


@nb.njit(cache=True, error_model="numpy", inline="always")
def poisson(mean, bits, normal_table, poisson_table):  # type: ignore[no-untyped-def]
    """Draw a Poisson number with the help of 32 random bits.

    Above a mean of 16 the normal approximation serves; below, a table of quantiles, except in its
    outermost quantile, where rare bright pixels come from, which is drawn exactly.
    """
    if mean >= _POISSON_MAX:
        x = mean + np.sqrt(mean) * normal(bits, normal_table) + np.float32(0.5)
        return np.float32(np.floor(x))
    q = np.int64(bits & np.uint64(_QUANTILES - 1))
    if q == _QUANTILES - 1:
        return _poisson_tail(mean, bits)
    # A random rounding of the level keeps the mean right.
    place = np.sqrt(mean * np.float32(1.0 / _POISSON_MAX)) * np.float32(_LEVELS - 1)
    dither = np.float32((bits >> np.uint64(16)) & np.uint64(0xFF)) * np.float32(1.0 / 256)
    return np.float32(poisson_table[min(np.int32(place + dither), _LEVELS - 1), q])


@nb.njit(cache=True, error_model="numpy")
def _poisson_tail(mean, bits):  # type: ignore[no-untyped-def]
    """Draw from the outermost quantile of a Poisson distribution by inversion."""
    u = 1.0 - float(mix(bits) >> np.uint64(11)) * (1.0 / 9007199254740992.0) / _QUANTILES
    p = np.exp(-mean)
    total, k = p, 0
    while total < u and k < 100:
        k += 1
        p *= mean / k
        total += p
    return np.float32(k)
