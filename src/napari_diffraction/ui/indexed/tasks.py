"""Indexing behind the phase map panel: the ways that are offered, the long work, its results."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.given_structures import given_structures
from napari_diffraction.indexing.solution import NOT_INDEXED
from napari_diffraction.learning.classification.opinion import NetworkOpinion
from napari_diffraction.progress import Progress, retold
from napari_diffraction.ui.indexed.pictures import Pictured, pictured
from napari_diffraction.ui.viewer.quiet import prepare_labels
from napari_diffraction.ui.widgets.compare_box import with_map

if TYPE_CHECKING:
    from napari_diffraction.analysis.indexed.compare import IndexedComparison
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.indexing.known import IndexSettings
    from napari_diffraction.indexing.scan import IndexProgress
    from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase
    from napari_diffraction.indexing.steps import FinishedSteps
    from napari_diffraction.patterns.maps.vendor_map import VendorMap
    from napari_diffraction.patterns.stack import PatternStack

#: What is done, stage by stage, and how many stages there are.
_STAGES = ("grains", "centre and phases", "every pattern")
_UNITS = ("patterns", "steps", "patterns")
#: Making the solution so far takes at most this share of the time, and comes so often in seconds.
_SHARE, _INTERVAL = 0.05, 0.3


@dataclass(frozen=True)
class IndexingStep(Progress):
    """A step of `indexing`, which counts something else in each stage.

    Attributes
    ----------
    unit
        What is counted, in the plural.
    so_far
        Makes the solution so far when the work is over; ``None`` before there is any.
    solution
        The solution so far with its pictures, now and then.
    """

    unit: str = "patterns"
    so_far: Callable[[], IndexedMap] | None = None
    solution: Pictured | None = None


@dataclass(frozen=True)
class Wishes:
    """What a person tells before a scan is indexed; see `IndexSettings`.

    Attributes
    ----------
    pc, voltage
        Pattern centre (Bruker) and kV.
    phases
        Materials and CIF files that are there; none: they are found.
    refine_centre
        Whether a centre that is known is refined.
    tilts
        Of sample and camera in degrees; ``None``: those of the file.  They turn all orientations,
        and what was done before Cancel is done for any of them.
    candidates
        Materials that phases found may be, besides the built-in ones; what is found does not
        depend on them.
    """

    pc: tuple[float, float, float] | None = None
    voltage: float | None = None
    phases: tuple[str, ...] = ()
    refine_centre: bool = False
    tilts: tuple[float | None, float | None] = field(default=(None, None), compare=False)
    candidates: Mapping[str, Structure] = field(default_factory=dict, compare=False)


@dataclass(frozen=True)
class IndexingWay:
    """Indexing as it stands in the list of models; see `ui.widgets.model_list`."""

    name: str
    title: str
    summary: str
    path: str = ""
    classes: tuple[str, ...] = ()


FIND = IndexingWay(
    "find the phases",
    "Find the phases (nothing given)",
    "Finds the phases, their lattices and cells, the pattern centre and every orientation from "
    "the bands. No phase list. Where bands hardly tell lattices apart, a network is asked.",
)
GIVEN = IndexingWay(
    "my phases by indexing",
    "My phases, by indexing",
    "Indexes every pattern with the phases that you tick below. Nothing has to be trained.",
)
WAYS = (FIND, GIVEN)


def indexing(
    stack: PatternStack, wishes: Wishes, steps: FinishedSteps | None = None
) -> Generator[Progress, None, Pictured]:
    """Index a scan in another thread, where what is imported and compiled freezes nothing.

    Parameters
    ----------
    stack
        The scan.
    wishes
        What is told before.
    steps
        What was done of the same scan before; it is not done again.

    Yields
    ------
    IndexingStep

    Returns
    -------
    Pictured
        The solution with its pictures.

    Raises
    ------
    InputError
        See `napari_diffraction.indexing.scan.index_scan`.
    """
    yield Progress(0, 0, "Looking at the camera")
    from napari_diffraction.indexing import scan

    prepare_labels()
    work = scan.index_scan(stack.with_tilts(*wishes.tilts), settings_of(wishes), steps)
    pace = _Pace()

    def tell(step: IndexProgress) -> IndexingStep:
        return replace(step_of(step), so_far=step.so_far, solution=pace.made(step.so_far))

    return pictured((yield from retold(work, tell)), pace.last)


def settings_of(wishes: Wishes) -> IndexSettings:
    """Return the settings of an indexing; reads the phases that are named.

    Raises
    ------
    InputError
        A phase is unknown or its file cannot be read, or nothing could tell two of them apart.
    """
    from napari_diffraction.indexing.known import IndexSettings

    return IndexSettings(
        pc=wishes.pc,
        voltage=wishes.voltage,
        phases=tuple(given_structures(wishes.phases)[0]),
        refine_centre=wishes.refine_centre,
        candidates=wishes.candidates,
        opinion=None if wishes.phases else NetworkOpinion(elsewhere=True),
    )


def step_of(step: IndexProgress) -> IndexingStep:
    """Say for people what an indexing is at."""
    told = f"{step.stage + 1} of {len(_STAGES)}, {_STAGES[step.stage]}: {step.message}"
    return IndexingStep(step.done, step.total, told, _UNITS[step.stage])


class _Pace:
    """Makes the solution so far now and then: at once when there is one, then ever less often."""

    def __init__(self) -> None:
        self._next = 0.0
        self.last: Pictured | None = None

    def made(self, so_far: Callable[[], IndexedMap] | None) -> Pictured | None:
        """Return the solution so far, with its pictures, if it is time for one."""
        began = time.monotonic()
        if so_far is None or began < self._next:
            return None
        self.last = pictured(so_far(), self.last)
        now = time.monotonic()
        self._next = now + max(_INTERVAL, (now - began) / _SHARE)
        return self.last


def comparing(
    indexed: IndexedMap, path: Path, other: VendorMap | None
) -> tuple[VendorMap, IndexedComparison]:
    """Compare a solution with the map of another program, see `with_map`."""
    from napari_diffraction.analysis.indexed.compare import compare_indexed, program_of

    return with_map(path, other, lambda known: compare_indexed(indexed, known, program_of(path)))


def exporting_indexed(indexed: IndexedMap, path: Path) -> Generator[Progress, None, Path]:
    """Write a solution in another thread."""
    yield Progress(0, 0, f"Writing {path.name}")
    from napari_diffraction.analysis.indexed.export import export_indexed

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
    return replace(
        indexed,
        phase=number,
        rotation=np.where(bad[:, None, None], np.nan, indexed.rotation).astype(np.float32),
        misfit_deg=np.where(bad, np.nan, indexed.misfit_deg).astype(np.float32),
        phases=tuple(
            _left_of(phase, indexed, number == place, looked_at)
            for place, phase in enumerate(indexed.phases)
        ),
        about={**indexed.about, "least confidence": confidence, "largest misfit_deg": misfit},
    )


def _left_of(
    phase: IndexedPhase, indexed: IndexedMap, here: NDArray[np.bool_], looked_at: int
) -> IndexedPhase:
    """Say of a phase what holds for those of its points that are left."""
    count = int(here.sum())
    grains = np.bincount(indexed.grain[here & (indexed.grain >= 0)])
    return replace(
        phase,
        patterns=count,
        share=count / looked_at,
        grains=min(phase.grains, int(np.count_nonzero(grains))),
        misfit_deg=float(np.median(indexed.misfit_deg[here])) if count else float("nan"),
    )


def about(indexed: IndexedMap) -> dict[str, Any]:
    """Return what the layers of a solution say of how it came about, as plain values."""
    from napari_diffraction.analysis.indexed.solution import provenance

    return {"map_of": indexed.name, **provenance(indexed)}
