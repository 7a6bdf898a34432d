"""Search for the two-dimensional net on which most of some points lie; compiled.

A net is an array (3, 2): two basis vectors and the origin, in pixels.
"""

from __future__ import annotations

import numba as nb
import numpy as np

from napari_diffraction.indexing.spot_net.net import coarsen, index, refine, set_origin
from napari_diffraction.patterns.sorting import order_down

_VECTORS = 32
_CANDIDATES = 8
#: Difference vectors, and spots, from which nets through the beam are made.
_ROWS, _BEAM_SPOTS = 12, 80
_SETTLES = 8
_BEAM_CANDIDATES = 4
#: Share of the spots on a net that are to have neighbours.
_COMPANY = 0.5
#: Cells of the histogram of difference vectors from 0 to its limit.
_CELLS = 192


@nb.njit(cache=True, nogil=True, error_model="numpy")
def best_net(xy, tol, reach):  # type: ignore[no-untyped-def]
    """The net (basis rows and origin) on which most spots lie, beyond what chance puts there."""
    n = len(xy)
    none = np.zeros((3, 2))
    vectors, weights = _vector_peaks(xy, tol, reach)
    count = len(vectors)
    if count < 2:
        return none, 0.0, 0.0
    peak = weights[0] / n
    total = weights.sum()
    gain = np.full(_CANDIDATES, -1.0)
    pairs = np.zeros((_CANDIDATES, 2, 2))
    shares = np.zeros(_CANDIDATES)
    for i in range(count):
        for j in range(i + 1, count):
            ax, ay, bx, by = vectors[i, 0], vectors[i, 1], vectors[j, 0], vectors[j, 1]
            area = ax * by - ay * bx
            lengths = np.sqrt((ax * ax + ay * ay) * (bx * bx + by * by))
            if abs(area) < 0.2 * lengths or abs(area) < 12 * tol * tol:
                continue
            share = 0.0
            for k in range(count):
                vx, vy = vectors[k, 0], vectors[k, 1]
                p = (vx * by - vy * bx) / area
                q = (ax * vy - ay * vx) / area
                rp, rq = p - np.floor(p + 0.5), q - np.floor(q + 0.5)
                dx, dy = rp * ax + rq * bx, rp * ay + rq * by
                if dx * dx + dy * dy < 2 * tol * tol:
                    share += weights[k]
            share /= total
            # A denser net explains more by chance.
            chance = min(1.0, 6.3 * tol * tol / abs(area))
            value = (share - chance) / (1 - 0.5 * chance)
            worst = np.argmin(gain)
            if value > gain[worst] + 1e-9:
                gain[worst] = value
                pairs[worst, 0, 0], pairs[worst, 0, 1] = ax, ay
                pairs[worst, 1, 0], pairs[worst, 1, 1] = bx, by
                shares[worst] = share
    best, best_score, explained = none, -1.0, 0.0
    node = np.zeros((n, 2), dtype=np.int64)
    distance = np.zeros(n)
    for c in range(_CANDIDATES):
        if gain[c] < 0:
            continue
        net = np.zeros((3, 2))
        net[0], net[1] = pairs[c, 0], pairs[c, 1]
        _reduce(net)
        set_origin(xy, net, tol)
        if not _settle(xy, net, tol, 3):
            continue
        index(xy, net, node, distance)
        inside = 0
        for k in range(n):
            inside += distance[k] < tol
        score = _beyond_chance(inside, n, net, tol)
        if score > best_score + 0.01:
            best, best_score, explained = net, score, shares[c]
    return best, peak, explained


@nb.njit(cache=True, nogil=True, error_model="numpy")
def net_through(xy, centre, tol, reach):  # type: ignore[no-untyped-def]
    """The most `plausible` net with a node at the direct beam (zeros for none), and how much it is.

    One basis vector is a frequent difference vector, the other leads from the beam to a spot: so
    nets are found of which only a few rows are seen.  The spots, (n, 2) in pixels, are sorted by
    strength; ``reach`` is the greatest distance of one from the beam.
    """
    vectors, _ = _vector_peaks(xy, tol, reach)
    count, spots = min(len(vectors), _ROWS), min(len(xy), _BEAM_SPOTS)
    chosen = np.full(_BEAM_CANDIDATES, -1.0)
    nets = np.zeros((_BEAM_CANDIDATES, 3, 2))
    net = np.zeros((3, 2))
    net[2] = centre
    for i in range(count):
        for j in range(spots):
            net[0] = vectors[i]
            net[1] = xy[j] - centre
            area = abs(net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0])
            if area < max(60 * tol * tol, 3 * tol * np.sqrt((net[0] ** 2).sum())):
                continue
            _reduce(net)
            # Not refined yet, so it may be a little off.
            value = plausible(xy[:spots], net, 2 * tol)
            worst = np.argmin(chosen)
            if value > chosen[worst] + 1e-9:
                chosen[worst] = value
                nets[worst] = net
    best, most = np.zeros((3, 2)), 0.0
    for c in range(_BEAM_CANDIDATES):
        if chosen[c] <= 0 or not _settle(xy, nets[c], tol, _SETTLES):
            continue
        if off_beam(nets[c], centre) > 3 * tol:
            continue
        value = plausible(xy, nets[c], tol)
        if value > most + 0.01:
            best, most = nets[c].copy(), value
    return best, most


@nb.njit(cache=True, nogil=True, error_model="numpy")
def off_beam(net, centre):  # type: ignore[no-untyped-def]
    """Distance of the direct beam from the node of a net next to it, in pixels."""
    node, distance = np.zeros((1, 2), dtype=np.int64), np.zeros(1)
    index(centre.reshape(1, 2), net, node, distance)
    return distance[0]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def plausible(xy, net, tol):  # type: ignore[no-untyped-def]
    """Share of the spots on a net beyond chance, less where these have no neighbours on it.

    A net with many more nodes than needed passes through the spots of several Laue zones, but most
    of its rows, or the nodes next to a spot, are empty.
    """
    n = len(xy)
    node = np.zeros((n, 2), dtype=np.int64)
    distance = np.zeros(n)
    index(xy, net, node, distance)
    on, with_row, with_column, with_node = 0, 0, 0, 0
    for i in range(n):
        if distance[i] >= tol:
            continue
        on += 1
        row, column, near = False, False, False
        for j in range(n):
            if distance[j] >= tol:
                continue
            m, h = abs(node[i, 0] - node[j, 0]), abs(node[i, 1] - node[j, 1])
            row |= h == 1
            column |= m == 1
            near |= max(m, h) == 1
        with_row += row
        with_column += column
        with_node += near
    least = min(with_row, min(with_column, with_node)) / max(on, 1)
    return _beyond_chance(on, n, net, tol) * min(1.0, least / _COMPANY)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _beyond_chance(inside, n, net, tol):  # type: ignore[no-untyped-def]
    """Share of n spots that lie on a net, less what chance puts there."""
    area = abs(net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0])
    chance = min(1.0, np.pi * tol * tol / area)
    return (inside / n - chance) / (1 - chance)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _settle(xy, net, tol, rounds):  # type: ignore[no-untyped-def]
    """Refine a net in place and leave out what is never occupied; False where it is too fine."""
    node = np.zeros((len(xy), 2), dtype=np.int64)
    distance = np.zeros(len(xy))
    for _ in range(rounds):
        index(xy, net, node, distance)
        if not refine(xy, net, node, distance, 1.5 * tol):
            break
    coarsen(xy, net, node, distance, tol)
    _reduce(net)
    return abs(net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0]) >= 9 * tol * tol


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _vector_peaks(xy, tol, reach):  # type: ignore[no-untyped-def]
    """Strongest difference vectors, refined, with the number of pairs that show them."""
    n = len(xy)
    limit = 0.75 * reach
    size = min(_CELLS, int(limit / tol) + 2)
    cell = limit / (size - 2)
    counts = np.zeros((size, 2 * size), dtype=np.float32)
    sum_x = np.zeros((size, 2 * size), dtype=np.float32)
    sum_y = np.zeros((size, 2 * size), dtype=np.float32)
    least = (3 * tol) ** 2
    for i in range(n):
        for j in range(i + 1, n):
            dx, dy = xy[j, 0] - xy[i, 0], xy[j, 1] - xy[i, 1]
            if dy < 0 or (dy == 0 and dx < 0):
                dx, dy = -dx, -dy
            r2 = dx * dx + dy * dy
            if r2 > limit * limit or r2 < least:
                continue
            a, b = int(dy / cell), int(dx / cell + size)
            counts[a, b] += 1
            sum_x[a, b] += dx
            sum_y[a, b] += dy
    vectors = np.zeros((_VECTORS, 2))
    weights = np.zeros(_VECTORS)
    found = 0
    threshold = max(2.0, 0.04 * n)
    for a in range(size):
        for b in range(1, 2 * size - 1):
            c = counts[a, b]
            if c < 1:
                continue
            s, sx, sy = 0.0, 0.0, 0.0
            top = True
            for p in range(max(a - 1, 0), min(a + 2, size)):
                for q in range(b - 1, b + 2):
                    v = counts[p, q]
                    if v > c or (v == c and (p < a or (p == a and q < b))):
                        top = False
                    s += v
                    sx += sum_x[p, q]
                    sy += sum_y[p, q]
            if not top or s < threshold:
                continue
            worst = found if found < _VECTORS else np.argmin(weights)
            if found < _VECTORS:
                found += 1
            elif s <= weights[worst]:
                continue
            weights[worst] = s
            vectors[worst, 0], vectors[worst, 1] = sx / s, sy / s
    order = order_down(weights[:found])
    return vectors[order], weights[order]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _reduce(net):  # type: ignore[no-untyped-def]
    """Gauss reduction: the two shortest vectors, at 60 to 90 degrees."""
    for _ in range(30):
        aa = net[0, 0] ** 2 + net[0, 1] ** 2
        bb = net[1, 0] ** 2 + net[1, 1] ** 2
        if bb < aa:
            for k in range(2):
                net[0, k], net[1, k] = net[1, k], net[0, k]
            aa = bb
        if aa <= 0:
            return
        m = np.floor((net[0, 0] * net[1, 0] + net[0, 1] * net[1, 1]) / aa + 0.5)
        if m == 0:
            break
        net[1, 0] -= m * net[0, 0]
        net[1, 1] -= m * net[0, 1]
    if net[0, 0] * net[1, 0] + net[0, 1] * net[1, 1] < 0:
        net[1, 0], net[1, 1] = -net[1, 0], -net[1, 1]
