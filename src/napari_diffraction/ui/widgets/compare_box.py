"""How a phase map agrees with another program's: a sentence and a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QTableWidget, QTableWidgetItem, QVBoxLayout, QWidget

from napari_diffraction.analysis.maps.compare import Comparison
from napari_diffraction.ui.widgets.panel import named, sentence
from napari_diffraction.ui.widgets.tooltips import PHASE_MAP

if TYPE_CHECKING:
    from napari_diffraction.patterns.maps.vendor_map import VendorMap

_MOST_ROWS = 6
C = TypeVar("C")


def with_map(
    path: Path, other: VendorMap | None, compare: Callable[[VendorMap], C]
) -> tuple[VendorMap, C]:
    """Compare with the map of another program, in another thread.

    Parameters
    ----------
    path
        The file of the other map.
    other
        The other map; ``None``: it is read.
    compare
        Compares with it.

    Raises
    ------
    InputError
        The file cannot be read, or is of another scan.
    """
    from napari_diffraction.patterns.maps.files import read_map

    known = read_map(path) if other is None else other
    return known, compare(known)


class CompareBox(QWidget):
    """Shows a comparison; hidden while there is none."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = sentence()
        self.table = named(QTableWidget(), "Agreement matrix", PHASE_MAP["matrix"])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.text)
        layout.addWidget(self.table)
        self.setVisible(False)

    def show_comparison(self, comparison: Comparison | None) -> None:
        """Show another comparison, or none."""
        self.setVisible(comparison is not None)
        if comparison is None:
            return
        self.text.setText(" ".join(comparison.sentences()))
        matrix = comparison.matrix
        matrix = matrix.loc[(matrix != 0).any(axis=1), (matrix != 0).any(axis=0)]
        table = self.table
        table.setRowCount(len(matrix.index))
        table.setColumnCount(len(matrix.columns))
        table.setHorizontalHeaderLabels([str(name) for name in matrix.columns])
        table.setVerticalHeaderLabels([str(name) for name in matrix.index])
        for row, counts in enumerate(matrix.to_numpy()):
            for column, count in enumerate(counts):
                item = QTableWidgetItem(f"{count:,}")
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                table.setItem(row, column, item)
        table.resizeColumnsToContents()
        lines = min(len(matrix.index), _MOST_ROWS) + 2
        table.setFixedHeight(lines * table.verticalHeader().defaultSectionSize())
