"""napari's own table of features: opening it, and telling it of one changed row."""

from __future__ import annotations

from typing import Any

from napari.components import ViewerModel
from napari.layers import Layer, Points
from napari.utils.notifications import show_error
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QMainWindow, QTableView

_TITLE = ("napari", "Features table widget")


def open_table(viewer: ViewerModel, layer: Points) -> None:
    """Open napari's table with the rows of a layer."""
    window = getattr(viewer, "window", None)
    if window is not None:
        try:
            dock, _ = window.add_plugin_dock_widget(*_TITLE)
        except (KeyError, ValueError):
            show_error("This napari has no table of features: update it to see the table.")
            return
        main = dock.window()
        if isinstance(main, QMainWindow):  # a table is wide: below the patterns, not beside them
            main.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, dock)
        viewer.layers.selection.active = layer


def scroll_to(layer: Points, row: int) -> None:
    """Bring a row into sight wherever napari's table shows the layer; it does not do so itself."""
    for table, model in _tables_of(layer):
        table.scrollTo(table.model().mapFromSource(model.index(row, 0)))


def show_row(layer: Points, row: int) -> None:
    """Show the new values of one row wherever napari's table shows the layer.

    The event that says so makes the table copy and measure all rows, which takes 0.4 s where
    there are 100,000; writing the few cells takes none.
    """
    features = layer.features
    for _, model in _tables_of(layer):
        for number, name in enumerate(features.columns):
            if name in ("label", "reviewed"):
                model.setData(model.index(row, number + 1), features.iat[row, number])


def _tables_of(layer: Points) -> list[tuple[QTableView, Any]]:
    """Return napari's open tables with the rows of a layer, and their models."""
    windows = QApplication.topLevelWidgets()
    found = []
    for table in {view for window in windows for view in window.findChildren(QTableView)}:
        model = getattr(table.model(), "sourceModel", lambda: None)()
        shown, features = getattr(model, "df", None), layer.features
        if shown is None or len(shown) != len(features) or _layers_in(table) != [layer]:
            continue
        if list(shown.columns) == list(features.columns):
            found.append((table, model))
    return found


def _layers_in(table: QTableView) -> list[Layer]:
    """Return the layers whose rows a table of napari shows.

    Tables of two layers may look alike, and what is written into one goes into its layer.
    """
    parent = table.parentWidget()
    while parent is not None and not hasattr(parent, "_selected_layers"):
        parent = parent.parentWidget()
    return [] if parent is None else list(parent._selected_layers)
