"""The dock that holds the reciprocal lattice in 3-D, below the patterns."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from napari_diffraction.ui.unit_cell.lattice_view import LatticeView
from napari_diffraction.ui.unit_cell.stack_cells import StackCells

#: Height in pixels that leaves as much to the patterns in a window of 800.
_HEIGHT = 330
_CORNERS = (
    (Qt.Corner.BottomLeftCorner, Qt.DockWidgetArea.LeftDockWidgetArea),
    (Qt.Corner.BottomRightCorner, Qt.DockWidgetArea.RightDockWidgetArea),
)


class LatticeDock:
    """Opens the 3-D view where it is wanted, and keeps it in step with the chosen cell.

    Parameters
    ----------
    panel
        The view goes when it does.
    viewer
        The viewer of the patterns.
    """

    def __init__(self, panel: QWidget, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self.view: LatticeView | None = None
        panel.destroyed.connect(self.close)

    def open(self, known: StackCells) -> None:
        """Show the lattice of the chosen cell, in the dock that is there or in a new one."""
        window = getattr(self._viewer, "window", None)
        if window is None:
            return
        if self.view is not None and self.view.parentWidget() is None:
            self._release()  # somebody closed its dock
        if self.view is None:
            self.view = LatticeView()
            # below the patterns, since both are square and a laptop's window is narrow for three
            dock = window.add_dock_widget(self.view, name="Reciprocal lattice", area="bottom")
            main = dock.parentWidget()
            self.view.go_with(main)
            self.view.window_closes.connect(self.close)
            for corner, area in _CORNERS:  # the panel keeps its height
                main.setCorner(corner, area)
            main.resizeDocks([dock], [_HEIGHT], Qt.Orientation.Vertical)
        else:
            self.view.parentWidget().show()
            self.view.parentWidget().raise_()
        self.show_scene(known)

    def show_scene(self, known: StackCells) -> None:
        """Show the lattice of the chosen cell, if the view is open."""
        scene = known.scene()
        if self.view is not None and scene is not None and known.cell is not None:
            numbers = " ".join(f"{value:.4g}" for value in known.cell.cell.parameters)
            self.view.show_scene(scene, f"{known.cell.lattice}: {numbers}. Drag to turn.")

    def highlight(self, known: StackCells, index: int | None) -> None:
        """Show the plane of the zone on view."""
        if self.view is not None:
            self.view.highlight(known.plane(index))

    def _release(self) -> None:
        view, self.view = self.view, None
        if view is not None:
            view.release()

    def close(self, _: Any = None) -> None:
        """Take the dock away with the panel or the window."""
        view, window = self.view, getattr(self._viewer, "window", None)
        with suppress(RuntimeError):
            if view is not None and window is not None and view.parentWidget() is not None:
                window.remove_dock_widget(view)
            self._release()
