"""What a phase map's files say about each phase: name, symmetry, cell."""

from __future__ import annotations

from dataclasses import dataclass

from napari_diffraction.analysis.maps.phase_map import NO_PHASES, PhaseMap
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.structure import laue_group
from napari_diffraction.crystal.symmetry import holohedry
from napari_diffraction.learning.palette import GREY, class_colour

#: Space groups of the Laue group -3m whose twofold axes stand between a and b, not along them.
AXES_BETWEEN = (149, 151, 153, 157, 159, 162, 163)
#: A lattice fixes no lengths: files that want some get this one.
_UNKNOWN = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class MapPhase:
    """A phase as the files of other programs describe it.

    Attributes
    ----------
    value
        Value in the map's labels.
    name
        Name of the class.
    laue
        Laue group; for a class that is a lattice, that of the lattice.
    space_group
        Number, 0 where it is not known.
    cell
        a, b, c in A and angles in degrees; where lengths are not known they are 1.
    colour
        As ``#RRGGBB``.
    """

    value: int
    name: str
    laue: str
    space_group: int
    cell: tuple[float, float, float, float, float, float]
    colour: str = GREY

    @property
    def orix_group(self) -> str:
        """Point group in which orix turns the crystal as its Laue group does, on our axes.

        That of orix's 2/m, and of all such space groups, is about c; its -3m has axes along a.
        """
        if self.laue == "2/m":
            return "121"
        return "312" if self.space_group in AXES_BETWEEN else self.laue


def map_phases(phase_map: PhaseMap, threshold: float) -> list[MapPhase]:
    """Return the phases that occur in a map; all of them where none does.

    Parameters
    ----------
    phase_map
        The map.
    threshold
        Points with less confidence do not count.
    """
    there = set(phase_map.labels(threshold).ravel().tolist())
    phases = [
        _phase(phase_map, value, name)
        for value, name in enumerate(phase_map.classes, start=1)
        if name not in NO_PHASES
    ]
    return [phase for phase in phases if phase.value in there] or phases


def _phase(phase_map: PhaseMap, value: int, name: str) -> MapPhase:
    structure = phase_map.structures.get(name)
    colour = class_colour(name, phase_map.classes)
    if structure is not None:
        group, sides = structure.space_group, structure.cell.parameters
        return MapPhase(value, name, laue_group(group), group, sides, colour)
    lattice = BRAVAIS_LATTICES.get(name)
    system = "triclinic" if lattice is None else lattice.system
    gamma = 120.0 if system in ("trigonal", "hexagonal") else 90.0
    return MapPhase(value, name, holohedry(name), 0, (*_UNKNOWN, 90.0, 90.0, gamma), colour)
