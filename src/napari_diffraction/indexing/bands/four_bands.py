"""Lattices that explain one pattern: hypotheses from four bands, scored on all of them.

Three bands that are not in one zone are the axes of the reciprocal lattice up to their lengths; a
fourth, taken as (1 1 1), (2 1 1), (1 2 1) or (1 1 2) in them, fixes the ratios of the lengths.
Compare Li & Han (2015), J. Appl. Cryst. 48, 107-115, who measure the bands' widths for that, and
Oishi-Tomiyasu, Tanaka & Nakagawa (2021), J. Appl. Cryst. 54, 624-635.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.directions import COUNT, HKL
from napari_diffraction.patterns.sorting import put_in

FloatArray = NDArray[np.float64]

_FOURTH = np.array([[1, 1, 1], [2, 1, 1], [1, 2, 1], [1, 1, 2]], dtype=np.float64)
#: Directions up to a length that holds about so many are looked at.
_LOOKED_AT = 30
#: Indices of the vectors of a lattice.
_ALL = HKL.astype(np.float64)
#: Indices in which a reduced lattice has its shortest vectors.
_SHORT = HKL[np.abs(HKL).max(axis=1) <= 3].astype(np.float64)
#: Least volume of the axes' unit vectors, and share of each in the fourth band.
_FLAT, _NEAR = 0.12, 0.08
#: Hypotheses kept of one pattern, before they are refined and merged.
_KEPT = 80


def lattices_of_pattern(
    normals: FloatArray, weights: FloatArray, sigma: float, strongest: int = 9, best: int = 8
) -> list[tuple[float, FloatArray]]:
    """Find the lattices that explain the bands of a pattern best.

    Parameters
    ----------
    normals : ndarray of float64, (k, 3)
        Unit normals of the bands, the most certain first.
    weights : ndarray of float64, (k,)
        Weight of each in the score.
    sigma
        Angular error of a normal in radians.
    strongest
        Hypotheses are made of so many of the first bands.
    best
        Lattices returned, each once, however its cell was chosen.

    Returns
    -------
    list of (score, basis)
        Best first; the basis (3, 3) has reduced reciprocal vectors as columns, volume 1, in the
        detector's frame.
    """
    scores, bases = np.full(_KEPT, -1.0), np.zeros((_KEPT, 3, 3))
    n = min(strongest, len(normals))
    found = _hypotheses(
        np.ascontiguousarray(normals, np.float64),
        np.ascontiguousarray(weights, np.float64),
        n,
        sigma,
        scores,
        bases,
    )
    kept: list[tuple[float, FloatArray]] = []
    shapes: list[FloatArray] = []
    for place in range(found):
        basis = refined_on(normals, weights, bases[place], sigma)
        shape = lattice_shape(basis)
        if any(np.abs(shape - other).max() < 0.02 for other in shapes):
            continue
        score = float(_score(normals, weights, basis, sigma, _SHORT, np.empty(len(_SHORT))))
        shapes.append(shape)
        kept.append((score, basis))
        if len(kept) >= 3 * best:
            break
    kept.sort(key=lambda one: -one[0])
    return kept[:best]


def lattice_shape(basis: FloatArray) -> FloatArray:
    """Lengths of the ten shortest vectors of a lattice, which do not depend on the choice of axes.

    Parameters
    ----------
    basis : ndarray, (3, 3)
        Columns: reduced vectors; volume 1.
    """
    return np.sort(np.linalg.norm(_SHORT @ basis.T, axis=1))[:10]


def refined_on(
    normals: FloatArray, weights: FloatArray, basis: FloatArray, sigma: float
) -> FloatArray:
    """Refine a lattice on the bands of one pattern by linear least squares.

    A band n with indices h asks for ``n x (B h) = 0``: linear in the nine numbers of B, whose
    scale is free, so that B is the smallest singular vector (the direct linear transform).
    """
    out = np.array(basis, np.float64)
    _refine_on(
        np.ascontiguousarray(normals, np.float64),
        np.ascontiguousarray(weights, np.float64),
        out,
        sigma,
        _ALL,
    )
    return out


def reduced(basis: FloatArray) -> FloatArray:
    """Reduce a lattice by Selling's algorithm to three shortest vectors of an obtuse superbase.

    Selling (1874), J. reine angew. Math. 77, 143-229; Delaunay (1933).
    """
    out = np.array(basis, dtype=np.float64)
    _reduce(out)
    return out


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _reduce(basis: Any) -> None:
    """Selling reduction in place; columns are the three shortest of the superbase's vectors."""
    v = np.empty((4, 3))
    for i in range(3):
        for c in range(3):
            v[i, c] = basis[c, i]
    for c in range(3):
        v[3, c] = -(v[0, c] + v[1, c] + v[2, c])
    for _ in range(60):
        changed = False
        for i in range(3):
            for j in range(i + 1, 4):
                dot = v[i, 0] * v[j, 0] + v[i, 1] * v[j, 1] + v[i, 2] * v[j, 2]
                if dot > 1e-9:
                    for k in range(4):
                        if k != i and k != j:
                            for c in range(3):
                                v[k, c] += v[i, c]
                    for c in range(3):
                        v[i, c] = -v[i, c]
                    changed = True
        if not changed:
            break
    longest, most = 0, -1.0
    for k in range(4):
        size = v[k, 0] ** 2 + v[k, 1] ** 2 + v[k, 2] ** 2
        if size > most:
            longest, most = k, size
    place = 0
    for k in range(4):
        if k != longest:
            for c in range(3):
                basis[c, place] = v[k, c]
            place += 1


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _refine_on(normals: Any, weights: Any, basis: Any, sigma: float, hkl: Any) -> None:
    """Refine a lattice in place, twice; it stays as it was where the bands do not tell it."""
    vectors, length = np.empty((len(hkl), 3)), np.empty(len(hkl))
    which = np.empty(len(normals), np.int64)
    for _ in range(2):
        for r in range(len(hkl)):
            square = 0.0
            for c in range(3):
                value = basis[c, 0] * hkl[r, 0] + basis[c, 1] * hkl[r, 1] + basis[c, 2] * hkl[r, 2]
                vectors[r, c] = value
                square += value * value
            length[r] = math.sqrt(square)
        limit = np.sort(length)[min(COUNT, len(length)) - 1] * 1.005
        used = 0
        seen = np.zeros((3, 3))
        for b in range(len(normals)):
            x, y, z = normals[b, 0], normals[b, 1], normals[b, 2]
            best, place = -1.0, -1
            for r in range(len(hkl)):
                if length[r] <= limit:
                    along = vectors[r, 0] * x + vectors[r, 1] * y + vectors[r, 2] * z
                    cosine = abs(along) / length[r]
                    if cosine > best:
                        best, place = cosine, r
            which[b] = place if best > 1 - 4.5 * sigma**2 else -1
            if which[b] >= 0:
                used += 1
                for i in range(3):
                    for j in range(3):
                        seen[i, j] += hkl[place, i] * hkl[place, j]
        # whole numbers: the determinant is 0, or 1 and more
        if used < 6 or np.linalg.det(seen) < 0.5:
            return
        rows = np.zeros((3 * used, 9))
        row = 0
        for b in range(len(normals)):
            r = which[b]
            if r < 0:
                continue
            x, y, z = normals[b, 0], normals[b, 1], normals[b, 2]
            weight = math.sqrt(weights[b]) / length[r]
            for k in range(3):
                h = weight * hkl[r, k]
                rows[row, 3 + k], rows[row, 6 + k] = -z * h, y * h
                rows[row + 1, k], rows[row + 1, 6 + k] = z * h, -x * h
                rows[row + 2, k], rows[row + 2, 3 + k] = -y * h, x * h
            row += 3
        _, values, right = np.linalg.svd(rows, False)
        if values[-2] < 1e-6 * values[0]:
            return
        new = np.ascontiguousarray(right[-1]).reshape(3, 3)
        volume = np.linalg.det(new)
        if abs(volume) < 1e-9:
            return
        new = new / (math.copysign(1.0, volume) * abs(volume) ** (1 / 3))
        _reduce(new)
        for c in range(3):
            if math.sqrt(new[0, c] ** 2 + new[1, c] ** 2 + new[2, c] ** 2) > 6:
                return
        basis[:] = new


@njit(cache=True, nogil=True, error_model="numpy", fastmath=True)  # type: ignore[untyped-decorator]
def _score(normals: Any, weights: Any, basis: Any, sigma: float, short: Any, lengths: Any) -> float:
    """Gain of all bands over chance, with shares that fall with the length of the vectors."""
    # so many primitive directions lie in half a sphere of radius r in a lattice of volume 1:
    # 2 pi / 3 r^3 / zeta(3)
    per = 2 * math.pi / 3 / 1.2020569
    limit = (_LOOKED_AT / per) ** (2 / 3)
    count = 0
    unit = np.empty((64, 3))
    level = np.empty(64)
    inverse = 1 / (sigma * sigma)
    for a in range(len(short)):
        x = basis[0, 0] * short[a, 0] + basis[0, 1] * short[a, 1] + basis[0, 2] * short[a, 2]
        y = basis[1, 0] * short[a, 0] + basis[1, 1] * short[a, 1] + basis[1, 2] * short[a, 2]
        z = basis[2, 0] * short[a, 0] + basis[2, 1] * short[a, 1] + basis[2, 2] * short[a, 2]
        square = x * x + y * y + z * z
        if square > limit or count == 64:
            continue
        length = math.sqrt(square)
        unit[count, 0], unit[count, 1], unit[count, 2] = x / length, y / length, z / length
        rank = per * length * square
        level[count] = math.log(inverse * 0.075 / (1 + (rank / 6.0) ** 1.5))
        count += 1
    total = 0.0
    for b in range(len(normals)):
        best = 0.0
        for r in range(count):
            cosine = abs(
                unit[r, 0] * normals[b, 0] + unit[r, 1] * normals[b, 1] + unit[r, 2] * normals[b, 2]
            )
            gain = level[r] - (1 - cosine) * inverse
            best = max(best, gain)
        total += weights[b] * best
    return total


@njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator]
def _hypotheses(
    normals: Any, weights: Any, strongest: int, sigma: float, scores: Any, bases: Any
) -> int:
    """Score every choice of four bands; the best ones in order."""
    count = 0
    lengths = np.empty(len(_SHORT))
    trial = np.empty((3, 3))
    axes = np.empty((3, 3))
    for i in range(strongest):
        for j in range(i + 1, strongest):
            for k in range(j + 1, strongest):
                for c in range(3):
                    axes[c, 0], axes[c, 1] = normals[i, c], normals[j, c]
                    axes[c, 2] = normals[k, c]
                volume = np.linalg.det(axes)
                if abs(volume) < _FLAT:
                    continue
                inverse = np.linalg.inv(axes)
                for m in range(strongest):
                    if m in (i, j, k):
                        continue
                    part = inverse @ normals[m]
                    if min(abs(part[0]), abs(part[1]), abs(part[2])) < _NEAR:
                        continue
                    for q in range(len(_FOURTH)):
                        scale = 1.0
                        for axis in range(3):
                            factor = part[axis] / _FOURTH[q, axis]
                            scale *= factor
                            for c in range(3):
                                trial[c, axis] = axes[c, axis] * factor
                        size = abs(scale * volume) ** (1 / 3)
                        for c in range(3):
                            for axis in range(3):
                                trial[c, axis] /= size
                        _reduce(trial)
                        score = _score(normals, weights, trial, sigma, _SHORT, lengths)
                        if count == len(scores) and score <= scores[-1]:
                            continue
                        put_in(scores, bases, min(count, len(scores) - 1), score, trial)
                        count = min(count + 1, len(scores))
    return count
