"""The first eye of the zone classifier: a two-dimensional net fitted to the spot positions.

Difference vectors between spots are gathered in a histogram; its strongest vectors propose nets;
the best nets are refined by least squares and Gauss-reduced.  How well one net explains all spots,
how completely its nodes are occupied, and what the remaining spots do, are the features by which
zones, Laue patterns and several crystals differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.peaks import Peaks

#: Names of the features, in the order of `NetFit.features`.
FEATURES = (
    "log_spots",
    "on_net",
    "on_net_tight",
    "on_net_weighted",
    "off_net_sqrt",
    "residual",
    "chance",
    "significance",
    "neighbours_4",
    "neighbours_8",
    "connected",
    "origin_distance",
    "rows_short",
    "rows_long",
    "cell_spacing",
    "cell_aspect",
    "rest_same_net",
    "rest_other_net",
    "rest_other_significance",
    "vector_peak",
    "vector_explained",
    "off_height_ratio",
    "median_height",
    "tolerance",
    "on_net_loose",
    "on_net_bent",
    "bent_residual",
)
#: A spot lies loosely on the net within this share of the shorter basis vector.
_LOOSE = 0.12
#: The tolerance is at least this share of it.
_WIDE = 0.06
#: Fewest spots for which a bent net is fitted.
_BENT_LEAST = 14
_N_FEATURES = len(FEATURES)
_MOST_SPOTS = 240
_VECTORS = 32
_CANDIDATES = 8
_GRID = 96
_ORIGINS = 16


@dataclass(frozen=True)
class NetFit:
    """The net that explains most spots of a pattern.

    Attributes
    ----------
    features : ndarray of float32, (n_features,)
        See `FEATURES`; zeros where there are too few spots.
    basis : ndarray of float64, (2, 2)
        Rows are the Gauss-reduced basis vectors of the net in pixels; zeros where there is none.
    origin : ndarray of float64, (2,)
        A node of the net in pixels, x and y.
    on_net : ndarray of bool, (n,)
        Which spots lie on the net.
    """

    features: NDArray[np.float32]
    basis: NDArray[np.float64]
    origin: NDArray[np.float64]
    on_net: NDArray[np.bool_]

    def __getitem__(self, name: str) -> float:
        return float(self.features[FEATURES.index(name)])


def fit_net(peaks: Peaks) -> NetFit:
    """Fit a net to the spots of a pattern.

    Parameters
    ----------
    peaks
        The spots; at most the 240 strongest are used.
    """
    position = np.ascontiguousarray(peaks.position[:_MOST_SPOTS], dtype=np.float64)
    height = np.ascontiguousarray(peaks.height[:_MOST_SPOTS], dtype=np.float64)
    centre = np.array(peaks.centre)
    tolerance = max(0.75 * peaks.flat.binning, 0.35 * peaks.radius)
    features, net, on_net = _fit(position, height, centre, tolerance)
    mask = np.zeros(len(peaks.position), dtype=bool)
    mask[: len(on_net)] = on_net
    return NetFit(features, net[:2], net[2], mask)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _fit(xy, height, centre, tolerance):  # type: ignore[no-untyped-def]
    n = len(xy)
    features = np.zeros(_N_FEATURES, dtype=np.float32)
    best_net = np.zeros((3, 2))
    on_net = np.zeros(n, dtype=np.bool_)
    features[0] = np.log1p(n)
    if n > 0:
        features[22] = np.log1p(np.median(height))
    if n < 4:
        return features, best_net, on_net
    reach = np.sqrt(((xy - centre) ** 2).sum(axis=1).max()) + 1e-6
    tol = max(tolerance, 0.004 * reach)
    net, peak, explained = _best_net(xy, tol, reach)
    features[19], features[20] = peak, explained
    features[23] = tol / reach
    if net[0, 0] == 0 and net[0, 1] == 0:
        return features, best_net, on_net
    short = np.sqrt(net[0, 0] ** 2 + net[0, 1] ** 2)
    # On a wide net a spot may lie farther off: lens distortions are larger than peak errors.
    tol = max(tol, _WIDE * short)
    node = np.zeros((n, 2), dtype=np.int64)
    distance = np.zeros(n)
    _index(xy, net, node, distance)
    _describe(features, xy, height, centre, net, node, distance, tol, reach)
    inside, loose = 0, 0
    for k in range(n):
        inside += distance[k] < tol
        loose += distance[k] < _LOOSE * short
    features[24] = loose / n
    bent = _bend(xy, net, centre, node, distance, tol, reach) if n >= _BENT_LEAST else inside
    # A bent net has more freedom: it must explain clearly more to be believed.
    if bent <= inside + 2:
        _index(xy, net, node, distance)
    square, bent = 0.0, 0
    for k in range(n):
        on_net[k] = distance[k] < tol
        if on_net[k]:
            square += distance[k] ** 2
            bent += 1
    features[25] = bent / n
    features[26] = np.sqrt(square / max(bent, 1)) / tol
    _describe_rest(features, xy, net, on_net, tol, reach)
    return features, net, on_net


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _best_net(xy, tol, reach):  # type: ignore[no-untyped-def]
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
        _set_origin(xy, net, tol)
        for _ in range(3):
            _index(xy, net, node, distance)
            if not _refine(xy, net, node, distance, 1.5 * tol):
                break
        _coarsen(xy, net, node, distance, tol)
        _reduce(net)
        area = abs(net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0])
        if area < 9 * tol * tol:
            continue
        _index(xy, net, node, distance)
        inside = 0
        for k in range(n):
            inside += distance[k] < tol
        chance = min(1.0, np.pi * tol * tol / area)
        score = (inside / n - chance) / (1 - chance)
        if score > best_score + 0.01:
            best, best_score, explained = net, score, shares[c]
    return best, peak, explained


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _vector_peaks(xy, tol, reach):  # type: ignore[no-untyped-def]
    """Strongest difference vectors, refined, with the number of pairs that show them."""
    n = len(xy)
    limit = 0.75 * reach
    size = min(2 * _GRID, int(limit / tol) + 2)
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
    order = np.argsort(-weights[:found])
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


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _set_origin(xy, net, tol):  # type: ignore[no-untyped-def]
    """Put the origin on the spot, of some, with which most spots agree."""
    area = net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0]
    n = len(xy)
    most, best = -1, 0
    for t in range(min(n, _ORIGINS)):
        trial = t * n // min(n, _ORIGINS)
        count = 0
        for k in range(n):
            x, y = xy[k, 0] - xy[trial, 0], xy[k, 1] - xy[trial, 1]
            p = (x * net[1, 1] - y * net[1, 0]) / area
            q = (net[0, 0] * y - net[0, 1] * x) / area
            p, q = p - np.floor(p + 0.5), q - np.floor(q + 0.5)
            dx, dy = p * net[0, 0] + q * net[1, 0], p * net[0, 1] + q * net[1, 1]
            count += dx * dx + dy * dy < 4 * tol * tol
        if count > most:
            most, best = count, trial
    net[2] = xy[best]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _index(xy, net, node, distance):  # type: ignore[no-untyped-def]
    """Nearest node of the net to each spot, and the distance to it in pixels."""
    area = net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0]
    for k in range(len(xy)):
        x, y = xy[k, 0] - net[2, 0], xy[k, 1] - net[2, 1]
        p = (x * net[1, 1] - y * net[1, 0]) / area
        q = (net[0, 0] * y - net[0, 1] * x) / area
        m, h = np.floor(p + 0.5), np.floor(q + 0.5)
        dx = (p - m) * net[0, 0] + (q - h) * net[1, 0]
        dy = (p - m) * net[0, 1] + (q - h) * net[1, 1]
        node[k, 0], node[k, 1] = int(m), int(h)
        distance[k] = np.sqrt(dx * dx + dy * dy)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _refine(xy, net, node, distance, tol):  # type: ignore[no-untyped-def]
    """Least-squares fit of basis and origin to the spots near nodes; False where undetermined."""
    normal = np.zeros((3, 3))
    right = np.zeros((3, 2))
    for k in range(len(xy)):
        if distance[k] < tol:
            m, h = float(node[k, 0]), float(node[k, 1])
            normal[0, 0] += m * m
            normal[0, 1] += m * h
            normal[0, 2] += m
            normal[1, 1] += h * h
            normal[1, 2] += h
            normal[2, 2] += 1
            for c in range(2):
                right[0, c] += m * xy[k, c]
                right[1, c] += h * xy[k, c]
                right[2, c] += xy[k, c]
    normal[1, 0], normal[2, 0], normal[2, 1] = normal[0, 1], normal[0, 2], normal[1, 2]
    if normal[2, 2] < 4 or np.linalg.det(normal) < 1e-6:
        return False
    solved = np.linalg.solve(normal, right)
    area = abs(solved[0, 0] * solved[1, 1] - solved[0, 1] * solved[1, 0])
    if not area > 4 * tol * tol:
        return False
    net[:] = solved
    return True


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _bend(xy, net, centre, node, distance, tol, reach):  # type: ignore[no-untyped-def]
    """Index the spots on a net with the cubic distortion of a projector lens.

    Every coordinate is m a + h b + o + r^2 (m c + h d), r being the distance from the beam over
    the reach; fitted from the middle outwards.  Fills ``node`` and ``distance``; returns the number
    of spots within the tolerance.
    """
    n = len(xy)
    straight = net.copy()
    # Count nodes from the one next to the beam.
    area = straight[0, 0] * straight[1, 1] - straight[0, 1] * straight[1, 0]
    x, y = centre[0] - straight[2, 0], centre[1] - straight[2, 1]
    p = np.floor((x * straight[1, 1] - y * straight[1, 0]) / area + 0.5)
    q = np.floor((straight[0, 0] * y - straight[0, 1] * x) / area + 0.5)
    straight[2] += p * straight[0] + q * straight[1]
    coefficients = np.zeros((5, 2))
    coefficients[:3] = straight
    radius2 = np.zeros(n)
    for k in range(n):
        radius2[k] = ((xy[k, 0] - centre[0]) ** 2 + (xy[k, 1] - centre[1]) ** 2) / reach**2
    inside = 0
    for stage in range(5):
        limit = 0.3 + 0.2 * stage
        _index_bent(xy, coefficients, radius2, node, distance)
        normal = np.zeros((5, 5))
        right = np.zeros((5, 2))
        count = 0
        row = np.zeros(5)
        for k in range(n):
            if radius2[k] > limit or distance[k] > 2 * tol:
                continue
            count += 1
            m, h = float(node[k, 0]), float(node[k, 1])
            row[0], row[1], row[2] = m, h, 1.0
            row[3], row[4] = m * radius2[k], h * radius2[k]
            for a in range(5):
                for b in range(5):
                    normal[a, b] += row[a] * row[b]
                for c in range(2):
                    right[a, c] += row[a] * xy[k, c]
        if count < 10:
            continue
        # Held to a straight net where the spots do not tell.
        for a in (3, 4):
            normal[a, a] += 0.05 * normal[a - 3, a - 3] + 1e-9
        if abs(np.linalg.det(normal)) < 1e-9:
            continue
        coefficients = np.linalg.solve(normal, right)
    area = coefficients[0, 0] * coefficients[1, 1] - coefficients[0, 1] * coefficients[1, 0]
    if abs(area) < 9 * tol * tol:
        return 0
    _index_bent(xy, coefficients, radius2, node, distance)
    for k in range(n):
        inside += distance[k] < tol
    return inside


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _index_bent(xy, coefficients, radius2, node, distance):  # type: ignore[no-untyped-def]
    """Nearest node of the bent net to each spot, and the distance to it."""
    for k in range(len(xy)):
        a0 = coefficients[0, 0] + radius2[k] * coefficients[3, 0]
        a1 = coefficients[0, 1] + radius2[k] * coefficients[3, 1]
        b0 = coefficients[1, 0] + radius2[k] * coefficients[4, 0]
        b1 = coefficients[1, 1] + radius2[k] * coefficients[4, 1]
        x, y = xy[k, 0] - coefficients[2, 0], xy[k, 1] - coefficients[2, 1]
        area = a0 * b1 - a1 * b0
        if area == 0:
            distance[k] = 1e9
            continue
        p = (x * b1 - y * b0) / area
        q = (a0 * y - a1 * x) / area
        m, h = np.floor(p + 0.5), np.floor(q + 0.5)
        node[k, 0], node[k, 1] = int(m), int(h)
        dx, dy = (p - m) * a0 + (q - h) * b0, (p - m) * a1 + (q - h) * b1
        distance[k] = np.sqrt(dx * dx + dy * dy)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _coarsen(xy, net, node, distance, tol):  # type: ignore[no-untyped-def]
    """Leave out nodes that are never occupied: a net of twice the area that holds as much."""
    for _ in range(3):
        _index(xy, net, node, distance)
        total = 0
        odd = np.zeros(3, dtype=np.int64)
        for k in range(len(xy)):
            if distance[k] < tol:
                total += 1
                m, h = node[k, 0] & 1, node[k, 1] & 1
                odd[0] += m
                odd[1] += h
                odd[2] += m ^ h
        if total < 6:
            return
        done = True
        for c in range(3):
            minority = min(odd[c], total - odd[c])
            if minority <= 0.03 * total:
                shift = odd[c] > total - odd[c]
                if c == 0:
                    if shift:
                        net[2] += net[0]
                    net[0] *= 2
                elif c == 1:
                    if shift:
                        net[2] += net[1]
                    net[1] *= 2
                else:
                    if shift:
                        net[2] += net[0]
                    first = net[0].copy()
                    net[0] += net[1]
                    net[1] = first - net[1]
                done = False
                break
        if done:
            return


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _describe(features, xy, height, centre, net, node, distance, tol, reach):  # type: ignore[no-untyped-def]
    """Fill the features that tell how well and how completely the net is occupied."""
    n = len(xy)
    area = abs(net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0])
    chance = min(1.0, np.pi * tol * tol / area)
    inside, tight, square = 0, 0, 0.0
    weight_in, weight_all, height_in, height_out = 0.0, 0.0, 0.0, 0.0
    occupied = np.zeros((2 * _GRID + 1, 2 * _GRID + 1), dtype=np.int32)
    for k in range(n):
        w = np.log1p(height[k])
        weight_all += w
        if distance[k] < tol:
            inside += 1
            tight += distance[k] < 0.5 * tol
            square += distance[k] ** 2
            weight_in += w
            height_in += height[k]
            m, h = node[k, 0], node[k, 1]
            if abs(m) < _GRID and abs(h) < _GRID:
                occupied[m + _GRID, h + _GRID] = 1
        else:
            height_out += height[k]
    four, eight, nodes = 0, 0, 0
    m_low, m_high, h_low, h_high = _GRID, -_GRID, _GRID, -_GRID
    for a in range(1, 2 * _GRID):
        for b in range(1, 2 * _GRID):
            if occupied[a, b]:
                nodes += 1
                m_low, m_high = min(m_low, a - _GRID), max(m_high, a - _GRID)
                h_low, h_high = min(h_low, b - _GRID), max(h_high, b - _GRID)
                side = (
                    occupied[a - 1, b]
                    + occupied[a + 1, b]
                    + occupied[a, b - 1]
                    + occupied[a, b + 1]
                )
                corner = (
                    occupied[a - 1, b - 1]
                    + occupied[a + 1, b + 1]
                    + occupied[a + 1, b - 1]
                    + occupied[a - 1, b + 1]
                )
                four += side
                eight += side + corner
    x, y = centre[0] - net[2, 0], centre[1] - net[2, 1]
    signed = net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0]
    p = (x * net[1, 1] - y * net[1, 0]) / signed
    q = (net[0, 0] * y - net[0, 1] * x) / signed
    p, q = p - np.floor(p + 0.5), q - np.floor(q + 0.5)
    off = np.sqrt((p * net[0, 0] + q * net[1, 0]) ** 2 + (p * net[0, 1] + q * net[1, 1]) ** 2)
    a = np.sqrt(net[0, 0] ** 2 + net[0, 1] ** 2)
    b = np.sqrt(net[1, 0] ** 2 + net[1, 1] ** 2)
    features[1] = inside / n
    features[2] = tight / n
    features[3] = weight_in / weight_all
    features[4] = np.sqrt(n - inside)
    features[5] = np.sqrt(square / max(inside, 1)) / tol
    features[6] = np.sqrt(chance)
    features[7] = (inside - chance * n) / np.sqrt(n * chance * (1 - chance) + 0.25) / 10
    features[8] = four / max(4 * nodes, 1)
    features[9] = eight / max(8 * nodes, 1)
    features[10] = _largest_component(occupied) / n
    features[11] = min(off / tol, 10.0)
    features[12] = np.log1p(m_high - m_low + 1.0) if nodes else 0.0
    features[13] = np.log1p(h_high - h_low + 1.0) if nodes else 0.0
    features[14] = np.sqrt(area) / reach
    features[15] = a / b
    out = height_out / max(n - inside, 1)
    features[21] = out / (out + height_in / max(inside, 1)) if inside else 1.0


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _largest_component(occupied):  # type: ignore[no-untyped-def]
    """Number of nodes in the largest group of which each is at most two steps from another."""
    seen = occupied.copy()
    size = seen.shape[0]
    stack = np.empty((_MOST_SPOTS + 4, 2), dtype=np.int64)
    largest = 0
    for i in range(2, size - 2):
        for j in range(2, size - 2):
            if not seen[i, j]:
                continue
            seen[i, j] = 0
            stack[0, 0], stack[0, 1] = i, j
            top, group = 1, 0
            while top > 0:
                top -= 1
                a, b = stack[top, 0], stack[top, 1]
                group += 1
                for p in range(max(a - 2, 0), min(a + 3, size)):
                    for q in range(max(b - 2, 0), min(b + 3, size)):
                        if seen[p, q]:
                            seen[p, q] = 0
                            stack[top, 0], stack[top, 1] = p, q
                            top += 1
            largest = max(largest, group)
    return largest


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _describe_rest(features, xy, net, on_net, tol, reach):  # type: ignore[no-untyped-def]
    """Fill the features of the spots off the net.

    A further Laue zone of the same crystal repeats the net with another origin; a further crystal
    has a net of its own.
    """
    rest = xy[~on_net]
    n = len(rest)
    if n < 5:
        return
    shifted = net.copy()
    _set_origin(rest, shifted, tol)
    node = np.zeros((n, 2), dtype=np.int64)
    distance = np.zeros(n)
    _index(rest, shifted, node, distance)
    same = 0
    for k in range(n):
        same += distance[k] < 1.5 * tol
    features[16] = same / len(xy)
    other, _, _ = _best_net(rest, tol, reach)
    if other[0, 0] == 0 and other[0, 1] == 0:
        return
    _index(rest, other, node, distance)
    inside = 0
    for k in range(n):
        inside += distance[k] < tol
    area = abs(other[0, 0] * other[1, 1] - other[0, 1] * other[1, 0])
    chance = min(1.0, np.pi * tol * tol / area)
    features[17] = inside / len(xy)
    features[18] = (inside - chance * n) / np.sqrt(n * chance * (1 - chance) + 0.25) / 10
