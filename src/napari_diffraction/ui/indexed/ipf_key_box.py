"""The key of the orientation colours of the phases on view."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QImage, QPainter, QPaintEvent, QPalette
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_diffraction.analysis.indexed.ipf import IpfKey, ipf_key

#: Longer side of a key and the room around it for the names of corners, in pixels.
_SIDE, _LEFT, _TOP = 84, 34, 18
#: Keys drawn at most.
_MOST = 3
_cached = cache(ipf_key)


class IpfKeyBox(QWidget):
    """Draws the keys of some Laue groups beside one another."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.groups: list[str] = []
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def show_groups(self, groups: Sequence[str]) -> None:
        """Show the keys of other Laue groups, each once."""
        self.groups = list(dict.fromkeys(groups))[:_MOST]
        self.setAccessibleDescription(", ".join(self.groups))
        self.updateGeometry()
        self.update()

    def sizeHint(self) -> QSize:
        """Ask for one row of keys."""
        return QSize(_LEFT + _SIDE, _SIDE + 2 * _TOP)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw triangles, names of their corners, and the groups."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(QPalette.ColorRole.WindowText))
        font = painter.font()
        font.setPointSizeF(0.8 * font.pointSizeF())
        painter.setFont(font)
        step = self.width() / max(1, len(self.groups))
        for place, group in enumerate(self.groups):
            key = _cached(group, _SIDE)
            height, width = key.image.shape[:2]
            left = place * step + max(_LEFT, (step - width) / 2)
            painter.drawImage(QPointF(left, _TOP), _picture(key))
            if len(self.groups) > 1:
                room = QRectF(place * step, 0, step, _TOP)
                painter.drawText(room, Qt.AlignmentFlag.AlignLeft, group)
            for name, x, y in key.labels:
                above = y < height / 2
                middle = left + min(max(x, 0.0), width)
                box = QRectF(middle - 40, _TOP + (y - 15 if above else y + 2), 80, 13)
                painter.drawText(box, Qt.AlignmentFlag.AlignCenter, name)
        painter.end()


def _picture(key: IpfKey) -> QImage:
    pixels = np.ascontiguousarray(np.rint(255 * key.image), dtype=np.uint8)
    height, width = pixels.shape[:2]
    image = QImage(pixels.tobytes(), width, height, 4 * width, QImage.Format.Format_RGBA8888)
    return image.copy()  # its own pixels
