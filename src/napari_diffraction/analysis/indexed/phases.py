"""What the files of an indexed scan say of its phases."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_diffraction.analysis.maps.phases import MapPhase
from napari_diffraction.crystal.structure import laue_group
from napari_diffraction.crystal.symmetry import laue_of
from napari_diffraction.learning.palette import class_colour

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase


def phase_colours(indexed: IndexedMap) -> tuple[str, ...]:
    """Return the colour of each phase, as ``#RRGGBB``."""
    names = tuple(phase.name for phase in indexed.phases)
    return tuple(class_colour(name, names) for name in names)


def laue_of_phase(phase: IndexedPhase) -> str:
    """Return the Laue group up to which orientations of a phase are known.

    That of its structure where the phase was given, and that of its lattice where it was found:
    then bands were matched by the lattice, so that a name tells no more of the orientations.
    """
    return laue_of(phase.lattice, _given(phase))


def symmetry_of_phase(phase: IndexedPhase) -> str | int:
    """Return what `napari_diffraction.crystal.symmetry` takes for the symmetry of a phase.

    See `laue_of_phase`.
    """
    structure = _given(phase)
    return phase.lattice if structure is None else structure.space_group


def _given(phase: IndexedPhase) -> Structure | None:
    """The structure by which a phase was looked for."""
    return None if phase.was_found else phase.structure


def file_phases(indexed: IndexedMap) -> list[MapPhase]:
    """Return the phases as the files of other programs describe them, in their order.

    Programs take the symmetry of orientations from the space group: it is left out where less of
    it is known.
    """
    return [
        MapPhase(
            number,
            phase.name,
            laue_of_phase(phase),
            _space_group(phase),
            phase.cell.parameters,
            colour,
        )
        for number, (phase, colour) in enumerate(
            zip(indexed.phases, phase_colours(indexed), strict=True), start=1
        )
    ]


def _space_group(phase: IndexedPhase) -> int:
    """Space group of a phase, as far as its orientations are known up to it; 0: of none."""
    group = phase.structure.space_group if phase.structure else 0
    return group if group and laue_group(group) == laue_of_phase(phase) else 0
