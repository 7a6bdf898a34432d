"""Sort, solve, report: what the command `solve` does with a stack."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_diffraction.analysis.cells.folder import (
    CELLS,
    CLASSES,
    CRYSTFEL,
    PAGE,
    earlier_results,
    make_folder,
    mark_folder,
    removal_told,
    remove_earlier,
)
from napari_diffraction.cli.cells.unit_cell import (
    Solved,
    claim_folder,
    solve_stack,
    spot_geometry,
)
from napari_diffraction.cli.cells.zones import Sorting, read_sorting, sort_stack
from napari_diffraction.cli.terminal import Interrupted, with_bar
from napari_diffraction.errors import InputError
from napari_diffraction.files import ANY_NAME, SHOWN, replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_diffraction.patterns.stack import PatternStack, SpotGeometry
    from napari_diffraction.workers import Workers

#: What the pictures show, and their files.
_PICTURES = {
    "Zones with the net that the first cell has there (blue) or their own (orange)": "zones.png",
    "Patterns with the spots that the cell has there (blue)": "patterns.png",
}


@dataclass(frozen=True)
class Wanted:
    """What a person says beside the stack; ``None``: nothing.

    Attributes
    ----------
    zones
        Table of the classes, whose zones are taken.
    pixel_size, wavelength
        In 1/A and A, in place of what the file says.
    volume
        Least and greatest volume of the primitive cell in A^3.
    patterns
        Number of patterns that are indexed.
    """

    zones: Path | None = None
    pixel_size: float | None = None
    wavelength: float | None = None
    volume: tuple[float, float] | None = None
    patterns: int | None = None


def solve_to_folder(
    stack: PatternStack,
    folder: Path,
    wanted: Wanted,
    *,
    device: str = "auto",
    resume: bool = False,
    workers: Workers | None = None,
    say: Callable[[str], None] = print,
) -> list[str]:
    """Sort a stack, find its cells, and write all that the next program or a person wants.

    Parameters
    ----------
    stack
        Spot patterns.
    folder
        Where the files go; made if absent.
    wanted
        What is known beside.
    device
        Where the network runs.
    resume
        Keep the classes that an interrupted run has found.
    workers
        Other processes that sort the patterns and find their spots.
    say
        Called with sentences while it runs.

    Returns
    -------
    list of str
        What was found and written, in lines for a person.

    Raises
    ------
    InputError
        The folder cannot be written or holds results of another stack, or there is no cell; then
        the report says why, too, unless it is one of an earlier run with results.
    Interrupted
        Ctrl-C was pressed.
    """
    spot_geometry(stack)
    claim_folder(folder, stack)
    make_folder(folder)
    try:
        if wanted.zones is not None:
            sorting = read_sorting(wanted.zones, stack)
        else:
            sorting = sort_stack(
                stack,
                output=folder / CLASSES,
                device=device,
                resume=resume,
                workers=workers,
                say=say,
            )
        return _solve(stack, folder, wanted, sorting, workers)
    except (KeyboardInterrupt, Interrupted) as stop:
        raise Interrupted(_what_is_kept(folder, wanted, str(stop))) from stop


def _what_is_kept(folder: Path, wanted: Wanted, said: str) -> str:
    """Say after Ctrl-C what is kept and how to go on; ``said``: what the sorting says of it."""
    classes = folder / CLASSES
    if wanted.zones is None and "--resume" in said:
        return said
    if wanted.zones is None and classes.exists():
        return (
            f"Stopped. The classes are kept in {classes}: the same command with --resume goes on "
            "from there."
        )
    return "Stopped. There is nothing to go on from yet: the same command starts anew."


def _solve(
    stack: PatternStack,
    folder: Path,
    wanted: Wanted,
    sorting: Sorting,
    workers: Workers | None,
) -> list[str]:
    """Find the cells by the zones, write all files, and return lines for a person.

    What an earlier run has left in the folder goes when all of this one is written, and stays
    where no search was possible.
    """
    from napari_diffraction.analysis.cells.words import summary

    report = folder / PAGE
    earlier = earlier_results(folder)
    try:
        solved = solve_stack(
            stack,
            zones=sorting.zones,
            pixel_size=wanted.pixel_size,
            wavelength=wanted.wavelength,
            volume=wanted.volume,
            patterns=wanted.patterns,
            workers=workers,
        )
    except InputError as error:
        # a page of an earlier run without results may be replaced, but nothing else
        if (folder / CELLS).exists() or (report.exists() and earlier != [report]):
            raise InputError(
                f"{error}  The results in {folder} are those of an earlier run."
            ) from error
        _write_report(report, stack, wanted, sorting.counts, None, {}, str(error))
        mark_folder(folder, stack, [report])
        raise InputError(f"{error}  {report} says what there is.") from error
    written = _write_all(solved, stack, folder)
    figures = _pictures(solved, stack, folder)
    everything = [*written, *(folder / name for name in figures), report]
    if solved.result.found.phases:
        _write_report(report, stack, wanted, sorting.counts, solved, figures)
        mark_folder(folder, stack, everything)
        removed = remove_earlier(earlier, everything)
        return [*summary(solved.result), *map(str, everything), *removal_told(removed)]
    reason = f"No cell explains three different nets of {stack.name}: sort out more zones."
    lost = "The files of an earlier run are removed." if set(earlier) - set(everything) else ""
    _write_report(report, stack, wanted, sorting.counts, solved, figures, lost)
    mark_folder(folder, stack, everything)
    try:
        remove_earlier(earlier, everything)
    except InputError as error:
        raise InputError(f"{reason}  {error}") from error
    raise InputError(f"{reason}  {report} shows the nets.  {lost}".rstrip())


def _write_all(solved: Solved, stack: PatternStack, folder: Path) -> list[Path]:
    """Write cells, nets and the files for CrystFEL."""
    from napari_diffraction.analysis.cells.export import nets_table, write_cells

    result = solved.result
    if not result.found.phases:
        return []
    written = write_cells(result, [folder])
    mark_folder(folder, stack, [*earlier_results(folder), *written])
    path = folder / "nets.csv"
    with replacing(path) as temporary:
        nets_table(result).to_csv(temporary, index=False, float_format="%.6g")
    return [*written, path, *_write_crystfel(solved, stack, folder / CRYSTFEL)]


def _write_crystfel(solved: Solved, stack: PatternStack, folder: Path) -> list[Path]:
    """Write what CrystFEL's `indexamajig` starts from."""
    from napari_diffraction.analysis.cells.crystfel import cell_file, geometry_file, pattern_list
    from napari_diffraction.analysis.cells.cxi_peaks import DATA, PEAKS, write_cxi
    from napari_diffraction.analysis.cells.export import UP_TO_SCALE
    from napari_diffraction.analysis.cells.orientations import crystfel_solutions

    make_folder(folder)
    result, tables = solved.result, solved.tables
    cxi = folder / "patterns.cxi"
    with_bar(write_cxi(stack, tables, cxi))
    places = {index: f"{cxi.absolute()} //{row}" for row, index in enumerate(sorted(tables))}
    files = {"patterns.lst": pattern_list(list(places.values()))}
    for number, phase in enumerate(result.found.phases, 1):
        name = "phase" if len(result.found.phases) == 1 else f"phase_{number}"
        files[f"{name}.cell"] = cell_file(phase[0], [] if result.scale_known else [UP_TO_SCALE])
    if result.scale_known:
        notes = ["Only the ratio of clen and res is known.", *_beam_notes(solved)]
        files["camera.geom"] = geometry_file(
            result, stack.frame_shape, _beam(solved), data=DATA, peaks=PEAKS, notes=notes
        )
    if result.matches and result.scale_known:
        names = tuple(places[index] for index in result.matches[0].peaks.patterns.tolist())
        files["patterns.sol"] = crystfel_solutions(replace(result, names=names))
    for name, text in files.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8", errors=ANY_NAME)
    return [cxi, *(folder / name for name in files)]


def _origins(solved: Solved) -> list[tuple[float, float]]:
    return [
        (float(fit.origin[0]), float(fit.origin[1])) for fit in solved.result.nets.fits.values()
    ]


def _beam(solved: Solved) -> tuple[float, float]:
    x, y = np.median(np.array(_origins(solved)), axis=0).tolist()
    return x, y


def _beam_notes(solved: Solved) -> list[str]:
    from napari_diffraction.indexing.zones.patterns import steady_beam

    if steady_beam(solved.result.nets) is not None:
        return []
    return ["The direct beam is not the same in all patterns; this is its median."]


def _pictures(solved: Solved, stack: PatternStack, folder: Path) -> dict[str, Figure]:
    """Draw the pictures and write them; by the names of their files."""
    from napari_diffraction.analysis.cells.pictures import pattern_pictures, zone_pictures

    result = solved.result
    drawn = (zone_pictures(result, stack), pattern_pictures(result, stack, solved.tables))
    figures = {}
    for name, figure in zip(_PICTURES.values(), drawn, strict=True):
        if figure is not None:
            figures[name] = figure
            with replacing(folder / name) as temporary:
                figure.savefig(temporary, format="png", dpi=150)
    return figures


def _whose(geometry: SpotGeometry, wanted: Wanted) -> dict[str, str]:
    """Say where the scale and the wavelength come from."""
    known = geometry.with_wavelength(wanted.wavelength).numbers()
    sources = dict.fromkeys(known, "of the file")
    if geometry.pixel_angle is not None and wanted.wavelength is not None:
        sources["pixel_size"] = "by the camera length of the file and the wavelength given"
    names = ("pixel_size", "wavelength")
    sources |= {name: "given by hand" for name in names if getattr(wanted, name) is not None}
    return {name: sources.get(name, "not known") for name in names}


def _write_report(
    path: Path,
    stack: PatternStack,
    wanted: Wanted,
    classes: dict[str, int],
    solved: Solved | None,
    figures: dict[str, Figure],
    trouble: str | None = None,
) -> None:
    from napari_diffraction.analysis.cells.report import assumed, report_page

    sources = _whose(spot_geometry(stack), wanted)
    facts = {
        "Patterns": f"{len(stack)} of {' x '.join(map(str, stack.frame_shape))} pixels",
        "Files": ", ".join(sorted(set(stack.sources))[:3]) or stack.name,
        "Zones": "sorted by the model zones at its usual border, as classify --border off does; "
        "not reviewed"
        if wanted.zones is None
        else f"those of {wanted.zones}",
        "Volume": "any"
        if wanted.volume is None
        else "from {:g} to {:g} A^3".format(*wanted.volume),
    }
    if solved is not None:
        facts |= assumed(solved.result, beams=_origins(solved), **sources)
    shown = {caption: figures.get(name) for caption, name in _PICTURES.items()}
    result = None if solved is None else solved.result
    page = report_page(f"Unit cell of {stack.name}", result, facts, classes, shown, trouble)
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors=SHOWN)
