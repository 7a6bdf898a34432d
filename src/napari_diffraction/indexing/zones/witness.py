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

#: Candidates of a phase that are kept, and patterns by which so many, or more, are compared.
_KEPT, _SAMPLE, _FEW = 10, 100, 40
#: Refinements by the patterns at most: a cell that is a little off indexes more after each.
_ROUNDS = 4
#: Chance is found out anew for volumes that differ by more than this factor.
_VOLUMES = 1.6


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
        most = _SAMPLE if len(cells) <= _KEPT else _FEW
        sample = peaks.chosen(free[:: max(len(free) // most, 1)][:most])
        ranked = yield from _ranked(cells, sample, wavelength, chance)
        best, match = yield from _refined(ranked[0], peaks, wavelength, chance)
        phases.append((best, *ranked[1:]))
        matches.append(match)
        free = free[~match.indexed[free]]
    own = np.bincount(phase_of(matches) + 1, minlength=len(phases) + 1)[1:]
    order = sorted(range(len(phases)), key=lambda i: -own[i])
    phases = [
        (replace(cells[0], patterns_indexed=int(count) / max(len(peaks), 1)), *cells[1:])
        for cells, count in zip(phases, own, strict=True)
    ]
    return Heard(
        replace(found, phases=tuple(phases[i] for i in order)), tuple(matches[i] for i in order)
    )


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
        step = round(np.log(cell.niggli.volume) / np.log(_VOLUMES))
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
    """The cells of a phase by what zones and patterns together say."""
    heard, score = [], []
    for cell in cells:
        work = index_patterns(cell.cell, cell.lattice, sample, wavelength, chance.level(cell))
        match = yield from work
        gain = float(np.maximum(match.excess, 0).sum())
        heard.append(replace(cell, patterns_indexed=_share(match), patterns_gain=gain))
        score.append(cell.evidence + gain)
    order = np.argsort(-np.array(score), kind="stable").tolist()
    ranked = []
    for place, old in enumerate(order[:_KEPT]):
        base = heard[old].supercell_of
        above = order.index(base) if base is not None else place
        ranked.append(replace(heard[old], supercell_of=above if above < place else None))
    return ranked


def _refined(
    cell: CellSolution, peaks: PeakLists, wavelength: float | None, chance: _Chance
) -> Generator[Progress, None, tuple[CellSolution, PatternMatches]]:
    """A cell refined by the patterns, and its orientations in all."""
    level = chance.level(cell)
    match = yield from index_patterns(cell.cell, cell.lattice, peaks, wavelength, level)
    for _ in range(_ROUNDS):
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
    gain = float(np.maximum(match.excess, 0).sum())
    return replace(cell, patterns_indexed=_share(match), patterns_gain=gain), match


def _share(match: PatternMatches) -> float:
    return float(match.indexed.mean()) if len(match.indexed) else 0.0
