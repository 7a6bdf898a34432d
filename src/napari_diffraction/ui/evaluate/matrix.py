"""The confusion matrix as a table whose cells open their patterns."""

from __future__ import annotations

import pandas as pd
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_diffraction.ui.widgets.panel import named, sentence
from napari_diffraction.ui.widgets.tooltips import EVALUATE

#: What the cells show.
_SHOWN = ("number of patterns", "share of the true class")
#: Okabe and Ito's blue for what is right, vermilion for what is wrong.
_RIGHT, _WRONG = QColor("#0072B2"), QColor("#D55E00")
#: Pixels: least width of a column, most of the names beside the rows, height of a row, and what is
#: left for the columns in a panel.
_LEAST_WIDTH, _HEADER, _ROW, _ROOM = 40, 104, 26, 190
_MOST_ROWS = 16


class MatrixBox(QWidget):
    """Shows a confusion matrix as counts or shares.

    Signals
    -------
    opened(str, str)
        True and assigned class of a cell that was clicked on and holds patterns.
    """

    opened = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._confusion = pd.DataFrame()
        self.shown = named(QComboBox(), "Cells show", EVALUATE["cells"])
        self.shown.addItems(_SHOWN)
        self.table = named(QTableWidget(), "Confusion matrix", EVALUATE["matrix"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.shown)
        layout.addWidget(self.table)
        layout.addWidget(
            sentence("Rows: the true class. Columns: what the model said. Click on a cell.")
        )
        self.shown.currentIndexChanged.connect(self._fill)
        self.table.cellClicked.connect(self._open)
        self.table.cellActivated.connect(self._open)

    def show_matrix(self, confusion: pd.DataFrame) -> None:
        """Show another matrix: counts with the truth in rows and the assigned class in columns."""
        self._confusion = confusion
        self._fill()

    def _fill(self) -> None:
        counts, table = self._confusion, self.table
        shares = counts.div(counts.sum(axis=1).clip(lower=1), axis=0).to_numpy()
        table.setRowCount(len(counts.index))
        table.setColumnCount(len(counts.columns))
        table.setHorizontalHeaderLabels([str(name) for name in counts.columns])
        table.setVerticalHeaderLabels([str(name) for name in counts.index])
        for place, name in enumerate(counts.columns):
            table.horizontalHeaderItem(place).setToolTip(f"The model said {name}.")
        for place, name in enumerate(counts.index):
            table.verticalHeaderItem(place).setToolTip(f"Truly {name}.")
        for row, truth in enumerate(counts.index):
            for column, label in enumerate(counts.columns):
                count, share = int(counts.iloc[row, column]), float(shares[row, column])
                item = self._item(count, share, right=truth == label)
                item.setToolTip(f"{count:,} {truth}, called {label} ({share:.1%})")
                table.setItem(row, column, item)
        self._fit()

    def _item(self, count: int, share: float, *, right: bool) -> QTableWidgetItem:
        text = f"{count:,}" if self.shown.currentIndex() == 0 else f"{share:.0%}"
        item = QTableWidgetItem(text if count else "")
        item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
        if count:
            colour = QColor(_RIGHT if right else _WRONG)
            # Few wrong patterns among many must be seen, too.
            colour.setAlphaF(0.25 + 0.75 * share)
            item.setBackground(colour)
        return item

    def _fit(self) -> None:
        """Give all columns the same width, and show all rows where they are not too many."""
        columns = self.table.horizontalHeader()
        wide = self.table.columnCount() * _LEAST_WIDTH > _ROOM
        mode = QHeaderView.ResizeMode.Fixed if wide else QHeaderView.ResizeMode.Stretch
        columns.setSectionResizeMode(mode)
        columns.setDefaultSectionSize(_LEAST_WIDTH)
        compact(self.table, bar=wide)

    def _open(self, row: int, column: int) -> None:
        if self._confusion.iloc[row, column]:
            self.opened.emit(str(self._confusion.index[row]), str(self._confusion.columns[column]))


def compact(table: QTableWidget, *, bar: bool = False) -> None:
    """Make a table with names beside its rows as small as a panel needs it.

    Parameters
    ----------
    table
        Shows all rows where they are not too many.
    bar
        Whether it needs a bar to scroll sideways.
    """
    rows, columns = table.verticalHeader(), table.horizontalHeader()
    rows.setMaximumWidth(_HEADER)
    rows.setTextElideMode(Qt.TextElideMode.ElideRight)
    columns.setMinimumSectionSize(_LEAST_WIDTH)
    columns.setTextElideMode(Qt.TextElideMode.ElideRight)
    rows.setDefaultSectionSize(_ROW)
    few = table.rowCount() <= _MOST_ROWS
    policy = Qt.ScrollBarPolicy.ScrollBarAlwaysOff if few else Qt.ScrollBarPolicy.ScrollBarAsNeeded
    table.setVerticalScrollBarPolicy(policy)
    lines = min(table.rowCount(), _MOST_ROWS) * _ROW + columns.sizeHint().height()
    side = table.horizontalScrollBar().sizeHint().height() if bar else 0
    table.setFixedHeight(lines + side + 2 * table.frameWidth())
