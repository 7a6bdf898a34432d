"""The field for the confidence below which a pattern is doubtful."""

from __future__ import annotations

from qtpy.QtCore import QLocale
from qtpy.QtWidgets import QDoubleSpinBox

from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.widgets.panel import named
from napari_diffraction.ui.widgets.tooltips import CLASSIFY


def threshold_box(coordinator: Coordinator) -> QDoubleSpinBox:
    """Make the field for the confidence threshold, which all panels share."""
    box = named(QDoubleSpinBox(), "Confidence threshold", CLASSIFY["threshold"])
    box.setLocale(QLocale.c())
    box.setRange(0, 1)
    box.setSingleStep(0.01)
    box.setKeyboardTracking(False)
    box.setValue(coordinator.threshold)

    def show() -> None:
        box.blockSignals(True)
        box.setValue(coordinator.threshold)
        box.blockSignals(False)

    def leave() -> None:
        coordinator.results_changed.disconnect(show, missing_ok=True)

    box.valueChanged.connect(coordinator.set_threshold)
    box.editingFinished.connect(box.clearFocus)  # gives the keys 1 to 4 back to the review
    coordinator.results_changed.connect(show)
    box.destroyed.connect(leave)
    return box
