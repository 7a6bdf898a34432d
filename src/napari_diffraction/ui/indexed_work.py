"""Indexing behind the phase map panel: the ways that are offered, the long work, its results."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_diffraction.crystal.materials import MATERIALS, load_structure
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.solution import NOT_INDEXED
from napari_diffraction.progress import Progress

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase
    from napari_diffraction.patterns.stack import PatternStack

#: What is done, stage by stage, and how many stages there are.
_STAGES = ("grains", "centre and phases", "every pattern")
_UNITS = ("patterns", "steps", "patterns")
#: A material is taken for a phase, atoms and all, where no length differs by more than this part
#: and no angle by more than so many degrees.
_ALIKE, _ALIKE_DEG = 0.05, 1.5


@dataclass(frozen=True)
class IndexingStep(Progress):
    """A step of `indexing`, which counts something else in each stage."""

    unit: str = "patterns"


@dataclass(frozen=True)
class IndexingWay:
    """Indexing as it stands in the list of models; see `napari_diffraction.ui.model_list`."""

    name: str
    title: str
    summary: str
    path: str = ""
    classes: tuple[str, ...] = ()


FIND = IndexingWay(
    "find the phases",
    "Find the phases (nothing given)",
    "Finds the phases, their lattices and cells, the pattern centre and every orientation from "
    "the bands alone. No network, no phase list.",
)
GIVEN = IndexingWay(
    "my phases by indexing",
    "My phases, by indexing",
    "Indexes every pattern with the phases that you tick below. Nothing has to be trained.",
)
WAYS = (FIND, GIVEN)
#: Files that a solution can be written to, as Qt wants them.
INDEXED_FILES = (
    "orix crystal map (*.h5);;EDAX (*.ang);;Oxford (*.ctf);;Solution (*.json);;"
    "Table (*.csv);;Figure with legend (*.png)"
)


def indexing(
    stack: PatternStack,
    pc: tuple[float, float, float] | None,
    voltage: float | None,
    phases: tuple[str, ...] = (),
) -> Generator[Progress, None, IndexedMap]:
    """Index a scan in another thread, where what is imported and compiled freezes nothing.

    Parameters
    ----------
    stack
        The scan.
    pc, voltage
        Pattern centre (Bruker) and kV, where a person gives them.
    phases
        Materials and CIF files that are there; none: they are found.

    Yields
    ------
    Progress

    Returns
    -------
    IndexedMap

    Raises
    ------
    InputError
        See `napari_diffraction.indexing.scan.index_scan`.
    """
    yield Progress(0, 0, "Looking at the camera")
    from napari_diffraction.indexing import scan

    settings = scan.IndexSettings(
        pc=pc, voltage=voltage, phases=tuple(load_structure(name) for name in phases)
    )
    work = scan.index_scan(stack, settings)
    try:
        while True:
            try:
                step = next(work)
            except StopIteration as stop:
                return stop.value
            told = f"{step.stage + 1} of {len(_STAGES)}, {_STAGES[step.stage]}: {step.message}"
            yield IndexingStep(step.done, step.total, told, _UNITS[step.stage])
    finally:
        work.close()


def exporting_indexed(indexed: IndexedMap, path: Path) -> Generator[Progress, None, Path]:
    """Write a solution in another thread."""
    yield Progress(0, 0, f"Writing {path.name}")
    from napari_diffraction.analysis.indexed_export import export_indexed

    return export_indexed(indexed, path)


def accepted(indexed: IndexedMap, confidence: float, misfit: float | None) -> IndexedMap:
    """Return a solution in which points that are too doubtful are not indexed.

    Parameters
    ----------
    indexed
        The solution.
    confidence
        Least confidence, 0 to 1.
    misfit
        Largest misfit in degrees; ``None``: any.
    """
    bad = indexed.confidence < confidence
    if misfit is not None:
        bad |= indexed.misfit_deg > misfit
    bad &= indexed.phase >= 0
    if not bad.any():
        return indexed
    number = np.where(bad, NOT_INDEXED, indexed.phase).astype(np.int16)
    looked_at = max(1, int(indexed.done.sum()))
    counts = [int((number == place).sum()) for place in range(len(indexed.phases))]
    return replace(
        indexed,
        phase=number,
        rotation=np.where(bad[:, None, None], np.nan, indexed.rotation).astype(np.float32),
        misfit_deg=np.where(bad, np.nan, indexed.misfit_deg).astype(np.float32),
        phases=tuple(
            replace(phase, patterns=count, share=count / looked_at)
            for phase, count in zip(indexed.phases, counts, strict=True)
        ),
        about={**indexed.about, "least confidence": confidence, "largest misfit_deg": misfit},
    )


def with_name(indexed: IndexedMap, number: int, name: str) -> IndexedMap:
    """Return a solution in which a phase has a name, and its atoms where they fit its cell.

    Parameters
    ----------
    indexed
        The solution.
    number
        Of the phase.
    name
        That of a material, or any other.
    """
    phases = list(indexed.phases)
    phases[number] = replace(phases[number], name=name, structure=_atoms(phases[number], name))
    return replace(indexed, phases=tuple(phases))


def _atoms(phase: IndexedPhase, name: str) -> Structure | None:
    """The structure of a material whose cell is that of the phase, in the same setting."""
    if phase.structure is not None and phase.structure.name == name:
        return phase.structure
    if name not in MATERIALS:
        return None
    try:
        structure = load_structure(name)
    except InputError:
        return None
    lengths = np.abs(phase.cell.lengths / structure.cell.lengths - 1).max()
    angles = np.abs(phase.cell.angles - structure.cell.angles).max()
    fits = structure.lattice == phase.lattice and lengths < _ALIKE and angles < _ALIKE_DEG
    return structure if fits else None


def said_at(indexed: IndexedMap, index: int) -> list[tuple[str, str]]:
    """Say what was found at a point, as pairs of a name and a value."""
    from napari_diffraction.analysis.orientations import bunge_angles

    if not indexed.done[index]:
        return [("Phase", "the pattern cannot be read")]
    found = f"{int(indexed.bands_found[index])} found"
    number = int(indexed.phase[index])
    if number < 0:
        return [("Phase", "not indexed"), ("Bands", found), _quality(indexed, index)]
    phase = indexed.phases[number]
    one = slice(index, index + 1)
    here = replace(indexed, phase=indexed.phase[one], rotation=indexed.rotation[one])
    angles = ", ".join(f"{value:.1f}" for value in bunge_angles(here)[0])
    return [
        ("Phase", phase.name if phase.name == phase.lattice else f"{phase.name} ({phase.lattice})"),
        ("Misfit", f"{indexed.misfit_deg[index]:.2f} deg"),
        ("Bands", f"{int(indexed.bands[index])} matched of {found}"),
        ("Confidence", f"{indexed.confidence[index]:.2f}"),
        ("Bunge angles", f"{angles} deg (sample as EDAX)"),
        _quality(indexed, index),
    ]


def _quality(indexed: IndexedMap, index: int) -> tuple[str, str]:
    return "Pattern quality", f"{indexed.quality[index]:.3f}"


def about(indexed: IndexedMap) -> dict[str, Any]:
    """Return what the layers of a solution say of how it came about, as plain values."""
    from napari_diffraction.analysis.indexed_solution import provenance

    return {"map_of": indexed.name, **provenance(indexed)}
