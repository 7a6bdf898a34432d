"""Which spots of a pattern belong to its dominant net, and their indices on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.indexing.spot_net.laue_zones import in_zone
from napari_diffraction.indexing.spot_net.net import bend, index
from napari_diffraction.indexing.spot_net.search import (
    best_net,
    net_through,
    off_beam,
    plausible,
)

#: The strongest spots, from which the net is found; all are then marked.
_MOST = 240
#: A spot lies on the net within this share of its shorter basis vector, at first and at most.
_WIDE, _WIDEST = 0.09, 0.25
#: Fewest spots on a net, and least share of them, for which it is believed.
_LEAST_SPOTS, _LEAST_SHARE = 5, 0.2
#: Fewest spots for which a net is bent as a lens does.
_BENT_LEAST = 14
#: Times that the scatter of the spots about the nodes is estimated.
_ROUNDS = 4


@dataclass(frozen=True)
class Zonal:
    """Membership of the dominant net.

    Attributes
    ----------
    zonal : ndarray of bool, (n,)
        Whether the spot lies on the net and belongs to the zone itself, not to a higher Laue zone
        whose spots fall on the same nodes.
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
    """Find the net that explains most spots, and mark those that belong to its zone.

    A net through the direct beam is preferred; where none is found, as where the beam is not at
    its estimated place, any net will do, and higher Laue zones are then not told apart.

    Parameters
    ----------
    position : array, (n, 2)
        x and y in pixels, strongest first.  A place that is not finite is not zonal.
    centre
        x and y of the direct beam.
    radius
        Typical radius of a spot in pixels, to which positions are trusted.

    Returns
    -------
    Zonal
        In the order of the positions.
    """
    xy = np.ascontiguousarray(position, dtype=np.float64).reshape(-1, 2)
    n = len(xy)
    h, k = np.zeros((2, n), np.int64)
    marked = Zonal(np.zeros(n, bool), h, k, np.zeros((2, 2)))
    finite = np.isfinite(xy).all(axis=1)
    if not np.isfinite(centre).all():
        return marked
    known = xy[finite]
    net, zonal, node = _mark(known, np.array(centre, dtype=np.float64), radius)
    marked.zonal[finite], marked.h[finite], marked.k[finite] = zonal, node[:, 0], node[:, 1]
    marked.basis[:] = net
    return marked


def _mark(
    xy: NDArray[np.float64], centre: NDArray[np.float64], radius: float
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Basis of the net, which spots are zonal, and the nodes next to them."""
    n = len(xy)
    node, distance = np.zeros((n, 2), np.int64), np.zeros(n)
    none = np.zeros((2, 2)), np.zeros(n, bool), node.copy()
    if n < _LEAST_SPOTS:
        return none
    reach = float(np.hypot(*(xy - centre).T).max()) + 1e-6
    fine = max(0.5, 0.25 * radius, 0.003 * reach)
    net = _find(xy[:_MOST], centre, fine, reach)
    if not net[:2].any():
        return none
    _move_origin(net, centre)
    tolerance = max(fine, _WIDE * float(np.hypot(*net[0])))
    index(xy, net, node, distance)
    if n >= _BENT_LEAST:
        # Believed if spots come close to it: spots of another Laue zone can bend a net, too.
        straight = int(np.sum(distance < fine))
        bend(xy, net, centre, node, distance, tolerance, reach)
        if np.sum(distance < fine) <= straight + 2:
            index(xy, net, node, distance)
    zonal = distance < _fair(distance, net, tolerance)
    if zonal.sum() < max(_LEAST_SPOTS, _LEAST_SHARE * n):
        return none
    if off_beam(net, centre) < tolerance:
        zonal[zonal] = in_zone(node[zonal], net[:2])
    return net[:2], zonal, node


def _find(
    xy: NDArray[np.float64], centre: NDArray[np.float64], tolerance: float, reach: float
) -> NDArray[np.float64]:
    """Find the net of most spots, with a node at the beam or, if the beam is not there, without."""
    free, _, _ = best_net(xy, tolerance, reach)
    bound, score = net_through(xy, centre, tolerance, reach)
    if free[:2].any() and plausible(xy, free, tolerance) >= score:
        return np.asarray(free)
    return np.asarray(bound)


def _fair(distance: NDArray[np.float64], net: NDArray[np.float64], tolerance: float) -> float:
    """Distance from a node at which a spot is as likely to be on the net as off it.

    A share p on the net scatters about the nodes as a Gaussian of variance v, the others lie
    anywhere in the cell of area A: p exp(-d^2 / 2v) / (2 pi v) = (1 - p) / A.
    """
    area = abs(float(np.linalg.det(net[:2])))
    widest = _WIDEST * float(np.hypot(*net[0]))
    for _ in range(_ROUNDS):
        near = distance < tolerance
        on = float(near.mean())
        if on in (0, 1):
            break
        variance = max(float(np.mean(distance[near] ** 2)) / 2, 0.01)
        odds = on / (1 - on) * area / (2 * np.pi * variance)
        tolerance = min(max(np.sqrt(2 * variance * np.log(max(odds, 1.0))), 0.3), widest)
    return tolerance


def _move_origin(net: NDArray[np.float64], centre: NDArray[np.float64]) -> None:
    """Put the origin of a net on its node next to the direct beam."""
    steps = np.linalg.solve(net[:2].T, centre - net[2])
    net[2] += np.round(steps) @ net[:2]
