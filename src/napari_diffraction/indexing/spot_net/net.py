"""Which points lie on a net, and the net that fits them best; compiled.

A net is an array (3, 2): two basis vectors and the origin, in pixels.
"""

from __future__ import annotations

import numba as nb
import numpy as np

_ORIGINS = 16


@nb.njit(cache=True, nogil=True, error_model="numpy")
def set_origin(xy, net, tol):  # type: ignore[no-untyped-def]
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
def index(xy, net, node, distance):  # type: ignore[no-untyped-def]
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
def refine(xy, net, node, distance, tol):  # type: ignore[no-untyped-def]
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
def bend(xy, net, centre, node, distance, tol, reach):  # type: ignore[no-untyped-def]
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
            normal[a, a] += 0.004 * normal[a - 3, a - 3] + 1e-9
        if abs(np.linalg.det(normal)) < 1e-9:
            continue
        coefficients[:] = np.linalg.solve(normal, right)
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
def coarsen(xy, net, node, distance, tol):  # type: ignore[no-untyped-def]
    """Leave out nodes that are never occupied: a net of twice the area that holds as much."""
    for _ in range(3):
        index(xy, net, node, distance)
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
