"""Which spots on a net belong to its zone, and which to higher Laue zones; compiled.

Reflections of a higher Laue zone often lie on the nodes of the net in projection, so that places
alone do not tell them apart.  But each Laue zone is seen only where the Ewald sphere passes within
the excitation error of its plane: in rings around one point, and their distance is that of the
planes.  With x the place of a spot from the direct beam over the reach of the spots, u the tilt of
the zone axis and the curvature of the sphere in these units, a spot of the k-th Laue zone has

    f(x) = |x|^2 cos(phi) + 2 x.u sin(phi) = k D  to within  h

(after Steeds and Evans 1980; phi = 0: the zone axis along the beam, 90 deg: rows far from the
axis).  Tilt, spacing D and width h are those by which the occupied nodes are likeliest, if each
node within the rings is as likely to be occupied as any other.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

#: Directions and sizes of the tilt, distances of the Laue zones, and half widths that are tried.
_DIRECTIONS = np.linspace(0, 2 * np.pi, 96, endpoint=False)
_TILTS = np.linspace(0, np.pi / 2, 25)
_DISTANCES = np.geomspace(0.5, 2.4, 20)
_WIDTHS = np.geomspace(0.03, 1.2, 20)
#: A ring is at most this share of the distance to either side, or there would be no gaps.
_WIDEST = 0.42
#: Cells of the histogram of f, from `_LOW` on.
_CELL, _CELLS, _LOW = 0.01, 520, -2.4
#: Share of spots that may lie anywhere, as false ones do.
_STRAY = 0.02
#: Least share of the spots that lie in the zone itself.
_LEAST = 0.4
#: Least share of the spots within the rings, or they are not worth a closer look.
_ORDERLY = 0.85
#: Logarithm of the odds from which several Laue zones are believed rather than one; a zone of which
#: a random part is seen reaches 8 in one of some hundred patterns.
_SURE = 8.0
#: Most nodes that are looked at; of more, every second or third.
_NODES = 600


def in_zone(node: NDArray[np.int64], basis: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell spots of the zone itself from those of higher Laue zones.

    Parameters
    ----------
    node : ndarray of int64, (n, 2)
        Indices of the spots on the net, counted from the direct beam.
    basis : ndarray of float64, (2, 2)
        Rows are the basis vectors of the net in pixels.

    Returns
    -------
    ndarray of bool, (n,)
        All true where nothing speaks for a second Laue zone.
    """
    place = node @ basis
    reach = float(np.hypot(*place.T).max()) * 1.001
    if reach == 0:
        return np.ones(len(node), bool)
    place /= reach
    odds, tilt, direction, distance = _search(place, _nodes(basis / reach))
    if odds < _SURE:
        return np.ones(len(node), bool)
    along = place @ [np.cos(direction), np.sin(direction)]
    f = np.cos(tilt) * (place**2).sum(axis=1) + 2 * np.sin(tilt) * along
    return np.asarray(np.abs(f) < 0.5 * distance)


def _nodes(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nodes of a net within the unit circle, (m, 2)."""
    # The height of a triangle over each of its sides says how many rows fit.
    area = abs(float(np.linalg.det(basis)))
    most = [int(np.hypot(*basis[1 - i]) / area) + 1 for i in range(2)]
    m, n = np.mgrid[-most[0] : most[0] + 1, -most[1] : most[1] + 1]
    nodes = m.reshape(-1, 1) * basis[0] + n.reshape(-1, 1) * basis[1]
    nodes = nodes[(nodes**2).sum(axis=1) <= 1]
    return np.ascontiguousarray(nodes[:: len(nodes) // _NODES + 1])


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _search(place, nodes):  # type: ignore[no-untyped-def]
    """Log odds of several Laue zones against one; tilt, its direction and distance of the zones."""
    one, several = -np.inf, -np.inf
    tilt, direction, distance = 0.0, 0.0, 1.0
    n, m = len(place), len(nodes)
    spots, free = np.zeros(_CELLS + 1), np.zeros(_CELLS + 1)
    for p in _TILTS:
        for t in _DIRECTIONS:
            if p == 0 and t > 0:
                break
            _gather(place, p, t, spots)
            _gather(nodes, p, t, free)
            for h in _WIDTHS:
                inside, open_ = _within(spots, 0.0, h), _within(free, 0.0, h)
                if inside < _LEAST * n:
                    continue
                one = max(one, _likelihood(inside, n, open_, m))
                for d in _DISTANCES:
                    if h > _WIDEST * d:
                        continue
                    zones = int(2.5 / d)
                    ringed = inside
                    for k in range(1, zones + 1):
                        ringed += _within(spots, k * d, h) + _within(spots, -k * d, h)
                    if ringed < _ORDERLY * n:
                        continue
                    ring = open_
                    for k in range(1, zones + 1):
                        ring += _within(free, k * d, h) + _within(free, -k * d, h)
                    found = _likelihood(ringed, n, ring, m)
                    if found > several:
                        several, tilt, direction, distance = found, p, t, d
    return several - one, tilt, direction, distance


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _gather(place, tilt, direction, total):  # type: ignore[no-untyped-def]
    """Fill ``total`` with the number of places up to each value of f."""
    total[:] = 0
    c, x, y = np.cos(tilt), np.cos(direction), np.sin(direction)
    s = 2 * np.sin(tilt)
    for k in range(len(place)):
        a, b = place[k, 0], place[k, 1]
        f = c * (a * a + b * b) + s * (a * x + b * y)
        total[int((f - _LOW) / _CELL) + 1] += 1
    for k in range(_CELLS):
        total[k + 1] += total[k]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _within(total, middle, width):  # type: ignore[no-untyped-def]
    """Number of places whose f is within a width of a value."""
    low = min(max(int((middle - width - _LOW) / _CELL + 0.5), 0), _CELLS)
    high = min(max(int((middle + width - _LOW) / _CELL + 0.5), 0), _CELLS)
    return total[high] - total[low]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _likelihood(inside, n, open_, m):  # type: ignore[no-untyped-def]
    """Logarithm of the likelihood of n spots, over that of n spots anywhere on the net."""
    share = (open_ + 1) / (m + 2)
    return inside * np.log((1 - _STRAY) / share + _STRAY) + (n - inside) * np.log(_STRAY)
