"""The frame of a panel: it scrolls, is narrow enough for a laptop, and names its parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QGroupBox,
    QLabel,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_diffraction.ui.widgets.fields import leave_the_wheel

W = TypeVar("W", bound=QWidget)


class Panel(QWidget):
    """A widget for napari's dock whose content scrolls where the window is too small.

    Signals
    -------
    closed()
        A person has closed the panel, which is over then.
    """

    closed = Signal()

    def __init__(self) -> None:
        super().__init__()
        content = QWidget()
        self.content = QVBoxLayout(content)
        self.content.setContentsMargins(6, 6, 6, 6)
        self.content.setSpacing(8)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        area.setWidget(content)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(area)
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Ask for a column that leaves most of a 1,280 pixel window to the patterns."""
        return QSize(340, 640)

    def changeEvent(self, event: QEvent) -> None:
        """End with the dock: napari leaves a closed panel to Python, where it may go on."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.closed.emit()
            self.deleteLater()

    def listen(self, signal: Any, slot: Callable[..., None]) -> None:
        """Connect a slot to a signal of the coordinator until the panel is destroyed."""
        signal.connect(slot)

        def leave() -> None:
            signal.disconnect(slot, missing_ok=True)

        self.destroyed.connect(leave)


def named(widget: W, name: str, tip: str) -> W:
    """Give a widget its tooltip and its name for screen readers."""
    widget.setAccessibleName(name)
    widget.setToolTip(tip)
    if isinstance(widget, QComboBox | QAbstractSpinBox):
        leave_the_wheel(widget)
    return widget


def button(text: str, tip: str, slot: Callable[..., Any]) -> QPushButton:
    """Make a button that does not take the keyboard away from the patterns."""
    made = named(QPushButton(text), text, tip)
    made.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    made.clicked.connect(lambda: slot())
    return made


def group(title: str) -> tuple[QGroupBox, QVBoxLayout]:
    """Make a titled box and the column in it."""
    box = QGroupBox(title)
    column = QVBoxLayout(box)
    column.setContentsMargins(6, 6, 6, 6)
    return box, column


def plain() -> tuple[QWidget, QVBoxLayout]:
    """Make a box without a frame and the column in it."""
    box = QWidget()
    column = QVBoxLayout(box)
    column.setContentsMargins(0, 0, 0, 0)
    return box, column


def form() -> QFormLayout:
    """Make a form whose fields go below their labels where the panel is narrow."""
    made = QFormLayout()
    made.setContentsMargins(0, 0, 0, 0)
    made.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    made.setRowWrapPolicy(QFormLayout.RowWrapPolicy.DontWrapRows)
    return made


def sentence(text: str = "") -> QLabel:
    """Make a label that breaks its lines."""
    label = QLabel(text)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label
