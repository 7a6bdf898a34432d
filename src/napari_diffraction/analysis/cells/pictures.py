"""Pictures of a solved stack: zones under the nets of a cell, patterns under its spots."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.indexing.zones.overlay import nodes, oriented_spots, predicted
from napari_diffraction.indexing.zones.witness import phase_of
from napari_diffraction.patterns.display import contrast_limits
from napari_diffraction.patterns.stack import PatternStack

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Most pictures of each kind, and how many stand in a row.
_MOST, _ROW = 8, 4
#: Measured nets and predicted spots, as in the viewer.
_NET, _SPOT = "#E69F00", "#56B4E9"


def zone_pictures(result: CellResult, stack: PatternStack) -> Figure | None:
    """Draw the best zones: with the net of the first cell, or where there is none, their own.

    Returns
    -------
    Figure or None
        ``None`` where no zone shows a net.
    """
    fits = result.nets.fits
    explained = {
        result.patterns[zone.net]: (cell, zone)
        for phase in reversed(result.found.phases)
        for cell in phase[:1]
        for zone in cell.zones
    }
    order = sorted(fits, key=lambda index: (index not in explained, -fits[index].used.sum()))
    if not order:
        return None
    figure, places = _figure(min(len(order), _MOST))
    for axes, index in zip(places, order, strict=False):
        _show(axes, stack, index)
        fit, title, colour = fits[index], f"pattern {index}, not explained", _NET
        if index in explained:
            cell, zone = explained[index]
            fit, _ = predicted(fit, zone, cell.cell, result.pixel_size, result.nets.ellipse)
            title, colour = f"pattern {index}, [{' '.join(map(str, zone.uvw))}]", _SPOT
        xy, _ = nodes(fit)
        _rings(axes, xy, colour)
        axes.set_title(title, fontsize=8)
    return figure


def pattern_pictures(
    result: CellResult, stack: PatternStack, tables: Mapping[int, pd.DataFrame]
) -> Figure | None:
    """Draw patterns that are no zones with the spots that their cells have there.

    Parameters
    ----------
    result
        What was found.
    stack
        The patterns.
    tables
        By the number of the pattern, a row a peak: ``x``, ``y`` in pixels.

    Returns
    -------
    Figure or None
        ``None`` where no pattern is indexed.
    """
    if not result.matches:
        return None
    phase = phase_of(result.matches)
    numbers = result.matches[0].peaks.patterns
    there = np.flatnonzero(phase >= 0)
    if not len(there):
        return None
    others = np.array([place for place in there if int(numbers[place]) not in result.nets.fits])
    chosen = others if len(others) else there
    chosen = chosen[np.unique(np.linspace(0, len(chosen) - 1, _MOST).astype(int))]
    figure, places = _figure(len(chosen))
    for axes, place in zip(places, chosen.tolist(), strict=False):
        index, match = int(numbers[place]), result.matches[phase[place]]
        cell = result.found.phases[phase[place]][0]
        xy, _ = oriented_spots(
            cell.cell,
            cell.lattice,
            match,
            place,
            tables[index][["x", "y"]].to_numpy(float),
            result.pixel_size,
            result.nets.ellipse,
            result.sphere_wavelength,
        )
        _show(axes, stack, index)
        _rings(axes, xy, _SPOT)
        peaks = int(match.peaks.counts[place])
        title = f"pattern {index}, {int(match.matched[place])} of {peaks} peaks"
        axes.set_title(title, fontsize=8)
    return figure


def _figure(n: int) -> tuple[Figure, list[Axes]]:
    from matplotlib.figure import Figure

    rows = -(-n // _ROW)
    figure = Figure(figsize=(2.6 * _ROW, 2.8 * rows), layout="constrained")
    places = list(np.atleast_1d(figure.subplots(rows, _ROW)).flat)
    for axes in places:
        axes.set_axis_off()
    return figure, places[:n]


def _show(axes: Axes, stack: PatternStack, index: int) -> None:
    frame = stack.frame(index)
    low, high = contrast_limits(frame)
    axes.imshow(frame, cmap="gray", vmin=low, vmax=high)
    height, width = frame.shape
    axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))


def _rings(axes: Axes, xy: np.ndarray, colour: str) -> None:
    axes.scatter(xy[:, 0], xy[:, 1], s=14, facecolors="none", edgecolors=colour, linewidths=0.6)
