"""Where the pattern centre of a scan comes from: its file, the program's search, or a person."""

from __future__ import annotations

from qtpy.QtWidgets import QCheckBox, QComboBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_diffraction.patterns.geometry import CENTRES
from napari_diffraction.patterns.stack import Geometry, PatternStack
from napari_diffraction.ui.widgets.panel import named, sentence
from napari_diffraction.ui.widgets.said import SaidBox, of_scan
from napari_diffraction.ui.widgets.tooltips import CENTRE

_USUAL = (0.5, 0.3, 0.6)
_NAMES = ("x from the left", "y from the top", "distance")


class CentreBox(SaidBox):
    """The pattern centre of a scan, in Bruker's convention."""

    def __init__(self) -> None:
        self.numbers = [named(QDoubleSpinBox(), name, CENTRE["number"]) for name in _NAMES]
        super().__init__(
            "centre", named(QComboBox(), "Pattern centre", CENTRE["source"]), self.numbers
        )
        self._of_file = False
        self._indexes = True
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
            row.addWidget(box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.source, self._row, self.refine, self.found):
            column.addWidget(part)
        self._listen()

    def _offer(self, geometry: Geometry | None) -> tuple[str, tuple[float, ...]]:
        pc = of_scan(geometry).pc
        self._of_file = pc is not None
        self.say("")
        first = "found by the program" if pc is None else "of the file: " + _written(pc)
        return first, pc or self.values

    @property
    def given(self) -> tuple[float, float, float] | None:
        """The centre that a person gives; ``None`` where it is that of the file or searched."""
        if not self.by_hand:
            return None
        x, y, z = self.values
        return x, y, z

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

    def _on_source(self) -> None:
        self._row.setVisible(self.given is not None)
        self.offer_refinement(self._indexes)
        if self.given is not None:
            self.say("")
        super()._on_source()


def _written(pc: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:.3f}" for value in pc)
