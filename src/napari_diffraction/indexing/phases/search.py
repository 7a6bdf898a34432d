"""The phases of a scan from the bands of its grains: lattices taken off one after the other."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace

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
from napari_diffraction.indexing.bands.metric import reciprocal_basis
from napari_diffraction.indexing.bands.orientation import orient
from napari_diffraction.indexing.bands.sublattices import letters_of
from napari_diffraction.indexing.bands.visible import VisibleLattice
from napari_diffraction.indexing.phases.crystals import Crystal
from napari_diffraction.indexing.phases.fitting import fitted
from napari_diffraction.indexing.phases.grain_bands import GrainBands
from napari_diffraction.indexing.phases.look import seen_lattice
from napari_diffraction.indexing.phases.opinion import Opinion, judged, together
from napari_diffraction.indexing.phases.sameness import same
from napari_diffraction.indexing.phases.scales import PhasesFound, parted
from napari_diffraction.indexing.phases.shown import LOOKED_AT
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
#: A second opinion for a cubic lattice: that there is a pattern at all, and the share of the cubic
#: lattices; the gain that bands then need.
_A_PATTERN, _CUBIC, _CUBIC_GAIN = 0.9, 0.6, 12.0


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
        if opinion is not None:
            yield Progress(len(seen), _PHASES, "Asking the network for a second opinion")
        said = _said(opinion, those, centre)
        lattice = seen_lattice(best.basis, those, centre, free, said)
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


def _said(opinion: Opinion | None, bands: GrainBands, pc: FloatArray) -> Mapping[str, float] | None:
    return None if opinion is None else together(judged(opinion, bands, pc))


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
        own = _said(opinion, those, found.fit.pc)
        lattice = seen_lattice(bases[number], those, found.fit.pc, False, own)
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
