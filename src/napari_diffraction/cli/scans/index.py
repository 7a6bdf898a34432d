"""Index EBSD patterns, write what was found, and say it in a few lines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.cli.terminal import output_file, with_bar
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import SpotGeometry

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.indexing.known import IndexSettings
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.patterns.stack import PatternStack
    from napari_diffraction.workers import Workers


def check_outputs(outputs: Sequence[Path]) -> None:
    """Check, before anything is read, that the files can be written.

    Raises
    ------
    InputError
        A name ends in something else, its folder is missing, or a file beside another output has
        this name.
    """
    from napari_diffraction.analysis.indexed.export import WRITERS
    from napari_diffraction.review.provenance import beside

    taken = {beside(output).resolve(): output for output in outputs}
    for output in outputs:
        output_file(output, tuple(WRITERS))
        if other := taken.get(output.resolve()):
            raise InputError(
                f"{output} is the file that says how {other} came about: choose another name."
            )


def read_candidates(folder: Path | None) -> tuple[dict[str, Structure] | None, list[str]]:
    """Return the structures in a folder of CIF files, and sentences on files left out."""
    if folder is None:
        return None, []
    from napari_diffraction.crystal.cif import structures_in_folder

    skipped: list[str] = []
    return structures_in_folder(folder, skipped), skipped


def index_to_files(
    stack: PatternStack,
    outputs: Sequence[Path],
    settings: IndexSettings,
    workers: Workers | None = None,
) -> list[str]:
    """Index patterns and write the solution.

    Parameters
    ----------
    stack
        EBSD patterns.
    outputs
        Files to write; see `napari_diffraction.analysis.indexed.export.export_indexed`.
    settings
        What is known.
    workers
        Other processes that index the single patterns.

    Returns
    -------
    list of str
        Lines for a person.

    Raises
    ------
    InputError
        A file shows a map but the patterns are no scan; no camera has such a centre; or a file
        cannot be written.
    """
    from napari_diffraction.analysis.indexed.export import check_export
    from napari_diffraction.indexing.scan import index_scan

    for output in outputs:
        check_export(output, stack.data.shape[:-2])
    if settings.pc is not None:
        stack.with_centre(settings.pc)  # says what is wrong with a centre
    said = written(with_bar(index_scan(stack, settings, workers=workers)), outputs)
    if isinstance(stack.geometry, SpotGeometry) and stack.geometry.has_scale:
        said.append(
            "Note: the file tells a reciprocal length for a pixel, as of spot patterns; index is "
            "for EBSD patterns, unit-cell and solve are for these."
        )
    return said


def written(indexed: IndexedMap, outputs: Sequence[Path]) -> list[str]:
    """Write a solution, and say what was written and found.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    from napari_diffraction.analysis.indexed.export import export_indexed
    from napari_diffraction.analysis.indexed.words import summary

    size = " x ".join(str(length) for length in indexed.shape)
    what = "points" if indexed.is_scan else "patterns"
    files = [f"{export_indexed(indexed, output)}: {size} {what}." for output in outputs]
    return files + summary(indexed)
