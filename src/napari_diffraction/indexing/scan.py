"""Index a scan: grains, pattern centre, phases, and every pattern, with nothing given."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.candidates import rank_candidates
from napari_diffraction.indexing.crystals import Crystal, crystal_found, crystal_given
from napari_diffraction.indexing.grain_bands import GrainBands, grain_bands
from napari_diffraction.indexing.phases import FEW, PhasesFound, families_of, find_phases
from napari_diffraction.indexing.points import KnownGrains, Points, index_points, known_grains
from napari_diffraction.indexing.solution import NOT_INDEXED, IndexedMap, IndexedPhase
from napari_diffraction.patterns.kikuchi.grains import find_grains
from napari_diffraction.patterns.kikuchi.preparation import prepare
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure

T = TypeVar("T")
FloatArray = NDArray[np.float64]

#: Assumed where nobody tells it, in kV.
VOLTAGE = 20.0
#: Pattern centre of a usual camera.
USUAL = (0.5, 0.32, 0.62)
_NO_VOLTAGE = (
    f"The voltage is not known: lengths of cells are those at {VOLTAGE:g} kV and proportional to "
    "the wavelength; give the voltage to know them."
)


@dataclass(frozen=True, eq=False)
class IndexSettings:
    """What is known before, all of which may be left out.

    Attributes
    ----------
    pc
        Pattern centre, Bruker's convention; else that of the file; else it is found.
    voltage
        In kV; else that of the file; else 20 kV.
    phases
        Phases that are there; else they are found.
    refine_centre
        Whether a centre that is known is refined.
    candidates
        Structures that the phases found may be, besides the built-in materials.
    """

    pc: tuple[float, float, float] | None = None
    voltage: float | None = None
    phases: tuple[Structure, ...] = ()
    refine_centre: bool = False
    candidates: Mapping[str, Structure] | None = None


@dataclass(frozen=True)
class IndexProgress(Progress):
    """A step of `index_scan`.

    Attributes
    ----------
    stage
        0: grains, 1: pattern centre and phases, 2: patterns.
    """

    stage: int = 0


@dataclass(frozen=True, eq=False)
class _Known:
    """Centre, its change over the scan, and voltage, as far as known, and by whom."""

    pc: FloatArray | None
    pc_from: str
    voltage: float
    voltage_from: str
    gradient: FloatArray


def index_scan(
    stack: PatternStack, settings: IndexSettings | None = None
) -> Generator[IndexProgress, None, IndexedMap]:
    """Find phases, their lattices and cells, the pattern centre and all orientations.

    Parameters
    ----------
    stack
        EBSD patterns, a scan or a list.
    settings
        What is known; nothing by default.

    Yields
    ------
    IndexProgress

    Returns
    -------
    IndexedMap

    Raises
    ------
    InputError
        No pattern can be read, or a phase given has no reflections.
    """
    settings = settings or IndexSettings()
    given = tuple(crystal_given(structure) for structure in settings.phases)
    known = _what_is_known(stack, settings)
    preparation = prepare(stack)
    grains = yield from _staged(find_grains(stack, preparation), 0)
    shape = stack.data.shape[:-2]
    bands = grain_bands(stack, grains, preparation)
    found = yield from _staged(
        find_phases(bands, known.pc, refine_centre=settings.refine_centre, given=given), 1
    )
    notes = [*preparation.notes]
    if known.voltage_from == "assumed":
        notes.append(_NO_VOLTAGE)
    crystals: tuple[Crystal, ...] = ()
    centre, pc_su, gradient = known.pc, np.zeros(3), np.zeros((2, 3))
    if found is None:
        notes.append(_why_none(bands, known))
    else:
        crystals = given or _described(bands, found, known)
        centre, pc_su, gradient = found.fit.pc, found.fit.pc_su, found.fit.gradient
    if known.pc is not None and not settings.refine_centre:
        gradient = known.gradient
    middle = np.array(USUAL) if centre is None else centre
    centres = _centres(middle, gradient, shape)
    at = known_grains(bands, grains.label, crystals, middle + bands.offset @ gradient)
    points = yield from _staged(index_points(stack, preparation, crystals, centres, at), 2)
    phases, order = _told(crystals, points, at, settings)
    return IndexedMap(
        name=stack.name,
        shape=tuple(int(size) for size in shape),
        phases=phases,
        phase=order[points.phase],
        rotation=points.rotation,
        misfit_deg=points.misfit_deg,
        bands=points.bands,
        bands_found=points.bands_found,
        confidence=points.confidence,
        quality=points.quality,
        grain=grains.label,
        done=points.done,
        pattern_centre=_three(middle),
        pattern_centre_su=_three(pc_su),
        pattern_centre_from=_centre_from(known, settings, bool(crystals)),
        pc_gradient=gradient,
        voltage=known.voltage,
        voltage_from=known.voltage_from,
        geometry=stack.geometry if isinstance(stack.geometry, KikuchiGeometry) else None,
        step=stack.step,
        sources=stack.sources,
        notes=tuple(notes),
        about={"settings": _settings_told(settings)},
        frame_shape=stack.frame_shape,
    )


def _centre_from(known: _Known, settings: IndexSettings, found: bool) -> str:
    """Where the pattern centre is from; that of a usual camera is assumed where none was found."""
    if known.pc is None:
        return "found" if found else "assumed"
    return "found" if settings.refine_centre and found else known.pc_from


def _three(values: FloatArray) -> tuple[float, float, float]:
    x, y, z = values.tolist()
    return x, y, z


def _staged(work: Generator[Progress, None, T], stage: int) -> Generator[IndexProgress, None, T]:
    """Pass the progress of a stage on."""
    while True:
        try:
            step = next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        yield IndexProgress(step.done, step.total, step.message, stage)


def _what_is_known(stack: PatternStack, settings: IndexSettings) -> _Known:
    """Centre and voltage: those given, else those of the file."""
    of_file = stack.geometry if isinstance(stack.geometry, KikuchiGeometry) else KikuchiGeometry()
    voltage, voltage_from = settings.voltage, "given"
    if voltage is None:
        voltage, voltage_from = of_file.voltage, "file"
    if voltage is None:
        voltage, voltage_from = VOLTAGE, "assumed"
    pc, pc_from = settings.pc, "given"
    if pc is None:
        pc, pc_from = of_file.pc, "file"
    gradient = np.zeros((2, 3))
    if pc_from == "file" and of_file.pc_map is not None:
        gradient = _plane(of_file.pc_map)
    if pc is None:
        return _Known(None, "found", voltage, voltage_from, gradient)
    return _Known(np.array(pc, float), pc_from, voltage, voltage_from, gradient)


def _plane(pc_map: FloatArray) -> FloatArray:
    """Change of the centre per row and per column."""
    rows, columns = pc_map.shape[:2]
    down = np.arange(rows) - (rows - 1) / 2
    right = np.arange(columns) - (columns - 1) / 2
    per_row = down @ pc_map.mean(axis=1) / max(float(down @ down), 1.0)
    per_column = right @ pc_map.mean(axis=0) / max(float(right @ right), 1.0)
    return np.stack([per_row, per_column])


def _centres(middle: FloatArray, gradient: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Pattern centre of every pattern."""
    count = int(np.prod(shape))
    if len(shape) != 2:
        return np.tile(middle, (count, 1))
    row, column = np.divmod(np.arange(count), shape[1])
    offset = np.stack([row - (shape[0] - 1) / 2, column - (shape[1] - 1) / 2], axis=1)
    return np.asarray(middle + offset @ gradient)


def _described(bands: GrainBands, found: PhasesFound, known: _Known) -> tuple[Crystal, ...]:
    """Describe the lattices that were found."""
    fit = found.fit
    grains = [int((fit.phase == number).sum()) for number in range(len(found.seen))]
    return tuple(
        crystal_found(
            f"phase {number + 1}",
            fit.bases[number],
            fit.covariance[number],
            seen,
            known.voltage,
            families_of(bands, fit, number, pooled=True),
            scale_known=known.voltage_from != "assumed",
            grains=grains[number],
        )
        for number, seen in enumerate(found.seen)
    )


def _told(
    crystals: tuple[Crystal, ...],
    points: Points,
    at: KnownGrains,
    settings: IndexSettings,
) -> tuple[tuple[IndexedPhase, ...], NDArray[np.int16]]:
    """The phases that patterns have, the largest first, and their new numbers (last: none)."""
    counts = [int((points.phase == number).sum()) for number in range(len(crystals))]
    chosen = [n for n in np.argsort([-c for c in counts], kind="stable") if counts[n]]
    order = np.full(len(crystals) + 1, NOT_INDEXED, np.int16)
    phases = []
    looked_at = max(1, int(points.done.sum()))
    for place, number in enumerate(chosen):
        order[number] = place
        crystal = crystals[number]
        phase = replace(
            crystal.phase,
            name=crystal.phase.name if crystal.phase.structure else f"phase {place + 1}",
            patterns=counts[number],
            share=counts[number] / looked_at,
            grains=int((at.phase == number).sum()),
            misfit_deg=float(np.median(points.misfit_deg[points.phase == number])),
        )
        if phase.structure is None:
            phase = replace(phase, candidates=rank_candidates(phase, settings.candidates))
        phases.append(phase)
    return tuple(phases), order


def _why_none(bands: GrainBands, known: _Known) -> str:
    """Say why no phase was found."""
    if not len(bands):
        return "No pattern shows bands."
    if known.pc is None and len(bands) < FEW:
        return (
            f"{len(bands)} patterns cannot tell the pattern centre: give it (--pc X Y Z), or more "
            "patterns of other orientations."
        )
    return "No lattice explains the bands of several patterns."


def _settings_told(settings: IndexSettings) -> dict[str, Any]:
    """Settings as plain JSON values."""
    return {
        "pc": settings.pc,
        "voltage": settings.voltage,
        "phases": [structure.name for structure in settings.phases],
        "refine_centre": settings.refine_centre,
        "candidates": sorted(settings.candidates or ()),
    }
