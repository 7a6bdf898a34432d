"""The lattice that the bands show: directions tell its shape, half widths how long its vectors are.

The directions of bands are those of the vectors of a lattice, and of any of its sublattices and
superlattices as well.  The half width of a band is the Bragg angle of its vector, so that direction
and width together are a vector, and the widths propose a lattice and its scale.  Whole profiles
then decide step by step whether a finer lattice is seen, or no more than a coarser one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.families import BandFamilies
from napari_diffraction.indexing.bands.four_bands import reduced
from napari_diffraction.indexing.bands.rows import Rows
from napari_diffraction.indexing.bands.sublattices import (
    WHOLE,
    lattice_key,
    letters_of,
    neighbours,
    steps_of,
)
from napari_diffraction.indexing.hermite import normal_form

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: How often the first, second ... order is what is seen along a direction.
_ORDERS = np.array([0.72, 0.17, 0.05, 0.04, 0.01, 0.01])
#: Widths of families that are less probably seen tell nothing.
_CLEARLY = 0.05
#: Share of the widths that are of something else, and their density.
_STRAY, _FLAT = 0.06, 0.4
#: Of what is seen and not seen this part counts: neighbours in rank are not independent.
_RANKS = 0.5
_RATIOS = np.array(sorted({a / b for a in (1, 2, 3, 4) for b in (1, 2, 3, 4)}))
#: Lattices tried one after the other.
_STEPS = 8
#: Log evidence by which a lattice must be better than a coarser one, and the evidence for all of
#: its bands that doubles this: what the model of a profile lacks grows with the bands.
SPEAKS, _DOUBLED = 120.0, 2000.0
#: The same where every picture is of one pattern, whose noise hides the inner structure of bands
#: that the model lacks.
SPEAKS_ALONE = 80.0
#: Finer lattices that are so nearly as good as the best one are told apart by widths.
_NEARLY = 0.8
#: Log evidence that half as many vectors are worth.
_SIMPLER = 30.0
#: What a unit of a second opinion counts, in parts of the evidence asked for, and at most.
_PULL, _MOST_PULL = 0.45, 0.95
#: What a unit of log likelihood of half widths counts for a finer lattice of the same letters, of
#: which no opinion tells, in parts of the evidence asked for, and at most.  Chosen on 20 scans and
#: 13 lists of dynamical patterns: beside lattices that were right widths spoke against every finer
#: one that they could judge; beside those that were too coarse they spoke most for the true one,
#: where profiles gave 0.3 to 0.9 of what is asked in both cases.
_WIDTHS, _MOST_WIDTHS = 0.08, 0.75
#: A lattice that lacks less than this part of the evidence asked for is hardly excluded.
_HARDLY = 0.5


@dataclass(frozen=True)
class Rival:
    """A lattice that bands hardly exclude.

    Attributes
    ----------
    letters
        Pearson letters.
    volume
        Of its primitive cell, in parts of that of the lattice seen.
    share
        0 to 0.5: 0.5 where the evidence is as much for the one as for the other, 0 where that for
        the rival is half of what is asked for.
    """

    letters: str
    volume: float
    share: float


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
    rival
        The next one, if it is hardly excluded.
    """

    basis: FloatArray
    scale: float
    scale_su: float
    margin: float
    rival: Rival | None = None


def visible_lattice(
    families: BandFamilies,
    start: VisibleLattice | None = None,
    speaks: float = SPEAKS,
    said: Mapping[str, float] | None = None,
) -> VisibleLattice:
    """Find the lattice that explains directions, widths and profiles best.

    Parameters
    ----------
    families
        What is seen along directions.
    start
        Where to begin: the lattice that has the basis of the families, and its scale.  Without it,
        the lattice of the families and that which the widths of bands propose.
    speaks
        Log evidence by which a lattice must be better than a coarser one.
    said
        A second opinion: logarithms of the probabilities of the Bravais lattices, by Pearson
        letters.
    """
    rows = Rows(families)
    if start is None:
        begin = [_proposed(families), (families.basis, _merit(families.basis, families)[1])]
    else:
        unit = np.cbrt(abs(np.linalg.det(families.basis)))
        begin = [(families.basis, start.scale / unit)]
    found: dict[bytes, tuple[float, FloatArray, float, float, Rival | None]] = {}
    for lattice, scale in begin:
        lattice, scale, margin, rival = _settled(lattice, scale, families, rows, speaks, said)
        merit = rows.evidence(lattice, scale)[0] + _SIMPLER * np.log2(
            abs(np.linalg.det(lattice)) * scale**3
        )
        found[lattice_key(families.basis, lattice)] = (merit, lattice, scale, margin, rival)
    _, lattice, scale, margin, rival = max(found.values(), key=lambda one: one[0])
    su = _merit(lattice, families, scale)[2]
    unit = np.cbrt(abs(np.linalg.det(lattice)))
    return VisibleLattice(reduced(lattice) / unit, scale * unit, su, max(margin, 0.0), rival)


def _settled(
    lattice: FloatArray,
    scale: float,
    families: BandFamilies,
    rows: Rows,
    speaks: float,
    said: Mapping[str, float] | None,
) -> tuple[FloatArray, float, float, Rival | None]:
    """Go to finer and coarser lattices until none is better; also how much better the last is."""
    visited: set[bytes] = set()
    margin, rival = 0.0, None
    for _ in range(_STEPS):
        visited.add(lattice_key(families.basis, lattice))
        scale = _merit(lattice, families, scale)[1]
        evidence, strength = rows.evidence(lattice, scale)
        least = speaks * (1 + evidence / _DOUBLED)
        coarser, finer = steps_of(lattice)
        coarser.append(2 * lattice)
        own = 0.0 if said is None else said[letters_of(lattice)]
        pairs = [(one, lattice) for one in coarser] + [(lattice, one) for one in finer]
        gain = [
            rows.telling(*pair, scale, strength) + least * _by_widths(*pair, families, scale)
            for pair in pairs
        ]
        lost = [gain[k] - least * _pull(said, own, one) for k, one in enumerate(coarser)]
        won = [gain[k] + least * _pull(said, own, one) for k, one in enumerate(finer, len(coarser))]
        weakest, strongest = min(lost), max(won, default=-np.inf)
        margin = min(weakest - least, least - strongest)
        if margin >= 0:
            of_lost = weakest - least < least - strongest
            next_one = coarser[int(np.argmin(lost))] if of_lost else finer[int(np.argmax(won))]
            rival = _rival(lattice, next_one, margin / least)
            break
        up = strongest - least > least - weakest
        if up:
            good = [one for one, gain in zip(finer, won, strict=True) if gain > _NEARLY * strongest]
        else:
            good = [one for one, loss in zip(coarser, lost, strict=True) if loss < least]
        better = max(good, key=lambda one: _merit(one, families, scale)[0])
        if lattice_key(families.basis, better) in visited:
            # of two that each speak for the other the simpler one is taken
            lattice, other = (lattice, better) if up else (better, lattice)
            rival = _rival(lattice, other, 0.0)
            break
        lattice = better
    return lattice, scale, margin, rival


def _rival(lattice: FloatArray, other: FloatArray, margin: float) -> Rival | None:
    """Tell another lattice, unless it lacks more than half of the evidence that is asked for."""
    share = _HARDLY - margin
    if share <= 0:
        return None
    volume = abs(float(np.linalg.det(lattice) / np.linalg.det(other)))
    return Rival(letters_of(other), volume, share)


def _by_widths(coarse: FloatArray, fine: FloatArray, families: BandFamilies, scale: float) -> float:
    """How much half widths add to what profiles tell of a finer lattice, in parts of what is asked.

    They are asked where no opinion tells: of lattices of the same letters.
    """
    if letters_of(coarse) != letters_of(fine):
        return 0.0
    gain = _merit(fine, families, scale)[0] - _merit(coarse, families, scale)[0]
    return float(np.clip(_WIDTHS * gain, 0.0, _MOST_WIDTHS)) if np.isfinite(gain) else 0.0


def _pull(said: Mapping[str, float] | None, own: float, other: FloatArray) -> float:
    """How much a second opinion draws to another lattice, in parts of what is asked.

    ``own`` is the opinion on the lattice at hand.
    """
    if said is None:
        return 0.0
    pull = _PULL * (said[letters_of(other)] - own)
    return float(np.clip(pull, -_MOST_PULL, _MOST_PULL))


def as_it_is(families: BandFamilies) -> VisibleLattice:
    """Return the lattice of families itself, with the scale that the widths of bands tell."""
    unit = np.cbrt(abs(np.linalg.det(families.basis)))
    _, scale, su = _merit(families.basis, families)
    return VisibleLattice(families.basis / unit, scale * unit, su, 0.0)


def _proposed(families: BandFamilies) -> tuple[FloatArray, float]:
    """The lattice that the widths of clear bands propose, and its scale."""
    basis = families.basis
    tried: dict[bytes, tuple[float, float, float, FloatArray]] = {}

    def add(bases: list[FloatArray]) -> None:
        for one in bases:
            lattice = reduced(one)
            key = lattice_key(basis, lattice)
            if key and key not in tried:
                tried[key] = (*_merit(lattice, families), lattice)

    add([basis, *_spanned(families), *neighbours(basis)])
    add(neighbours(max(tried.values(), key=lambda one: one[0])[3]))
    _, scale, _, lattice = max(tried.values(), key=lambda one: one[0])
    return lattice, scale


def _merit(
    lattice: FloatArray, families: BandFamilies, near: float | None = None
) -> tuple[float, float, float]:
    """Log likelihood of what is seen, the scale (degrees per length), its relative uncertainty.

    The scale is free, or within 4 % of one that is given.
    """
    every = families.first_orders(lattice)
    length = every[families.place]
    if not np.allclose(every, length[families.family], rtol=0.02):
        return -np.inf, 1.0, 1.0  # it has not the symmetry by which bands were taken together
    length = np.where(np.isfinite(length), length, 99.0)
    # the number of vectors of a lattice up to a length, halves and multiples left out
    rank = 2 * np.pi / (3 * 1.202) * length**3 / abs(np.linalg.det(lattice))
    expected = 0.92 / (1 + (rank / 22) ** 1.5) + 0.01
    seen = families.seen
    ranks = float(np.sum(seen * np.log(expected) + (1 - seen) * np.log(1 - expected)))
    which = seen > _CLEARLY
    if which.sum() < 3:
        return -np.inf, 1.0, 1.0
    if near is None:
        apart = np.log(families.half_width[which] / length[which])
        scales = np.linspace(-1.5, 1.0, 251) + np.median(apart)
    else:
        scales = np.linspace(-0.04, 0.04, 33) + np.log(near)
    total = _of_scales(families, length, scales)
    best = int(total.argmax())
    posterior = np.exp(total - total[best])
    posterior /= posterior.sum()
    mean = float(posterior @ scales)
    su = float(np.sqrt(posterior @ (scales - mean) ** 2 + 0.01**2))
    return float(total[best]) + _RANKS * ranks, float(np.exp(scales[best])), su


def _of_scales(families: BandFamilies, length: FloatArray, scales: FloatArray) -> FloatArray:
    """Log likelihood of the half widths at logarithms of scales, with any order of a row."""
    which = families.seen > _CLEARLY
    spread = families.spread[which]
    apart = np.log(families.half_width[which] / length[which])
    orders = np.log(np.arange(1, len(_ORDERS) + 1))
    away = (apart[:, None] - orders) / spread[:, None] - (scales[:, None] / spread)[:, :, None]
    # in place, as most of the time goes into fetching memory
    away *= away
    away *= -0.5
    likely = np.exp(away, out=away) @ _ORDERS / (spread * 2.507)
    told = families.seen[which] * np.log((1 - _STRAY) * likely + _STRAY * _FLAT)
    return np.asarray(told.sum(axis=1))


def scale_likelihood(families: BandFamilies, scales: FloatArray, scale: float) -> FloatArray:
    """Log likelihood of half widths at some scales of their lattice.

    Parameters
    ----------
    families
        What is seen along directions.
    scales : ndarray of float64, (s,)
        Logarithms of factors ...
    scale
        ... of the Bragg angle in degrees of a vector of length 1, the lattice having volume 1.
    """
    unit = np.cbrt(abs(np.linalg.det(families.basis)))
    return _of_scales(families, families.length[families.place], scales + np.log(scale / unit))


def _spanned(families: BandFamilies) -> list[FloatArray]:
    """Lattices spanned by vectors whose lengths are told by the widths of bands."""
    first = families.place
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
                vectors.append(np.rint(members * _RATIOS[near] * WHOLE).astype(np.int64))
                form = normal_form(np.concatenate(vectors))
                if form is not None:
                    found[form.tobytes()] = form
    return [families.basis @ (form.T / WHOLE) for form in found.values()]
