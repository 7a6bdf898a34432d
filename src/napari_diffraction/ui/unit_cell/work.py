"""Long work behind the unit cell panel: nets fitted, cells searched, files written."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from napari_diffraction.progress import Progress

if TYPE_CHECKING:
    from napari_diffraction.analysis.unit_cells import CellResult
    from napari_diffraction.indexing.zones.net_fit import NetFit
    from napari_diffraction.patterns.stack import PatternStack


@dataclass(frozen=True)
class NetsFitted(Progress):
    """Some zones were looked at.

    Attributes
    ----------
    spots
        Of each of them, by the number of the pattern.
    fits
        The nets of those that have one.
    """

    spots: Mapping[int, pd.DataFrame] = field(default_factory=dict)
    fits: Mapping[int, NetFit] = field(default_factory=dict)


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
    from napari_diffraction.indexing.zones.pattern_nets import fit_of_spots
    from napari_diffraction.learning.peak_tables import find_in_stack

    for step in find_in_stack(stack, indices=zones):
        spots = {index: one.table for index, one in step.found.items()}
        fits = {index: fit_of_spots(table) for index, table in spots.items()}
        there = {index: fit for index, fit in fits.items() if fit is not None}
        yield NetsFitted(step.done, step.total, "Fitting nets", spots, there)


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
        See `napari_diffraction.analysis.unit_cells.search_cells`.
    """
    yield Progress(0, 0, "Finding the stretch of the camera")
    from napari_diffraction.analysis.unit_cells import search_cells
    from napari_diffraction.indexing.zones.ellipse import find_ellipse
    from napari_diffraction.indexing.zones.pattern_nets import PatternNets

    nets = PatternNets(fits, find_ellipse([fit.basis for fit in fits.values()]))
    return (yield from search_cells(source, nets, pixel_size=pixel_size, wavelength=wavelength))


def exporting(result: CellResult, path: Path) -> Generator[Progress, None, list[Path]]:
    """Write a file, or all of them into a folder, in another thread."""
    yield Progress(0, 0, f"Writing {path.name}")
    from napari_diffraction.analysis.unit_cell_export import write_cells

    return write_cells(result, [path])
