"""The class of a simulated pattern, from what can be seen of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.excitation import SpotLists
from napari_diffraction.crystal.zones import MIN_VISIBLE, ZoneLabels, label_zones
from napari_diffraction.simulation.classes import LAUE, MULTIPLE, NO_HIT, ZONE

#: Fewest visible spots of a hit: on a clean pattern, and on one with noise, where fewer are taken
#: for chance, as peak-based hit finders do.
MIN_HIT_CLEAN, MIN_HIT = 3, 8
#: Fewest visible spots of a further crystal.
MIN_FURTHER = 4
#: Share of the visible spots from which a further crystal counts.
MIN_SHARE = 0.15
#: On a pattern with noise or false spots one foreign reflection cannot be told from a false spot:
#: there a zone is a pattern with at least this share of its reflections in one net.
DIRTY_ZONE = 0.9


@dataclass(frozen=True)
class Visible:
    """What can be seen of each pattern's spots.

    Attributes
    ----------
    zones
        The dominant zone among the visible reflections of the strongest crystal.
    count : ndarray of int, (n,)
        Number of visible reflections of all crystals.
    others : ndarray of int, (n,)
        Number of visible reflections that are not of the strongest crystal.
    """

    zones: ZoneLabels
    count: NDArray[np.int64]
    others: NDArray[np.int64]

    @property
    def in_zone(self) -> NDArray[np.int64]:
        """Number of visible reflections in the dominant zone, shape (n,)."""
        return np.round(self.zones.count * self.zones.fraction).astype(np.int64)

    @property
    def share(self) -> NDArray[np.float64]:
        """Share of the visible reflections of all crystals in the dominant zone, shape (n,)."""
        return np.asarray(self.in_zone / np.maximum(self.count, 1))

    @classmethod
    def of(cls, spots: SpotLists, crystal: NDArray[np.int8], visible: NDArray[np.bool_]) -> Visible:
        """Look at the visible spots of overlaid crystals."""
        n = len(spots)
        pattern = np.repeat(np.arange(n), spots.counts)
        each = np.zeros((n, int(crystal.max(initial=0)) + 1), dtype=np.int64)
        np.add.at(each, (pattern[visible], crystal[visible]), 1)
        strongest = each.argmax(axis=1)
        own = visible & (crystal == strongest[pattern])
        start = np.zeros(n + 1, dtype=np.int64)
        np.cumsum(np.bincount(pattern[own], minlength=n), out=start[1:])
        count = each.sum(axis=1)
        return cls(label_zones(start, spots.hkl[own]), count, count - each.max(axis=1))


def class_labels(seen: Visible, strict: bool | NDArray[np.bool_]) -> NDArray[np.object_]:
    """Name the class of each pattern.

    Parameters
    ----------
    seen
        What can be seen of the patterns.
    strict
        Whether a single foreign reflection forbids a zone (clean patterns), or only a tenth.

    Returns
    -------
    ndarray of str, (n,)
    """
    zones = seen.zones
    planar = np.any(zones.uvw != 0, axis=1) & (zones.count >= MIN_VISIBLE)
    is_zone = np.where(
        strict, zones.strict & (seen.others == 0), planar & (seen.share >= DIRTY_ZONE)
    )
    several = seen.others >= np.maximum(MIN_FURTHER, MIN_SHARE * seen.count)
    label = np.where(is_zone, ZONE, LAUE).astype(object)
    label[several] = MULTIPLE
    label[seen.count < np.where(strict, MIN_HIT_CLEAN, MIN_HIT)] = NO_HIT
    return label
