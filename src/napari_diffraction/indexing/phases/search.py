"""The phases of a scan from the bands of its grains: lattices taken off one after the other."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.blas import by_one_thread
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.indexing.bands.centre import (
    above_chance,
    band_error,
    find_centre,
    improved,
    lattice_at,
)
from napari_diffraction.indexing.bands.directions import directions
from napari_diffraction.indexing.bands.families import BandFamilies
from napari_diffraction.indexing.bands.four_bands import lattice_shape, reduced
from napari_diffraction.indexing.bands.metric import reciprocal_basis
from napari_diffraction.indexing.bands.orientation import orient
from napari_diffraction.indexing.bands.sublattices import (
    letters_of,
    neighbours,
    second_neighbours,
)
from napari_diffraction.indexing.bands.visible import (
    SPEAKS,
    SPEAKS_ALONE,
    VisibleLattice,
    as_it_is,
    visible_lattice,
)
from napari_diffraction.indexing.phases.crystals import Crystal
from napari_diffraction.indexing.phases.fitting import Fitted, fitted
from napari_diffraction.indexing.phases.grain_bands import GrainBands
from napari_diffraction.indexing.phases.opinion import Opinion, judged, together
from napari_diffraction.indexing.phases.sameness import same
from napari_diffraction.indexing.phases.scales import PhasesFound, parted
from napari_diffraction.indexing.phases.shown import LOOKED_AT, families_of
from napari_diffraction.progress import Progress

FloatArray = NDArray[np.float64]

#: Phases looked for.
_PHASES = 6
#: Fewer patterns than this cannot tell a pattern centre: any lattice can be bent to fit them.
FEW = 3
#: Grains that judge centres by phases that are given.
_JUDGES_OF_GIVEN = 60
#: Grains that a phase needs besides the one that its lattice was made from, and their gain.
_GRAINS, _GAIN = 2, 20.0
#: Grains with less gain than this may still be of another phase, which serves them better.
_SERVED = 8.0
#: How often a lattice is looked at again.
_AGAIN = 3
#: A lattice that serves fewer than this share of the grains is wrong.
_WORSE = 0.7
#: A second opinion for a cubic lattice: that there is a pattern at all, and the share of the cubic
#: lattices; the gain that bands then need.
_A_PATTERN, _CUBIC, _CUBIC_GAIN = 0.9, 0.6, 12.0
#: A second opinion contradicts a lattice that is less probable by more than this (logarithm).
_CONTRADICTS = 2.0
#: By so much it must be less probable that lattices further away are looked at, of these systems
#: alone: among so many lattices some have the symmetry of another system by chance.
_STRONGLY = 5.0
_SYMMETRIC = ("trigonal", "hexagonal", "tetragonal", "cubic")
#: Such a lattice must have this part of the gain of the one seen.
_PART = 0.7


@by_one_thread
def centre_of_a_lattice(bands: GrainBands) -> Generator[Progress, None, FloatArray | None]:
    """Find the pattern centre alone, by the lattice that explains the grains best.

    Parameters
    ----------
    bands
        Of the grains, those with the clearest bands first.

    Yields
    ------
    Progress

    Returns
    -------
    ndarray, (3,), or None
        ``None``: the grains are too few, or no lattice serves more than the one that it was made
        from.
    """
    if len(bands) < FEW:
        return None
    solutions = yield from find_centre(bands.lines, bands.weights)
    if not solutions:
        return None
    best = solutions[0]
    convinces = _convincing(_gain(best.basis, bands, best.pc), alone=False)
    return best.pc if convinces else None


@by_one_thread
def find_phases(
    bands: GrainBands,
    pc: FloatArray | None = None,
    *,
    refine_centre: bool = False,
    given: Sequence[Crystal] = (),
    opinion: Opinion | None = None,
) -> Generator[Progress, None, PhasesFound | None]:
    """Find the pattern centre and the lattices of grains with nothing given.

    Parameters
    ----------
    bands
        Of the grains, those with the clearest bands first.
    pc : ndarray, (3,), optional
        Pattern centre, if it is known.
    refine_centre
        Whether a known centre is refined.
    given
        Phases that are there; no others are looked for.
    opinion
        A second opinion on which of several lattices that bands hardly tell apart it is.

    Yields
    ------
    Progress

    Returns
    -------
    PhasesFound or None
        ``None``: no lattice serves more than the one grain that it was made from.
    """
    free = pc is None or refine_centre
    if not len(bands) or (pc is None and len(bands) < FEW):
        return None
    if given:
        return (yield from _given_phases(bands, pc, given, free))
    if pc is None:
        solutions = yield from find_centre(bands.lines, bands.weights)
        if not solutions:
            return None
        best = solutions[0]
    else:
        start = lattice_at(pc, bands.lines, bands.weights)
        best = improved(start, bands.lines, bands.weights, free_centre=free)
    seen: list[VisibleLattice] = []
    heard: list[Mapping[str, float] | None] = []
    left, spent = np.ones(len(bands), bool), np.zeros(len(bands), bool)
    centre, before = best.pc, np.zeros(len(bands))
    while len(seen) < _PHASES:
        yield Progress(len(seen), _PHASES, "Looking for phases")
        rest = np.flatnonzero(left)
        some = bands.part(rest)
        gain = _gain(best.basis, some, centre)
        if not _convincing(gain - before[rest], alone=len(bands) == 1):
            cubic = None if seen or pc is None else _cubic_as_said(opinion, bands, centre)
            if cubic is None:
                break
            best, gain = replace(best, basis=cubic), _gain(cubic, bands, centre)
        chosen = np.argsort(-gain, kind="stable")[: min(LOOKED_AT, int((gain > 0).sum()))]
        those = some.part(chosen)
        said = None
        if opinion is not None:
            yield Progress(len(seen), _PHASES, "Asking the network for a second opinion")
            said = together(judged(opinion, those, centre))
        lattice = _seen_lattice(best.basis, those, centre, free, said)
        if any(same(lattice, other) for other in seen):
            spent[rest[(gain > 0) | (_gain(lattice.basis, some, centre) > 0)]] = True
        else:
            seen.append(lattice)
            heard.append(said)
            # the grains of all phases so far tell the centre better than those of the first
            fit = fitted(bands, [one.basis for one in seen], centre, free_centre=free)
            centre, before = fit.pc, fit.gain
        left = (before < _SERVED) & ~spent
        if not left.any():
            break
        others = bands.part(left)
        start = lattice_at(centre, others.lines, others.weights)
        best = improved(start, others.lines, others.weights, free_centre=False)
    if not seen:
        return None
    found = _with_grains(bands, seen, heard, centre, free)
    return _each_for_itself(found, bands, opinion)


def _each_for_itself(found: PhasesFound, bands: GrainBands, opinion: Opinion | None) -> PhasesFound:
    """Judge phases that were one until their bands told two scales, each by its own grains.

    Ferrite and austenite lie on the same directions, and only one of them is body-centred.
    """
    bases, seen, said = list(found.fit.bases), list(found.seen), list(found.said)
    for number in range(len(seen)):
        if np.count_nonzero(found.kin == found.kin[number]) == 1:
            continue
        grains = np.flatnonzero(found.fit.phase == number)
        those = bands.part(grains[np.argsort(-found.fit.gain[grains], kind="stable")[:LOOKED_AT]])
        own = None if opinion is None else together(judged(opinion, those, found.fit.pc))
        lattice = _seen_lattice(bases[number], those, found.fit.pc, False, own)
        if letters_of(lattice.basis) != letters_of(bases[number]):
            bases[number], seen[number], said[number] = lattice.basis, lattice, own
    return replace(found, fit=replace(found.fit, bases=bases), seen=tuple(seen), said=tuple(said))


def _given_phases(
    bands: GrainBands, pc: FloatArray | None, given: Sequence[Crystal], free_centre: bool
) -> Generator[Progress, None, PhasesFound | None]:
    """Find the pattern centre by phases that are known; ``None``: no grain shows one of them.

    They are looked for where their structures have reflectors: of a large cell most short vectors
    are none.  Any grain may be the one that shows them, not only the clearest.
    """
    known = [(one.phase.cell.reciprocal_basis.T, one.table) for one in given]
    if pc is None:
        places = np.linspace(0, len(bands) - 1, min(_JUDGES_OF_GIVEN, len(bands)))
        some = bands.part(places.astype(np.int64))
        solutions = yield from find_centre(some.lines, some.weights, known)
        if not solutions:
            return None
        pc = solutions[0].pc
    bases, tables = zip(*known, strict=True)
    fit = fitted(bands, bases, pc, free_centre=free_centre, drift=free_centre, tables=tables)
    if not _convincing(fit.gain, alone=True):
        return None
    return PhasesFound(fit, (), np.arange(len(given)), ())


def _with_grains(
    bands: GrainBands,
    seen: Sequence[VisibleLattice],
    heard: Sequence[Mapping[str, float] | None],
    centre: FloatArray,
    free: bool,
) -> PhasesFound:
    """Fit all lattices together, and leave out those whose grains others serve better.

    In the end these would only collect stray points.
    """
    fit = fitted(bands, [one.basis for one in seen], centre, free_centre=free, drift=free)
    kept = [number for number in range(len(seen)) if (fit.phase == number).any()]
    if len(kept) in (0, len(seen)):
        return parted(bands, fit, tuple(seen), tuple(heard))
    rest = [seen[number] for number in kept], [heard[number] for number in kept]
    return _with_grains(bands, *rest, centre, free)


def _gain(basis: FloatArray, bands: GrainBands, pc: FloatArray) -> FloatArray:
    """Gain above chance of a lattice in each grain."""
    error = band_error(pc, bands.lines.shape)
    matches = orient(directions(basis), bands.lines.normals(pc), bands.weights, error)
    return above_chance(matches.score, bands.weights)


def _convincing(gain: FloatArray, alone: bool) -> bool:
    """Whether a lattice serves grains besides the one that it was made from.

    A lattice can be bent to fit the bands of any one pattern, so that this one does not count.
    """
    if alone:
        return bool(gain.sum() > _GAIN)
    others = np.sort(gain)[:-1]
    return bool((others > 0).sum() >= min(_GRAINS, len(others)) and others.sum() > _GAIN)


def _cubic_as_said(opinion: Opinion | None, bands: GrainBands, pc: FloatArray) -> FloatArray | None:
    """A cubic lattice for poor grains, if a second opinion and their bands agree on it.

    The lattice of one of several poor grains is bent by its false bands and fits no other.  Cubic
    lattices have nothing that could be bent, so that the bands of every grain count.
    """
    if opinion is None:
        return None
    each = judged(opinion, bands, pc)
    said = together(each)
    cubic = [name for name, one in BRAVAIS_LATTICES.items() if one.system == "cubic"]
    share = sum(np.exp(said[name]) for name in cubic) / sum(np.exp(list(said.values())))
    if np.median(each.sum(axis=1)) < _A_PATTERN or share < _CUBIC:
        return None
    bases = [reciprocal_basis(UnitCell(1, 1, 1), name) for name in cubic]
    gains = [float(_gain(basis, bands, pc).sum()) for basis in bases]
    best = int(np.argmax(gains))
    return bases[best] if gains[best] > _CUBIC_GAIN else None


def _seen_lattice(
    basis: FloatArray,
    bands: GrainBands,
    pc: FloatArray,
    free_centre: bool,
    said: Mapping[str, float] | None,
) -> VisibleLattice:
    """The lattice that the bands show, by their directions and their widths."""
    look = _Look(bands, pc, free_centre, said)
    fit = fitted(bands, [basis], pc)
    least = _WORSE * int((fit.phase == 0).sum())
    seen = look.settled(fit, least)
    if said is None:
        return seen
    own, letters = letters_of(seen.basis), max(said, key=lambda one: said[one])
    # lattices of its own symmetry were weighed on the way
    other = BRAVAIS_LATTICES[letters].system != BRAVAIS_LATTICES[own].system
    odds = said[letters] - said[own]
    if not other or odds < _CONTRADICTS:
        return seen
    found = look.of_letters(seen, letters, least)
    if found is None and odds > _STRONGLY and BRAVAIS_LATTICES[letters].system in _SYMMETRIC:
        found = look.further_away(seen, letters, least)
    return found or seen


@dataclass(frozen=True, eq=False)
class _Look:
    """A look at the pictures of grains for the lattice that they show.

    Attributes
    ----------
    bands
        Of the grains.
    pc : ndarray of float64, (3,)
        Pattern centre.
    free_centre
        Whether it may be moved.
    said
        A second opinion on the lattice.
    """

    bands: GrainBands
    pc: FloatArray
    free_centre: bool
    said: Mapping[str, float] | None

    def settled(self, fit: Fitted, least: float) -> VisibleLattice:
        """Look at the bands of a lattice, and again with what was seen, until it stays."""
        families = families_of(self.bands, fit)
        good = as_it_is(families)
        seen = self._visible(families)
        # bands of the lattice found lie better, and tell more
        for _ in range(_AGAIN):
            better = self._checked(seen.basis, least)
            if better is None:
                if good is seen:
                    break
                seen = good
                continue
            good = seen
            again = self._visible(families_of(self.bands, better), seen)
            if np.allclose(lattice_shape(again.basis), lattice_shape(seen.basis), rtol=0.03):
                return again
            seen = again
        return good

    def of_letters(self, seen: VisibleLattice, letters: str, least: float) -> VisibleLattice | None:
        """Find a lattice of a certain kind near the one seen, if the bands show it as well.

        It may have less symmetry, by which bands were taken together that it keeps apart.
        """
        fits = self._of_kind(neighbours(seen.basis), letters, least)
        found = (self._begun(seen, letters, unit, fit) for unit, fit in fits)
        return next((one for one in found if one is not None), None)

    def further_away(
        self, seen: VisibleLattice, letters: str, least: float
    ) -> VisibleLattice | None:
        """Find a lattice of a certain kind two steps away, if the bands show it more clearly."""
        gain = float(fitted(self.bands, [seen.basis], self.pc).gain.sum())
        fits = list(self._of_kind(second_neighbours(seen.basis), letters, least))
        for unit, fit in sorted(fits, key=lambda one: -float(one[1].gain.sum())):
            if fit.gain.sum() < _PART * gain:
                break
            found = self._begun(seen, letters, unit, fit)
            if found is not None and found.margin > seen.margin:
                return found
        return None

    def _of_kind(
        self, bases: Sequence[FloatArray], letters: str, least: float
    ) -> Iterator[tuple[float, Fitted]]:
        """Fit different lattices of a kind; with the cube root of the volume of each before."""
        tried: list[FloatArray] = []
        for basis in bases:
            shape = lattice_shape(reduced(basis))
            if any(np.allclose(shape, other, rtol=0.03) for other in tried):
                continue
            tried.append(shape)
            if letters_of(basis) != letters:
                continue
            unit = float(np.cbrt(abs(np.linalg.det(basis))))
            fit = self._checked(reduced(basis) / unit, least)
            if fit is not None:
                yield unit, fit

    def _begun(
        self, seen: VisibleLattice, letters: str, unit: float, fit: Fitted
    ) -> VisibleLattice | None:
        """Look at the bands of a lattice that was fitted; ``None``: they show another kind."""
        start = replace(seen, basis=fit.bases[0], scale=seen.scale * unit)
        found = self._visible(families_of(self.bands, fit), start)
        return found if letters_of(found.basis) == letters else None

    def _visible(
        self, families: BandFamilies, start: VisibleLattice | None = None
    ) -> VisibleLattice:
        single = bool(np.median(self.bands.size) == 1)
        return visible_lattice(families, start, SPEAKS_ALONE if single else SPEAKS, self.said)

    def _checked(self, basis: FloatArray, least: float) -> Fitted | None:
        """The fit of a lattice, if it serves enough of the grains.

        By how much is no measure: of a fine lattice the strong bands are but some of the
        directions.
        """
        for free in (self.free_centre, False):
            fit = fitted(self.bands, [basis], self.pc, free_centre=free)
            if (fit.phase == 0).sum() >= least:
                return fit
        return None
