"""The lattice that the bands show: directions tell its shape, half widths how long its vectors are.

The directions of bands are those of the vectors of a lattice, and of any of its sublattices and
superlattices as well.  The half width of a band is the Bragg angle of its vector, so that direction
and width together are a vector: the visible lattice is the coarsest one that has them all, those
that show a higher order being taken as such.  The width of the bands in degrees also tells the
scale of the lattice.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.directions import half_of_space
from napari_diffraction.indexing.bands.four_bands import reduced
from napari_diffraction.patterns.kikuchi.profiles import STEP, Profiles, band_profiles

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Directions looked at.
COUNT = 220
#: Half widths up to this, in degrees, are measured.
_WIDEST = 6.4
#: How often the first, second ... order is what is seen along a direction.
_ORDERS = np.array([0.72, 0.17, 0.05, 0.04, 0.01, 0.01])
#: Share of the widths that are of something else.
_STRAY = 0.06
#: A family is seen whose edge is this part of the strongest ones, and how gradually so.
_SEEN, _SEEN_SPREAD = 0.12, 0.03
#: Least height of an edge over its noise.
_CLEAR = 2.5
#: Of what is seen and not seen this part counts: neighbours in rank are not independent.
_RANKS = 0.5
_HALF = half_of_space(6)
_RATIOS = np.array(sorted({a / b for a in (1, 2, 3, 4) for b in (1, 2, 3, 4)}))
#: Ratios are made whole by this.
_WHOLE = 12


@dataclass(frozen=True, eq=False)
class BandFamilies:
    """What is seen along the directions of a lattice, f families of k directions.

    Attributes
    ----------
    basis : ndarray of float64, (3, 3)
        Columns: reciprocal vectors.
    hkl : ndarray of int64, (k, 3)
        Primitive indices of the directions.
    length : ndarray of float64, (k,)
        Of the shortest vectors.
    family : ndarray of int64, (k,)
        Number of the family, by which the following are ordered.
    half_width : ndarray of float64, (f,)
        Bragg angle in degrees, by the steepest fall of the profile.
    spread : ndarray of float64, (f,)
        Uncertainty of its logarithm.
    edge : ndarray of float64, (f,)
        Height of the fall in parts of the highest ones.
    seen : ndarray of float64, (f,)
        Probability that there is a band.
    possible : ndarray of int64, (f,)
        How often a band of the family crossed a picture.
    profiles
        From which all this was read.
    """

    basis: FloatArray
    hkl: IntArray
    length: FloatArray
    family: IntArray
    half_width: FloatArray
    spread: FloatArray
    edge: FloatArray
    seen: FloatArray
    possible: IntArray
    profiles: Profiles


@dataclass(frozen=True, eq=False)
class VisibleLattice:
    """A lattice that the bands show.

    Attributes
    ----------
    basis : ndarray of float64, (3, 3)
        Columns: reduced reciprocal vectors, volume 1.
    scale
        Bragg angle in degrees of a vector of length 1.
    scale_su
        Its relative uncertainty.
    margin
        How much better (log likelihood) it is than the next one.
    """

    basis: FloatArray
    scale: float
    scale_su: float
    margin: float


def band_families(
    pictures: NDArray[np.float32],
    weight: NDArray[np.float32],
    pc: FloatArray,
    rotation: FloatArray,
    basis: FloatArray,
    turns: IntArray | None = None,
) -> BandFamilies:
    """Measure what is seen along the directions of a lattice.

    Parameters
    ----------
    pictures : ndarray of float32, (n, h, w)
        Flattened.
    weight : ndarray of float32, (h, w)
        0 behind a mask.
    pc : ndarray of float64, (3,) or (n, 3)
        Pattern centres.
    rotation : ndarray of float64, (n, 3, 3)
        From crystal to detector.
    basis : ndarray of float64, (3, 3)
        Columns: reciprocal vectors.
    turns : ndarray of int64, (m, 3, 3), optional
        Rotations of the lattice in its direct axes; directions that they turn into each other are
        one family.
    """
    vectors = _HALF @ basis.T
    length = np.linalg.norm(vectors, axis=1)
    order = np.argsort(length, kind="stable")[:COUNT]
    hkl, length = _HALF[order], length[order]
    family = _families(hkl, turns)
    normals = np.einsum("nij,kj->nki", rotation, vectors[order] / length[:, None])
    profiles = band_profiles(pictures, weight, normals, pc, family)
    width, edge, clear = _edges(profiles)
    strongest = np.sort(edge)[-3:].mean()
    relative = edge / max(strongest, 1e-9)
    seen = (clear > _CLEAR) / (1 + np.exp(-(relative - _SEEN) / _SEEN_SPREAD))
    bragg = bragg_angle(width)
    spread = 0.035 + 0.1 / (1 + (bragg / 1.3) ** 6) + 0.04 * np.exp(-clear / 4)
    possible = np.zeros(len(width), np.int64)
    np.add.at(possible, family, _crossing(normals, pc, weight.shape).sum(axis=0))
    return BandFamilies(
        basis, hkl, length, family, bragg, spread, relative, seen, possible, profiles
    )


def _crossing(normals: FloatArray, pc: FloatArray, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether the middle of a band runs well within a picture, (n, k)."""
    h, w = shape
    centre = np.broadcast_to(pc, (len(normals), 3))[:, None]
    # the line n . (x, y, 1) = 0 in units of the screen's distance, and the middle of the picture
    scale = np.hypot(normals[..., 0], normals[..., 1]) / (centre[..., 2] * h)
    middle = (
        normals[..., 0] * (0.5 - centre[..., 0]) * w / (centre[..., 2] * h)
        + normals[..., 1] * (centre[..., 1] - 0.5) / centre[..., 2]
        + normals[..., 2]
    )
    return np.asarray(np.abs(middle) < 0.4 * min(h, w) * np.maximum(scale, 1e-9))


def bragg_angle(width: FloatArray) -> FloatArray:
    """Bragg angle of a band, degrees, by where its profile falls most steeply.

    The fall is a little inside, more so for narrow bands, as was measured on dynamical patterns of
    40 crystals at 60 to 240 pixels.
    """
    return np.asarray(width / (0.948 - 0.07 / (1 + (width / 1.15) ** 6)))


def _families(hkl: IntArray, turns: IntArray | None) -> IntArray:
    """Number the families of directions, in the order of their first member."""
    if turns is None or len(turns) < 2:
        return np.arange(len(hkl))
    place = {tuple(one): number for number, one in enumerate(hkl.tolist())}
    family = np.full(len(hkl), -1)
    count = 0
    for number in range(len(hkl)):
        if family[number] >= 0:
            continue
        for moved in (hkl[number] @ turns).tolist():
            if next(value for value in moved if value) < 0:
                moved = [-value for value in moved]
            other = place.get(tuple(moved))
            if other is not None:
                family[other] = count
        count += 1
    return family


def _edges(profiles: Profiles) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where profiles fall most steeply, degrees, how deep, and over how many times their noise."""
    value, area = profiles.value, profiles.area
    steps = np.arange(2, int(_WIDEST / STEP))
    sums = np.cumsum(np.pad(value * area, ((0, 0), (1, 0))), axis=1)
    areas = np.cumsum(np.pad(area, ((0, 0), (1, 0))), axis=1)
    fall = np.zeros((len(value), len(steps)))
    weight = np.zeros_like(fall)
    for column, at in enumerate(steps):
        reach = int(np.clip(round(0.3 * at), 2, 5))
        low, high = max(0, int(at) - reach), min(int(value.shape[1]), int(at) + 1 + reach)
        inside, outside = areas[:, at] - areas[:, low], areas[:, high] - areas[:, at + 1]
        difference = (sums[:, at] - sums[:, low]) / np.maximum(inside, 1e-9)
        difference -= (sums[:, high] - sums[:, at + 1]) / np.maximum(outside, 1e-9)
        fall[:, column] = difference
        weight[:, column] = np.sqrt(inside * outside / np.maximum(inside + outside, 1e-9)) * (
            np.minimum(inside, outside) > 20
        )
    level = fall * weight
    # what a direction without a band shows: other bands, and noise
    noise = float(np.median(np.abs(level[weight > 0]))) if (weight > 0).any() else 1.0
    best = np.argmax(np.where(weight > 0, fall, -np.inf), axis=1)
    row = np.arange(len(value))
    width = steps[best] * STEP
    within = (best > 0) & (best < len(steps) - 1)
    left, right = (
        fall[row, np.maximum(best - 1, 0)],
        fall[row, np.minimum(best + 1, len(steps) - 1)],
    )
    bend = left - 2 * fall[row, best] + right
    shift = np.where(within & (bend < 0), 0.5 * (left - right) / np.where(bend < 0, bend, 1), 0.0)
    return (
        width + STEP * shift,
        np.maximum(fall[row, best], 0.0),
        level[row, best] / max(noise, 1e-9),
    )


def visible_lattice(families: BandFamilies) -> VisibleLattice:
    """Find the lattice that explains directions and widths best."""
    basis = families.basis
    tried: dict[bytes, tuple[float, float, float, FloatArray]] = {}

    def add(bases: list[FloatArray]) -> None:
        for one in bases:
            lattice = reduced(one)
            coordinates = np.linalg.solve(basis, lattice) * _WHOLE * 2
            form = _normal_form(np.rint(coordinates).astype(np.int64).T)
            if form is None:
                continue
            # the scale is free, so that multiples of a lattice are the same
            key = (form // np.gcd.reduce(form.reshape(-1))).tobytes()
            if key not in tried:
                tried[key] = (*_merit(lattice, families), lattice)

    add([basis, *_spanned(families), *_neighbours(basis)])
    for _ in range(2):
        add(_neighbours(max(tried.values(), key=lambda one: one[0])[3]))
    ranked = sorted(tried.values(), key=lambda one: -one[0])
    merit, scale, su, lattice = ranked[0]
    margin = merit - ranked[1][0] if len(ranked) > 1 else np.inf
    unit = np.cbrt(abs(np.linalg.det(lattice)))
    return VisibleLattice(lattice / unit, scale * unit, su, margin)


def first_orders(lattice: FloatArray, families: BandFamilies) -> FloatArray:
    """Length of the shortest vector of a lattice along every direction; infinite where none is."""
    inside = np.linalg.solve(lattice, families.basis @ families.hkl.T).T
    order = np.full(len(inside), np.inf)
    for whole in (1, 2, 3, 4, 6, 8, 9, 12):
        near = np.rint(inside * whole)
        fits = np.abs(inside * whole - near).max(axis=1) < 0.02
        common = np.gcd.reduce(np.abs(near).astype(np.int64), axis=1)
        fits &= common > 0
        order = np.minimum(order, np.where(fits, whole / np.maximum(common, 1), np.inf))
    return np.asarray(order * families.length)


def _merit(lattice: FloatArray, families: BandFamilies) -> tuple[float, float, float]:
    """Log likelihood of what is seen, the scale (degrees per length), its relative uncertainty."""
    first = np.unique(families.family, return_index=True)[1]
    length = first_orders(lattice, families)[first]
    length = np.where(np.isfinite(length), length, 99.0)
    # the number of vectors of a lattice up to a length, halves and multiples left out
    rank = 2 * np.pi / (3 * 1.202) * length**3 / abs(np.linalg.det(lattice))
    expected = 0.92 / (1 + (rank / 22) ** 1.5) + 0.01
    seen = families.seen
    ranks = float(np.sum(seen * np.log(expected) + (1 - seen) * np.log(1 - expected)))
    which = seen > 0.05
    if which.sum() < 3:
        return -np.inf, 1.0, 1.0
    width, spread = np.log(families.half_width[which]), families.spread[which]
    apart = width - np.log(length[which])
    scales = np.linspace(-1.5, 1.0, 251) + np.median(apart)
    orders = np.log(np.arange(1, len(_ORDERS) + 1))
    away = (apart[None, :, None] - scales[:, None, None] - orders) / spread[None, :, None]
    likely = (_ORDERS * np.exp(-0.5 * away**2) / (spread[None, :, None] * 2.507)).sum(axis=2)
    total = (seen[which] * np.log((1 - _STRAY) * likely + _STRAY * 0.4)).sum(axis=1)
    best = int(total.argmax())
    posterior = np.exp(total - total[best])
    posterior /= posterior.sum()
    mean = float(posterior @ scales)
    su = float(np.sqrt(posterior @ (scales - mean) ** 2 + 0.01**2))
    return float(total[best]) + _RANKS * ranks, float(np.exp(scales[best])), su


def _spanned(families: BandFamilies) -> list[FloatArray]:
    """Lattices spanned by vectors whose lengths are told by the widths of bands."""
    first = np.unique(families.family, return_index=True)[1]
    clear = np.flatnonzero(families.seen > 0.5)
    clear = clear[
        np.argsort(-families.edge[clear] * np.minimum(families.half_width[clear] / 1.3, 1))
    ]
    found: dict[bytes, FloatArray] = {}
    for reference in clear[:6]:
        for order in (1, 2, 0.5, 3, 1 / 3):
            scale = families.half_width[reference] / (families.length[first[reference]] * order)
            vectors: list[IntArray] = []
            for one in clear[:16]:
                ratio = families.half_width[one] / (scale * families.length[first[one]])
                near = int(np.abs(np.log(ratio / _RATIOS)).argmin())
                if abs(np.log(ratio / _RATIOS[near])) > 2 * families.spread[one]:
                    continue
                members = families.hkl[families.family == one]
                vectors.append(np.rint(members * _RATIOS[near] * _WHOLE).astype(np.int64))
                form = _normal_form(np.concatenate(vectors))
                if form is not None:
                    found[form.tobytes()] = form
    return [families.basis @ (form.T / _WHOLE) for form in found.values()]


def _normal_form(rows: IntArray) -> IntArray | None:
    """Hermite's normal form of the lattice that integer rows span; ``None`` where it is flat."""
    left = [list(map(int, row)) for row in rows]
    form: list[list[int]] = []
    for column in range(3):
        rest = [row for row in left if row[column] == 0]
        pivots = [row for row in left if row[column] != 0]
        if not pivots:
            return None
        while len(pivots) > 1:
            pivots.sort(key=lambda row: abs(row[column]))
            least = pivots[0]
            again: list[list[int]] = []
            for row in pivots[1:]:
                times = row[column] // least[column]
                row = [a - times * b for a, b in zip(row, least, strict=True)]
                (again if row[column] else rest).append(row)
            pivots = [least, *again]
        sign = 1 if pivots[0][column] > 0 else -1
        form.append([sign * value for value in pivots[0]])
        left = [row for row in rest if any(row)]
    for low in (1, 2):
        for high in range(low):
            times = form[high][low] // form[low][low]
            form[high] = [a - times * b for a, b in zip(form[high], form[low], strict=True)]
    return np.array(form, dtype=np.int64)


@lru_cache(maxsize=1)
def _sublattices() -> list[IntArray]:
    """Integer bases (columns) of all sublattices of index 2, 3 and 4."""
    out = []
    for index in (2, 3, 4):
        for a in range(1, index + 1):
            for b in range(1, index // a + 1):
                if index % (a * b):
                    continue
                c = index // (a * b)
                for x in range(b):
                    for y in range(c):
                        for z in range(c):
                            out.append(np.array([[a, x, y], [0, b, z], [0, 0, c]], dtype=np.int64))
    return out


def _neighbours(basis: FloatArray) -> list[FloatArray]:
    """Sublattices and superlattices of small index."""
    coarser = [basis @ one for one in _sublattices()]
    finer = [basis @ np.linalg.inv(one.T) for one in _sublattices()]
    return coarser + finer
