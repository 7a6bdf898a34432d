"""Bands, planes and zone axes of a solution, drawn over the pattern on view."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Vectors
from numpy.typing import NDArray

from napari_diffraction.indexing.overlay import SolutionDrawing, solution_drawing
from napari_diffraction.learning.palette import OKABE_ITO
from napari_diffraction.ui.viewer.quiet import choice_kept, set_data
from napari_diffraction.ui.viewer.strokes import index_strokes, index_text, ring

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation

FloatArray = NDArray[np.float64]

#: So many bands and zone axes are drawn at most.
BANDS, AXES = 12, 7
_ORANGE, _BLUE, _YELLOW = OKABE_ITO[0], "#b0e4ff", OKABE_ITO[6]
#: Width of the lines, size of the rings, height of the digits, and how far above a ring its name
#: stands, in parts of the shorter side of a frame.
_LINE, _RING, _DIGIT, _ABOVE = 0.005, 0.022, 0.04, 0.055
#: Height and width that a name wants, in the same parts.
_ROOM = (0.075, 0.19)
#: Where on its line the name of a plane may stand, the best first.
_ALONG = (0.06, 0.94, 0.12, 0.88, 0.2, 0.8, 0.3, 0.7)
#: Always as many strokes, those left over without length, so that their colours stay: bands, their
#: names, zone axes with theirs, and the edges of a band that is marked.
_BAND = slice(0, BANDS)
_NAMES = slice(BANDS, BANDS + 24 * BANDS)
_ZONES = slice(_NAMES.stop, _NAMES.stop + 32 * AXES)
_MARK = slice(_ZONES.stop, _ZONES.stop + 2)


class SolutionOverlay:
    """The layer that is drawn over the patterns of a scan.

    All of it is one layer of vectors: napari takes long to add a layer and to draw text.

    Parameters
    ----------
    viewer
        Where the layer is.
    layer
        The patterns.
    navigation
        Of the scan: the layer is shown only together with the patterns.
    name
        Of the scan.
    """

    def __init__(
        self, viewer: ViewerModel, layer: Image, navigation: ScanNavigation, name: str
    ) -> None:
        self._viewer, self._patterns, self._name = ref(viewer), ref(layer), name
        self._navigation = navigation
        self._side = float(min(layer.data.shape[-2:]))
        self.lines: Vectors | None = None
        #: What is written, and where: row and column of its middle.
        self.names: dict[str, FloatArray] = {}
        self.wanted = True
        self._drawn: tuple[Any, ...] = ()
        self._strokes = np.zeros((_MARK.stop, 2, 2))

    def show(self, indexed: IndexedMap, index: int) -> None:
        """Draw the solution of a pattern, or nothing where there is none."""
        number = int(indexed.phase[index])
        asked: tuple[Any, ...] = (index,)
        if self.wanted and number >= 0:
            # what is drawn already is not drawn again when only the map is recoloured
            turn = indexed.rotation[index].tobytes()
            phase, pc = indexed.phases[number], indexed.pattern_centre
            asked = index, phase.cell, phase.reflectors, phase.structure, pc, turn
        if asked == self._drawn and self._there:
            return
        drawing = solution_drawing(indexed, index, BANDS, AXES) if len(asked) > 1 else None
        self._strokes[: _MARK.start] = 0
        if asked[:1] != self._drawn[:1]:
            self._strokes[_MARK] = 0
        self._drawn = asked
        self.names = {}
        if drawing is not None:
            self._write(drawing)
        self._draw()

    def hide(self) -> None:
        """Draw nothing until a pattern is shown again."""
        self._strokes[:], self._drawn, self.names = 0, (), {}
        self._draw()

    def mark(self, edges: FloatArray | None) -> None:
        """Mark a band until another pattern is shown.

        Parameters
        ----------
        edges : ndarray of float64, (2, 2, 2) or None
            Row and column of both ends of both edges; ``None``: no band.
        """
        self._strokes[_MARK] = 0 if edges is None else _vectors(edges)
        self._draw()

    def clear(self) -> None:
        """Remove the layer."""
        viewer = self._viewer()
        if viewer is not None and self.lines is not None and self.lines in viewer.layers:
            viewer.layers.remove(self.lines)
        self.lines = None

    @property
    def _there(self) -> bool:
        viewer = self._viewer()
        return viewer is not None and self.lines is not None and self.lines in viewer.layers

    def _write(self, drawing: SolutionDrawing) -> None:
        side = self._side
        self._strokes[: len(drawing.ends)] = _vectors(drawing.ends)
        above = drawing.position - [_ABOVE * side, 0]
        named, places = _free_places(drawing.ends, above, side)
        planes = [tuple(one) for one in drawing.hkl[named].tolist()]
        zones = [tuple(one) for one in drawing.uvw.tolist()]
        rings = [_at(ring() * _RING * side, one) for one in drawing.position]
        self._fill(_NAMES, self._named(planes, "()", places))
        self._fill(_ZONES, rings + self._named(zones, "[]", above))

    def _named(
        self, indices: list[tuple[int, ...]], brackets: str, places: FloatArray
    ) -> list[FloatArray]:
        written = []
        for one, place in zip(indices, places, strict=True):
            self.names[index_text(one, brackets)] = place
            written.append(_at(index_strokes(one, brackets) * _DIGIT * self._side, place))
        return written

    def _fill(self, where: slice, written: list[FloatArray]) -> None:
        """Put strokes in their places; names for which no room is left are left out."""
        place = where.start
        for strokes in written:
            if place + len(strokes) <= where.stop:
                self._strokes[place : place + len(strokes)] = strokes
                place += len(strokes)

    def _draw(self) -> None:
        viewer, patterns = self._viewer(), self._patterns()
        if viewer is None or patterns is None:
            return
        if not self._strokes.any():
            if self.lines is not None:
                self._navigation.set_visible(self.lines, False)
            return
        if self.lines is None or not self._there:
            self.lines = self._make(patterns)
            # known before it is inserted, which may move the sliders and ask for it again
            with choice_kept(viewer):
                viewer.layers.append(self.lines)
            self._navigation.go_with(self.lines)
            return
        if not self.lines.visible:  # to say it again would draw it again
            with self.lines._block_refresh():
                self._navigation.set_visible(self.lines, True)
        set_data(self.lines, self._strokes.copy(), thumbnail=False)

    def _make(self, patterns: Image) -> Vectors:
        colours = np.full(_MARK.stop, _ORANGE, object)
        colours[_ZONES], colours[_MARK] = _BLUE, _YELLOW
        # of shapes, napari makes a mesh for each, which takes several times as long
        return Vectors(
            self._strokes.copy(),
            ndim=2,
            opacity=0.9,
            edge_width=_LINE * self._side,
            edge_color=colours.tolist(),
            vector_style="line",
            name=f"{self._name} - bands of the solution",
            scale=patterns.scale[-2:],
            translate=patterns.translate[-2:],
            metadata={"map_of": self._name, "napari_diffraction": {"overlay": True}},
        )


def _vectors(ends: FloatArray) -> FloatArray:
    return np.stack([ends[:, 0], ends[:, 1] - ends[:, 0]], axis=1)


def _at(strokes: FloatArray, place: FloatArray) -> FloatArray:
    """Move strokes from the origin to a place."""
    return np.stack([strokes[:, 0] + place, strokes[:, 1]], axis=1)


def _free_places(lines: FloatArray, taken: FloatArray, side: float) -> tuple[list[int], FloatArray]:
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
