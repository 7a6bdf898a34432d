"""The table of the nets: one row a zone, struck out where it does not count."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QBrush, QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_diffraction.indexing.zones.ellipse import Ellipse
from napari_diffraction.indexing.zones.pattern_nets import PatternNets
from napari_diffraction.ui.unit_cell.nets.layers import STRUCK_COLOUR
from napari_diffraction.ui.unit_cell.nets.zone_nets import ZoneNets
from napari_diffraction.ui.viewer.strokes import index_text
from napari_diffraction.ui.widgets.panel import named
from napari_diffraction.ui.widgets.tooltips import UNIT_CELL

#: Heads of the columns, and the keys of their tooltips.
_COLUMNS = {
    "No.": "net_number", "Lengths": "lengths", "Angle": "net_angle", "Spots": "net_spots",
    "Zone": "net_zone",
}  # fmt: skip
_LENGTHS = list(_COLUMNS).index("Lengths")
_ROWS = 5


class NetList(QTableWidget):
    """Nets with their lengths in 1/A (or pixels), angles, spots, and zone axes once they are known.

    Signals
    -------
    chosen(int)
        Number of the pattern of which a person wants to see the net.
    """

    chosen = Signal(int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        named(self, "Nets", UNIT_CELL["nets"])
        self._heads = [QTableWidgetItem(title) for title in _COLUMNS]
        for column, (head, tip) in enumerate(zip(self._heads, _COLUMNS.values(), strict=True)):
            head.setToolTip(UNIT_CELL[tip])
            self.setHorizontalHeaderItem(column, head)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setShowGrid(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.verticalHeader().hide()
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(_COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 6)
        self.setFixedHeight(header.sizeHint().height() + _ROWS * (self.fontMetrics().height() + 6))
        self._patterns: list[int] = []
        self.itemSelectionChanged.connect(self._on_selected)

    def show_nets(
        self,
        nets: ZoneNets,
        pixel_size: float | None,
        axes: Mapping[int, tuple[int, int, int]],
        ellipse: Ellipse | None,
    ) -> None:
        """Show all nets.

        Parameters
        ----------
        nets
            The nets.
        pixel_size
            In 1/A; ``None``: lengths are shown in pixels.
        axes
            Zone axes by the number of the pattern, where a cell explains the net.
        ellipse
            Stretch of the camera, which is taken off; ``None``: not known.
        """
        tip = UNIT_CELL["lengths" if ellipse is None else "lengths_freed"]
        self._heads[_LENGTHS].setToolTip(tip)
        self.blockSignals(True)
        self._patterns = nets.patterns
        self.setRowCount(len(self._patterns))
        freed = PatternNets(nets.fits, ellipse).nets(1.0 if pixel_size is None else pixel_size)
        form = ".1f" if pixel_size is None else ".3f"
        for row, (pattern, net) in enumerate(zip(self._patterns, freed, strict=True)):
            axis = index_text(list(axes[pattern]), "[]") if pattern in axes else ""
            lengths = f"{net.first:{form}} {net.second:{form}}"
            on, _ = nets.counts(pattern)
            texts = (str(pattern), lengths, f"{net.angle:.1f}", str(on), axis)
            struck, by_hand = pattern in nets.struck, pattern in nets.by_hand
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                font = item.font()
                font.setStrikeOut(struck)
                font.setItalic(by_hand)
                item.setFont(font)
                if struck:
                    item.setForeground(QBrush(QColor(STRUCK_COLOUR)))
                self.setItem(row, column, item)
        self.blockSignals(False)

    def show_pattern(self, pattern: int | None) -> None:
        """Mark the row of the pattern on view."""
        self.blockSignals(True)
        if pattern in self._patterns:
            row = self._patterns.index(pattern)
            self.selectRow(row)
            self.scrollToItem(self.item(row, 0))
        else:
            self.clearSelection()
        self.blockSignals(False)

    def _on_selected(self) -> None:
        rows = {index.row() for index in self.selectedIndexes()}
        if rows:
            self.chosen.emit(self._patterns[rows.pop()])
