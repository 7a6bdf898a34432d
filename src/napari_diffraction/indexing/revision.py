"""A solution after a person has told more: the voltage, names of phases, what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.candidates import rank_candidates
from napari_diffraction.indexing.solution import (
    IndexedMap,
    IndexedPhase,
    scale_note,
    symmetry_note,
)
from napari_diffraction.patterns.geometry import electron_wavelength

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure

#: A material is taken for a phase, atoms and all, where no length differs by more than this part
#: and no angle by more than so many degrees.
_ALIKE, _ALIKE_DEG = 0.05, 1.5


def with_voltage(indexed: IndexedMap, voltage: float, voltage_from: str) -> IndexedMap:
    """Return a solution for another voltage: lengths of cells that were found change with it.

    Half widths of bands are Bragg angles, so lengths are proportional to the wavelength.  Nothing
    else depends on it.

    Parameters
    ----------
    indexed
        The solution.
    voltage
        In kV.
    voltage_from
        "file", "given" or "assumed".
    """
    factor = electron_wavelength(voltage) / electron_wavelength(indexed.voltage)
    known = voltage_from != "assumed"
    phases = tuple(
        _rescaled(phase, factor, known) if phase.was_found else phase for phase in indexed.phases
    )
    before = scale_note(indexed.voltage, indexed.voltage_from)
    notes = tuple(note for note in indexed.notes if note not in before)
    told = replace(
        indexed,
        voltage=voltage,
        voltage_from=voltage_from,
        notes=notes + scale_note(voltage, voltage_from),
    )
    return _with_phases(told, phases)


def _with_phases(indexed: IndexedMap, phases: tuple[IndexedPhase, ...]) -> IndexedMap:
    """Replace the phases, and what is noted of their symmetry."""
    before = [note for phase in indexed.phases for note in symmetry_note(phase)]
    notes = tuple(note for note in indexed.notes if note not in before)
    notes += tuple(note for phase in phases for note in symmetry_note(phase))
    return replace(indexed, phases=phases, notes=notes)


def _rescaled(phase: IndexedPhase, factor: float, known: bool) -> IndexedPhase:
    a, b, c, alpha, beta, gamma = phase.cell_su
    scaled = replace(
        phase,
        cell=_scaled(phase.cell, factor),
        cell_su=(a * factor, b * factor, c * factor, alpha, beta, gamma),
        niggli=_scaled(phase.niggli, factor),
        scale_known=known,
    )
    fits = phase.structure is None or _fits(scaled, phase.structure)
    return scaled if fits else replace(scaled, structure=None)


def _scaled(cell: UnitCell, factor: float) -> UnitCell:
    a, b, c = (float(length) for length in factor * cell.lengths)
    return UnitCell(a, b, c, cell.alpha, cell.beta, cell.gamma)


def ranked_anew(
    indexed: IndexedMap, structures: Mapping[str, Structure] | None = None
) -> IndexedMap:
    """Return a solution whose phases are compared with known materials once more.

    Parameters
    ----------
    indexed
        The solution.
    structures
        A person's own materials by name, besides the built-in ones.
    """
    phases = tuple(
        replace(phase, candidates=rank_candidates(phase, structures)) if phase.was_found else phase
        for phase in indexed.phases
    )
    return replace(indexed, phases=phases)


def with_name(
    indexed: IndexedMap,
    number: int,
    name: str,
    structures: Mapping[str, Structure] | None = None,
) -> IndexedMap:
    """Return a solution in which a phase has a name, and its atoms where they fit its cell.

    Orientations stay as they are: those of a phase that was found are known up to the symmetry of
    its lattice, also where its atoms have less, and a note says so then.

    Parameters
    ----------
    indexed
        The solution.
    number
        Of the phase.
    name
        That of a material, or any other.
    structures
        A person's own materials by name, which go before the built-in ones.
    """
    phases = list(indexed.phases)
    atoms = _atoms(phases[number], name, structures or {})
    phases[number] = replace(phases[number], name=name, structure=atoms)
    return _with_phases(indexed, tuple(phases))


def _atoms(phase: IndexedPhase, name: str, structures: Mapping[str, Structure]) -> Structure | None:
    """The structure of a material whose cell is that of the phase, in the same setting."""
    if phase.structure is not None and phase.structure.name == name:
        return phase.structure
    try:
        structure = structures[name] if name in structures else MATERIALS.get(name)
    except InputError:
        return None
    return structure if structure is not None and _fits(phase, structure) else None


def _fits(phase: IndexedPhase, structure: Structure) -> bool:
    ratio = phase.cell.lengths / structure.cell.lengths
    if not phase.scale_known:
        ratio = ratio / np.prod(ratio) ** (1 / 3)
    angles = np.abs(phase.cell.angles - structure.cell.angles).max()
    alike = structure.lattice == phase.lattice and angles < _ALIKE_DEG
    return bool(alike and np.abs(ratio - 1).max() < _ALIKE)
