"""The table of the cells that were found, best first."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.indexing.zones.solution import CellSolution
from napari_diffraction.ui.widgets.panel import named
from napari_diffraction.ui.widgets.tooltips import UNIT_CELL

_COLUMNS = ("Cell in A, deg", "Lattice", "Explains")
#: Rows that are seen without scrolling.
_ROWS = 4
#: Cells of a phase that are listed; the search keeps more for the patterns to choose from.
_SHOWN = 10


class CellTable(QTableWidget):
    """Cells of all phases, each with its lattice and what it explains.

    Signals
    -------
    chosen(object)
        The cell that a person wants to see.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(0, len(_COLUMNS), parent)
        named(self, "Cells", UNIT_CELL["cells"])
        self.setHorizontalHeaderLabels(_COLUMNS)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setWordWrap(False)
        self.setTextElideMode(Qt.TextElideMode.ElideNone)
        self.verticalHeader().hide()
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(len(_COLUMNS) - 1, QHeaderView.ResizeMode.Stretch)
        self._high = 2 * self.fontMetrics().height() + 8
        self.verticalHeader().setDefaultSectionSize(self._high)
        self._cells: list[CellSolution | None] = []
        self.itemSelectionChanged.connect(self._on_selected)

    def show_result(self, result: CellResult) -> None:
        """Show the cells of a result, and choose the best of them."""
        self.blockSignals(True)
        self.clearSpans()
        self._cells = []
        nets = len(result.patterns)
        rows: list[tuple[str, ...]] = []
        for number, phase in enumerate(result.found.phases, 1):
            if number > 1:
                rows.append((f"Phase {number}, from the zones left over",))
                self._cells.append(None)
            for cell in phase[:_SHOWN]:
                rows.append(_texts(cell, nets))
                self._cells.append(cell)
        self.setRowCount(len(rows))
        for row, texts in enumerate(rows):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                if len(texts) == 1:
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled)
                self.setItem(row, column, item)
            if len(texts) == 1:
                self.setSpan(row, 0, 1, len(_COLUMNS))
        shown = min(max(len(rows), 1), _ROWS)
        self.setFixedHeight(self.horizontalHeader().sizeHint().height() + shown * self._high + 4)
        self.blockSignals(False)
        self.clearSelection()
        if rows:
            self.selectRow(0)

    @property
    def cell(self) -> CellSolution | None:
        """The chosen cell."""
        rows = {index.row() for index in self.selectedIndexes()}
        return self._cells[rows.pop()] if rows else None

    def _on_selected(self) -> None:
        self.chosen.emit(self.cell)


def _texts(cell: CellSolution, nets: int) -> tuple[str, ...]:
    lengths = " ".join(f"{value:.2f}" for value in cell.cell.lengths)
    angles = " ".join(f"{value:.1f}" for value in cell.cell.angles)
    sure = cell.lattice_probabilities[cell.lattice]
    explained = f"zones {cell.zones_explained}/{nets}"
    if cell.patterns_indexed is not None:
        explained += f"\n{cell.patterns_indexed:.0%} of all"
    volume = f"{cell.volume:.0f} A\N{SUPERSCRIPT THREE}"
    return f"{lengths}\n{angles}", f"{cell.lattice}, {sure:.0%}\n{volume}", explained
