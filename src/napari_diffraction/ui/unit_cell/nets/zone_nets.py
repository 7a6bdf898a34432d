"""The nets of the zones of a stack as a person works on them: struck out, corrected, listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.indexing.zones.net_fit import NetFit
from napari_diffraction.indexing.zones.overlay import refitted
from napari_diffraction.learning.zones.peak_tables import Found

#: A net with less than this share of the pattern's spots is doubtful.  On the sample stack no zone
#: has less than four fifths of them on its net, no pattern of several crystals as much as half.
_DOUBTFUL = 0.5


@dataclass
class ZoneNets:
    """What is known of the zones of a stack.

    Attributes
    ----------
    spots
        Of the patterns that were looked at, by their numbers.
    fits
        Nets, by the number of the pattern; a zone whose spots span none is not among them.
    struck
        Patterns whose nets do not count.
    by_hand
        Patterns whose nets a person has corrected.
    """

    spots: dict[int, pd.DataFrame] = field(default_factory=dict)
    fits: dict[int, NetFit] = field(default_factory=dict)
    struck: set[int] = field(default_factory=set)
    by_hand: set[int] = field(default_factory=set)

    def take(self, found: Mapping[int, Found], fits: Mapping[int, NetFit]) -> None:
        """Add what was found in some patterns; what a hand has set stays."""
        self.spots.update({pattern: one.table for pattern, one in found.items()})
        self.fits.update({i: fit for i, fit in fits.items() if i not in self.by_hand})

    def keep_only(self, zones: Iterable[int]) -> bool:
        """Forget patterns that are no zones any more; return whether there were any."""
        gone = set(self.spots) - set(zones)
        for pattern in gone:
            del self.spots[pattern]
            self.fits.pop(pattern, None)
        self.struck -= gone
        self.by_hand -= gone
        return bool(gone)

    @property
    def patterns(self) -> list[int]:
        """Numbers of the patterns with a net, rising."""
        return sorted(self.fits)

    @property
    def counted(self) -> dict[int, NetFit]:
        """The nets that count."""
        return {p: self.fits[p] for p in self.patterns if p not in self.struck}

    def counts(self, pattern: int) -> tuple[int, int]:
        """How many spots of a pattern lie on its net, and of how many."""
        return int(self.fits[pattern].used.sum()), len(self.spots[pattern])

    def doubtful(self, pattern: int) -> bool:
        """Whether so few spots lie on the net of a pattern that it may be no zone."""
        if pattern not in self.fits:
            return False
        on, spots = self.counts(pattern)
        return on < _DOUBTFUL * spots

    def strike(self, pattern: int) -> None:
        """Strike the net of a pattern out, or take it in again."""
        if pattern in self.fits:
            self.struck ^= {pattern}

    def correct(
        self, pattern: int, origin: NDArray[np.float64], basis: NDArray[np.float64]
    ) -> bool:
        """Fit the net that somebody points out; return whether spots lie on it.

        Parameters
        ----------
        pattern
            Number of the pattern.
        origin : ndarray of float64, (2,)
            x and y of the direct beam in pixels.
        basis : ndarray of float64, (2, 2)
            Two vectors, rows, in pixels.
        """
        fit = refitted(self.spots[pattern][["x", "y"]].to_numpy(float), origin, basis)
        if fit is None:
            return False
        self.fits[pattern] = fit
        self.by_hand.add(pattern)
        return True

    def neighbour(self, pattern: int | None, step: int) -> int | None:
        """Number of the next (1) or the previous (-1) pattern with a net, round in a circle."""
        patterns = self.patterns
        if not patterns:
            return None
        if pattern is None:
            return patterns[0]
        side = "right" if step > 0 else "left"
        place = int(np.searchsorted(patterns, pattern, side)) + (0 if step > 0 else -1)
        return patterns[place % len(patterns)]
