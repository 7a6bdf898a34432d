"""Where the tilts of sample and camera come from: the file of a scan, a person, or assumptions."""

from __future__ import annotations

from dataclasses import replace

from napari.layers import Layer
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_diffraction.analysis.indexed.orientations import USUAL_TILTS
from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry, PatternStack
from napari_diffraction.ui.widgets.panel import named
from napari_diffraction.ui.widgets.said import Said
from napari_diffraction.ui.widgets.tooltips import TILTS

_BY_HAND = "as I say"
_NAMES = ("sample", "camera")
#: Least and greatest, as of the command.
_RANGES = ((0.0, 90.0), (-90.0, 90.0))

Tilts = tuple[float | None, float | None]


class TiltBox(QWidget):
    """The tilts of sample and camera of a scan in degrees.

    Signals
    -------
    changed()
        Other tilts hold.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._said: Said[tuple[int, tuple[float, ...]]] = Said("tilts")
        self._of_file: Tilts = (None, None)
        self.source = named(QComboBox(), "Tilts", TILTS["source"])
        self.source.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.numbers = [named(QDoubleSpinBox(), f"Tilt of the {n}", TILTS[n]) for n in _NAMES]
        self._row = QWidget()
        row = QHBoxLayout(self._row)
        row.setContentsMargins(0, 0, 0, 0)
        for box, (low, high), value in zip(self.numbers, _RANGES, USUAL_TILTS, strict=True):
            box.setDecimals(1)
            box.setRange(low, high)
            box.setSuffix("°")
            box.setKeyboardTracking(False)
            box.setValue(value)
            box.valueChanged.connect(self.changed)
            row.addWidget(box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.source)
        column.addWidget(self._row)
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
        known = geometry if isinstance(geometry, KikuchiGeometry) else KikuchiGeometry()
        self._of_file = known.sample_tilt, known.camera_tilt
        usual = [_usual(told, one) for told, one in zip(self._of_file, USUAL_TILTS, strict=True)]
        place, values = self._said.again() or (0, usual)
        self.source.blockSignals(True)
        self.source.clear()
        self.source.addItems((_written(self._of_file), _BY_HAND))
        self.source.setCurrentIndex(place)
        self.source.blockSignals(False)
        for box, value in zip(self.numbers, values, strict=True):
            box.blockSignals(True)
            box.setValue(value)
            box.blockSignals(False)
        self._on_source()

    @property
    def given(self) -> Tilts:
        """The tilts that a person gives; ``None`` where they are those of the file or assumed."""
        if self.source.currentText() != _BY_HAND:
            return None, None
        sample, camera = (box.value() for box in self.numbers)
        return sample, camera

    @property
    def told(self) -> Tilts:
        """The tilts that a person gives, else those of the file; ``None``: nobody tells them."""
        return self._of_file if self.given == (None, None) else self.given

    def of(self, geometry: Geometry | None) -> KikuchiGeometry:
        """Return what is known of the camera of a scan, with the tilts that hold now."""
        known = geometry if isinstance(geometry, KikuchiGeometry) else KikuchiGeometry()
        sample, camera = self.told
        return replace(known, sample_tilt=sample, camera_tilt=camera)

    def _keep(self) -> None:
        self._said.keep((self.source.currentIndex(), tuple(box.value() for box in self.numbers)))

    def _on_source(self) -> None:
        self._row.setVisible(self.source.currentText() == _BY_HAND)
        self.changed.emit()


def _usual(told: float | None, usual: float) -> float:
    return usual if told is None else told


def _written(of_file: Tilts) -> str:
    """Say which tilts hold, that of the sample first, and which are assumed."""
    if of_file == (None, None):
        sample, camera = USUAL_TILTS
        return f"not known: {sample:g}°, {camera:g}° are assumed"
    parts = [
        f"{name} {usual:g}° assumed" if told is None else f"{name} {told:g}°"
        for name, told, usual in zip(_NAMES, of_file, USUAL_TILTS, strict=True)
    ]
    return "of the file: " + ", ".join(parts)
