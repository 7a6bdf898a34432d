"""How fast the electrons are: as the file says, as a person says, or not known."""

from __future__ import annotations

from napari.layers import Layer
from qtpy.QtCore import QLocale, QSignalBlocker
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QVBoxLayout

from napari_diffraction.patterns.geometry import ASSUMED_KILOVOLTS, acceleration, wavelength
from napari_diffraction.patterns.stack import Geometry, PatternStack, SpotGeometry
from napari_diffraction.ui.widgets.panel import named
from napari_diffraction.ui.widgets.said import SaidBox
from napari_diffraction.ui.widgets.tooltips import UNIT_CELL

_LEAST, _MOST = 20.0, 3000.0


class BeamBox(SaidBox):
    """The acceleration voltage of a microscope in kV, and so the wavelength of its electrons."""

    def __init__(self) -> None:
        self.number = named(QDoubleSpinBox(), "Voltage in kV", UNIT_CELL["voltage"])
        super().__init__("beam", named(QComboBox(), "Beam", UNIT_CELL["beam"]), [self.number])
        self._of_file: float | None = None
        self.source.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.source.setMinimumContentsLength(12)
        self.number.setLocale(QLocale.c())
        self.number.setRange(_LEAST, _MOST)
        self.number.setDecimals(1)
        self.number.setSuffix(" kV")
        self.number.setValue(ASSUMED_KILOVOLTS)
        self.number.setKeyboardTracking(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.source)
        column.addWidget(self.number)
        self._listen()
        # gives the keys of the panel back
        self.number.editingFinished.connect(self.number.clearFocus)

    def show_stack(self, stack: PatternStack | None, layer: Layer | None = None) -> None:
        """Offer what is known of a stack, as `SaidBox` does; nothing is signalled."""
        with QSignalBlocker(self):
            super().show_stack(stack, layer)

    def _offer(self, geometry: Geometry | None) -> tuple[str, tuple[float]]:
        told = geometry.wavelength if isinstance(geometry, SpotGeometry) else None
        self._of_file = told
        if told is None:
            return "not known", (ASSUMED_KILOVOLTS,)
        return f"of the file: {acceleration(told):.0f} kV", (acceleration(told),)

    @property
    def wavelength(self) -> float | None:
        """Wavelength in A that a person gives, else that of the file."""
        return float(wavelength(self.number.value())) if self.by_hand else self._of_file

    def _on_source(self) -> None:
        self.number.setVisible(self.by_hand)
        super()._on_source()
