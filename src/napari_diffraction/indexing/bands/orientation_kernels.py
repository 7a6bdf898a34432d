"""Compiled loops over patterns, bands and directions behind `orientation`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from napari_diffraction.indexing.bands.nearby import cell_of
from napari_diffraction.patterns.sorting import order_down, put_in

#: Pairs of bands, or of directions, nearer than this to each other fix no orientation.
CLOSE = math.cos(math.radians(12.0))
#: An orientation this far from the best one (cosine of the angle, 5 degrees) is another.
OTHER = math.cos(math.radians(5.0))


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def follow_all(
    unit: Any,
    level: Any,
    near: Any,
    normals: Any,
    weights: Any,
    sigma: float,
    rotation: Any,
    score: Any,
    which: Any,
    misfit: Any,
) -> None:
    """Refine orientations that are known roughly; see `orientation.follow`."""
    inverse = 1 / (sigma * sigma)
    for p in range(len(normals)):
        misfit[p] = _polish(
            unit, level, near, normals[p], weights[p], inverse, rotation[p], which[p]
        )
        score[p] = _gain(unit, level, near, rotation[p], normals[p], weights[p], inverse)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")  # type: ignore[untyped-decorator]
def _nearest(
    unit: Any,
    level: Any,
    start: Any,
    listed: Any,
    rotation: Any,
    normals: Any,
    b: int,
    inverse: float,
) -> tuple[float, int]:
    """Gain of a band in an orientation (crystal to detector), and the direction behind it."""
    x, y, z = normals[b, 0], normals[b, 1], normals[b, 2]
    u = rotation[0, 0] * x + rotation[1, 0] * y + rotation[2, 0] * z
    v = rotation[0, 1] * x + rotation[1, 1] * y + rotation[2, 1] * z
    w = rotation[0, 2] * x + rotation[1, 2] * y + rotation[2, 2] * z
    cell = cell_of(u, v, w)
    best, place = 0.0, -1
    for k in range(start[cell], start[cell + 1]):
        r = listed[k]
        cosine = abs(unit[r, 0] * u + unit[r, 1] * v + unit[r, 2] * w)
        gain = level[r] - (1 - cosine) * inverse
        if gain > best:
            best, place = gain, r
    return best, place


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _gain(
    unit: Any, level: Any, near: Any, rotation: Any, normals: Any, weights: Any, inverse: float
) -> float:
    """Gain over chance of all bands in an orientation (crystal to detector)."""
    start, listed = near
    total = 0.0
    for b in range(len(normals)):
        if weights[b] > 0:
            best, _ = _nearest(unit, level, start, listed, rotation, normals, b, inverse)
            total += weights[b] * best
    return total


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _frame(a: Any, b: Any, out: Any) -> None:
    """Columns: a, the normal of a and b, and the third axis."""
    x = a[1] * b[2] - a[2] * b[1]
    y = a[2] * b[0] - a[0] * b[2]
    z = a[0] * b[1] - a[1] * b[0]
    length = math.sqrt(x * x + y * y + z * z)
    x, y, z = x / length, y / length, z / length
    out[0, 0], out[1, 0], out[2, 0] = a[0], a[1], a[2]
    out[0, 1], out[1, 1], out[2, 1] = x, y, z
    out[0, 2] = a[1] * z - a[2] * y
    out[1, 2] = a[2] * x - a[0] * z
    out[2, 2] = a[0] * y - a[1] * x


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _same(one: Any, other: Any, symmetry: Any) -> bool:
    """Whether two orientations (crystal to detector) are nearly equivalent."""
    limit = 1 + 2 * OTHER
    turn = np.zeros((3, 3))
    for c in range(3):
        for j in range(3):
            turn[c, j] = other[0, c] * one[0, j] + other[1, c] * one[1, j] + other[2, c] * one[2, j]
    for s in range(len(symmetry)):
        trace = 0.0
        for c in range(3):
            for j in range(3):
                trace += turn[c, j] * symmetry[s, c, j]
        if trace > limit:
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _polish(
    unit: Any,
    level: Any,
    near: Any,
    normals: Any,
    weights: Any,
    inverse: float,
    rotation: Any,
    which: Any,
) -> float:
    """Refine an orientation by small rotations; return the mean misfit of the bands explained."""
    start, listed = near
    misfit = 0.0
    for turn in range(4):
        normal = np.zeros((3, 3))
        right = np.zeros(3)
        total, number = 0.0, 0
        for b in range(len(normals)):
            which[b] = -1
            if weights[b] <= 0:
                continue
            _, place = _nearest(unit, level, start, listed, rotation, normals, b, inverse)
            if place < 0:
                continue
            which[b] = place
            u, v, w = unit[place, 0], unit[place, 1], unit[place, 2]
            px = rotation[0, 0] * u + rotation[0, 1] * v + rotation[0, 2] * w
            py = rotation[1, 0] * u + rotation[1, 1] * v + rotation[1, 2] * w
            pz = rotation[2, 0] * u + rotation[2, 1] * v + rotation[2, 2] * w
            along = px * normals[b, 0] + py * normals[b, 1] + pz * normals[b, 2]
            sign = 1.0 if along > 0 else -1.0
            nx, ny, nz = sign * normals[b, 0], sign * normals[b, 1], sign * normals[b, 2]
            # the rotation vector w turns p to p + w x p; asked for: w x p = n - p
            cx, cy, cz = py * nz - pz * ny, pz * nx - px * nz, px * ny - py * nx
            away = (nx - px) ** 2 + (ny - py) ** 2 + (nz - pz) ** 2
            weight = weights[b] / (1 + away * inverse)
            total += math.sqrt(away)
            number += 1
            right[0] += weight * cx
            right[1] += weight * cy
            right[2] += weight * cz
            normal[0, 0] += weight * (1 - px * px)
            normal[1, 1] += weight * (1 - py * py)
            normal[2, 2] += weight * (1 - pz * pz)
            normal[0, 1] -= weight * px * py
            normal[0, 2] -= weight * px * pz
            normal[1, 2] -= weight * py * pz
        misfit = total / number if number else 0.0
        if number < 3 or turn == 3:
            break
        for c in range(3):
            normal[c, c] += 1e-9
        _solve(normal, right)
        _turn(rotation, right)
    return misfit


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _solve(normal: Any, right: Any) -> None:
    """Solve three equations, of which the upper half of the matrix is given, in place."""
    a, b, c = normal[0, 0], normal[0, 1], normal[0, 2]
    e, f, i = normal[1, 1], normal[1, 2], normal[2, 2]
    one, two, three = e * i - f * f, c * f - b * i, b * f - c * e
    whole = a * one + b * two + c * three
    x, y, z = right[0], right[1], right[2]
    right[0] = (one * x + two * y + three * z) / whole
    right[1] = (two * x + (a * i - c * c) * y + (b * c - a * f) * z) / whole
    right[2] = (three * x + (b * c - a * f) * y + (a * e - b * b) * z) / whole


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _turn(rotation: Any, vector: Any) -> None:
    """Turn an orientation by a small rotation vector (Rodrigues)."""
    angle = math.sqrt(vector[0] ** 2 + vector[1] ** 2 + vector[2] ** 2)
    if angle < 1e-12:
        return
    x, y, z = vector[0] / angle, vector[1] / angle, vector[2] / angle
    c, s = math.cos(angle), math.sin(angle)
    d = 1 - c
    turn = np.array(
        [
            [c + x * x * d, x * y * d - z * s, x * z * d + y * s],
            [y * x * d + z * s, c + y * y * d, y * z * d - x * s],
            [z * x * d - y * s, z * y * d + x * s, c + z * z * d],
        ]
    )
    rotation[:] = turn @ rotation


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def orient_all(
    unit: Any,
    level: Any,
    near: Any,
    pair_cosine: Any,
    pair_first: Any,
    pair_second: Any,
    pair_sign: Any,
    normals: Any,
    weights: Any,
    sigma: float,
    symmetry: Any,
    paired: int,
    out_rotation: Any,
    out_score: Any,
    out_second: Any,
    out_second_rotation: Any,
    out_which: Any,
    out_misfit: Any,
) -> None:
    """Find orientations by pairs of bands; see `orientation.orient`."""
    inverse = 1 / (sigma * sigma)
    keep = 6
    best_score = np.zeros(keep)
    best_rotation = np.zeros((keep, 3, 3))
    seen = np.zeros((3, 3))
    made = np.zeros((3, 3))
    axis = np.zeros(3)
    rotation = np.zeros((3, 3))
    for p in range(len(normals)):
        bands = 0
        while bands < len(weights[p]) and weights[p, bands] > 0:
            bands += 1
        best_score[:] = 0
        for i in range(min(paired, bands)):
            for j in range(i + 1, min(paired, bands)):
                cosine = (
                    normals[p, i, 0] * normals[p, j, 0]
                    + normals[p, i, 1] * normals[p, j, 1]
                    + normals[p, i, 2] * normals[p, j, 2]
                )
                if abs(cosine) > CLOSE:
                    continue
                reach = 2.5 * sigma * math.sqrt(1 - cosine * cosine)
                _frame(normals[p, i], normals[p, j], seen)
                start = np.searchsorted(pair_cosine, cosine - reach)
                while start < len(pair_cosine) and pair_cosine[start] <= cosine + reach:
                    other = pair_second[start]
                    for c in range(3):
                        axis[c] = pair_sign[start] * unit[other, c]
                    _frame(unit[pair_first[start]], axis, made)
                    start += 1
                    for a in range(3):
                        for b in range(3):
                            rotation[a, b] = (
                                seen[a, 0] * made[b, 0]
                                + seen[a, 1] * made[b, 1]
                                + seen[a, 2] * made[b, 2]
                            )
                    score = _gain(unit, level, near, rotation, normals[p], weights[p], inverse)
                    if score <= best_score[keep - 1]:
                        continue
                    # nearly the same orientation counts once, its best
                    place = -1
                    for m in range(keep):
                        if best_score[m] > 0 and _same(rotation, best_rotation[m], symmetry):
                            place = m
                            break
                    if place >= 0:
                        if score <= best_score[place]:
                            continue
                    else:
                        place = keep - 1
                    put_in(best_score, best_rotation, place, score, rotation)
        if best_score[0] <= 0:
            continue
        which = np.full(len(weights[p]), -1, np.int32)
        for m in range(keep):
            if best_score[m] <= 0:
                break
            _polish(unit, level, near, normals[p], weights[p], inverse, best_rotation[m], which)
            best_score[m] = _gain(
                unit, level, near, best_rotation[m], normals[p], weights[p], inverse
            )
        order = order_down(best_score)
        first = order[0]
        out_misfit[p] = _polish(
            unit, level, near, normals[p], weights[p], inverse, best_rotation[first], out_which[p]
        )
        out_rotation[p] = best_rotation[first]
        out_score[p] = best_score[first]
        for m in range(1, keep):
            other = order[m]
            if best_score[other] <= 0:
                break
            if not _same(best_rotation[first], best_rotation[other], symmetry):
                out_second[p] = best_score[other]
                out_second_rotation[p] = best_rotation[other]
                break
