"""The reciprocal lattice of a cell in 3-D: its points, its axes, and the planes of the zones."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Points, Surface, Vectors
from napari.qt import QtViewer
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, QSize, QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_diffraction.ui.unit_cell.lattice_scene import LatticeScene
from napari_diffraction.ui.unit_cell.nets.layers import NET_COLOUR
from napari_diffraction.ui.viewer.vertex_arrays import guard
from napari_diffraction.ui.widgets.panel import sentence

#: Points that no zone has shown, points of zones, points of the zone on view; axes.
_COLOURS = ("#777777", "#56b4e9", NET_COLOUR)
_AXES = "#ffffff"
#: Sizes, in parts of the radius that is shown.
_SIZES = np.array([0.03, 0.04, 0.06])
_LINE, _CIRCLE = 0.02, 0.006
#: Where axes end, in parts of that radius, and where their names stand, in parts of an axis.
_OUTSIDE, _NAMES = 1.15, 1.08
#: From where one looks at first: along no axis.
_ANGLES, _ZOOM_OUT = (10, -35, 55), 0.95


class LatticeView(QWidget):
    """Turns the reciprocal lattice of a cell with the mouse.

    Signals
    -------
    window_closes()
        The window around it is about to close.
    """

    window_closes = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = ViewerModel(title="Reciprocal lattice", ndisplay=3)
        self.model.theme = "dark"  # as patterns are in every theme; white axes need it
        guard(self.model)
        self._canvas = QtViewer(self.model, show_welcome_screen=False)
        self.caption = sentence()
        self._scene: LatticeScene | None = None
        self._place: int | None = None
        self._layers: dict[str, Any] = {}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._canvas, 1)
        layout.addWidget(self.caption)

    def sizeHint(self) -> QSize:
        """Ask for as much as leaves room for the patterns in a 1,280 pixel window."""
        return QSize(360, 420)

    # -- showing --------------------------------------------------------------------------------
    def show_scene(self, scene: LatticeScene, caption: str) -> None:
        """Show a lattice in the place of the one before."""
        self._scene = scene
        self.caption.setText(caption)
        first = not self._layers
        if first:
            self._layers = self._make()
        # beyond all points, which would hide the names
        tips = _OUTSIDE * scene.radius * scene.axes / np.linalg.norm(scene.axes, axis=1)[:, None]
        layers = self._layers
        layers["planes"].data = scene.circles()
        layers["planes"].edge_width = _CIRCLE * scene.radius
        layers["axes"].data = np.stack([np.zeros((3, 3)), tips], axis=1)
        layers["axes"].edge_width = _LINE * scene.radius
        layers["names"].data = _NAMES * tips
        layers["names"].size = 1e-3 * scene.radius
        layers["points"].data = scene.points
        self._place = -1  # drawn anew in any case
        self.highlight(None)
        if first:
            self._fit()

    def picture(self) -> NDArray[np.uint8]:
        """Return what is seen, (height, width, 4)."""
        return np.asarray(self._canvas.screenshot(flash=False))

    def _fit(self) -> None:
        """Show all of the lattice."""
        if self._layers:
            self.model.reset_view()
            self.model.scene.camera.angles = _ANGLES
            self.model.scene.camera.zoom *= _ZOOM_OUT

    def showEvent(self, event: QShowEvent) -> None:
        """Fit the lattice to the room there is, which is known only after the dock has it."""
        super().showEvent(event)
        QTimer.singleShot(0, self._fit)

    def highlight(self, place: int | None) -> None:
        """Show the plane of one zone, by its place among the normals, or of none."""
        if self._scene is None or place == self._place:
            return
        self._place = place
        scene, points, disc = self._scene, self._layers["points"], self._layers["disc"]
        kind = scene.on_zone.astype(int)
        if place is not None:
            kind[scene.of_plane(place)] = 2
            disc.data = (*scene.disc(place), np.ones(len(scene.circle(place)) + 1))
        disc.visible = place is not None
        points.face_color = transform_color(list(_COLOURS))[kind]
        points.size = _SIZES[kind] * scene.radius

    def _make(self) -> dict[str, Any]:
        none = np.zeros((3, 3))
        layers = {
            "points": Points(none, name="lattice points", border_width=0, shading="spherical"),
            "planes": Vectors(
                none[:, None].repeat(2, axis=1), name="planes of the zones",
                edge_color=_COLOURS[1], opacity=0.6, vector_style="line",
            ),
            "disc": Surface(
                (none, np.array([[0, 1, 2]]), np.ones(3)), name="plane on view",
                colormap="orange", contrast_limits=(0, 1), opacity=0.3, shading="none",
            ),
            "axes": Vectors(
                none[:, None].repeat(2, axis=1), name="axes", edge_color=_AXES,
                vector_style="arrow", blending="translucent_no_depth",
            ),
            "names": Points(
                none, name="names of the axes", face_color="transparent", border_width=0,
                blending="translucent_no_depth",
                text={"string": {"array": np.array(["a*", "b*", "c*"])}, "size": 12,
                      "color": _AXES, "anchor": "center"},
            ),
        }  # fmt: skip
        for layer in layers.values():
            self.model.add_layer(layer)
        return layers

    def go_with(self, window: QWidget) -> None:
        """Tell when a window is about to close; a canvas that is left in it is never let go."""
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """See the window close."""
        if event.type() == QEvent.Type.Close:
            self.window_closes.emit()
        return False

    def release(self) -> None:
        """Let go of the canvas; the view is of no use any more."""
        self._canvas.close()
        self.deleteLater()
