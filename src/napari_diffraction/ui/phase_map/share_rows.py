"""Rows of a name, a bar in its colour and a share: a legend, or the probabilities of a pattern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

_SWATCH = 12


@dataclass(frozen=True)
class ShareRow:
    """A row.

    Attributes
    ----------
    title
        What is named.
    colour
        As ``#RRGGBB``.
    share
        From 0 to 1.
    """

    title: str
    colour: str
    share: float


class ShareRows(QWidget):
    """Draws rows below one another, each as wide as the widget."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.rows: list[ShareRow] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def _line(self) -> int:
        return self.fontMetrics().height() + 5

    def sizeHint(self) -> QSize:
        """Ask for all rows."""
        return QSize(120, max(1, len(self.rows)) * self._line)

    def set_rows(self, rows: Sequence[ShareRow]) -> None:
        """Show other rows."""
        if list(rows) != self.rows:
            self.rows = list(rows)
            said = ", ".join(f"{row.title} {row.share:.1%}" for row in self.rows)
            self.setAccessibleDescription(said)
            self.updateGeometry()
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw swatches, names, shares and thin bars in the colours of the theme."""
        painter = QPainter(self)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        frame = QColor(ink)
        frame.setAlphaF(0.3)
        for number, row in enumerate(self.rows):
            area = QRectF(0, number * self._line, self.width(), self._line)
            swatch = QRectF(1, area.center().y() - _SWATCH / 2, _SWATCH, _SWATCH)
            painter.fillRect(swatch, QColor(row.colour))
            text = area.adjusted(_SWATCH + 7, 0, 0, -3)
            bar = QRectF(text.left(), area.bottom() - 4, row.share * text.width(), 3)
            painter.fillRect(bar, QColor(row.colour))
            painter.setPen(frame)
            painter.drawRect(swatch)
            painter.setPen(ink)
            said = f"{row.share:.1%}"
            room = text.width() - self.fontMetrics().horizontalAdvance(said) - 6
            name = self.fontMetrics().elidedText(
                row.title, Qt.TextElideMode.ElideRight, max(0, int(room))
            )
            middle = Qt.AlignmentFlag.AlignVCenter
            painter.drawText(text, Qt.AlignmentFlag.AlignLeft | middle, name)
            painter.drawText(text, Qt.AlignmentFlag.AlignRight | middle, said)
        painter.end()
