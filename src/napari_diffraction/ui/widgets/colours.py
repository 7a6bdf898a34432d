"""The colours of classes as Qt and napari want them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPixmap

from napari_diffraction.learning.palette import class_colour

__all__ = ["class_colour", "rgba", "swatch"]


def rgba(labels: Sequence[str] | NDArray[np.str_], classes: tuple[str, ...]) -> NDArray[np.float32]:
    """Return the colour of each label, (n, 4), 0 to 1."""
    names, places = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    colours = [QColor(class_colour(name, classes)).getRgbF() for name in names]
    return np.array(colours, np.float32).reshape(-1, 4)[places]


def swatch(label: str, classes: tuple[str, ...]) -> QIcon:
    """Return a dot in the colour of a class, for a button."""
    pixmap = QPixmap(32, 32)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(class_colour(label, classes)))
    painter.drawEllipse(QRectF(4, 4, 24, 24))
    painter.end()
    return QIcon(pixmap)
