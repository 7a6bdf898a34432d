"""Find the unit cell that explains the zones of a stack, for the command `unit-cell`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_diffraction.analysis.cells.folder import check_folder, mark_folder
from napari_diffraction.cli.terminal import claim_output, output_file, with_bar
from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from napari_diffraction.analysis.cells.search import CellResult
    from napari_diffraction.learning.zones.peak_tables import Found, PeaksFound
    from napari_diffraction.patterns.stack import PatternStack
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


def check_outputs(outputs: Sequence[Path], stack: PatternStack) -> None:
    """Check, before anything is computed, that the files can be written.

    Raises
    ------
    InputError
        A name ends in something else, its folder is missing, or a folder for all files holds
        results of another stack.
    """
    from napari_diffraction.analysis.cells.export import WRITERS

    for output in outputs:
        if output.suffix or not output.parent.is_dir():
            output_file(output, tuple(WRITERS))
        else:
            claim_output(output)
            check_folder(output, stack)


def read_zones(path: Path, stack: PatternStack) -> list[int]:
    """Numbers of the patterns that a table of `classify` calls zones.

    Raises
    ------
    InputError
        The file is no such table, calls none a zone, or belongs to another stack.
    """
    import pandas as pd

    from napari_diffraction.learning.classes import ZONE, ZONE_CLASSES

    if not path.exists():
        raise InputError(f"{path}: there is no such file; give the table that classify wrote.")
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no table of classes: give what classify writes.") from error
    if not {"index", "label"} <= set(table.columns):
        raise InputError(f"{path} has no columns index and label: give what classify writes.")
    if not table["label"].isin(ZONE_CLASSES).any():
        raise InputError(f"{path} names none of the classes of zones: give what classify writes.")
    chosen = table.loc[table["label"] == ZONE]
    if not len(chosen):
        raise InputError(f"{path} calls no pattern {ZONE}: without zones no cell can be found.")
    numbers = [int(value) for value in chosen["index"]]
    if min(numbers) < 0 or max(numbers) >= len(stack):
        raise InputError(
            f"{path} speaks of pattern {max(numbers)}, but INPUT has {len(stack)}: give the table "
            "of this stack."
        )
    if "source" in chosen and stack.sources:
        for number, source in zip(numbers, chosen["source"].fillna("").astype(str), strict=True):
            if source and Path(source).name != Path(stack.source(number)).name:
                raise InputError(
                    f"{path} says that pattern {number} is of {source}, but INPUT has it from "
                    f"{stack.source(number)}: give the table of this stack."
                )
    return sorted(numbers)


def sort_out_zones(stack: PatternStack, workers: Workers | None = None) -> list[int]:
    """Numbers of the patterns that the model `zones` calls zones.

    Parameters
    ----------
    stack
        Spot patterns.
    workers
        Other processes that do the work.

    Raises
    ------
    InputError
        It calls none so.
    """
    from napari_diffraction.cli.shares import usual_shares
    from napari_diffraction.learning.classes import ZONE
    from napari_diffraction.learning.classification.inference import classify
    from napari_diffraction.learning.models.registry import load_model

    classifier = load_model("zones")
    table = with_bar(classify(stack, classifier, shares=usual_shares(classifier), workers=workers))
    numbers = sorted(int(value) for value in table.loc[table["label"] == ZONE, "index"])
    if not numbers:
        raise InputError(
            f"The model zones calls no pattern of {stack.name} a zone, and without zones no cell "
            "can be found: review the classes and give them by --zones."
        )
    return numbers


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
        In 1/A and A, in place of what the file says.
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
    from napari_diffraction.patterns.stack import SpotGeometry
    from napari_diffraction.review.export import crystfel_name

    if not isinstance(stack.geometry, SpotGeometry):
        raise InputError(f"{stack.name} holds Kikuchi patterns, which have no zones of spots.")
    found: dict[int, Found] = {}

    def keep(step: PeaksFound) -> None:
        found.update(step.found)

    chosen = sort_out_zones(stack, workers) if zones is None else zones
    with_bar(find_in_stack(stack, indices=chosen, workers=workers), keep)
    nets = nets_of_patterns({index: one.table for index, one in found.items()})
    if again := marked_anew(found, nets.fits):
        found |= again
        nets = nets_of_patterns({index: one.table for index, one in found.items()})
    work = search_cells(
        stack.name,
        nets,
        pixel_size=pixel_size or stack.geometry.pixel_size,
        wavelength=wavelength or stack.geometry.wavelength,
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
    """Write the files and return lines for a person."""
    from napari_diffraction.analysis.cells.export import write_cells
    from napari_diffraction.analysis.cells.words import summary

    cells = sum(map(len, result.found.phases))
    written = [f"{path}: {cells} cells." for path in write_cells(result, outputs)]
    for folder in filter(Path.is_dir, outputs):
        mark_folder(folder, stack)
    return written + summary(result)
