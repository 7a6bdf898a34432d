"""Find the unit cell that explains the zones of a stack, for the command `unit-cell`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_diffraction.analysis.cells.folder import (
    check_folder,
    earlier_results,
    mark_folder,
    removal_told,
    remove_earlier,
)
from napari_diffraction.cli.cells.zones import sort_stack
from napari_diffraction.cli.terminal import claim_output, output_file, with_bar
from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from napari_diffraction.analysis.cells.search import CellResult
    from napari_diffraction.learning.zones.peak_tables import Found, PeaksFound
    from napari_diffraction.patterns.stack import PatternStack, SpotGeometry
    from napari_diffraction.workers import Workers

#: Cells of each phase that the patterns are asked about.
_CANDIDATES = 30


@dataclass(frozen=True)
class Solved:
    """Cells of a stack, and the spots by which they were found.

    Attributes
    ----------
    result
        The cells.
    tables
        By the number of the pattern, a row a spot: ``x``, ``y`` in pixels, ``intensity``.
    """

    result: CellResult
    tables: dict[int, pd.DataFrame]


def check_outputs(
    outputs: Sequence[Path],
    stack: PatternStack,
    *,
    pixel_size: float | None = None,
    wavelength: float | None = None,
    patterns: int | None = None,
) -> None:
    """Check, before anything is computed, that the files can be written.

    Parameters
    ----------
    outputs
        Files, or folders for all of them.
    stack, pixel_size, wavelength, patterns
        See `solve_stack`.

    Raises
    ------
    InputError
        A name ends in something else, its folder is missing, a folder for all files holds results
        of another stack, there will be no orientations for a ``.sol`` file, or the patterns have
        no spots.
    """
    from napari_diffraction.analysis.cells.export import WRITERS, is_folder
    from napari_diffraction.analysis.cells.orientations import check_solutions

    geometry = spot_geometry(stack).with_wavelength(wavelength)
    for output in outputs:
        if is_folder(output):
            claim_folder(output, stack)
            continue
        output_file(output, tuple(WRITERS))
        if output.suffix.lower() != ".sol":
            continue
        if patterns == 0:
            raise InputError(
                f"{output} holds orientations, but with --patterns 0 only zones are looked at and "
                "there are none: leave out one of the two."
            )
        check_solutions(
            stack.name,
            scale_known=(pixel_size or geometry.pixel_size) is not None,
            in_file=bool(stack.sources),
        )


def claim_folder(folder: Path, stack: PatternStack) -> None:
    """Claim a folder for the results of a stack, there or not.

    Raises
    ------
    InputError
        It is a file, the folder around it is missing, another program writes there, or it holds
        results of another stack.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, but a folder is wanted: choose another name.")
    if not folder.parent.is_dir():
        raise InputError(f"{folder.parent}: there is no such folder; make it first.")
    claim_output(folder)
    check_folder(folder, stack)


def spot_geometry(stack: PatternStack) -> SpotGeometry:
    """Return the geometry of spot patterns.

    Raises
    ------
    InputError
        The patterns have no spots.
    """
    from napari_diffraction.patterns.stack import SpotGeometry

    if not isinstance(stack.geometry, SpotGeometry):
        raise InputError(f"{stack.name} holds Kikuchi patterns, which have no zones of spots.")
    return stack.geometry


def solve_stack(
    stack: PatternStack,
    *,
    zones: Sequence[int] | None = None,
    pixel_size: float | None = None,
    wavelength: float | None = None,
    volume: tuple[float, float] | None = None,
    patterns: int | None = None,
    workers: Workers | None = None,
) -> Solved:
    """Find the cells of a stack.

    Parameters
    ----------
    stack
        Spot patterns.
    zones
        Numbers of the patterns that are zones; ``None``: those that the model `zones` calls so.
    pixel_size, wavelength
        In 1/A and A, in place of what the file says.  A scale that the file tells by a camera
        length follows the wavelength.
    volume
        Least and greatest volume of the primitive cell in A^3.
    patterns
        Number of patterns that are indexed by the cells, evenly chosen; ``None``: all.
    workers
        Other processes that sort the patterns and find their spots.

    Raises
    ------
    InputError
        The patterns have no spots, or the zones are too few.
    """
    from napari_diffraction.analysis.cells.search import hear_all, search_cells
    from napari_diffraction.indexing.zones.pattern_nets import nets_of_patterns
    from napari_diffraction.learning.zones.common_camera import marked_anew
    from napari_diffraction.learning.zones.peak_tables import find_in_stack
    from napari_diffraction.review.export import crystfel_name

    geometry = spot_geometry(stack).with_wavelength(wavelength)
    found: dict[int, Found] = {}

    def keep(step: PeaksFound) -> None:
        found.update(step.found)

    chosen = sort_stack(stack, workers=workers).zones if zones is None else zones
    if not chosen:
        raise InputError(
            f"The model zones calls no pattern of {stack.name} a zone, and without zones no cell "
            "can be found: review the classes and give them by --zones."
        )
    with_bar(find_in_stack(stack, indices=chosen, workers=workers), keep)
    nets = nets_of_patterns({index: one.table for index, one in found.items()})
    if again := marked_anew(found, nets.fits):
        found |= again
        nets = nets_of_patterns({index: one.table for index, one in found.items()})
    work = search_cells(
        stack.name,
        nets,
        pixel_size=pixel_size or geometry.pixel_size,
        wavelength=geometry.wavelength,
        volume=volume,
        most=_CANDIDATES,
    )
    result = with_bar(work, unit="phase")
    if not result.found.phases or patterns == 0:
        return Solved(result, {index: one.table for index, one in found.items()})
    wanted = np.linspace(0, len(stack) - 1, min(patterns or len(stack), len(stack))).astype(int)
    left = [index for index in wanted.tolist() if index not in found]
    with_bar(find_in_stack(stack, indices=left, workers=workers), keep)
    there = [index for index in wanted.tolist() if index in found]
    heard = with_bar(
        hear_all(
            result,
            {index: found[index].table for index in there},
            {index: found[index].centre for index in there},
            {index: crystfel_name(stack, index) for index in there} if stack.sources else None,
        )
    )
    return Solved(heard, {index: one.table for index, one in found.items()})


def write_result(result: CellResult, outputs: Sequence[Path], stack: PatternStack) -> list[str]:
    """Write the files and return lines for a person.

    When all is written, a folder loses what earlier runs have left there and this one has not
    replaced.
    """
    from napari_diffraction.analysis.cells.export import is_folder, write_cells
    from napari_diffraction.analysis.cells.words import summary

    folders = [output for output in outputs if is_folder(output)]
    earlier = [path for folder in folders for path in earlier_results(folder)]
    written = write_cells(result, outputs)
    for folder in folders:
        mine = [path for path in written if path.parent == folder and path not in outputs]
        mark_folder(folder, stack, mine)
    removed = remove_earlier(earlier, written)
    lines = [f"{path}: {_held(result, path, in_folder=path not in outputs)}." for path in written]
    return [*lines, *removal_told(removed), *summary(result)]


def _held(result: CellResult, path: Path, *, in_folder: bool) -> str:
    """Say what a file holds, by its kind."""
    from napari_diffraction.analysis.cells.export import ORIENTATIONS
    from napari_diffraction.indexing.zones.witness import phase_of

    kind = path.suffix.lower()
    indexed = int((phase_of(result.matches) >= 0).sum())
    if kind == ".sol":
        return _counted(indexed, "orientation")
    if in_folder and path.name == ORIENTATIONS:
        looked_at = _counted(len(result.matches[0].peaks), "pattern")
        return f"{looked_at}, {_counted(indexed, 'orientation')}"
    cells = sum(map(len, result.found.phases))
    if kind in (".cell", ".p4p") and cells > 1:
        return f"the first of {cells} cells"
    return _counted(cells, "cell")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
