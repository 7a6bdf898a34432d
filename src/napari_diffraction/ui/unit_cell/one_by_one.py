"""Patterns indexed as they come on view, by a cell that is not the first of its phase."""

from __future__ import annotations

import numpy as np

from napari_diffraction.indexing.zones.patterns import (
    PatternMatches,
    PeakLists,
    chance_level,
    index_patterns,
)
from napari_diffraction.indexing.zones.solution import CellSolution
from napari_diffraction.progress import finish


class OneByOne:
    """Indexes patterns by a cell when somebody looks at them.

    Parameters
    ----------
    cell
        The cell.
    peaks
        Of all patterns that can be asked for.
    wavelength
        In A; ``None``: not known.

    Attributes
    ----------
    matches
        Orientation in each pattern that was asked for, by its number; each holds one pattern.
    """

    def __init__(self, cell: CellSolution, peaks: PeakLists, wavelength: float | None) -> None:
        self._cell, self._peaks, self._wavelength = cell, peaks, wavelength
        self._chance: float | None = None
        self.matches: dict[int, PatternMatches] = {}

    def waits(self, index: int) -> bool:
        """Whether a pattern can be asked for, and has not been."""
        return index not in self.matches and index in self._peaks.patterns

    def ask(self, index: int) -> None:
        """Index a pattern, in any thread, but in one at a time; what is known is not done again.

        What chance gains takes most of the time, and is found out with the first pattern.
        """
        if not self.waits(index):
            return
        if self._chance is None:
            volume = self._cell.niggli.volume
            self._chance = chance_level(volume, self._peaks, self._wavelength)
        one = self._peaks.chosen(np.flatnonzero(self._peaks.patterns == index))
        self.matches[index] = finish(
            index_patterns(self._cell.cell, self._cell.lattice, one, self._wavelength, self._chance)
        )
