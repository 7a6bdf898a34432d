"""Counterfactual zones: the net is broken, the envelope and the number of spots are kept.

A classifier that reads the shape of the cloud of spots and not the net calls these zones, too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]

CONTROLS = ("jitter", "shift", "overlay")


def net_spacing(position: FloatArray) -> float:
    """Median distance from a spot to its nearest neighbour; positions (n, 2)."""
    gap = np.linalg.norm(position[:, None] - position[None], axis=2)
    np.fill_diagonal(gap, np.inf)
    return float(np.median(gap.min(axis=1)))


def jitter_net(position: FloatArray, rng: np.random.Generator, share: float = 0.4) -> FloatArray:
    """Move every spot by up to ``share`` of the spacing along both axes, at random."""
    reach = share * net_spacing(position)
    return np.asarray(position + rng.uniform(-reach, reach, position.shape), dtype=np.float32)


def shift_outer_half(
    position: FloatArray, rng: np.random.Generator, share: tuple[float, float] = (0.3, 0.5)
) -> FloatArray:
    """Shift the outer half of the spots together by a share of the spacing.

    The direction is random; ``share`` is the range of the length of the shift.
    """
    distance = np.linalg.norm(position, axis=1)
    outer = distance > np.median(distance)
    angle = rng.uniform(0, 2 * np.pi)
    length = rng.uniform(*share) * net_spacing(position)
    shift = length * np.array([np.cos(angle), np.sin(angle)])
    return np.asarray(position + outer[:, None] * shift, dtype=np.float32)
