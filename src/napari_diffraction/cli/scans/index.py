"""Index EBSD patterns, write what was found, and say it in a few lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.cli.terminal import output_file, with_bar

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.patterns.stack import PatternStack
    from napari_diffraction.workers import Workers


def check_outputs(outputs: Sequence[Path]) -> None:
    """Check, before anything is read, that the files can be written.

    Raises
    ------
    InputError
        A name ends in something else, or its folder is missing.
    """
    from napari_diffraction.analysis.indexed.export import WRITERS

    for output in outputs:
        output_file(output, tuple(WRITERS))


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
    *,
    pc: tuple[float, float, float] | None = None,
    voltage: float | None = None,
    phases: tuple[Structure, ...] = (),
    refine_centre: bool = False,
    candidates: Mapping[str, Structure] | None = None,
    workers: Workers | None = None,
) -> list[str]:
    """Index patterns and write the solution.

    Parameters
    ----------
    stack
        EBSD patterns.
    outputs
        Files to write; see `napari_diffraction.analysis.indexed.export.export_indexed`.
    pc
        Pattern centre in Bruker's convention; that of the file, or found, where it is ``None``.
    voltage
        Acceleration voltage in kV; that of the file, or the usual one, where it is ``None``.
    phases
        Phases that are there; found where there are none.
    refine_centre
        Whether a centre that is known is refined.
    candidates
        Structures that the phases found may be, besides the built-in materials.
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
    from napari_diffraction.indexing.scan import IndexSettings, index_scan

    for output in outputs:
        check_export(output, stack.data.shape[:-2])
    if pc is not None:
        stack.with_centre(pc)  # says what is wrong with a centre
    settings = IndexSettings(
        pc=pc,
        voltage=voltage,
        phases=phases,
        refine_centre=refine_centre,
        candidates=candidates,
    )
    return written(with_bar(index_scan(stack, settings, workers=workers)), outputs)


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
