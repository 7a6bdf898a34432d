"""A figure of an indexed scan: its phases, its orientations, and what the colours mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from napari_diffraction.analysis.indexed.ipf import ipf_colours, ipf_group, ipf_key
from napari_diffraction.analysis.indexed.phases import phase_colours
from napari_diffraction.analysis.indexed.words import cell_text
from napari_diffraction.analysis.maps.picture import draw_scale_bar
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap

#: Longer side of a map, gap between maps, and width and height of a key, in inches.
_SIDE, _GAP, _KEY = 5.0, 0.3, 1.3
#: Keys drawn: those of the largest phases.
_KEYS = 4
#: The misfits shown reach up to this, degrees.
_WORST = 2.0


def phase_picture(indexed: IndexedMap) -> NDArray[np.float64]:
    """Colours of the phases, (rows, columns, 3); points not looked at are white."""
    colours = np.array([to_rgb(one) for one in (*phase_colours(indexed), NOT_INDEXED_COLOUR)])
    return _on_grid(indexed, colours[indexed.phase])


def indexed_figure(indexed: IndexedMap) -> Figure:
    """Draw the map of the phases beside that of the orientations (inverse pole figure, normal).

    Parameters
    ----------
    indexed
        An indexed scan.

    Returns
    -------
    Figure
        To be saved with ``bbox_inches="tight"``: legend, keys and scale bar lie outside its frame.
    """
    rows, columns = indexed.shape
    dy, dx = indexed.step or (1.0, 1.0)
    height, width = rows * dy, columns * dx
    # A line scan is drawn as a band that can still be seen.
    tall, wide = (max(_SIDE * side / max(height, width), 0.4) for side in (height, width))
    total = 2 * wide + _GAP
    figure = Figure(figsize=(total, tall))
    pictures = (
        ("Phases", phase_picture(indexed)),
        ("Crystal direction along the normal", _on_grid(indexed, ipf_colours(indexed, "z"))),
    )
    for place, (title, picture) in enumerate(pictures):
        left = place * (wide + _GAP) / total
        axes = figure.add_axes((left, 0, wide / total, 1), label=title)
        axes.imshow(picture, extent=(0, width, height, 0), interpolation="nearest", aspect="auto")
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
        if place == 0:
            draw_scale_bar(axes, width, tall, known=indexed.step is not None)
        else:
            _legend(axes, indexed)
    _below(figure, indexed, total, tall)
    return figure


def _on_grid(indexed: IndexedMap, colours: NDArray[np.float64]) -> NDArray[np.float64]:
    picture = np.where(indexed.done[:, None], colours, 1.0)
    return picture.reshape(*indexed.shape, 3)


def _legend(axes: Axes, indexed: IndexedMap) -> None:
    entries = [
        (colour, f"{phase.share:.1%}  {phase.name}, {phase.lattice}\n{cell_text(phase)}")
        for phase, colour in zip(indexed.phases, phase_colours(indexed), strict=True)
    ]
    entries.append((NOT_INDEXED_COLOUR, f"{indexed.not_indexed:.1%}  not indexed"))
    handles = [
        Patch(facecolor=colour, edgecolor="0.3", linewidth=0.5, label=text)
        for colour, text in entries
    ]
    axes.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.0),
        frameon=False,
        borderaxespad=0.2,
    )


def _below(figure: Figure, indexed: IndexedMap, total: float, tall: float) -> None:
    """Draw the keys of the largest phases and the misfits below the maps."""
    keys: dict[str, list[str]] = {}
    for phase in indexed.phases:
        keys.setdefault(ipf_group(phase), []).append(phase.name)
    low = -(_KEY + 0.95) / tall
    step = (_KEY + 0.7) / total
    for place, (laue, names) in enumerate(list(keys.items())[:_KEYS]):
        box = (place * step + 0.3 / total, low, _KEY / total, _KEY / tall)
        axes = figure.add_axes(box, label=f"key {laue}")
        key = ipf_key(laue, 240)
        axes.imshow(key.image)
        for name, x, y in key.labels:
            above = y < key.image.shape[0] / 2
            axes.annotate(
                name,
                (x, y),
                (0, 4 if above else -4),
                textcoords="offset points",
                ha="center",
                va="bottom" if above else "top",
                fontsize=7,
                annotation_clip=False,
            )
        axes.set_title(f"{', '.join(names)} ({laue})", fontsize=8, pad=14)
        axes.set_axis_off()
    misfit = indexed.misfit_deg[np.isfinite(indexed.misfit_deg)]
    if len(misfit):
        left = min(len(keys), _KEYS) * step + 0.4 / total
        axes = figure.add_axes((left, low, 1.6 * _KEY / total, _KEY / tall), label="misfit")
        axes.hist(np.minimum(misfit, _WORST), bins=40, range=(0, _WORST), color="0.4")
        axes.set_xlabel("misfit (degrees)", fontsize=8)
        axes.set_yticks([])
        axes.tick_params(labelsize=7)
        for side in ("left", "right", "top"):
            axes.spines[side].set_visible(False)
