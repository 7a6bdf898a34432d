"""The finished steps of indexing, by which it goes on where it was broken off."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_diffraction.indexing.known import IndexSettings, settings_told

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.indexing.matching import Points
    from napari_diffraction.indexing.phases.grain_bands import GrainBands
    from napari_diffraction.indexing.phases.scales import PhasesFound
    from napari_diffraction.patterns.kikuchi.grains.averages import Grains
    from napari_diffraction.patterns.kikuchi.preparation import Preparation


@dataclass(eq=False)
class FinishedSteps:
    """What `index_scan` has done so far of one stack; it fills this in as it goes.

    Attributes
    ----------
    preparation, grains, bands
        Of the patterns, whatever else is known; ``None`` until they are there.
    solved
        Whether centre and phases were looked for.
    found
        Them; ``None`` where there are none.
    points
        Patterns matched, possibly not all.
    told
        The settings by which centre and phases were found.
    phases
        The structures that were given with them: names do not tell what is in them.
    """

    preparation: Preparation | None = None
    grains: Grains | None = None
    bands: GrainBands | None = None
    solved: bool = False
    found: PhasesFound | None = None
    points: Points | None = None
    told: dict[str, Any] | None = None
    phases: tuple[Structure, ...] = ()

    def take_up(self, settings: IndexSettings) -> None:
        """Keep what serves these settings: centre and phases only those of the same ones."""
        told = settings_told(settings)
        del told["candidates"]  # names are looked for anew each time
        if told != self.told or not _equal(settings.phases, self.phases):
            self.solved, self.found, self.points = False, None, None
        self.told, self.phases = told, settings.phases


def _equal(some: tuple[Structure, ...], others: tuple[Structure, ...]) -> bool:
    """Whether structures have the same cells, symmetries and atoms in the same order."""
    pairs = zip(some, others, strict=False)
    return len(some) == len(others) and all(_alike(one, other) for one, other in pairs)


def _alike(one: Structure, other: Structure) -> bool:
    return (
        one.cell.parameters == other.cell.parameters
        and (one.space_group, one.species) == (other.space_group, other.species)
        and np.array_equal(one.positions, other.positions)
        and np.array_equal(one.occupancy, other.occupancy)
        and np.array_equal(one.b_iso, other.b_iso)
    )
