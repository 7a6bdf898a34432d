"""Long work behind the unit cell panel: nets fitted, cells searched, files written."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.progress import Progress, retold

if TYPE_CHECKING:
    from napari_diffraction.analysis.cells.search import CellResult
    from napari_diffraction.indexing.zones.net_fit import NetFit
    from napari_diffraction.learning.zones.peak_tables import Found
    from napari_diffraction.patterns.stack import PatternStack


#: Cells of each phase that the patterns are asked about, as the command does.
_CANDIDATES = 30


@dataclass(frozen=True)
class Step(Progress):
    """A step that says what it counts."""

    unit: str = "patterns"


@dataclass(frozen=True)
class NetsFitted(Step):
    """Some zones were looked at.

    Attributes
    ----------
    found
        Their spots, by the number of the pattern.
    fits
        The nets of those that have one.
    """

    unit: str = "zones"
    found: Mapping[int, Found] = field(default_factory=dict)
    fits: Mapping[int, NetFit] = field(default_factory=dict)


@dataclass(frozen=True)
class PeaksLooked(Step):
    """Some patterns were looked at, zones or not.

    Attributes
    ----------
    found
        Their spots, by the number of the pattern.
    """

    found: Mapping[int, Found] = field(default_factory=dict)


def fitting(stack: PatternStack, zones: Sequence[int]) -> Generator[Progress, None, None]:
    """Find the spots of zones and fit their nets, batch by batch.

    Parameters
    ----------
    stack
        Spot patterns.
    zones
        Numbers of the patterns.

    Yields
    ------
    NetsFitted
    """
    yield Progress(0, len(zones), "Preparing the search for spots")
    from napari_diffraction.indexing.zones.pattern_nets import fit_of_spots, fits_of_patterns
    from napari_diffraction.learning.zones.common_camera import marked_anew
    from napari_diffraction.learning.zones.peak_tables import find_in_stack

    every: dict[int, Found] = {}
    known: dict[int, NetFit] = {}
    for step in find_in_stack(stack, indices=zones):
        first = {index: fit_of_spots(one.table) for index, one in step.found.items()}
        there = {index: fit for index, fit in first.items() if fit is not None}
        every, known = every | step.found, known | there
        yield NetsFitted(step.done, step.total, "Fitting nets", found=step.found, fits=there)
    again = marked_anew(every, known)
    # all zones together know the lens, which one alone seldom shows
    fits = fits_of_patterns({index: one.table for index, one in (every | again).items()})
    done = len(zones)
    yield NetsFitted(done, done, "Fitting nets", found=again, fits=fits)


def searching(
    source: str,
    fits: Mapping[int, NetFit],
    pixel_size: float | None,
    wavelength: float | None,
) -> Generator[Progress, None, CellResult]:
    """Find the cells that explain nets, and the stretch of the camera that suits them.

    Parameters
    ----------
    source
        Name of the stack.
    fits
        Nets, by the number of the pattern.
    pixel_size
        In 1/A; ``None``: not known.
    wavelength
        In A, if it is known.

    Raises
    ------
    InputError
        See `napari_diffraction.analysis.cells.search.search_cells`.
    """
    yield Progress(0, 0, "Finding the stretch of the camera")
    from napari_diffraction.analysis.cells.search import search_cells
    from napari_diffraction.indexing.zones.ellipse import find_ellipse
    from napari_diffraction.indexing.zones.pattern_nets import PatternNets

    nets = PatternNets(fits, find_ellipse([fit.basis for fit in fits.values()]))
    work = search_cells(
        source, nets, pixel_size=pixel_size, wavelength=wavelength, most=_CANDIDATES
    )
    return (yield from _counting(work, "phases"))


def hearing(
    stack: PatternStack, result: CellResult, known: Mapping[int, Found]
) -> Generator[Progress, None, CellResult]:
    """Index all patterns by the cells, which ranks and refines these.

    Parameters
    ----------
    stack
        Spot patterns.
    result
        What the zones say.
    known
        Spots of the patterns that were looked at before.

    Yields
    ------
    PeaksLooked, Step
    """
    yield Progress(0, 0, "Preparing the search for spots")
    from napari_diffraction.analysis.cells.search import hear_all
    from napari_diffraction.learning.zones.peak_tables import find_in_stack
    from napari_diffraction.review.export import crystfel_name

    found = dict(known)
    left = [index for index in range(len(stack)) if index not in found]
    for step in find_in_stack(stack, indices=left):
        found.update(step.found)
        yield PeaksLooked(step.done, step.total, "Spots of all patterns", found=step.found)
    there = sorted(found)
    tables = {index: found[index].table for index in there}
    centres = {index: found[index].centre for index in there}
    names = {index: crystfel_name(stack, index) for index in there} if stack.sources else None
    return (yield from _counting(hear_all(result, tables, centres, names), "patterns"))


def _counting(
    work: Generator[Progress, None, CellResult], unit: str
) -> Generator[Progress, None, CellResult]:
    """Say of the steps of some work what they count."""
    return retold(work, lambda step: Step(step.done, step.total, step.message, unit))


def exporting(
    result: CellResult, stack: PatternStack, path: Path
) -> Generator[Progress, None, list[Path]]:
    """Write a file, or all of them into a folder, in another thread; all others there stay.

    Raises
    ------
    InputError
        It cannot be written, or the folder holds results of another stack.
    """
    yield Progress(0, 0, f"Writing {path.name}")
    from napari_diffraction.analysis.cells.export import WRITERS, write_cells
    from napari_diffraction.analysis.cells.folder import (
        check_folder,
        earlier_results,
        make_folder,
        mark_folder,
    )

    if path.suffix.lower() not in WRITERS:  # "run.42" is the name of a folder, too
        make_folder(path)
    if path.is_dir():
        check_folder(path, stack)
    earlier = earlier_results(path)
    written = write_cells(result, [path])
    if path.is_dir():
        mark_folder(path, stack, [*earlier, *written])
    return written
