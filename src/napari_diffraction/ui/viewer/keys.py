"""The keys of the review, which work whatever layer is active.

napari's layers take the number keys for their tools (1 even deletes the selected points), and
they come before keys bound to the viewer.  A Qt shortcut of the window comes before both, and
still leaves the keys to a field into which somebody types.
"""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget


class ReviewKeys:
    """Keys of a panel's window, in force only while they are switched on.

    Parameters
    ----------
    panel
        The panel that the keys belong to.
    actions
        What each key does.
    """

    def __init__(self, panel: QWidget, actions: dict[str, Callable[[], object]]) -> None:
        self._panel, self._actions = panel, actions
        self._shortcuts: list[QShortcut] = []

    def switch(self, on: bool) -> None:
        """Take the keys, or give them back to napari."""
        if on == bool(self._shortcuts):
            return
        for shortcut in self._shortcuts:
            shortcut.setEnabled(False)
            shortcut.deleteLater()
        self._shortcuts = [self._shortcut(key) for key in self._actions] if on else []

    def _shortcut(self, key: str) -> QShortcut:
        # Of the main window, so that keys also work while the panel floats outside of it.
        window = self._panel.window()
        main = window if window.parentWidget() is None else window.parentWidget().window()
        shortcut = QShortcut(QKeySequence(key), main)
        shortcut.setContext(Qt.ShortcutContext.WindowShortcut)
        shortcut.setAutoRepeat(False)
        shortcut.activated.connect(lambda: self._actions[key]())
        return shortcut
