"""Where the acceleration voltage of a scan comes from: its file, a person, or an assumption."""

from __future__ import annotations

from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QVBoxLayout

from napari_diffraction.indexing.known import VOLTAGE
from napari_diffraction.patterns.stack import Geometry
from napari_diffraction.ui.widgets.panel import named, sentence
from napari_diffraction.ui.widgets.said import SaidBox, of_scan
from napari_diffraction.ui.widgets.tooltips import VOLTAGE_TIPS

_LEAST, _MOST = 1.0, 40.0


class VoltageBox(SaidBox):
    """The acceleration voltage of a scan in kV."""

    def __init__(self) -> None:
        self.number = named(QDoubleSpinBox(), "Voltage in kV", VOLTAGE_TIPS["number"])
        super().__init__(
            "voltage", named(QComboBox(), "Voltage", VOLTAGE_TIPS["source"]), [self.number]
        )
        self._of_file: float | None = None
        self.source.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.number.setRange(_LEAST, _MOST)
        self.number.setDecimals(1)
        self.number.setSuffix(" kV")
        self.number.setValue(VOLTAGE)
        self.note = sentence("Lengths of cells are then known up to a common factor only.")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.source, self.number, self.note):
            column.addWidget(part)
        self._listen()

    def _offer(self, geometry: Geometry | None) -> tuple[str, tuple[float]]:
        self._of_file = of_scan(geometry).voltage
        first = (
            f"not known: {VOLTAGE:g} kV are assumed"
            if self._of_file is None
            else f"of the file: {self._of_file:g} kV"
        )
        return first, (self._of_file or VOLTAGE,)

    @property
    def given(self) -> float | None:
        """The voltage that a person gives; ``None`` where it is that of the file or assumed."""
        return self.number.value() if self.by_hand else None

    @property
    def known(self) -> float:
        """The voltage that a person gives, else that of the file; 0 where nobody knows it."""
        return self.given or self._of_file or 0.0

    @property
    def holds(self) -> tuple[float, str]:
        """The voltage to be used, and where it is from: "given", "file" or "assumed"."""
        if self.given is not None:
            return self.given, "given"
        return (VOLTAGE, "assumed") if self._of_file is None else (self._of_file, "file")

    def _on_source(self) -> None:
        self.number.setVisible(self.given is not None)
        self.note.setVisible(not self.known)
        super()._on_source()
