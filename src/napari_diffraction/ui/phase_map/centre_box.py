"""Where the pattern centre of a scan comes from: its file, the program's search, or a person."""

from __future__ import annotations

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_diffraction.patterns.geometry import CENTRES
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.ui.widgets.panel import named, sentence
from napari_diffraction.ui.widgets.said import Said
from napari_diffraction.ui.widgets.tooltips import CENTRE

_BY_HAND = "as I say"
_USUAL = (0.5, 0.3, 0.6)
_NAMES = ("x from the left", "y from the top", "distance")


class CentreBox(QWidget):
    """The pattern centre of a scan, in Bruker's convention.

    Signals
    -------
    changed()
        Another centre is to be used.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._said: Said[tuple[int, tuple[float, ...]]] = Said("centre")
        self._of_file = False
        self._indexes = True
        self.source = named(QComboBox(), "Pattern centre", CENTRE["source"])
        self.numbers = [named(QDoubleSpinBox(), name, CENTRE["number"]) for name in _NAMES]
        self.found = sentence()
        self.refine = named(QCheckBox("refine the centre"), "Refine", CENTRE["refine"])
        self._row = QWidget()
        row = QHBoxLayout(self._row)
        row.setContentsMargins(0, 0, 0, 0)
        for box, (low, high), value in zip(self.numbers, CENTRES, _USUAL, strict=True):
            box.setDecimals(3)
            box.setSingleStep(0.005)
            box.setRange(low, high)
            box.setValue(value)
            box.valueChanged.connect(self.changed)
            row.addWidget(box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.source, self._row, self.refine, self.found):
            column.addWidget(part)
        self.show_stack(None)
        self.source.currentIndexChanged.connect(self._on_source)
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
        pc = geometry.pc if isinstance(geometry, KikuchiGeometry) else None
        self._of_file = pc is not None
        first = "found by the program" if pc is None else "of the file: " + _written(pc)
        place, values = self._said.again() or (0, pc or self._values())
        self.source.blockSignals(True)
        self.source.clear()
        self.source.addItems((first, _BY_HAND))
        self.source.setCurrentIndex(place)
        self.source.blockSignals(False)
        for box, value in zip(self.numbers, values, strict=True):
            box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(False)
        self.say("")
        self._on_source()

    @property
    def given(self) -> tuple[float, float, float] | None:
        """The centre that a person gives; ``None`` where it is that of the file or searched."""
        if self.source.currentText() != _BY_HAND:
            return None
        x, y, z = self._values()
        return x, y, z

    def _values(self) -> tuple[float, ...]:
        return tuple(box.value() for box in self.numbers)

    def applied(self, stack: PatternStack) -> PatternStack:
        """Return a stack with the centre that is given, if one is."""
        return stack if self.given is None else stack.with_centre(self.given)

    def say(self, text: str) -> None:
        """Show what the search has found."""
        self.found.setText(text)
        self.found.setVisible(bool(text))

    @property
    def refines(self) -> bool:
        """Whether a centre that is known, from the file or a person, is to be refined."""
        return self.refine.isChecked() and (self._of_file or self.given is not None)

    def offer_refinement(self, offer: bool) -> None:
        """Say whether what comes next can refine a centre, as indexing does."""
        self._indexes = offer
        self.refine.setVisible(offer and (self._of_file or self.given is not None))

    def _keep(self) -> None:
        self._said.keep((self.source.currentIndex(), self._values()))

    def _on_source(self) -> None:
        self._row.setVisible(self.given is not None)
        self.offer_refinement(self._indexes)
        if self.given is not None:
            self.say("")
        self.changed.emit()


def _written(pc: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.3f}" for value in pc)
