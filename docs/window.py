"""Help to take pictures of a napari window while it is used."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

IMAGES = Path(__file__).parent / "images"
PLUGIN = "napari-diffraction"


def wait(ready: Callable[[], bool], seconds: float = 300) -> None:
    """Let the window live until something is ready."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            sys.exit("The window did not get ready in time.")
        QApplication.processEvents()
        time.sleep(0.01)


def rest(seconds: float) -> None:
    """Let the window live for a while."""
    end = time.monotonic() + seconds
    wait(lambda: time.monotonic() > end)


def take(viewer: object, name: str) -> None:
    """Write a picture of the whole window."""
    from qtpy.QtWidgets import QApplication

    # Notifications would cover the patterns.
    for notification in viewer.window._qt_window.findChildren(notification_type()):
        notification.close()
    rest(1)
    QApplication.processEvents()
    IMAGES.mkdir(exist_ok=True)
    viewer.screenshot(str(IMAGES / f"{name}.png"), canvas_only=False, flash=False)


def classified(viewer: object, layer: object, model: str) -> object:
    """Sort the patterns of a layer in the panel Classify patterns, and return the panel."""
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Classify patterns")
    panel.layer.choose(layer)
    panel.model.choose(model)
    panel.run()
    wait(lambda: not panel.bar.running)
    return panel


def notification_type() -> type:
    """Return the class of napari's notifications."""
    from napari._qt.dialogs.qt_notification import NapariQtNotification

    return NapariQtNotification


def scroll_area_type() -> type:
    """Return the class of the area that scrolls a panel."""
    from qtpy.QtWidgets import QScrollArea

    return QScrollArea
