"""What the files of an indexed scan say of its phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_diffraction.analysis.maps.phases import MapPhase
from napari_diffraction.crystal.symmetry import laue_of
from napari_diffraction.learning.palette import class_colour

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase


def phase_colours(indexed: IndexedMap) -> tuple[str, ...]:
    """Return the colour of each phase, as ``#RRGGBB``."""
    names = tuple(phase.name for phase in indexed.phases)
    return tuple(class_colour(name, names) for name in names)


def laue_of_phase(phase: IndexedPhase) -> str:
    """Return the Laue group of a phase; where no structure is known, that of its lattice."""
    return laue_of(phase.lattice, phase.structure)


def symmetry_of_phase(phase: IndexedPhase) -> str | int:
    """Return what `napari_diffraction.crystal.symmetry` takes for the symmetry of a phase."""
    return phase.lattice if phase.structure is None else phase.structure.space_group


def file_phases(indexed: IndexedMap) -> list[MapPhase]:
    """Return the phases as the files of other programs describe them, in their order."""
    return [
        MapPhase(
            number,
            phase.name,
            laue_of_phase(phase),
            phase.structure.space_group if phase.structure else 0,
            phase.cell.parameters,
            colour,
        )
        for number, (phase, colour) in enumerate(
            zip(indexed.phases, phase_colours(indexed), strict=True), start=1
        )
    ]
