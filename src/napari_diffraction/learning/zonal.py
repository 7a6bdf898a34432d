"""Which spots of a pattern belong to its dominant net, and their indices on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.learning.net import bend, best_net, index

#: The strongest spots, from which the net is found; all are then marked.
_MOST = 240
#: A spot lies on the net within this share of its shorter basis vector.
_WIDE = 0.09
#: Fewest spots on a net, and least share of them, for which it is believed.
_LEAST_SPOTS, _LEAST_SHARE = 5, 0.2
#: Fewest spots for which a net is bent as a lens does.
_BENT_LEAST = 14


@dataclass(frozen=True)
class Zonal:
    """Membership of the dominant net.

    Attributes
    ----------
    zonal : ndarray of bool, (n,)
        Whether the spot lies on the net.
    h, k : ndarray of int64, (n,)
        Indices of the net's node next to the spot, counted from that next to the direct beam; they
        are those of the net, not of the crystal.
    basis : ndarray of float64, (2, 2)
        Rows are the reduced basis vectors in pixels; zeros where there is no net.
    """

    zonal: NDArray[np.bool_]
    h: NDArray[np.int64]
    k: NDArray[np.int64]
    basis: NDArray[np.float64]


def mark_zonal(position: ArrayLike, centre: tuple[float, float], radius: float) -> Zonal:
    """Find the net through the direct beam that explains most spots, and mark those on it.

    Parameters
    ----------
    position : array, (n, 2)
        x and y in pixels, strongest first.
    centre
        x and y of the direct beam.
    radius
        Typical radius of a spot in pixels, to which positions are trusted.
    """
    xy = np.ascontiguousarray(position, dtype=np.float64).reshape(-1, 2)
    n = len(xy)
    none = Zonal(np.zeros(n, bool), np.zeros(n, np.int64), np.zeros(n, np.int64), np.zeros((2, 2)))
    if n < _LEAST_SPOTS:
        return none
    middle = np.array(centre, dtype=np.float64)
    reach = float(np.hypot(*(xy - middle).T).max()) + 1e-6
    fine = max(0.5, 0.25 * radius, 0.003 * reach)
    net, _, _ = best_net(xy[:_MOST], fine, reach)
    if not net[:2].any():
        return none
    _move_origin(net, middle)
    node, distance = np.zeros((n, 2), np.int64), np.zeros(n)
    tolerance = max(fine, _WIDE * float(np.hypot(*net[0])))
    index(xy, net, node, distance)
    inside = int(np.sum(distance < tolerance))
    if n >= _BENT_LEAST and bend(xy, net, middle, node, distance, tolerance, reach) <= inside + 2:
        index(xy, net, node, distance)
    zonal = distance < tolerance
    if zonal.sum() < max(_LEAST_SPOTS, _LEAST_SHARE * n):
        return none
    return Zonal(zonal, node[:, 0], node[:, 1], net[:2])


def _move_origin(net: NDArray[np.float64], centre: NDArray[np.float64]) -> None:
    """Put the origin of a net on its node next to the direct beam."""
    steps = np.linalg.solve(net[:2].T, centre - net[2])
    net[2] += np.round(steps) @ net[:2]
