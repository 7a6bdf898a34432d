"""All patterns as witnesses for or against the cells that explain the zones.

Zones are few, and some lattices explain a few nets alike.  All patterns together are many: a cell
that is right indexes nearly all of them, a multiple of it predicts twice what is there, and others
index what chance lets them.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.reduction import cells_alike
from napari_diffraction.indexing.zones.multiples import part_of, part_shown, with_multiples
from napari_diffraction.indexing.zones.pattern_kernel import ORIENTATIONS
from napari_diffraction.indexing.zones.pattern_refine import refine_metric
from napari_diffraction.indexing.zones.patterns import (
    FEWEST,
    PatternMatches,
    PeakLists,
    chance_level,
    index_patterns,
)
from napari_diffraction.indexing.zones.search import CellsFound
from napari_diffraction.indexing.zones.solution import CellSolution, with_metric
from napari_diffraction.progress import Progress

#: Patterns by which candidates are compared, the first of them by which all are, and those by which
#: all that are kept are.
_SAMPLE, _FIRST, _NEXT = 60, 8, 24
#: Patterns that tell which share those cells index that are not the first.
_TOLD = 100
#: Candidates of a phase that are kept, and the best of them that are refined before they are
#: compared, if they gain this share of what the best one does.
_KEPT, _FINAL, _LEVEL = 10, 3, 0.5
#: Refinements by the patterns at most: a cell that is a little off indexes more after each;
#: before they are compared, fewer.
_ROUNDS, _FEWER = 4, 2
#: Chance is found out for volumes that differ by this factor, and interpolated.
_VOLUMES = 4.0


@dataclass(frozen=True, eq=False)
class Heard:
    """Cells with what all patterns say of them.

    Attributes
    ----------
    found
        The cells, in the order in which zones and patterns together rank them; the first ones are
        refined by the patterns, and count those that no other phase explains better.
    matches
        Of the first cell of each phase, the orientations in all patterns.
    """

    found: CellsFound
    matches: tuple[PatternMatches, ...]


def hear_patterns(
    found: CellsFound, peaks: PeakLists, wavelength: float | None = None
) -> Generator[Progress, None, Heard]:
    """Rank the cells of each phase by all patterns, and refine the first ones.

    Parameters
    ----------
    found
        What explains the nets.
    peaks
        Of all patterns, or of some hundred.
    wavelength
        In A; ``None``: that of 200 kV.

    Yields
    ------
    Progress

    Returns
    -------
    Heard
    """
    chance = _Chance(peaks, wavelength)
    free = np.flatnonzero(peaks.counts >= FEWEST)
    phases, matches = [], []
    for cells in found.phases:
        sample = _spread(peaks.chosen(free), _SAMPLE)
        ranked = yield from _ranked(cells, sample, wavelength, chance)
        # a multiple or a part of a candidate may be outside of the volumes that were asked for
        ranked = with_multiples([cell for cell in ranked if found.allows(cell)]) or list(cells)
        best, match = yield from _refined(ranked[0], peaks, wavelength, chance)
        some = _spread(peaks.chosen(free), _TOLD)
        others = yield from _heard(ranked[1:], some, wavelength, chance)
        # these are asked of the patterns that are free and have peaks
        part = len(free) / max(len(peaks), 1)
        phases.append((best, *(_of_all(cell, part) for cell in others)))
        matches.append(match)
        free = free[~match.indexed[free]]
    own = np.bincount(phase_of(matches) + 1, minlength=len(phases) + 1)[1:]
    order = sorted(range(len(phases)), key=lambda i: -own[i])
    phases = [
        (replace(cells[0], patterns_indexed=int(count) / max(len(peaks), 1)), *cells[1:])
        for cells, count in zip(phases, own, strict=True)
    ]
    ranked_phases = tuple(phases[i] for i in order)
    left = _explained(found.phases).union(found.left_over) - _explained(ranked_phases)
    return Heard(
        replace(found, phases=ranked_phases, left_over=tuple(sorted(left))),
        tuple(matches[i] for i in order),
    )


def _explained(phases: Sequence[Sequence[CellSolution]]) -> set[int]:
    """Numbers of the nets that the first cells explain."""
    return {zone.net for cells in phases for zone in cells[0].zones}


def phase_of(matches: Sequence[PatternMatches]) -> NDArray[np.int64]:
    """Place of the phase that explains each pattern best; -1: none, (n,)."""
    if not matches:
        return np.zeros(0, np.int64)
    excess = np.array([one.excess for one in matches])
    return np.where(excess.max(axis=0) > 0, excess.argmax(axis=0), -1)


class _Chance:
    """What wrong cells gain, by their volume."""

    def __init__(self, peaks: PeakLists, wavelength: float | None) -> None:
        self._peaks, self._wavelength = peaks, wavelength
        self._levels: dict[int, float] = {}

    def level(self, cell: CellSolution) -> float:
        place = float(np.log(cell.niggli.volume) / np.log(_VOLUMES))
        low = int(np.floor(place))
        return float(np.interp(place, [low, low + 1], [self._node(low), self._node(low + 1)]))

    def _node(self, step: int) -> float:
        if step not in self._levels:
            volume = _VOLUMES**step
            self._levels[step] = chance_level(volume, self._peaks, self._wavelength)
        return self._levels[step]


def _ranked(
    cells: tuple[CellSolution, ...],
    sample: PeakLists,
    wavelength: float | None,
    chance: _Chance,
) -> Generator[Progress, None, list[CellSolution]]:
    """The cells of a phase by what zones and patterns together say.

    A few patterns tell most of the wrong ones, more of them others.  The best are compared after
    they are refined: before, a multiple may be better than the right cell because it is less off.
    """
    if len(cells) > _KEPT:
        rough = yield from _heard(cells, _spread(sample, _FIRST), wavelength, None)
        cells = tuple(_sorted(rough)[:_KEPT])
    few = _spread(sample, _NEXT)
    heard = _sorted((yield from _heard(cells, few, wavelength, chance)))
    refined = []
    for cell in heard[:_FINAL]:
        if _score(cell) >= _LEVEL * _score(heard[0]):
            found = yield from _with_part(cell, sample, wavelength, chance)
            refined += found
    kept: list[CellSolution] = []
    for cell in [*_sorted(refined), *heard]:
        if not any(cells_alike(one.niggli, cell.niggli) for one in kept):
            kept.append(cell)
    return kept


def _with_part(
    cell: CellSolution, sample: PeakLists, wavelength: float | None, chance: _Chance
) -> Generator[Progress, None, list[CellSolution]]:
    """A cell refined, and the smaller one of which it is a multiple where peaks show no more."""
    refined, match = yield from _refined(cell, sample, wavelength, chance, _FEWER)
    metric = refine_metric(refined.cell.basis, match, wavelength)
    if metric is None:
        return [refined]
    change = part_shown(refined, match.hkl[match.hkl.any(axis=1)])
    if change is None:
        return [refined]
    part = part_of(refined, change, metric.direct, metric.covariance)
    smaller, _ = yield from _refined(part, sample, wavelength, chance, _FEWER)
    return [refined, smaller]


def _heard(
    cells: Sequence[CellSolution],
    peaks: PeakLists,
    wavelength: float | None,
    chance: _Chance | None,
) -> Generator[Progress, None, list[CellSolution]]:
    """Cells with what some patterns say of them in one round.

    A right cell gains a little less by one, wrong ones end in a third of the time.  Without what
    chance gains, the share is too much.
    """
    heard = []
    for cell in cells:
        level = 0.0 if chance is None else chance.level(cell)
        work = index_patterns(cell.cell, cell.lattice, peaks, wavelength, level, rounds=1)
        match = yield from work
        heard.append(replace(cell, patterns_indexed=_share(match), patterns_gain=_gain(match)))
    return heard


def _score(cell: CellSolution) -> float:
    return cell.evidence + (cell.patterns_gain or 0.0)


def _sorted(cells: Sequence[CellSolution]) -> list[CellSolution]:
    """Cells, the best first."""
    return sorted(cells, key=lambda cell: -_score(cell))


def _spread(peaks: PeakLists, most: int) -> PeakLists:
    """Some of the patterns, evenly chosen."""
    return peaks.chosen(np.unique(np.linspace(0, len(peaks) - 1, most).astype(int)))


def _refined(
    cell: CellSolution,
    peaks: PeakLists,
    wavelength: float | None,
    chance: _Chance,
    rounds: int = _ROUNDS,
) -> Generator[Progress, None, tuple[CellSolution, PatternMatches]]:
    """A cell refined by the patterns, and its orientations in all."""
    level = chance.level(cell)
    match = yield from index_patterns(cell.cell, cell.lattice, peaks, wavelength, level)
    for _ in range(rounds):
        refined = refine_metric(cell.cell.basis, match, wavelength)
        if refined is None:
            break
        better = with_metric(cell, refined.direct, refined.covariance)
        # a lens that shifts outer peaks would else suit another scale than the right one
        freed = match.peaks.freed(refined.camera)
        again = yield from index_patterns(better.cell, better.lattice, freed, wavelength, level)
        if again.excess[again.indexed].sum() <= match.excess[match.indexed].sum():
            break
        cell, match = better, again
    return replace(cell, patterns_indexed=_share(match), patterns_gain=_gain(match)), match


def _gain(match: PatternMatches) -> float:
    # what chance gains is not taken off: it is more by large cells, and small ones would win
    return float(np.maximum(match.gain - ORIENTATIONS, 0).sum())


def _of_all(cell: CellSolution, part: float) -> CellSolution:
    return replace(cell, patterns_indexed=part * (cell.patterns_indexed or 0.0), patterns_gain=None)


def _share(match: PatternMatches) -> float:
    return float(match.indexed.mean()) if len(match.indexed) else 0.0
