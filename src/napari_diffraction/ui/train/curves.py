"""How a training goes: loss and balanced accuracy after each epoch."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QHelpEvent, QPainter, QPaintEvent, QPalette, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

from napari_diffraction.learning.palette import OKABE_ITO
from napari_diffraction.learning.runs.epochs import Epoch

#: Each row of curves: its title, and for each curve its name, colour and attribute of `Epoch`.
_ROWS = (
    (
        "loss",
        (
            ("learned from", OKABE_ITO[1], "loss"),
            ("judged by", OKABE_ITO[0], "validation_loss"),
        ),
    ),
    ("balanced accuracy", (("", OKABE_ITO[2], "balanced_accuracy"),)),
)
_DOT = 2.5
#: Pixels between the charts, beside the line of the title.
_GAP = 8


class TrainCurves(QWidget):
    """Two charts above each other over the number of the epoch; a line marks the best one."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.epochs: list[Epoch] = []

    def sizeHint(self) -> QSize:
        """Ask for two low, wide charts."""
        return QSize(260, 240)

    def clear(self) -> None:
        """Forget the epochs of an earlier training."""
        self.epochs = []
        self.update()

    def add(self, steps: Sequence[object]) -> None:
        """Take in the epochs that have come to their end among some steps."""
        for step in steps:
            if isinstance(step, Epoch) and step.epoch > self._last:
                self.epochs.append(step)
                self.update()

    @property
    def best(self) -> Epoch | None:
        """The epoch whose model is kept."""
        number = self.epochs[-1].best_epoch if self.epochs else 0
        # of epochs that follow each other quickly not every one may have been told
        return next((one for one in self.epochs if one.epoch == number), None)

    @property
    def _last(self) -> int:
        return self.epochs[-1].epoch if self.epochs else 0

    # -- places ---------------------------------------------------------------------------------
    def _area(self, row: int) -> QRectF:
        metrics = self.fontMetrics()
        line, left = metrics.height(), metrics.horizontalAdvance("0.00") + 6
        height = (self.height() - 3 * line - 14 - _GAP) / len(_ROWS)
        top = (row + 1) * line + row * (height + _GAP) + 6
        return QRectF(left, top, self.width() - left - 8, height)

    def _top(self, row: int) -> float:
        """The value at the upper end of a chart."""
        if row:
            return 1.0
        values = [v for e in self.epochs for v in (e.loss, e.validation_loss) if math.isfinite(v)]
        return max(values, default=1.0) * 1.05 or 1.0

    def point_of(self, row: int, number: int, value: float) -> QPointF:
        """Return where a value of an epoch, counted from 1, is in pixels."""
        area, last = self._area(row), max(self._last, 2)
        x = area.left() + (number - 1) / (last - 1) * area.width()
        return QPointF(x, area.bottom() - min(value / self._top(row), 1.0) * area.height())

    # -- the pointer ----------------------------------------------------------------------------
    def event(self, event: QEvent) -> bool:
        """Say the figures of the epoch under the pointer."""
        if isinstance(event, QHelpEvent) and self.epochs:
            x = event.pos().x()
            nearest = min(self.epochs, key=lambda e: abs(self.point_of(0, e.epoch, 0).x() - x))
            text = (
                f"epoch {nearest.epoch}\nloss of the patterns learned from: {nearest.loss:.3f}\n"
                f"loss of those to judge by: {nearest.validation_loss:.3f}\n"
                f"balanced accuracy: {nearest.balanced_accuracy:.3f}\n\n{self.toolTip()}"
            )
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().event(event)

    # -- drawing --------------------------------------------------------------------------------
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw both charts in the colours of the theme."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        for row, (title, curves) in enumerate(_ROWS):
            self._paint_frame(painter, ink, row, title)
            x = self._area(row).left() + self.fontMetrics().horizontalAdvance(f"{title}   ")
            for name, colour, attribute in curves:
                self._paint_curve(painter, row, QColor(colour), attribute)
                x = self._paint_name(painter, ink, QPointF(x, self._area(row).top()), name, colour)
        self._paint_axis(painter, ink)
        painter.end()

    def _paint_frame(self, painter: QPainter, ink: QColor, row: int, title: str) -> None:
        area, line, top = self._area(row), self.fontMetrics().height(), self._top(row)
        pale = QColor(ink)
        pale.setAlphaF(0.2)
        painter.setPen(ink)
        above = QRectF(area.left(), area.top() - line - 1, area.width(), line)
        painter.drawText(above, Qt.AlignmentFlag.AlignLeft, title)
        for share in (0.0, 0.5, 1.0):
            y = area.bottom() - share * area.height()
            painter.setPen(pale)
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(ink)
            beside = QRectF(0, y - line / 2, area.left() - 4, line)
            painter.drawText(beside, Qt.AlignmentFlag.AlignRight, f"{share * top:.2g}")

    def _paint_curve(self, painter: QPainter, row: int, colour: QColor, attribute: str) -> None:
        values = [(e.epoch, getattr(e, attribute)) for e in self.epochs]
        points = [self.point_of(row, n, v) for n, v in values if math.isfinite(v)]
        painter.setPen(QPen(colour, 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(points))
        painter.setBrush(colour)
        for point in points:
            painter.drawEllipse(point, _DOT, _DOT)

    def _paint_name(
        self, painter: QPainter, ink: QColor, at: QPointF, name: str, colour: str
    ) -> float:
        """Write a curve's name above its chart; return where the next one begins."""
        if not name:
            return at.x()
        metrics = self.fontMetrics()
        y, width = at.y() - metrics.height() / 2 - 1, metrics.horizontalAdvance(name) + 4
        painter.setPen(QPen(QColor(colour), 3))
        painter.drawLine(QPointF(at.x(), y), QPointF(at.x() + 12, y))
        painter.setPen(ink)
        place = QRectF(at.x() + 16, at.y() - metrics.height() - 1, width, metrics.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignLeft, name)
        return at.x() + 16 + width + 8

    def _paint_axis(self, painter: QPainter, ink: QColor) -> None:
        """Number the epochs, and mark the best one through both charts."""
        area, line, best = self._area(len(_ROWS) - 1), self.fontMetrics().height(), self.best
        painter.setPen(ink)
        below = QRectF(area.left(), area.bottom() + 4, area.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "1")
        title = "epoch" if best is None else f"epoch, best: {best.epoch}"
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, title)
        painter.drawText(below, Qt.AlignmentFlag.AlignRight, str(max(self._last, 2)))
        if best is not None:
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DashLine))
            for row in range(len(_ROWS)):
                x = self.point_of(row, best.epoch, 0).x()
                painter.drawLine(
                    QPointF(x, self._area(row).top()), QPointF(x, self._area(row).bottom())
                )
