"""Where the tilts of sample and camera come from: the file of a scan, a person, or assumptions."""

from __future__ import annotations

from dataclasses import replace

from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_diffraction.analysis.indexed.orientations import USUAL_TILTS
from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry
from napari_diffraction.ui.widgets.panel import named
from napari_diffraction.ui.widgets.said import SaidBox, of_scan
from napari_diffraction.ui.widgets.tooltips import TILTS

_NAMES = ("sample", "camera")
#: Least and greatest, as of the command.
_RANGES = ((0.0, 90.0), (-90.0, 90.0))

Tilts = tuple[float | None, float | None]


class TiltBox(SaidBox):
    """The tilts of sample and camera of a scan in degrees."""

    def __init__(self) -> None:
        self.numbers = [named(QDoubleSpinBox(), f"Tilt of the {n}", TILTS[n]) for n in _NAMES]
        super().__init__("tilts", named(QComboBox(), "Tilts", TILTS["source"]), self.numbers)
        self._of_file: Tilts = (None, None)
        self.source.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._row = QWidget()
        row = QHBoxLayout(self._row)
        row.setContentsMargins(0, 0, 0, 0)
        for box, (low, high), value in zip(self.numbers, _RANGES, USUAL_TILTS, strict=True):
            box.setDecimals(1)
            box.setRange(low, high)
            box.setSuffix("°")
            box.setKeyboardTracking(False)
            box.setValue(value)
            row.addWidget(box)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.source)
        column.addWidget(self._row)
        self._listen()

    def _offer(self, geometry: Geometry | None) -> tuple[str, list[float]]:
        known = of_scan(geometry)
        self._of_file = known.sample_tilt, known.camera_tilt
        usual = [_usual(told, one) for told, one in zip(self._of_file, USUAL_TILTS, strict=True)]
        return _written(self._of_file), usual

    @property
    def given(self) -> Tilts:
        """The tilts that a person gives; ``None`` where they are those of the file or assumed."""
        if not self.by_hand:
            return None, None
        sample, camera = self.values
        return sample, camera

    @property
    def told(self) -> Tilts:
        """The tilts that a person gives, else those of the file; ``None``: nobody tells them."""
        return self._of_file if self.given == (None, None) else self.given

    def of(self, geometry: Geometry | None) -> KikuchiGeometry:
        """Return what is known of the camera of a scan, with the tilts that hold now."""
        sample, camera = self.told
        return replace(of_scan(geometry), sample_tilt=sample, camera_tilt=camera)

    def _on_source(self) -> None:
        self._row.setVisible(self.by_hand)
        super()._on_source()


def _usual(told: float | None, usual: float) -> float:
    return usual if told is None else told


def _written(of_file: Tilts) -> str:
    """Say which tilts hold, that of the sample first, and which are assumed."""
    if of_file == (None, None):
        sample, camera = USUAL_TILTS
        return f"not known: {sample:g}°, {camera:g}° assumed"
    if None not in of_file:
        sample, camera = of_file
        return f"of the file: {sample:g}°, {camera:g}°"
    parts = [
        f"{usual:g}° assumed" if told is None else f"{told:g}° of the file"
        for told, usual in zip(of_file, USUAL_TILTS, strict=True)
    ]
    return ", ".join(parts)
