"""The orientation of a lattice under which the Ewald sphere shows the peaks of a pattern; compiled.

A peak at q across the beam stands for the reciprocal vector (q, -wavelength q^2 / 2), a point of
the Ewald sphere, known to some hundredths of 1/A along the beam and much better across it.  Two
peaks against two lattice vectors of the same lengths, at the same distance from each other, give an
orientation; those that put most of the inner peaks on lattice points are refined by all peaks, with
the place of the direct beam, while the tolerances become narrower.
"""

from __future__ import annotations

import math

import numba as nb
import numpy as np

from napari_diffraction.patterns.sorting import put_in

#: Peaks that are paired, and the innermost ones that judge a pair.
_PAIRED, _JUDGED = 9, 28
#: First of the paired peaks: where the innermost ones fail, those farther out are tried, whose
#: directions are better known.
_FROM = np.array([0, 6, 14])
ROUNDS = len(_FROM)
#: Orientations of pairs that are judged, and those refined, each as it is and turned by 180
#: degrees about the beam, which only the bend of the Ewald sphere tells apart.
_TRIED, _REFINED = 4000, 6
#: Share of the judged peaks on lattice points that ends a round, and of all peaks that ends all.
_PLAIN, _ENOUGH = 0.75, 0.7
#: Two peaks nearer than this to one line through the beam (sine) fix no orientation.
_FLAT = 0.25
#: Tolerances of pairs across the beam, in standard uncertainties, and along it, in half depths.
_LOOSE, _DEEP = 4.0, 2.2
#: The same of the refinements, one after another.
_ACROSS = np.array([5.0, 4.5, 4.0, 3.5, 3.0, 3.0, 3.0])
_ALONG = np.array([2.4, 2.0, 1.6, 1.4, 1.2, 1.0, 1.0])
#: Place of the direct beam before it is refined, in standard uncertainties of a peak.
_BEAM = 2.5
#: Share of peaks that may be foreign.
EPSILON = 0.15
#: Logarithm of the number of orientations that can be told apart, which chance may choose from.
ORIENTATIONS = 17.0


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _frame(a, b, out):  # type: ignore[no-untyped-def]
    """Columns: the mean direction of two vectors, their normal, and the third axis."""
    la = math.sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2])
    lb = math.sqrt(b[0] * b[0] + b[1] * b[1] + b[2] * b[2])
    x, y, z = a[0] / la + b[0] / lb, a[1] / la + b[1] / lb, a[2] / la + b[2] / lb
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    u, v, w = a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]
    length = math.sqrt(u * u + v * v + w * w)
    u, v, w = u / length, v / length, w / length
    out[0, 0], out[1, 0], out[2, 0] = x, y, z
    out[0, 1], out[1, 1], out[2, 1] = u, v, w
    out[0, 2], out[1, 2], out[2, 2] = y * w - z * v, z * u - x * w, x * v - y * u


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _product(a, b, out):  # type: ignore[no-untyped-def]
    """Fill in a b^T of two 3 x 3 matrices, which by ``@`` takes ten times as long."""
    for i in range(3):
        for j in range(3):
            out[i, j] = a[i, 0] * b[j, 0] + a[i, 1] * b[j, 1] + a[i, 2] * b[j, 2]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _nearest(forward, back, x, y, z, node, away):  # type: ignore[no-untyped-def]
    """Fill in the lattice point next to a place, and the place less that point."""
    d0 = forward[0, 0] * x + forward[0, 1] * y + forward[0, 2] * z
    d1 = forward[1, 0] * x + forward[1, 1] * y + forward[1, 2] * z
    d2 = forward[2, 0] * x + forward[2, 1] * y + forward[2, 2] * z
    node[0], node[1], node[2] = np.rint(d0), np.rint(d1), np.rint(d2)
    d0, d1, d2 = d0 - node[0], d1 - node[1], d2 - node[2]
    for i in range(3):
        away[i] = back[i, 0] * d0 + back[i, 1] * d1 + back[i, 2] * d2


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _judge(forward, back, peaks, n, across, along, least, node, away):  # type: ignore[no-untyped-def]
    """How well the first n peaks lie on lattice points: 1 a peak on one, 0 at the tolerance.

    It ends where no more than ``least`` can be reached.
    """
    total = 0.0
    for i in range(n):
        if total + n - i <= least:
            break
        _nearest(forward, back, peaks[i, 0], peaks[i, 1], peaks[i, 2], node, away)
        far = (away[0] * away[0] + away[1] * away[1]) / (across * across)
        # the origin is a lattice point, but no reflection
        if far < 1 and abs(away[2]) < along and (node[0] != 0 or node[1] != 0 or node[2] != 0):
            total += 1 - far
    return total


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _turn(rotation, w):  # type: ignore[no-untyped-def]
    """Turn by a small rotation vector (Cayley's form, a rotation however large it is)."""
    x, y, z = 0.5 * w[0], 0.5 * w[1], 0.5 * w[2]
    s = 2 / (1 + x * x + y * y + z * z)
    turn = np.array(
        [
            [1 - s * (y * y + z * z), s * (x * y - z), s * (x * z + y)],
            [s * (x * y + z), 1 - s * (x * x + z * z), s * (y * z - x)],
            [s * (x * z - y), s * (y * z + x), 1 - s * (x * x + y * y)],
        ]
    )
    rotation[:] = turn @ rotation


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _polish(rotation, shift, direct, reciprocal, peaks, sigma, depth, node, away):  # type: ignore[no-untyped-def]
    """Refine an orientation and the place of the beam by the peaks on lattice points."""
    normal, right, row = np.empty((5, 5)), np.empty(5), np.empty((3, 5))
    n = len(peaks)
    for step in range(len(_ACROSS)):
        # from the inside outwards: a small tilt moves far lattice points most
        used = min(n, _JUDGED) if step < 2 else n
        across, along = _ACROSS[step] * sigma, _ALONG[step] * depth
        forward, back = direct @ rotation.T, rotation @ reciprocal.T
        normal[:], right[:] = 0.0, 0.0
        found = 0
        for i in range(used):
            x, y, z = peaks[i, 0] - shift[0], peaks[i, 1] - shift[1], peaks[i, 2]
            _nearest(forward, back, x, y, z, node, away)
            far = (away[0] * away[0] + away[1] * away[1]) / (across * across)
            if far >= 1 or abs(away[2]) >= along or node[0] == node[1] == node[2] == 0:
                continue
            found += 1
            x, y, z = x - away[0], y - away[1], z - away[2]
            row[:] = 0.0
            row[0, 1], row[0, 2], row[0, 3] = z, -y, 1.0
            row[1, 0], row[1, 2], row[1, 4] = -z, x, 1.0
            row[2, 0], row[2, 1] = y, -x
            for c in range(3):
                # a peak is as likely anywhere within the depth, whose square is three variances
                weight = 3 / (depth * depth) if c == 2 else (1 - far) / (sigma * sigma)
                for a in range(5):
                    right[a] += weight * row[c, a] * away[c]
                    for b in range(5):
                        normal[a, b] += weight * row[c, a] * row[c, b]
        if found < 3:
            return
        for a in range(3):
            normal[a, a] += 1.0
        for a in range(3, 5):
            held = 1 / (_BEAM * sigma) ** 2
            normal[a, a] += held
            right[a] -= held * shift[a - 3]
        solved = np.linalg.solve(normal, right)
        _turn(rotation, solved[:3])
        shift[0] += solved[3]
        shift[1] += solved[4]


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _gain(rotation, shift, direct, reciprocal, peaks, sigma, depth, hkl, node, away):  # type: ignore[no-untyped-def]
    """Gain over chance, number of peaks on lattice points, and their misfit; fills in ``hkl``."""
    forward, back = direct @ rotation.T, rotation @ reciprocal.T
    volume = abs(np.linalg.det(direct))
    peak = (1 - EPSILON) / (2 * math.pi * sigma * sigma * volume * 2 * depth)
    limit = (_ACROSS[-1] * sigma) ** 2
    total, squares, found = 0.0, 0.0, 0
    for i in range(len(peaks)):
        x, y, z = peaks[i, 0] - shift[0], peaks[i, 1] - shift[1], peaks[i, 2]
        _nearest(forward, back, x, y, z, node, away)
        far = away[0] * away[0] + away[1] * away[1]
        on = far < limit and abs(away[2]) < depth
        on = on and (node[0] != 0 or node[1] != 0 or node[2] != 0)
        hkl[i, 0], hkl[i, 1], hkl[i, 2] = 0, 0, 0
        if on:
            found += 1
            squares += far
            for c in range(3):
                hkl[i, c] = int(node[c])
        ratio = peak * math.exp(-0.5 * far / (sigma * sigma)) if on else 0.0
        total += math.log(EPSILON + ratio)
    return total, found, math.sqrt(squares / found) if found else 0.0


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _propose(peaks, begin, vectors, lengths, direct, reciprocal, sigma, depth, kept, scores):  # type: ignore[no-untyped-def]
    """Fill in the best orientations of pairs from one peak on, ``kept`` with falling ``scores``."""
    n = len(peaks)
    end, judged = min(n, begin + _PAIRED), min(n, _JUDGED)
    low, high = np.empty(end, np.int64), np.empty(end, np.int64)
    across, along = _LOOSE * sigma, _DEEP * depth
    for i in range(begin, end):
        length = math.sqrt(peaks[i, 0] ** 2 + peaks[i, 1] ** 2 + peaks[i, 2] ** 2)
        low[i] = np.searchsorted(lengths, length - across)
        high[i] = np.searchsorted(lengths, length + across)
    pairs = _PAIRED * (_PAIRED - 1) // 2
    work, one, two = np.empty(pairs), np.empty(pairs, np.int64), np.empty(pairs, np.int64)
    m = 0
    for j in range(begin, end):
        for i in range(begin, j):
            cross = peaks[i, 0] * peaks[j, 1] - peaks[i, 1] * peaks[j, 0]
            size = math.hypot(peaks[i, 0], peaks[i, 1]) * math.hypot(peaks[j, 0], peaks[j, 1])
            if abs(cross) < _FLAT * size:
                continue
            work[m] = (high[i] - low[i]) * (high[j] - low[j])
            one[m], two[m] = i, j
            m += 1
    order = np.argsort(work[:m])
    node, away = np.empty(3), np.empty(3)
    seen, known, rotation = np.empty((3, 3)), np.empty((3, 3)), np.empty((3, 3))
    forward, back = np.empty((3, 3)), np.empty((3, 3))
    scores[:] = 0.0
    tried = 0
    for k in order:
        i, j = one[k], two[k]
        _frame(peaks[i], peaks[j], seen)
        apart = math.sqrt(
            (peaks[i, 0] - peaks[j, 0]) ** 2
            + (peaks[i, 1] - peaks[j, 1]) ** 2
            + (peaks[i, 2] - peaks[j, 2]) ** 2
        )
        for a in range(low[i], high[i]):
            if not _ahead(vectors[a]):
                continue
            for b in range(low[j], high[j]):
                between = math.sqrt(
                    (vectors[a, 0] - vectors[b, 0]) ** 2
                    + (vectors[a, 1] - vectors[b, 1]) ** 2
                    + (vectors[a, 2] - vectors[b, 2]) ** 2
                )
                if abs(between - apart) > across:
                    continue
                tried += 1
                _frame(vectors[a], vectors[b], known)
                _product(seen, known, rotation)
                _product(direct, rotation, forward)
                _product(rotation, reciprocal, back)
                score = _judge(forward, back, peaks, judged, across, along, scores[-1], node, away)
                if score > scores[-1]:
                    _keep(rotation, score, kept, scores)
        if tried > _TRIED or scores[0] > _PLAIN * judged:
            break


@nb.njit(cache=True, nogil=True)
def _ahead(vector):  # type: ignore[no-untyped-def]
    """Whether a vector is the one of +- that is looked at."""
    for i in range(3):
        if abs(vector[i]) > 1e-9:
            return vector[i] > 0
    return False


@nb.njit(cache=True, nogil=True)
def _keep(rotation, score, kept, scores):  # type: ignore[no-untyped-def]
    """Put an orientation in its place of the list; of near ones only the best stays."""
    last = len(scores) - 1
    for k in range(len(scores)):
        if scores[k] <= 0:
            break
        trace = 0.0
        for i in range(3):
            for j in range(3):
                trace += rotation[i, j] * kept[k, i, j]
        if trace > 2.9982:  # 2.4 degrees
            if scores[k] >= score:
                return
            last = k
            break
    put_in(scores, kept, last, score, rotation)


@nb.njit(cache=True, nogil=True, parallel=True, error_model="numpy")
def orient_patterns(  # type: ignore[no-untyped-def]
    start,
    peaks,
    vectors,
    lengths,
    direct,
    sigma,
    depth,
    rounds,
    rotation,
    shift,
    hkl,
    found,
    misfit,
    gain,
):
    """Find the orientation of a lattice in each pattern, in so many rounds at most.

    ``peaks``, (m, 3), are those of all patterns, from the inside outwards; ``vectors`` are lattice
    vectors with their rising ``lengths``, ``direct`` has the axes as rows.  Filled in are
    ``rotation``, (n, 3, 3), from the crystal to the laboratory, ``shift``, (n, 2), the place of the
    beam, ``hkl``, (m, 3), 0 0 0 where a peak is on no lattice point, and of each pattern the number
    of peaks ``found`` on one, their ``misfit`` and the ``gain`` over chance.
    """
    reciprocal = np.linalg.inv(direct).T.copy()
    for p in nb.prange(len(start) - 1):
        own = peaks[start[p] : start[p + 1]]
        indices = hkl[start[p] : start[p + 1]]
        gain[p] = -1e9
        if len(own) < 3:
            continue
        kept, scores = np.empty((_REFINED, 3, 3)), np.zeros(_REFINED)
        node, away = np.empty(3), np.empty(3)
        trial, moved, best = np.empty((3, 3)), np.empty(2), np.zeros((len(own), 3), np.int64)
        for begin in _FROM[:rounds]:
            _propose(own, begin, vectors, lengths, direct, reciprocal, sigma, depth, kept, scores)
            for k in range(2 * _REFINED):
                if scores[k // 2] <= 0:
                    break
                trial[:] = kept[k // 2]
                if k % 2:
                    trial[:2] *= -1
                moved[:] = 0.0
                _polish(trial, moved, direct, reciprocal, own, sigma, depth, node, away)
                total, count, off = _gain(
                    trial, moved, direct, reciprocal, own, sigma, depth, best, node, away
                )
                if total > gain[p]:
                    gain[p], found[p], misfit[p] = total, count, off
                    rotation[p], shift[p], indices[:] = trial, moved, best
            if found[p] > _ENOUGH * len(own):
                break
