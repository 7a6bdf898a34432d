"""The lower half of the unit cell panel: the cells that were found, and what to do with them."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.analysis.cells.words import doubts
from napari_diffraction.analysis.indexed.words import with_su
from napari_diffraction.indexing.zones.solution import CellSolution
from napari_diffraction.ui.unit_cell.cell_table import CellTable
from napari_diffraction.ui.widgets.panel import button, named, sentence
from napari_diffraction.ui.widgets.save_dialog import ask_where
from napari_diffraction.ui.widgets.tooltips import UNIT_CELL

#: What can be written, by the end of the name; "" is a folder with all of them.
FILES = {
    "": "All files, into a folder",
    ".json": "All that is known (JSON)",
    ".csv": "Table of the cells (CSV)",
    ".cif": "Crystallographic file (CIF)",
    ".cell": "First cell for CrystFEL (.cell)",
    ".p4p": "First cell for Bruker's programs (.p4p)",
    ".sol": "Orientations for CrystFEL (.sol)",
}
#: The lattice whose conventional cell is Niggli's.
_PRIMITIVE = "aP"


class CellsBox(QWidget):
    """Shows cells, best first, and offers to draw, turn and write them.

    Signals
    -------
    chosen(object)
        The cell that a person wants to see.
    drawing_changed()
        Spots of the cell are to be drawn, or not.
    lattice_asked()
        The reciprocal lattice is wanted in 3-D.
    export_asked(object)
        Path to write to.
    """

    chosen = Signal(object)
    drawing_changed = Signal()
    lattice_asked = Signal()
    export_asked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._result: CellResult | None = None
        self._folder = Path.home()
        self.stale = sentence("The nets have changed since: run again.")
        self.notes = sentence()
        self.table = CellTable()
        self.detail = sentence()
        self.draw = named(QCheckBox("Spots with hkl"), "Draw spots", UNIT_CELL["draw"])
        self.draw.setChecked(True)
        self.lattice_button = button(
            "Lattice in 3-D", UNIT_CELL["lattice"], self.lattice_asked.emit
        )
        self.kind = named(QComboBox(), "What to export", UNIT_CELL["export_what"])
        self.kind.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        for suffix, title in FILES.items():
            self.kind.addItem(title, suffix)
        self.export_button = button("Export…", UNIT_CELL["export"], self._ask)
        views, row = QHBoxLayout(), QHBoxLayout()
        views.addWidget(self.draw, 1)
        views.addWidget(self.lattice_button)
        row.addWidget(self.kind, 1)
        row.addWidget(self.export_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)  # all of the panel is to be seen on a small laptop
        for part in (self.stale, self.table, self.detail):
            column.addWidget(part)
        column.addLayout(views)
        column.addWidget(self.notes)
        column.addLayout(row)
        self.table.chosen.connect(self._on_chosen)
        self.draw.toggled.connect(lambda _: self.drawing_changed.emit())

    # -- showing --------------------------------------------------------------------------------
    def show_result(self, result: CellResult | None, folder: Path) -> None:
        """Show another result, or hide; ``folder`` is where files are suggested to go."""
        self._folder = folder
        self.setVisible(result is not None)
        if result is None or result is self._result:
            self._result = result
            return
        self._result = result
        self.table.setVisible(bool(result.found.phases))
        for part in (self.detail, self.draw, self.lattice_button):
            part.setVisible(bool(result.found.phases))
        self.notes.setText("\n".join(notes(result)))
        self.notes.setVisible(bool(self.notes.text()))
        self.table.show_result(result)

    def show_stale(self, stale: bool) -> None:
        """Say whether the nets have changed since the cells were found."""
        self.stale.setVisible(stale)

    @property
    def cell(self) -> CellSolution | None:
        """The chosen cell."""
        return None if self._result is None else self.table.cell

    def _on_chosen(self, cell: CellSolution | None) -> None:
        if self._result is not None and cell is not None:
            self.detail.setText(_beside(cell))
        self.chosen.emit(cell)

    # -- writing --------------------------------------------------------------------------------
    def _ask(self) -> None:
        suffix = str(self.kind.currentData())
        assert self._result is not None
        name = f"{self._result.source}-cells{suffix}"
        what = f"{self.kind.currentText()} (*{suffix})" if suffix else ""
        path = ask_where(self, self.kind.currentText(), self._folder, name, what)
        if path is not None:
            self.export_asked.emit(path)


def _beside(cell: CellSolution) -> str:
    """Say of a cell what its row in the table does not."""
    values = zip(cell.cell.parameters, cell.cell_su, strict=True)
    parts = [f"{' '.join(with_su(value, su) for value, su in values)}, misfit {cell.misfit:.2%}"]
    if cell.supercell_of is not None:
        parts.append("a multiple of a better cell")
    said = f"{', '.join(parts)}."
    if cell.lattice == _PRIMITIVE:  # which is given as its Niggli cell
        return said
    niggli = " ".join(f"{value:.4g}" for value in cell.niggli.parameters)
    return f"{said} Niggli cell {niggli}."


def notes(result: CellResult) -> list[str]:
    """Say what speaks against the cells, what was assumed, and what is left over."""
    said = doubts(result)
    if result.nets.ellipse is not None:
        ellipse = result.nets.ellipse
        said.append(f"Camera stretch taken off: {ellipse.stretch:.1%} at {ellipse.angle:.0f} deg.")
    if result.found.phases and result.found.left_over:
        numbers = ", ".join(str(result.patterns[i]) for i in result.found.left_over)
        said.append(f"Not explained: the nets of {numbers}.")
    return said
