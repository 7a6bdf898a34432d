"""Which spots on a net belong to its zone, and which to higher Laue zones; compiled.

Reflections of a higher Laue zone often lie on the nodes of the net in projection, so that places
alone do not tell them apart.  But a spot is seen where its distance to the Ewald sphere is small.
To second order in g that of a reflection of the k-th Laue zone is

    s = k H - g.t - wavelength |g|^2 / 2,

with H the distance of the planes and t the tilt of the zone axis.  With x the place of the spot
from the direct beam over the reach of the spots, |s| below the excitation error reads

    |f(x) - k D| < h,   f(x) = |x|^2 cos(phi) + 2 x.u sin(phi),

where the unit vector u is the direction of the tilt, and phi says how large it is: at 0 the rings
of all zones are concentric with the beam, at 90 degrees they are straight bands.  Tilt, D and h
are those by which the occupied nodes are likeliest, if each node within the rings is as likely to
be occupied as any other.
"""

from __future__ import annotations

import numba as nb
import numpy as np
from numpy.typing import NDArray

#: Sizes of the tilt, and directions for a straight band.  Nearly straight bands are left out: every
#: second or third row of a net looks like them where the others are weak, as of a superstructure.
_TILTS = np.linspace(0, np.radians(75), 11)
_DIRECTIONS = 48
#: Distances of the Laue zones, and half widths of their rings, that are tried.
_DISTANCES = np.geomspace(0.5, 2.4, 20)
_WIDTHS = np.geomspace(0.03, 1.2, 14)
#: A ring is at most this share of the distance to either side, or there would be no gaps.
_WIDEST = 0.42
#: Cells of the histogram of f, from `_LOW` on; f lies between -2 and 2.24.
_CELL, _CELLS, _LOW = 0.01, 520, -2.4
#: Share of spots that may lie anywhere, as false ones do.
_STRAY = 0.02
#: Least share of the spots that lie in the zone itself.
_LEAST = 0.4
#: Least share of the spots within the rings, or they are not worth a closer look.
_ORDERLY = 0.85
#: Fewest nodes with spots that can tell.
_FEWEST = 15
#: Logarithm of the odds from which several Laue zones are believed rather than one; a zone of which
#: a random part is seen hardly reaches it.
_SURE = 8.0
#: Most nodes that are looked at.
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
    occupied, back = np.unique(node, axis=0, return_inverse=True)
    place = occupied @ basis
    reach = float(np.hypot(*place.T).max(initial=0)) * 1.001
    if len(occupied) < _FEWEST or reach == 0:
        return np.ones(len(node), bool)
    place /= reach
    odds, tilt, direction, distance = _search(place, _nodes(basis / reach))
    if odds < _SURE:
        return np.ones(len(node), bool)
    along = place @ [np.cos(direction), np.sin(direction)]
    f = np.cos(tilt) * (place**2).sum(axis=1) + 2 * np.sin(tilt) * along
    return np.asarray(np.abs(f) < 0.5 * distance)[back.ravel()]


def _nodes(basis: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nodes of a net within the unit circle, or some of them, (m, 2)."""
    # The height of the cell over each of its sides says how many rows fit.
    area = abs(float(np.linalg.det(basis)))
    most = [int(np.hypot(*basis[1 - i]) / area) + 1 for i in range(2)]
    m, n = np.mgrid[-most[0] : most[0] + 1, -most[1] : most[1] + 1]
    nodes = m.reshape(-1, 1) * basis[0] + n.reshape(-1, 1) * basis[1]
    nodes = nodes[(nodes**2).sum(axis=1) <= 1]
    some = np.random.default_rng(0).permutation(len(nodes))[:_NODES]
    return np.ascontiguousarray(nodes[some])


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _search(place, nodes):  # type: ignore[no-untyped-def]
    """Log odds of several Laue zones against one; tilt, its direction and distance of the zones."""
    one, several = -np.inf, -np.inf
    tilt, direction, distance = 0.0, 0.0, 1.0
    n, m = len(place), len(nodes)
    spots, free = np.zeros(_CELLS + 1), np.zeros(_CELLS + 1)
    for p in _TILTS:
        directions = max(1, int(_DIRECTIONS * np.sin(p) + 0.5))
        for step in range(directions):
            t = 2 * np.pi * step / directions
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
