"""What a person does with the mouse, for tests of the window."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget


def click(widget: QWidget) -> None:
    """Click into the middle of a widget."""
    QTest.mouseClick(widget, Qt.MouseButton.LeftButton)


def tick(box: QWidget) -> None:
    """Click on the mark of a box, as its middle may have no text."""
    place = box.rect().center()
    place.setX(8)
    QTest.mouseClick(box, Qt.MouseButton.LeftButton, pos=place)


def stop_following(qtbot, panel, timeout: int = 120_000) -> None:
    """End the following of what is added to an input, and wait until all is over."""
    with qtbot.waitSignal(panel.bar.finished, timeout=timeout):
        tick(panel.follow.switch)
