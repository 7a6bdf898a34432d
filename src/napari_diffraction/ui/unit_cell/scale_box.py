"""How long a pixel is in reciprocal space: as the file says, as a person says, or left open."""

from __future__ import annotations

from napari.layers import Layer
from qtpy.QtCore import QLocale, Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QVBoxLayout, QWidget

from napari_diffraction.patterns.stack import PatternStack, SpotGeometry
from napari_diffraction.ui.widgets.panel import named
from napari_diffraction.ui.widgets.said import BY_HAND, Said
from napari_diffraction.ui.widgets.tooltips import UNIT_CELL

_FILE, _OPEN = "file", "left open"
_USUAL = 0.005


class ScaleBox(QWidget):
    """The reciprocal length of a pixel.

    Signals
    -------
    changed()
        Another scale is to be used.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._wavelength: float | None = None
        # where the scale is from, and the number by hand
        self._said: Said[tuple[str, float]] = Said("scale")
        self.source = named(QComboBox(), "Scale", UNIT_CELL["scale"])
        self.source.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.source.setMinimumContentsLength(12)
        self.number = named(QDoubleSpinBox(), "Pixel size", UNIT_CELL["pixel_size"])
        self.number.setLocale(QLocale.c())
        self.number.setDecimals(6)
        self.number.setRange(1e-6, 1)
        self.number.setSingleStep(1e-4)
        self.number.setValue(_USUAL)
        self.number.setSuffix(" 1/A per pixel")
        self.number.setKeyboardTracking(False)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.source)
        column.addWidget(self.number)
        self.show_stack(None)
        self.source.currentIndexChanged.connect(self._on_source)
        self.number.valueChanged.connect(self.changed)
        self.changed.connect(self._keep)
        # gives the keys of the panel back
        self.number.editingFinished.connect(self.number.clearFocus)

    def show_stack(
        self,
        stack: PatternStack | None,
        layer: Layer | None = None,
        wavelength: float | None = None,
    ) -> None:
        """Offer what is known of a stack, and what was said of it before; nothing is signalled.

        Parameters
        ----------
        stack
            The patterns.
        layer
            The one that shows them: as long as it is there, what is said of them stays.
        wavelength
            In A, by which a camera length in the file makes a scale.
        """
        other = self._said.turn_to(stack, layer) or wavelength != self._wavelength
        if not other and self.source.count():
            return
        self._wavelength = wavelength
        of_file = self._of_file()
        chosen, number = self._said.again() or (
            _OPEN if of_file is None else _FILE,
            of_file or self.number.value(),
        )
        self.source.blockSignals(True)
        self.source.clear()
        if of_file is not None:
            self.source.addItem(f"of the file: {of_file:.5g} 1/A per pixel", _FILE)
        self.source.addItem(BY_HAND, BY_HAND)
        self.source.addItem(f"{_OPEN}: the cell up to a factor", _OPEN)
        place = self.source.findData(chosen)
        self.source.setCurrentIndex(self.source.count() - 1 if place < 0 else place)
        self.source.blockSignals(False)
        self.number.blockSignals(True)
        self.number.setValue(number)
        self.number.blockSignals(False)
        self._show_number()

    @property
    def pixel_size(self) -> float | None:
        """In 1/A; ``None`` where it is left open."""
        chosen = self.source.currentData()
        if chosen == _OPEN:
            return None
        return self._of_file() if chosen == _FILE else float(self.number.value())

    def _of_file(self) -> float | None:
        geometry = None if self._said.stack is None else self._said.stack.geometry
        if not isinstance(geometry, SpotGeometry):
            return None
        return geometry.with_wavelength(self._wavelength).pixel_size

    def _show_number(self) -> None:
        self.number.setVisible(self.source.currentData() == BY_HAND)

    def _keep(self) -> None:
        self._said.keep((self.source.currentData(), self.number.value()))

    def _on_source(self) -> None:
        self._show_number()
        self.changed.emit()
