"""Unit cells of a stack: the search from nets to cells, its result, and what it says in words."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.pattern_nets import PatternNets
from napari_diffraction.indexing.zones.patterns import PatternMatches, gather_peaks
from napari_diffraction.indexing.zones.search import KEPT, CellsFound, find_cells
from napari_diffraction.indexing.zones.witness import hear_patterns
from napari_diffraction.progress import Progress

#: Root of the area of the smallest net, in 1/A, where the scale is not known.
_ANY_SCALE = 0.09
#: Spacings of the widest planes of zones that can be, in A.
_SPACINGS = (1.0, 500.0)


@dataclass(frozen=True)
class CellResult:
    """Unit cells of a stack, with all that led to them.

    Attributes
    ----------
    source
        Name of the stack.
    nets
        Nets of the zones.
    found
        Cells.
    patterns
        Number of the pattern of each net.
    pixel_size
        In 1/A, or what stands for it.
    scale_known
        Whether it is more than a guess.
    wavelength
        In A.
    matches
        Of the first cell of each phase, its orientation in all patterns that were looked at; empty:
        only zones were.
    names
        File and event of each of these patterns as CrystFEL's lists have them; empty: in no file.
    """

    source: str
    nets: PatternNets
    found: CellsFound
    patterns: list[int]
    pixel_size: float
    scale_known: bool
    wavelength: float | None
    matches: tuple[PatternMatches, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def sphere_wavelength(self) -> float | None:
        """Wavelength of Ewald's sphere in A; ``None`` where it means nothing without a scale."""
        return self.wavelength if self.scale_known else None


def search_cells(
    source: str,
    nets: PatternNets,
    *,
    pixel_size: float | None,
    wavelength: float | None = None,
    volume: tuple[float, float] | None = None,
    most: int = KEPT,
) -> Generator[Progress, None, CellResult]:
    """Find the unit cells that explain the nets of a stack.

    Parameters
    ----------
    source
        Name of the stack.
    nets
        Its nets.
    pixel_size
        In 1/A; ``None``: not known, and cells come out up to a common factor of all lengths.
    wavelength
        In A; kept with the result.
    volume
        Least and greatest volume of the primitive cell in A^3.
    most
        Candidates of each phase.

    Yields
    ------
    Progress

    Returns
    -------
    CellResult

    Raises
    ------
    InputError
        There is no net, too few are different, a volume is given without a scale, or the scale
        cannot be.
    """
    if volume is not None and pixel_size is None:
        raise InputError(
            "A range of volumes means nothing without a scale: give the pixel size as well "
            "(--pixel-size)."
        )
    if not nets.fits:
        raise InputError(
            f"No zone of {source} shows a net of spots: without nets no cell can be found."
        )
    known = pixel_size is not None
    if pixel_size is None:
        areas = [abs(float(np.linalg.det(fit.basis))) for fit in nets.fits.values()]
        pixel_size = _ANY_SCALE / min(areas) ** 0.5
    scaled = nets.nets(pixel_size)
    widest = float(np.median([1 / net.first for net in scaled]))
    if known and not _SPACINGS[0] < widest < _SPACINGS[1]:
        raise InputError(
            f"With {pixel_size:g} 1/A a pixel the planes of the zones are {widest:.3g} A apart, "
            "which no crystal has: look at the pixel size."
        )
    found = yield from find_cells(scaled, volume, most=most)
    return CellResult(source, nets, found, sorted(nets.fits), pixel_size, known, wavelength)


def hear_all(
    result: CellResult,
    tables: Mapping[int, pd.DataFrame],
    centres: Mapping[int, tuple[float, float]],
    names: Mapping[int, str] | None = None,
) -> Generator[Progress, None, CellResult]:
    """Rank and refine the cells of a stack by its patterns, zones or not, and orient these.

    Parameters
    ----------
    result
        What the zones say.
    tables
        By the number of the pattern, a row a peak: ``x``, ``y`` in pixels and ``intensity``.
    centres
        x and y of the direct beam of each in pixels.
    names
        File and event of each, see `CellResult`.

    Yields
    ------
    Progress

    Returns
    -------
    CellResult
        With `CellResult.matches` and names.
    """
    peaks = gather_peaks(tables, centres, result.nets, result.pixel_size)
    heard = yield from hear_patterns(result.found, peaks, result.sphere_wavelength)
    called = () if names is None else tuple(names[index] for index in peaks.patterns.tolist())
    return replace(result, found=heard.found, matches=heard.matches, names=called)
