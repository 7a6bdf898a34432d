"""Where the acceleration voltage of a scan comes from: its file, a person, or an assumption."""

from __future__ import annotations

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QVBoxLayout, QWidget

from napari_diffraction.indexing.known import VOLTAGE
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.ui.widgets.panel import named, sentence
from napari_diffraction.ui.widgets.said import Said
from napari_diffraction.ui.widgets.tooltips import VOLTAGE_TIPS

_BY_HAND = "as I say"
_LEAST, _MOST = 1.0, 40.0


class VoltageBox(QWidget):
    """The acceleration voltage of a scan in kV.

    Signals
    -------
    changed()
        Another voltage holds.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._said: Said[tuple[int, float]] = Said("voltage")
        self._of_file: float | None = None
        self.source = named(QComboBox(), "Voltage", VOLTAGE_TIPS["source"])
        self.source.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.number = named(QDoubleSpinBox(), "Voltage in kV", VOLTAGE_TIPS["number"])
        self.number.setRange(_LEAST, _MOST)
        self.number.setDecimals(1)
        self.number.setSuffix(" kV")
        self.number.setValue(VOLTAGE)
        self.note = sentence("Lengths of cells are then known up to a common factor only.")
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.source, self.number, self.note):
            column.addWidget(part)
        self.show_stack(None)
        self.source.currentIndexChanged.connect(self._on_source)
        self.number.valueChanged.connect(self.changed)
        self.changed.connect(self._keep)

    def show_stack(self, stack: PatternStack | None, layer: Layer | None = None) -> None:
        """Offer what is known of a scan, and what was said of it by hand before.

        Parameters
        ----------
        stack
            The scan.
        layer
            The one that shows it: as long as it is there, what is said by hand stays.
        """
        if not self._said.turn_to(stack, layer) and self.source.count():
            return
        geometry = None if stack is None else stack.geometry
        self._of_file = geometry.voltage if isinstance(geometry, KikuchiGeometry) else None
        first = (
            f"not known: {VOLTAGE:g} kV are assumed"
            if self._of_file is None
            else f"of the file: {self._of_file:g} kV"
        )
        place, number = self._said.again() or (0, self._of_file or VOLTAGE)
        self.source.blockSignals(True)
        self.source.clear()
        self.source.addItems((first, _BY_HAND))
        self.source.setCurrentIndex(place)
        self.source.blockSignals(False)
        self.number.blockSignals(True)
        self.number.setValue(number)
        self.number.blockSignals(False)
        self._on_source()

    @property
    def given(self) -> float | None:
        """The voltage that a person gives; ``None`` where it is that of the file or assumed."""
        return self.number.value() if self.source.currentText() == _BY_HAND else None

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

    def _keep(self) -> None:
        self._said.keep((self.source.currentIndex(), self.number.value()))

    def _on_source(self) -> None:
        self.number.setVisible(self.given is not None)
        self.note.setVisible(not self.known)
        self.changed.emit()
