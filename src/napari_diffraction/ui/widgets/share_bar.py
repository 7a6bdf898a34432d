"""A bar that shows a share; Qt's own progress bar redraws the window at once, at every step."""

from __future__ import annotations

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget


class ShareBar(QWidget):
    """A framed bar, filled from the left, with an optional text.

    Parameters
    ----------
    colour
        As ``#RRGGBB``; ``None``: the theme's highlight.
    """

    def __init__(self, colour: str | None = None, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._colour = colour
        self.share, self.text = 0.0, ""
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Ask for a line of text."""
        return QSize(60, self.fontMetrics().height() + 4)

    def show_share(self, share: float, text: str = "") -> None:
        """Show a share from 0 to 1."""
        if (share, text) != (self.share, self.text):
            self.share, self.text = share, text
            self.setAccessibleDescription(text or f"{share:.0%}")
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame, the share and the text."""
        painter = QPainter(self)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        highlight = self.palette().color(QPalette.ColorRole.Highlight)
        fill = QColor(self._colour) if self._colour else highlight
        area = QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        filled = QRectF(area.left(), area.top(), self.share * area.width(), area.height())
        painter.fillRect(filled, fill)
        frame = QColor(ink)
        frame.setAlphaF(0.3)
        painter.setPen(frame)
        painter.drawRect(area)
        if self.text:
            rest = QRectF(filled.topRight(), area.bottomRight())
            for part, colour in ((filled, QColor("black")), (rest, ink)):
                painter.setClipRect(part)
                painter.setPen(colour)
                painter.drawText(area, Qt.AlignmentFlag.AlignCenter, self.text)
        painter.end()
