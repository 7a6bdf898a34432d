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

from napari_diffraction.crystal.bravais import lattice_choices
from napari_diffraction.indexing.bands.directions import half_of_space
from napari_diffraction.indexing.bands.four_bands import reduced
from napari_diffraction.indexing.bands.metric import DirectMetric
from napari_diffraction.patterns.kikuchi.profiles import STEP, Profiles, band_profiles

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Directions looked at.
COUNT = 220
#: Half widths up to this, in degrees, are measured.
_WIDEST = 6.4
#: How often the first, second ... order is what is seen along a direction.
_ORDERS = np.array([0.72, 0.17, 0.05, 0.04, 0.01, 0.01])
#: Share of the widths that are of something else, and their density.
_STRAY, _FLAT = 0.06, 0.4
#: A family is seen whose edge is this part of the strongest ones, and how gradually so.
_SEEN, _SEEN_SPREAD = 0.12, 0.03
#: Least height of an edge over its noise.
_CLEAR = 2.5
#: Of what is seen and not seen this part counts: neighbours in rank are not independent.
_RANKS = 0.5
_HALF = half_of_space(6)
_RATIOS = np.array(sorted({a / b for a in (1, 2, 3, 4) for b in (1, 2, 3, 4)}))
#: Lattices tried one after the other, log evidence from which on a finer one is
#: taken, and below which a coarser one is.
_STEPS, _SPEAKS, _SILENT = 6, 3.0, 0.5
#: What the inner structure of bands says for a finer lattice, in parts of what edges say.
_FINE_STRUCTURE = 0.03
#: Bragg angles looked at (degrees), and the rank of vectors.
_NARROW, _WIDE, _FARTHEST = 0.6, 5.0, 80.0
#: An edge is looked for at a Bragg angle times these, and compared with the profile at others.
_NEAR, _BESIDE = (0.97, 1.0, 1.03), (0.72, 0.8, 0.87, 1.16, 1.25, 1.35)
#: First step of a profile at which a fall is looked for.
_FIRST = 2
#: Uncertainty of a metric by which its symmetry is judged here.
_ROUGH = 0.006
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
    clear : ndarray of float64, (f,)
        The same over its noise.
    seen : ndarray of float64, (f,)
        Probability that there is a band.
    level : ndarray of float64, (f, steps)
        How steeply the profile falls at each angle from ``_FIRST`` steps on, over its noise.
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
    clear: FloatArray
    seen: FloatArray
    level: FloatArray
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
    level = _levels(profiles, 0.2, 1, 3)[1]
    strongest = np.sort(edge)[-3:].mean()
    relative = edge / max(strongest, 1e-9)
    seen = (clear > _CLEAR) / (1 + np.exp(-(relative - _SEEN) / _SEEN_SPREAD))
    bragg = bragg_angle(width)
    spread = 0.035 + 0.1 / (1 + (bragg / 1.3) ** 6) + 0.04 * np.exp(-clear / 4)
    possible = np.zeros(len(width), np.int64)
    np.add.at(possible, family, _crossing(normals, pc, weight.shape).sum(axis=0))
    return BandFamilies(
        basis, hkl, length, family, bragg, spread, relative, clear, seen, level, possible, profiles
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


def edge_angle(bragg: FloatArray) -> FloatArray:
    """Where the profile of a band falls most steeply: the inverse of `bragg_angle`."""
    width = 0.93 * bragg
    for _ in range(6):
        width = bragg * (0.948 - 0.07 / (1 + (width / 1.15) ** 6))
    return np.asarray(width)


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


def _levels(
    profiles: Profiles, share: float, least: int, most: int
) -> tuple[FloatArray, FloatArray]:
    """How deep profiles fall at every step from ``_FIRST`` on, and over how many times their noise.

    The mean on either side is taken over a share of the angle, within some steps.
    """
    value, area = profiles.value, profiles.area
    steps = np.arange(_FIRST, int(_WIDEST / STEP))
    sums = np.cumsum(np.pad(value * area, ((0, 0), (1, 0))), axis=1)
    areas = np.cumsum(np.pad(area, ((0, 0), (1, 0))), axis=1)
    fall = np.zeros((len(value), len(steps)))
    weight = np.zeros_like(fall)
    for column, at in enumerate(steps.tolist()):
        reach = int(np.clip(round(share * at), least, most))
        low, high = max(0, at - reach), min(value.shape[1], at + 1 + reach)
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
    return np.where(weight > 0, fall, -np.inf), level / max(noise, 1e-9)


def _edges(profiles: Profiles) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Where profiles fall most steeply, degrees, how deep, and over how many times their noise."""
    fall, level = _levels(profiles, 0.3, 2, 5)
    best = np.argmax(fall, axis=1)
    row, last = np.arange(len(fall)), fall.shape[1] - 1
    within = (best > 0) & (best < last)
    left = fall[row, np.maximum(best - 1, 0)]
    right = fall[row, np.minimum(best + 1, last)]
    with np.errstate(invalid="ignore"):
        bend = left - 2 * fall[row, best] + right
    shift = np.zeros(len(best))
    sharp = within & np.isfinite(bend) & (bend < 0)
    shift[sharp] = 0.5 * (left[sharp] - right[sharp]) / bend[sharp]
    width = STEP * (best + _FIRST + shift)
    return width, np.nan_to_num(np.maximum(fall[row, best], 0.0)), level[row, best]


def visible_lattice(families: BandFamilies, start: VisibleLattice | None = None) -> VisibleLattice:
    """Find the lattice that explains directions and widths best.

    The widths of bands propose it.  From a lattice that is known nearly others are tried: finer
    ones, as long as edges are seen where they alone have vectors, and coarser ones, where none are.

    Parameters
    ----------
    families
        What is seen along directions.
    start
        Where to begin: the lattice that has the basis of the families, and its scale.
    """
    if start is None:
        lattice, scale, su = _proposed(families)
        unit = np.cbrt(abs(np.linalg.det(lattice)))
        return VisibleLattice(reduced(lattice) / unit, scale * unit, su, 0.0)
    lattice = families.basis
    _, scale, su = _merit(lattice, families, start.scale)
    margin = 0.0
    visited = {_key(families.basis, lattice)}
    for _ in range(_STEPS):
        better, margin = _better(lattice, scale, families)
        if better is None or _key(families.basis, better) in visited:
            break
        lattice = better
        visited.add(_key(families.basis, lattice))
        _, scale, su = _merit(lattice, families, scale)
    unit = np.cbrt(abs(np.linalg.det(lattice)))
    return VisibleLattice(reduced(lattice) / unit, scale * unit, su, max(margin, 0.0))


def as_it_is(families: BandFamilies) -> VisibleLattice:
    """Return the lattice of families itself, with the scale that the widths of bands tell."""
    unit = np.cbrt(abs(np.linalg.det(families.basis)))
    _, scale, su = _merit(families.basis, families)
    return VisibleLattice(families.basis / unit, scale * unit, su, 0.0)


def _proposed(families: BandFamilies) -> tuple[FloatArray, float, float]:
    """The lattice that the widths of clear bands propose, its scale, and that one's uncertainty."""
    basis = families.basis
    tried: dict[bytes, tuple[float, float, float, FloatArray]] = {}

    def add(bases: list[FloatArray]) -> None:
        for one in bases:
            lattice = reduced(one)
            key = _key(basis, lattice)
            if key and key not in tried:
                tried[key] = (*_merit(lattice, families), lattice)

    add([basis, *_spanned(families), *_neighbours(basis)])
    add(_neighbours(max(tried.values(), key=lambda one: one[0])[3]))
    _, scale, su, lattice = max(tried.values(), key=lambda one: one[0])
    return lattice, scale, su


def _key(basis: FloatArray, lattice: FloatArray) -> bytes:
    """A lattice in terms of another one, whatever its basis; empty where it is flat."""
    coordinates = np.linalg.solve(basis, lattice) * _WHOLE * 2
    form = _normal_form(np.rint(coordinates).astype(np.int64).T)
    return b"" if form is None else form.tobytes()


def _ways(lattice: FloatArray) -> tuple[list[FloatArray], list[FloatArray]]:
    """Coarser and finer lattices of small index that keep a lattice's symmetry."""
    unit = lattice / np.cbrt(abs(np.linalg.det(lattice)))
    metric = DirectMetric.of(unit, _ROUGH**2 * np.eye(6))
    choice = lattice_choices(metric.metric, metric.covariance)[0]
    turns = metric.outside(choice.operations)
    coarser = [one.T.astype(float) for one in _sublattices() if _keeps(one.T, turns)]
    finer = [inverse for one in _sublattices() if _keeps(inverse := np.linalg.inv(one), turns)]
    return [lattice @ one for one in coarser], [lattice @ one for one in finer]


def _keeps(change: FloatArray | IntArray, turns: IntArray) -> bool:
    """Whether rotations turn a lattice, columns on reciprocal axes, into itself."""
    whole = np.eye(3)
    own = _key(whole, np.asarray(change, float))
    return all(_key(whole, turn.T @ change) == own for turn in turns)


def _better(
    lattice: FloatArray, scale: float, families: BandFamilies
) -> tuple[FloatArray | None, float]:
    """A finer lattice for which edges speak, or else a coarser one beyond which none are seen."""
    coarser, finer = _ways(lattice)
    beyond = [_evidence(one, lattice, scale, families) for one in coarser]
    evidence = [_evidence(lattice, one, scale, families) for one in finer]
    # clear patterns also show the fine structure of bands, which is small beside their edges
    least, most = min(beyond, default=0.0), max(evidence, default=0.0)
    if most > _SPEAKS + _FINE_STRUCTURE * max(least, 0.0):
        return finer[evidence.index(most)], most
    return (coarser[beyond.index(least)] if beyond and least < _SILENT else None), least


def _evidence(coarse: FloatArray, fine: FloatArray, scale: float, families: BandFamilies) -> float:
    """Log of how much likelier edges are where the fine lattice alone has vectors than noise.

    At the widths that belong to these vectors profiles fall more steeply than at widths nearby, or
    they do not.  How often they do, and how steeply, is not known and is averaged over.
    """
    family = families.family
    place = np.unique(family, return_index=True)[1]
    first = first_orders(fine, families)[place]
    # a family is one to the coarse lattice only where all of its members are
    inside = np.zeros(len(place))
    np.maximum.at(inside, family, first_orders(coarse, families))
    contrasts = []
    for order in (1, 2, 3):
        length = order * first
        known = np.isfinite(length)
        with np.errstate(invalid="ignore"):
            times = np.where(known & np.isfinite(inside), length / inside, 0.5)
        known &= np.abs(times - np.rint(times)) > 0.01
        angle = np.where(known, length * scale, 0.0)
        rank = 2 * np.pi / (3 * 1.202) * length**3 / abs(np.linalg.det(fine))
        known &= (angle > _NARROW) & (angle < _WIDE) & (rank < _FARTHEST)
        rows = np.flatnonzero(known)
        if len(rows):
            near = [_level(families, rows, angle[rows] * factor) for factor in _NEAR]
            beside = [_level(families, rows, angle[rows] * factor) for factor in _BESIDE]
            contrasts.append(np.max(near, axis=0) - np.nanmean(beside, axis=0))
    c = np.concatenate(contrasts) if contrasts else np.zeros(0)
    c = c[np.isfinite(c)]
    if len(c) < 2:
        return 0.0
    noise = 0.985 * _normal(c, 0.08, 0.75) + 0.015 * _normal(c, 0.5, 4.0)
    ways = [
        float(
            np.sum(np.log((1 - share) * noise + share * _normal(c, mean, spread)) - np.log(noise))
        )
        for share in (0.1, 0.3, 0.7)
        for mean, spread in ((1.2, 1.2), (3.0, 2.0), (6.0, 4.0))
    ]
    return float(np.logaddexp.reduce(ways) - np.log(len(ways)))


def _level(families: BandFamilies, rows: IntArray, angle: FloatArray) -> FloatArray:
    """How steeply profiles fall at Bragg angles, over their noise; NaN beyond what was measured."""
    place = (edge_angle(angle) - _FIRST * STEP) / STEP
    low = np.clip(place.astype(np.int64), 0, families.level.shape[1] - 2)
    part = place - low
    value = (1 - part) * families.level[rows, low] + part * families.level[rows, low + 1]
    return np.where((part >= 0) & (part <= 1), value, np.nan)


def _normal(x: FloatArray, mean: float, spread: float) -> FloatArray:
    return np.asarray(np.exp(-0.5 * ((x - mean) / spread) ** 2) / spread)


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


def _merit(
    lattice: FloatArray, families: BandFamilies, near: float | None = None
) -> tuple[float, float, float]:
    """Log likelihood of what is seen, the scale (degrees per length), its relative uncertainty.

    The scale is free, or within 4 % of one that is given.
    """
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
    if near is None:
        scales = np.linspace(-1.5, 1.0, 251) + np.median(apart)
    else:
        scales = np.linspace(-0.04, 0.04, 33) + np.log(near)
    orders = np.log(np.arange(1, len(_ORDERS) + 1))
    away = (apart[None, :, None] - scales[:, None, None] - orders) / spread[None, :, None]
    normal = np.exp(-0.5 * away**2) / (spread[None, :, None] * 2.507)
    likely = (_ORDERS * normal).sum(axis=2)
    total = (seen[which] * np.log((1 - _STRAY) * likely + _STRAY * _FLAT)).sum(axis=1)
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
    found: dict[bytes, IntArray] = {}
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
                reduced_row = [a - times * b for a, b in zip(row, least, strict=True)]
                (again if reduced_row[column] else rest).append(reduced_row)
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
    """Integer bases (rows) of all sublattices of index 2, 3 and 4, in Hermite's normal form."""
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
    coarser = [basis @ one.T for one in _sublattices()]
    finer = [basis @ np.linalg.inv(one) for one in _sublattices()]
    return coarser + finer
