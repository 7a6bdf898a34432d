"""Which crystal is simulated, in how many orientations."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_diffraction.crystal.cell import SYSTEMS, UnitCell, random_cell
from napari_diffraction.crystal.reflections import parse_space_group
from napari_diffraction.simulation.conditions import DetectorEffects, SpotConditions
from napari_diffraction.simulation.samples import (
    FIGURE_1,
    FIGURE_2,
    MONOCLINIC_1,
    MONOCLINIC_2,
    MONOCLINIC_GROUP,
)
from napari_diffraction.ui.simulate.form import form_layout
from napari_diffraction.ui.widgets.fields import NumberBox, WholeBox, leave_the_wheel

_OWN = "My own cell"
#: Cells to begin with: cell and space group.
_EXAMPLES = {
    "Gorelik 2025, Fig. 1": (FIGURE_1, ""),
    "Gorelik 2025, Fig. 2": (FIGURE_2, ""),
    "Gorelik 2025, monoclinic 1": (MONOCLINIC_1, MONOCLINIC_GROUP),
    "Gorelik 2025, monoclinic 2": (MONOCLINIC_2, MONOCLINIC_GROUP),
}


@dataclass(frozen=True)
class Plan:
    """Everything that a simulation needs.

    Attributes
    ----------
    cell, space_group
        The crystal; ``None``: no absences.
    conditions, effects
        Beam and camera.
    orientations, size, crystals, seed
        As in `napari_diffraction.simulation.spots.dataset.simulate_spots`.
    """

    cell: UnitCell
    space_group: str | None
    conditions: SpotConditions
    effects: DetectorEffects
    orientations: int
    size: int
    crystals: int
    seed: int

    @property
    def megabytes(self) -> float:
        """Memory that the patterns take at most."""
        return self.orientations * self.size**2 * 2 / 1e6

    def as_dict(self) -> dict[str, Any]:
        """Return plain values, for the layer's metadata."""
        return asdict(self)


class CrystalForm(QWidget):
    """Cell, space group and number of crystals.

    Signals
    -------
    changed()
        Somebody changed something.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.examples = QComboBox()
        self.examples.addItems([*_EXAMPLES, _OWN])
        self.examples.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.examples.setToolTip("A cell from the literature, or your own, typed in below.")
        leave_the_wheel(self.examples)
        self.examples.activated.connect(self._on_example)
        self.cell_boxes = self._cell_boxes()
        self.space_group = QLineEdit()
        self.space_group.setPlaceholderText("none: no absences")
        self.space_group.setToolTip(
            "Number (1 to 230) or symbol, for instance P 21/c. Its centring, screws and glides "
            "extinguish reflections. Empty: none are absent."
        )
        self.space_group.editingFinished.connect(self._on_space_group)
        self.crystals = WholeBox(
            1, 0, 3, "", "Crystals in the beam at once: 0 gives no-hits, 2 or 3 overlay patterns."
        )
        self.crystals.valueChanged.connect(lambda _: self.changed.emit())
        rows = form_layout(self)
        rows.addRow("Cell", self.examples)
        rows.addRow(self._cell_grid())
        rows.addRow(self._random_row())
        rows.addRow("Space group", self.space_group)
        rows.addRow("Crystals", self.crystals)
        self._group_before = ""
        self.set_cell(FIGURE_1)

    def _cell_boxes(self) -> dict[str, NumberBox]:
        boxes = {}
        for name in "abc":
            boxes[name] = NumberBox(10, 0.5, 1000, "A", f"Edge {name} of the unit cell in Å.")
        for name in ("alpha", "beta", "gamma"):
            boxes[name] = NumberBox(90, 1, 179, "deg", f"Angle {name} of the unit cell in degrees.")
        for name, box in boxes.items():
            box.setAccessibleName(name)
            box.valueChanged.connect(self._on_cell)
        return boxes

    def _cell_grid(self) -> QWidget:
        grid = QWidget()
        layout = QGridLayout(grid)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(4)
        for place, (name, text) in enumerate(zip(self.cell_boxes, "abcαβγ", strict=True)):
            row, column = divmod(place, 3)
            layout.addWidget(QLabel(text), row, 2 * column)
            layout.addWidget(self.cell_boxes[name], row, 2 * column + 1)
            layout.setColumnStretch(2 * column + 1, 1)
        return grid

    def _random_row(self) -> QWidget:
        row = QWidget()
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        self.random_button = QPushButton("Random cell")
        self.random_button.setToolTip("Draw another cell of this system and volume.")
        self.random_button.clicked.connect(self._draw_cell)
        self.system = QComboBox()
        self.system.addItems(SYSTEMS)
        self.system.setMinimumContentsLength(5)
        self.system.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.system.setToolTip("Crystal system of the random cell.")
        leave_the_wheel(self.system)
        self.volume = NumberBox(1000, 10, 100_000, "A^3", "Volume of the random cell in Å³.")
        for widget in (self.random_button, self.system, self.volume):
            layout.addWidget(widget)
        return row

    def cell(self) -> UnitCell:
        """Return the cell; raises `InputError` where the six numbers make none."""
        return UnitCell(*(box.value() for box in self.cell_boxes.values()))

    def group(self) -> str | None:
        """Return the space group, ``None`` for none; raises `InputError` for an unknown one."""
        name = self.space_group.text().strip()
        if not name:
            return None
        parse_space_group(name, self.cell())
        return name

    def set_cell(self, cell: UnitCell, space_group: str = "") -> None:
        """Show a crystal; one signal for all."""
        for box, value in zip(self.cell_boxes.values(), cell.parameters, strict=True):
            with QSignalBlocker(box):
                box.setValue(round(value, 4))
        self.space_group.setText(space_group)
        self._group_before = space_group
        self.changed.emit()

    def _on_example(self, place: int) -> None:
        name = self.examples.itemText(place)
        if name in _EXAMPLES:
            self.set_cell(*_EXAMPLES[name])

    def _on_cell(self, value: float) -> None:
        self.examples.setCurrentText(_OWN)
        self.changed.emit()

    def _on_space_group(self) -> None:
        # Qt reports the end of editing also where nothing was edited.
        if self.space_group.text() != self._group_before:
            self._group_before = self.space_group.text()
            self.examples.setCurrentText(_OWN)
            self.changed.emit()

    def _draw_cell(self) -> None:
        self.examples.setCurrentText(_OWN)
        rng = np.random.default_rng()
        self.set_cell(random_cell(self.volume.value(), self.system.currentText(), rng=rng))
