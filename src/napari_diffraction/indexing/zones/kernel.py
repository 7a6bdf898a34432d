"""How well a lattice explains nets, and its metric refined by them; compiled.

A net is explained by two lattice vectors whose squares and scalar product are those measured.  They
have to be a basis of the lattice plane that they span, or every net would be one of a lattice with
many more vectors; where a glide plane extinguishes every other row they span half of it.
The score of a net is the logarithm of

    epsilon + (1 - epsilon) p(net | lattice) / p(net | anything)

in which the zone [uvw] is seen the more often the shorter it is, with r = V times the area of the
net's mesh.  A pattern shows a zone alone where the next plane of the reciprocal lattice, at the
distance 1 / r, stays clear of the Ewald sphere: in a share of all directions that goes as
(1 / r - 1 / R)^2, R being the longest zone that is seen as one.
"""

from __future__ import annotations

import numba as nb
import numpy as np

#: Lattice vectors looked at, at most.
_VECTORS = 2500
#: Vectors as long as one of a net, at most.
_SIMILAR = 96
#: Chi squared (of 3) beyond which a pair of vectors does not explain a net, in a scan and after it.
_SCAN_CUT, _PAIR_CUT = 14.0, 25.0
#: Share of zones that are seen however long they are.
_LONG = 0.01
#: How often every other row of a net is extinguished.
_EXTINGUISHED = 0.05
#: Share of nets that may be wrong.
EPSILON = 0.03
#: Chi squared (of 3) beyond which a net does not take part in a refinement.
CUT = 20.0
#: Evidence below this marks a lattice that cannot be, or explains nothing.
NOTHING = -1e8
#: Standard uncertainty, relative, by which a component of the metric is held where no net tells.
_HELD = 0.05


@nb.njit(cache=True, nogil=True, error_model="numpy")
def vectors_within(metric, limit, h, hg, q):  # type: ignore[no-untyped-def]
    """Fill in the vectors, one of +-h, whose squares are within a limit; -1 where too many."""
    l00 = np.sqrt(metric[0, 0])
    l10, l20 = metric[1, 0] / l00, metric[2, 0] / l00
    d1 = metric[1, 1] - l10 * l10
    if not d1 > 0:
        return -1
    l11 = np.sqrt(d1)
    l21 = (metric[2, 1] - l20 * l10) / l11
    d2 = metric[2, 2] - l20 * l20 - l21 * l21
    if not d2 > 0:
        return -1
    l22 = np.sqrt(d2)
    n = 0
    top = int(np.sqrt(limit) / l22)
    if top > 200:
        return -1
    for h2 in range(top + 1):
        rest2 = limit - (l22 * h2) ** 2
        middle1, half1 = -l21 * h2 / l11, np.sqrt(rest2) / l11
        low1 = 0 if h2 == 0 else int(np.ceil(middle1 - half1))
        for h1 in range(low1, int(np.floor(middle1 + half1)) + 1):
            rest1 = rest2 - (l11 * h1 + l21 * h2) ** 2
            if rest1 < 0:
                continue
            middle0, half0 = -(l10 * h1 + l20 * h2) / l00, np.sqrt(rest1) / l00
            low0 = 1 if h2 == 0 and h1 == 0 else int(np.ceil(middle0 - half0))
            for h0 in range(low0, int(np.floor(middle0 + half0)) + 1):
                if n >= len(q):
                    return -1
                h[n, 0], h[n, 1], h[n, 2] = h0, h1, h2
                for i in range(3):
                    hg[n, i] = h0 * metric[0, i] + h1 * metric[1, i] + h2 * metric[2, i]
                q[n] = h0 * hg[n, 0] + h1 * hg[n, 1] + h2 * hg[n, 2]
                n += 1
    return n


@nb.njit(cache=True, inline="always")
def _gcd(a, b):  # type: ignore[no-untyped-def]
    a, b = abs(a), abs(b)
    while b:
        a, b = b, a % b
    return a


@nb.njit(cache=True, nogil=True, error_model="numpy")
def explain(n, h, hg, q, net, inverse, spread, factor, length, first, second, pack, pair, cut):  # type: ignore[no-untyped-def]
    """Likelihood ratio of a net, times V, and chi squared of its best pair of vectors.

    ``length`` is r / R of its zone, if its vectors are a basis.
    """
    count1, count2 = 0, 0
    # chi squared of all three numbers is at least that of each
    wide = np.sqrt(cut)
    width1, width2, width3 = wide * spread[0], wide * spread[1], wide * spread[2]
    for i in range(n):
        if abs(q[i] - net[0]) < width1 and count1 < _SIMILAR:
            first[count1] = i
            count1 += 1
        if abs(q[i] - net[1]) < width2 and count2 < _SIMILAR:
            second[count2] = i
            for c in range(3):
                pack[c, count2] = h[i, c]
            count2 += 1
    total, best = 0.0, 1e9
    for a in range(count1):
        i = first[a]
        d0 = q[i] - net[0]
        g0, g1, g2 = hg[i, 0], hg[i, 1], hg[i, 2]
        # most pairs end here, so that this loop is one that vectorises
        for b in range(count2):
            pack[3, b] = g0 * pack[0, b] + g1 * pack[1, b] + g2 * pack[2, b]
        for b in range(count2):
            d2 = abs(pack[3, b]) - net[2]
            if abs(d2) > width3:
                continue
            j, product = second[b], pack[3, b]
            if i == j:
                continue
            d1 = q[j] - net[1]
            chi = (
                inverse[0, 0] * d0 * d0
                + inverse[1, 1] * d1 * d1
                + inverse[2, 2] * d2 * d2
                + 2 * (inverse[0, 1] * d0 * d1 + inverse[0, 2] * d0 * d2 + inverse[1, 2] * d1 * d2)
            )
            if chi > cut:
                continue
            u = h[i, 1] * h[j, 2] - h[i, 2] * h[j, 1]
            v = h[i, 2] * h[j, 0] - h[i, 0] * h[j, 2]
            w = h[i, 0] * h[j, 1] - h[i, 1] * h[j, 0]
            times = 1 if abs(u) == 1 or abs(v) == 1 or abs(w) == 1 else _gcd(_gcd(u, v), w)
            if times < 1 or times > 2:
                continue
            share = (max(1 - length / times, 0.0) ** 2 + _LONG) * times * times
            if times == 2:
                share *= _EXTINGUISHED
            total += share * np.exp(-0.5 * chi)
            chi -= 2 * np.log(share) if times == 2 else 0.0
            if chi < best:
                best = chi
                sign = 1 if product >= 0 else -1
                for c in range(3):
                    pair[0, c], pair[1, c] = h[i, c], sign * h[j, c]
    return total * factor, best


@nb.njit(cache=True, nogil=True, error_model="numpy")
def refine(metric, nets, inverses, spreads, factors, areas, limit, pairs, chi, normal):  # type: ignore[no-untyped-def]
    """Index the nets and fit the metric, with tolerances that become narrower; return the evidence.

    Changes ``metric``, (3, 3); fills ``pairs``, (n, 2, 3), the indices of the vectors, ``chi``,
    (n,), and ``normal``, (6, 6), the inverse covariance of its components.
    """
    levels, n = len(inverses), len(nets)
    h = np.empty((_VECTORS, 3), np.int64)
    hg, q = np.empty((_VECTORS, 3)), np.empty(_VECTORS)
    first, second = np.empty(_SIMILAR, np.int64), np.empty(_SIMILAR, np.int64)
    pack = np.empty((4, _SIMILAR))
    rows, right = np.empty((3, 6)), np.zeros(6)
    for step in range(levels + 1):
        level = min(step, levels - 1)
        found = vectors_within(metric, limit, h, hg, q)
        if found < 0:
            return -1e9
        volume = 1 / np.sqrt(np.linalg.det(metric))
        score = 0.0
        normal[:] = 0
        right[:] = 0
        explained = 0
        for k in range(n):
            ratio, chi[k] = explain(
                found, h, hg, q, nets[k], inverses[level, k], spreads[level, k],
                factors[level, k], volume * areas[k], first, second, pack,
                pairs[k],
                _PAIR_CUT,
            )  # fmt: skip
            score += np.log(EPSILON + (1 - EPSILON) * ratio / volume)
            if chi[k] > CUT:
                continue
            explained += 1
            _rows(pairs[k], rows)
            weight = inverses[level, k]
            weighted = weight @ rows
            normal += rows.T @ weighted
            right += weighted.T @ nets[k]
        if explained < 2:
            return -1e9
        for c in range(6):
            i, j = _place(c)
            held = 1 / (_HELD * _HELD * metric[i, i] * metric[j, j])
            normal[c, c] += held
            right[c] += held * metric[i, j]
        if step == levels:
            evidence = score - 0.5 * np.linalg.slogdet(normal)[1] + 4 * np.log(volume)
            return evidence + 3 * np.log(2 * np.pi)
        solved = np.linalg.solve(normal, right)
        for c in range(6):
            i, j = _place(c)
            metric[i, j] = metric[j, i] = solved[c]
    return -1e9


@nb.njit(cache=True, inline="always")
def _place(c):  # type: ignore[no-untyped-def]
    """Row and column of a component of a metric: 11, 22, 33, 23, 13, 12."""
    if c < 3:
        return c, c
    return (1, 2) if c == 3 else (0, 2) if c == 4 else (0, 1)


@nb.njit(cache=True, nogil=True)
def _rows(pair, rows):  # type: ignore[no-untyped-def]
    """Derivatives of the three products of two vectors by the components of the metric."""
    for r in range(3):
        a, b = (0, 0) if r == 0 else (1, 1) if r == 1 else (0, 1)
        for c in range(6):
            i, j = _place(c)
            if i == j:
                rows[r, c] = pair[a, i] * pair[b, i]
            else:
                rows[r, c] = pair[a, i] * pair[b, j] + pair[a, j] * pair[b, i]


@nb.njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def refine_all(metrics, nets, inverses, spreads, factors, areas, limit):  # type: ignore[no-untyped-def]
    """Refine many metrics, (m, 3, 3), in place; return their evidence."""
    m, n = len(metrics), len(nets)
    evidence = np.empty(m)
    for i in nb.prange(m):
        pairs, chi, normal = np.zeros((n, 2, 3), np.int64), np.empty(n), np.zeros((6, 6))
        evidence[i] = refine(
            metrics[i], nets, inverses, spreads, factors, areas, limit, pairs, chi, normal
        )
    return evidence


@nb.njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def scan(base, xy, heights, nets, inverse, spread, factor, areas, limit, allowed):  # type: ignore[no-untyped-def]
    """Score the lattices of a net and a third vector x a + y b + height, (len(xy), len(heights)).

    ``base`` holds the squares of a and b and their product; a lattice that misses more nets than
    are ``allowed`` is given up.
    """
    score = np.full((len(xy), len(heights)), -1e9)
    for place in nb.prange(len(xy)):
        h = np.empty((_VECTORS, 3), np.int64)
        hg, q = np.empty((_VECTORS, 3)), np.empty(_VECTORS)
        first, second = np.empty(_SIMILAR, np.int64), np.empty(_SIMILAR, np.int64)
        pack, pair = np.empty((4, _SIMILAR)), np.empty((2, 3), np.int64)
        metric = np.empty((3, 3))
        for k in range(len(heights)):
            fill_metric(base, xy[place], heights[k], metric)
            found = vectors_within(metric, limit, h, hg, q)
            if found < 0:
                continue
            volume = 1 / np.sqrt(np.linalg.det(metric))
            total, missed = 0.0, 0
            for i in range(len(nets)):
                ratio, _ = explain(
                    found,
                    h,
                    hg,
                    q,
                    nets[i],
                    inverse[i],
                    spread[i],
                    factor[i],
                    volume * areas[i],
                    first,
                    second,
                    pack,
                    pair,
                    _SCAN_CUT,
                )
                gain = np.log(EPSILON + (1 - EPSILON) * ratio / volume)
                total += gain
                missed += gain < 0
                if missed > allowed:
                    total = -1e9
                    break
            score[place, k] = total
    return score


@nb.njit(cache=True, nogil=True)
def fill_metric(base, xy, height, metric):  # type: ignore[no-untyped-def]
    """Metric of a, b and x a + y b + height."""
    x, y = xy[0], xy[1]
    metric[0, 0], metric[1, 1] = base[0], base[1]
    metric[0, 1] = metric[1, 0] = base[2]
    metric[0, 2] = metric[2, 0] = x * base[0] + y * base[2]
    metric[1, 2] = metric[2, 1] = x * base[2] + y * base[1]
    metric[2, 2] = x * metric[0, 2] + y * metric[1, 2] + height * height
