"""A figure of a phase map: colours, legend with area shares, scale bar."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from napari_diffraction.analysis.maps.phase_map import DEFAULT_THRESHOLD, NOT_INDEXED, PhaseMap
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR, class_colour, class_title

#: Longer side of the map in inches.
_SIDE = 5.0


def map_colours(phase_map: PhaseMap) -> NDArray[np.float64]:
    """Return the colour of every value of a map's labels, (k + 1, 3), 0 to 1."""
    named = [class_colour(name, phase_map.classes) for name in phase_map.classes]
    return np.array([to_rgb(colour) for colour in (NOT_INDEXED_COLOUR, *named)])


def map_figure(phase_map: PhaseMap, threshold: float = DEFAULT_THRESHOLD) -> Figure:
    """Draw a map with its legend and a scale bar.

    Parameters
    ----------
    phase_map
        The map.  Points that are not classified yet are white.
    threshold
        Points with less confidence are "not indexed".

    Returns
    -------
    Figure
        To be saved with ``bbox_inches="tight"``: legend and scale bar lie outside the map's frame.
    """
    colours = map_colours(phase_map)
    picture = colours[phase_map.labels(threshold)]
    picture[~phase_map.done.reshape(phase_map.shape)] = 1.0
    dy, dx = phase_map.step or (1.0, 1.0)
    height, width = phase_map.shape[0] * dy, phase_map.shape[1] * dx
    longer = max(height, width)
    # A line scan is drawn as a band that can still be seen.
    tall, wide = (max(_SIDE * side / longer, 0.4) for side in (height, width))
    shares = phase_map.shares(threshold)
    figure = Figure(figsize=(wide, tall))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
    axes.set_axis_off()
    draw_scale_bar(axes, width, tall, known=phase_map.step is not None)
    handles = [
        Patch(
            facecolor=tuple(colours[phase_map.classes.index(name) + 1])
            if name != NOT_INDEXED
            else NOT_INDEXED_COLOUR,
            edgecolor="0.3",
            linewidth=0.5,
            label=f"{share:.1%}  {class_title(name)}",
        )
        for name, share in shares.items()
    ]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        borderaxespad=0.2,
    )
    return figure


def draw_scale_bar(axes: Axes, width: float, tall: float, *, known: bool) -> None:
    """Draw a bar of a round length, about a quarter of the map, below the map.

    Parameters
    ----------
    axes
        Of the map, which fills it.
    width
        Of the map in um, or in points.
    tall
        Height of the axes in inches.
    known
        Whether the width is in um.
    """
    length = round_length(width / 4)
    unit = "µm" if known else "points"
    bar = Rectangle(
        (0, -0.2 / tall),
        length / width,
        0.06 / tall,
        transform=axes.transAxes,
        facecolor="black",
        clip_on=False,
    )
    axes.add_patch(bar)
    axes.text(
        length / width / 2,
        -0.24 / tall,
        f"{length:g} {unit}",
        transform=axes.transAxes,
        ha="center",
        va="top",
    )


def round_length(length: float) -> float:
    """Return the largest of 1, 2 or 5 times a power of ten that is not above a length."""
    power = 10.0 ** np.floor(np.log10(length))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length * (1 + 1e-9)))
