"""How many patterns have which confidence: stacked bars in the colours of the classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QHelpEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_diffraction.ui.widgets.colours import class_colour

BINS = 20


class ConfidenceHistogram(QWidget):
    """Patterns by confidence, 0 to 1 in 20 bars; a click on a bar chooses it.

    The height of a bar is the square root of its number, so that the few doubtful patterns can be
    seen and clicked beside the many certain ones.

    Signals
    -------
    chosen(object)
        The range of confidence ``(low, high)`` clicked on; ``None``: the chosen bar was clicked on
        again.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.classes: tuple[str, ...] = ()
        self.numbers = np.zeros((0, BINS), int)
        self.threshold = 1.0
        self.range: tuple[float, float] | None = None

    def sizeHint(self) -> QSize:
        """Ask for a low, wide strip."""
        return QSize(260, 120)

    def set_values(
        self, confidence: NDArray[np.float64], codes: NDArray[np.integer], classes: tuple[str, ...]
    ) -> None:
        """Count the patterns.

        Parameters
        ----------
        confidence : (n,) float
        codes : (n,) int
            Place of each pattern's class in ``classes``.
        classes
            From the bottom of the bars to their top.
        """
        bins = np.clip((confidence * BINS + 1e-9).astype(int), 0, BINS - 1)
        self.classes = classes
        numbers = np.bincount(codes.astype(int) * BINS + bins, minlength=len(classes) * BINS)
        self.numbers = numbers.reshape(len(classes), BINS)
        self.update()

    def mark(self, threshold: float, between: tuple[float, float] | None) -> None:
        """Mark the confidence threshold and the chosen bar."""
        self.threshold, self.range = threshold, between
        self.update()

    def _area(self) -> QRectF:
        line = self.fontMetrics().height()
        return QRectF(4, 4, self.width() - 8, self.height() - 8 - line)

    def bar_at(self, x: float) -> int:
        """Return the number of the bar at a horizontal position in pixels."""
        area = self._area()
        return int(np.clip((x - area.left()) / area.width() * BINS, 0, BINS - 1))

    def bar_centre(self, number: int) -> QPointF:
        """Return the middle of a bar's column in pixels."""
        area = self._area()
        return QPointF(area.left() + (number + 0.5) * area.width() / BINS, area.center().y())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the bar clicked on, or none if it was chosen already."""
        number = self.bar_at(event.position().x())
        between = (number / BINS, (number + 1) / BINS)
        if between == self.range:
            self.chosen.emit(None)
        elif self.numbers[:, number].sum():
            self.chosen.emit(between)

    def event(self, event: QEvent) -> bool:
        """Say what is in the bar under the pointer."""
        if isinstance(event, QHelpEvent) and self.numbers.sum():
            number = self.bar_at(event.pos().x())
            parts = [
                f"{name}: {count:,}"
                for name, count in zip(self.classes, self.numbers[:, number], strict=True)
                if count
            ]
            span = f"confidence {number / BINS:.2f} to {(number + 1) / BINS:.2f}"
            text = "\n".join([span, *(parts or ["no pattern"]), "", self.toolTip()])
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw bars, threshold and axis in the colours of the theme."""
        painter = QPainter(self)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        area = self._area()
        self._paint_bars(painter, area)
        painter.setPen(QPen(ink, 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        x = area.left() + self.threshold * area.width()
        painter.setPen(QPen(ink, 1, Qt.PenStyle.DashLine))
        painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.setPen(ink)
        below = QRectF(area.left(), area.bottom() + 2, area.width(), self.fontMetrics().height())
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "0")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, "confidence")
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, "1")
        painter.end()

    def _paint_bars(self, painter: QPainter, area: QRectF) -> None:
        totals = self.numbers.sum(axis=0) if len(self.numbers) else np.zeros(BINS)
        highest = np.sqrt(totals.max(initial=1))
        width = area.width() / BINS
        for number, total in enumerate(totals):
            if not total:
                continue
            height = max(3.0, np.sqrt(total) / highest * area.height())
            left, bottom = area.left() + number * width, area.bottom()
            chosen = self.range is None or abs(self.range[0] * BINS - number) < 0.5
            painter.setOpacity(1.0 if chosen else 0.3)
            for name, count in zip(self.classes, self.numbers[:, number], strict=True):
                part = height * count / total
                colour = QColor(class_colour(name, self.classes))
                painter.fillRect(QRectF(left + 1, bottom - part, width - 2, part), colour)
                bottom -= part
        painter.setOpacity(1.0)
