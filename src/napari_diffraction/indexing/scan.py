"""Index a scan: grains, pattern centre, phases, and every pattern, with nothing given."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.assembly import Assembly, with_candidates
from napari_diffraction.indexing.known import (
    USUAL,
    IndexSettings,
    Known,
    centres_of,
    what_is_known,
)
from napari_diffraction.indexing.matching import Points, known_grains
from napari_diffraction.indexing.phases.crystals import Crystal, crystal_found, crystal_given
from napari_diffraction.indexing.phases.grain_bands import GrainBands, grain_bands
from napari_diffraction.indexing.phases.sameness import part_of_another
from napari_diffraction.indexing.phases.scales import PhasesFound
from napari_diffraction.indexing.phases.search import FEW, find_phases
from napari_diffraction.indexing.phases.shown import families_of
from napari_diffraction.indexing.points import PointsProgress, index_points
from napari_diffraction.indexing.solution import IndexedMap
from napari_diffraction.indexing.steps import FinishedSteps
from napari_diffraction.patterns.kikuchi.grains.averages import find_grains
from napari_diffraction.patterns.kikuchi.preparation import prepare
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, retold

if TYPE_CHECKING:
    from napari_diffraction.workers import Workers

__all__ = ["FinishedSteps", "IndexProgress", "IndexSettings", "index_scan"]

T = TypeVar("T")
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class IndexProgress(Progress):
    """A step of `index_scan`.

    Attributes
    ----------
    stage
        0: grains, 1: pattern centre and phases, 2: patterns.
    so_far
        Makes the solution of the patterns done so far; there is one from the moment on that centre
        and phases are known.  It may be called until the next step is asked for, and after the work
        was broken off.
    """

    stage: int = 0
    so_far: Callable[[], IndexedMap] | None = None


def index_scan(
    stack: PatternStack,
    settings: IndexSettings | None = None,
    steps: FinishedSteps | None = None,
    workers: Workers | None = None,
) -> Generator[IndexProgress, None, IndexedMap]:
    """Find phases, their lattices and cells, the pattern centre and all orientations.

    Parameters
    ----------
    stack
        EBSD patterns, a scan or a list.
    settings
        What is known; nothing by default.
    steps
        What was done of the same stack before this was broken off: it is not done again.  What is
        done now is added.
    workers
        Other processes that index the single patterns.

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
    steps = FinishedSteps() if steps is None else steps
    assembly = yield from assembled(stack, settings, steps)
    points = yield from matched(stack, assembly, steps, workers)
    return assembly.solution(points)


def gathered(
    stack: PatternStack, settings: IndexSettings, steps: FinishedSteps
) -> Generator[IndexProgress, None, GrainBands]:
    """Do the first stage, the grains and their bands, as far as it is not done.

    Parameters
    ----------
    stack, settings
        As of `index_scan`.
    steps
        What is done; filled further.
    """
    steps.take_up(settings)
    preparation = steps.preparation = steps.preparation or prepare(stack)
    if steps.grains is None:
        steps.grains = yield from staged(find_grains(stack, preparation), 0)
    bands = steps.bands = steps.bands or grain_bands(stack, steps.grains, preparation)
    return bands


def assembled(
    stack: PatternStack, settings: IndexSettings, steps: FinishedSteps
) -> Generator[IndexProgress, None, Assembly]:
    """Do the first two stages, up to centre and phases, as far as they are not done.

    Parameters
    ----------
    stack, settings
        As of `index_scan`.
    steps
        What is done; filled further.

    Returns
    -------
    Assembly
        All that is known but the points.
    """
    given = tuple(crystal_given(structure) for structure in settings.phases)
    known = what_is_known(stack, settings)
    bands = yield from gathered(stack, settings, steps)
    assert steps.preparation is not None
    assert steps.grains is not None
    if not steps.solved:
        steps.found = yield from staged(
            find_phases(
                bands,
                known.pc,
                refine_centre=settings.refine_centre,
                given=given,
                opinion=settings.opinion,
            ),
            1,
        )
        steps.solved = True
    found = steps.found
    shape = stack.data.shape[:-2]
    crystals: tuple[Crystal, ...] = ()
    notes = list(steps.preparation.notes)
    centre, pc_su, gradient = known.pc, np.zeros(3), np.zeros((2, 3))
    if found is None:
        notes.append(_why_none(bands, known))
    else:
        crystals = given or with_candidates(_described(bands, found, known), settings.candidates)
        centre, pc_su, gradient = found.fit.pc, found.fit.pc_su, found.fit.gradient
    if known.pc is not None and not settings.refine_centre:
        gradient = known.gradient
    middle = np.array(USUAL) if centre is None else centre
    told = None if found is None else (found.kin, found.fit.phase)
    of_grains = middle + bands.offset @ gradient
    at = known_grains(bands, steps.grains.label, crystals, of_grains, told, shape)
    return Assembly(stack, settings, known, crystals, at, middle, pc_su, gradient, tuple(notes))


def matched(
    stack: PatternStack,
    assembly: Assembly,
    steps: FinishedSteps,
    workers: Workers | None = None,
) -> Generator[IndexProgress, None, Points]:
    """Do the last stage: match every pattern that is not done.

    Parameters
    ----------
    stack, workers
        As of `index_scan`.
    assembly
        Of the same stack.
    steps
        What is done; filled further.
    """
    assert steps.preparation is not None
    centres = centres_of(assembly.centre, assembly.gradient, stack.data.shape[:-2])
    points = steps.points = steps.points or Points.empty(len(stack))
    work = index_points(
        stack, steps.preparation, assembly.crystals, centres, assembly.grains, points, workers
    )
    return (yield from _last_stage(work, assembly))


def _last_stage(
    work: Generator[PointsProgress, None, Points], assembly: Assembly
) -> Generator[IndexProgress, None, Points]:
    """Pass the progress of the last stage on, with the solution so far."""

    def tell(step: PointsProgress) -> IndexProgress:
        so_far = partial(assembly.solution, step.points, finished=False)
        return IndexProgress(step.done, step.total, step.message, 2, so_far)

    return retold(work, tell)


def staged(work: Generator[Progress, None, T], stage: int) -> Generator[IndexProgress, None, T]:
    """Pass the progress of a stage on."""
    return retold(work, lambda step: IndexProgress(step.done, step.total, step.message, stage))


def _described(bands: GrainBands, found: PhasesFound, known: Known) -> tuple[Crystal, ...]:
    """Describe the lattices that were found."""
    fit = found.fit
    return tuple(
        crystal_found(
            f"phase {number + 1}",
            fit.bases[number],
            fit.covariance[number],
            seen,
            known.voltage,
            families_of(bands, fit, number),
            scale_known=known.voltage_from != "assumed",
            orientations=fit.orientations(number),
            said=found.said[number],
            part=part_of_another(found, number),
        )
        for number, seen in enumerate(found.seen)
    )


def _why_none(bands: GrainBands, known: Known) -> str:
    """Say why no phase was found."""
    if not len(bands):
        return "No pattern shows bands."
    if known.pc is None and len(bands) < FEW:
        some = "1 orientation" if len(bands) == 1 else f"{len(bands)} orientations"
        return (
            f"{some} cannot tell the pattern centre: give it (--pc X Y Z), or more patterns of "
            "other orientations."
        )
    return "No lattice explains the bands of several patterns."
