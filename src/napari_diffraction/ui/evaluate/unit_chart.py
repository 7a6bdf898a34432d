"""Curves between 0 and 1 in the colours of the theme, with a line that a click moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QHelpEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QPolygonF,
)
from qtpy.QtWidgets import QSizePolicy, QToolTip, QWidget

_TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass(frozen=True)
class Curve:
    """A curve or a row of dots.

    Attributes
    ----------
    name
        For the legend; empty: not in it.
    colour
        As ``#RRGGBB``; empty: that of the text, paler.
    x, y : (n,) float
        From 0 to 1.
    low, high : (n,) float, optional
        Ends of a bar through each point.
    dots
        Whether the points are marked.
    """

    name: str
    colour: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None
    dots: bool = False


class UnitChart(QWidget):
    """Curves over an axis from 0 to 1, with a legend; a click chooses a place on the axis.

    Signals
    -------
    chosen(float)
        The place on the axis that was clicked on, or to which the pointer was dragged.
    """

    chosen = Signal(float)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.curves: tuple[Curve, ...] = ()
        self.title = ""
        self.marked: float | None = None

    def sizeHint(self) -> QSize:
        """Ask for a chart a little wider than high."""
        return QSize(260, 210)

    def show_curves(self, curves: Sequence[Curve], title: str) -> None:
        """Show other curves; the title says what the axis is."""
        self.curves, self.title = tuple(curves), title
        self.update()

    def mark(self, place: float | None) -> None:
        """Draw a dashed line at a place on the axis, or none; only then can it be clicked."""
        self.marked = place
        clickable = place is not None
        self.setCursor(
            Qt.CursorShape.PointingHandCursor if clickable else Qt.CursorShape.ArrowCursor
        )
        self.update()

    def _area(self) -> QRectF:
        metrics = self.fontMetrics()
        line, left = metrics.height(), metrics.horizontalAdvance("0.75") + 6
        return QRectF(left, line + 6, self.width() - left - 8, self.height() - 3 * line - 14)

    def place_at(self, x: float) -> float:
        """Return the place on the axis at a horizontal position in pixels."""
        area = self._area()
        return float(np.clip((x - area.left()) / area.width(), 0, 1))

    def point_of(self, x: float, y: float) -> QPointF:
        """Return where a point of a curve is, in pixels."""
        area = self._area()
        return QPointF(area.left() + x * area.width(), area.bottom() - y * area.height())

    # -- the pointer ----------------------------------------------------------------------------
    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the place clicked on."""
        self._choose(event)

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Follow the pointer while a button is held."""
        if event.buttons():
            self._choose(event)

    def _choose(self, event: QMouseEvent) -> None:
        if self.marked is not None:
            self.chosen.emit(self.place_at(event.position().x()))

    def event(self, event: QEvent) -> bool:
        """Say what the curves are under the pointer."""
        if isinstance(event, QHelpEvent) and self.curves:
            place = self.place_at(event.pos().x())
            lines = [f"{self.title} {place:.2f}"]
            for curve in self.curves:
                if curve.name and len(curve.x):
                    nearest = int(np.argmin(np.abs(curve.x - place)))
                    lines.append(f"{curve.name}: {curve.y[nearest]:.3f}")
            QToolTip.showText(event.globalPos(), "\n".join([*lines, "", self.toolTip()]), self)
            return True
        return super().event(event)

    # -- drawing --------------------------------------------------------------------------------
    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw grid, curves, the marked place and the legend."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        self._paint_grid(painter, ink)
        for curve in self.curves:
            self._paint_curve(painter, curve, ink)
        if self.marked is not None:
            painter.setPen(QPen(ink, 1, Qt.PenStyle.DashLine))
            painter.drawLine(self.point_of(self.marked, 0), self.point_of(self.marked, 1))
        self._paint_legend(painter, ink)
        painter.end()

    def _paint_grid(self, painter: QPainter, ink: QColor) -> None:
        area, line = self._area(), self.fontMetrics().height()
        pale = QColor(ink)
        pale.setAlphaF(0.2)
        for tick in _TICKS:
            painter.setPen(pale)
            painter.drawLine(self.point_of(0, tick), self.point_of(1, tick))
            painter.drawLine(self.point_of(tick, 0), self.point_of(tick, 1))
            painter.setPen(ink)
            beside = QRectF(0, self.point_of(0, tick).y() - line / 2, area.left() - 4, line)
            painter.drawText(beside, Qt.AlignmentFlag.AlignRight, f"{tick:g}")
            below = QRectF(self.point_of(tick, 0).x() - 20, area.bottom() + 2, 40, line)
            below.moveRight(min(below.right(), self.width() + 12.0))
            painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, f"{tick:g}")
        below = QRectF(area.left(), area.bottom() + line + 4, area.width(), line)
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, self.title)

    def _colour(self, curve: Curve, ink: QColor) -> QColor:
        if curve.colour:
            return QColor(curve.colour)
        pale = QColor(ink)
        pale.setAlphaF(0.5)
        return pale

    def _paint_curve(self, painter: QPainter, curve: Curve, ink: QColor) -> None:
        colour = self._colour(curve, ink)
        points = [self.point_of(x, y) for x, y in zip(curve.x, curve.y, strict=True)]
        painter.setPen(QPen(colour, 2))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF(points))
        if curve.low is not None and curve.high is not None:
            for x, low, high in zip(curve.x, curve.low, curve.high, strict=True):
                painter.drawLine(self.point_of(x, low), self.point_of(x, high))
        if curve.dots:
            painter.setBrush(colour)
            for point in points:
                painter.drawEllipse(point, 3, 3)

    def _paint_legend(self, painter: QPainter, ink: QColor) -> None:
        area, metrics = self._area(), self.fontMetrics()
        x, y = area.left(), metrics.height() / 2 + 1
        for curve in self.curves:
            if not curve.name:
                continue
            painter.setPen(QPen(self._colour(curve, ink), 3))
            painter.drawLine(QPointF(x, y), QPointF(x + 14, y))
            painter.setPen(ink)
            width = metrics.horizontalAdvance(curve.name) + 4
            painter.drawText(
                QRectF(x + 18, 1, width, metrics.height()), Qt.AlignmentFlag.AlignLeft, curve.name
            )
            x += 18 + width + 10
