"""Bands, planes and zone axes of a solution, drawn over the pattern on view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Vectors
from numpy.typing import NDArray

from napari_diffraction.indexing.overlay import SolutionDrawing, solution_drawing
from napari_diffraction.ui.quiet import set_data

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap

#: So many bands and zone axes are drawn at most.
BANDS, AXES = 12, 7
_ORANGE, _BLUE = "#e69f00", "#b0e4ff"
#: Width of the lines, size of the points, and how far above them their names stand, in parts of
#: the shorter side of a frame.
_LINE, _POINT, _ABOVE = 0.0035, 0.022, 0.045
#: Height and width that a name wants, in the same parts, on a canvas of usual size.
_ROOM = (0.07, 0.19)
#: Where on its line the name of a plane may stand, the best first.
_ALONG = (0.06, 0.94, 0.12, 0.88, 0.2, 0.8, 0.3, 0.7)
_TEXT = 8


class SolutionOverlay:
    """The layers that are drawn over the patterns of a scan.

    Parameters
    ----------
    viewer
        Where the layers are.
    layer
        The patterns.
    name
        Of the scan.
    """

    def __init__(self, viewer: ViewerModel, layer: Image, name: str) -> None:
        self._viewer, self._patterns, self._name = ref(viewer), ref(layer), name
        self._side = float(min(layer.data.shape[-2:]))
        self.bands: Vectors | None = None
        self.axes: Points | None = None
        self.wanted = True
        self._drawn: tuple[Any, ...] = ()

    def show(self, indexed: IndexedMap, index: int) -> None:
        """Draw the solution of a pattern, or nothing where there is none."""
        viewer = self._viewer()
        if viewer is None:
            return
        number = int(indexed.phase[index])
        if not self.wanted or number < 0:
            self.hide()
            return
        # what is drawn already is not drawn again when only the map is recoloured
        turn = indexed.rotation[index].tobytes()
        phase, pc = indexed.phases[number], indexed.pattern_centre
        asked = index, phase.cell, phase.reflectors, phase.structure, pc, turn
        if asked == self._drawn and self._there(self.bands) and self._there(self.axes):
            return
        drawing = solution_drawing(indexed, index, BANDS, AXES)
        if drawing is None or not len(drawing.hkl):
            self.hide()
            return
        active = viewer.layers.selection.active
        self._show_bands(viewer, drawing)
        self._show_names(viewer, drawing)
        self._drawn = asked
        if viewer.layers.selection.active is not active:
            viewer.layers.selection.active = active

    def hide(self) -> None:
        """Show no drawing."""
        self._drawn = ()
        for layer in (self.bands, self.axes):
            if layer is not None and layer.visible:
                layer.visible = False

    def clear(self) -> None:
        """Remove the layers."""
        viewer = self._viewer()
        for layer in (self.bands, self.axes):
            if viewer is not None and layer is not None and layer in viewer.layers:
                viewer.layers.remove(layer)
        self.bands = self.axes = None

    def _place(self, what: str) -> dict[str, Any]:
        patterns = self._patterns()
        assert patterns is not None
        return {
            "name": f"{self._name} - {what}",
            "scale": patterns.scale[-2:],
            "translate": patterns.translate[-2:],
            "metadata": {"map_of": self._name, "napari_diffraction": {"overlay": True}},
        }

    def _there(self, layer: Layer | None) -> bool:
        viewer = self._viewer()
        return viewer is not None and layer is not None and layer in viewer.layers

    def _show_bands(self, viewer: ViewerModel, drawing: SolutionDrawing) -> None:
        if self.bands is None or not self._there(self.bands):
            # of shapes, napari makes a mesh for each, which takes several times as long
            self.bands = viewer.add_vectors(
                np.zeros((0, 2, 2)),
                ndim=2,
                opacity=0.75,
                edge_width=_LINE * self._side,
                edge_color=_ORANGE,
                vector_style="line",
                **self._place("bands of the solution"),
            )
        _appear(self.bands)
        start, end = drawing.ends[:, 0], drawing.ends[:, 1]
        set_data(self.bands, np.stack([start, end - start], axis=1))

    def _show_names(self, viewer: ViewerModel, drawing: SolutionDrawing) -> None:
        """Put dots on the axes, and names on points that cannot be seen.

        Always the same points, those left over without a name: napari draws points that change
        their number together with the sliders from what it knew of the old ones.
        """
        if self.axes is None or not self._there(self.axes):
            self.axes = self._add_names(viewer)
        layer = self.axes
        _appear(layer)
        above = drawing.position - [_ABOVE * self._side, 0]
        named, places = _free_places(drawing.ends, above, self._side)
        names = np.full(2 * AXES + BANDS, "", object)
        points = np.full((2 * AXES + BANDS, 2), -0.5)
        points[: len(above)] = drawing.position
        points[AXES : AXES + len(above)] = above
        points[2 * AXES : 2 * AXES + len(places)] = places
        names[AXES : AXES + len(above)] = [index_text(one, "[]") for one in drawing.uvw.tolist()]
        names[2 * AXES : 2 * AXES + len(places)] = [
            index_text(one, "()") for one in drawing.hkl[named].tolist()
        ]
        seen = np.arange(len(points)) < len(above)
        shown = seen | (names != "")
        set_data(layer, points)
        if (shown != layer.shown).any():
            layer.shown = shown
        layer.features = pd.DataFrame({"name": names})

    def _add_names(self, viewer: ViewerModel) -> Points:
        colours = [_rgba(_BLUE)] * (2 * AXES) + [_rgba(_ORANGE)] * BANDS
        return viewer.add_points(
            np.full((2 * AXES + BANDS, 2), -0.5),
            ndim=2,
            size=[_POINT * self._side] * AXES + [1e-3] * (AXES + BANDS),
            face_color=[_BLUE] * AXES + ["transparent"] * (AXES + BANDS),
            border_color=["black"] * AXES + ["transparent"] * (AXES + BANDS),
            features=pd.DataFrame({"name": [""] * (2 * AXES + BANDS)}),
            text={
                "string": "{name}",
                "color": {"array": np.array(colours)},
                "size": _TEXT,
                "anchor": "center",
            },
            **self._place("planes and zone axes"),
        )


def _appear(layer: Layer) -> None:
    if not layer.visible:  # to say it again would draw it again
        layer.visible = True


def _free_places(
    lines: NDArray[np.float64], taken: NDArray[np.float64], side: float
) -> tuple[list[int], NDArray[np.float64]]:
    """Find a place on each line, near one of its ends, where its name covers no other.

    Returns
    -------
    list of int
        Which lines have such a place; the others go without a name.
    ndarray of float64, (m, 2)
    """
    placed, named = list(taken), []
    for number, (start, end) in enumerate(lines):
        for share in _ALONG:
            one = start + share * (end - start)
            away = np.abs(np.array(placed).reshape(-1, 2) - one) / side
            if not (away < _ROOM).all(axis=1).any():
                placed.append(one)
                named.append(number)
                break
    return named, np.array(placed[len(taken) :]).reshape(-1, 2)


def index_text(indices: list[int], brackets: str) -> str:
    """Write Miller indices as short as can be: (1-10), but [10 2 -1]."""
    between = "" if max(map(abs, indices)) < 10 else " "
    return brackets[0] + between.join(map(str, indices)) + brackets[1]


def _rgba(colour: str) -> tuple[float, float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue, 1.0
