"""The upper part of the phase map panel: which scan, by what, and what is known of the camera."""

from __future__ import annotations

from napari.components import ViewerModel
from qtpy.QtCore import QSignalBlocker
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.indexed.tasks import IndexingWay
from napari_diffraction.ui.phase_map.centre_box import CentreBox
from napari_diffraction.ui.phase_map.pattern_view import PatternViewBox
from napari_diffraction.ui.phase_map.tasks import model_combo
from napari_diffraction.ui.phase_map.tilt_box import TiltBox
from napari_diffraction.ui.phase_map.voltage_box import VoltageBox
from napari_diffraction.ui.viewer.layers import LayerCombo, can_be_scan
from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation
from napari_diffraction.ui.widgets.panel import form, named, sentence
from napari_diffraction.ui.widgets.tooltips import PHASE_MAP


class ChoiceBox(QWidget):
    """Scan, model, pattern centre, voltage, tilts, and how the pattern on view is shown.

    Parameters
    ----------
    viewer
        Whose scans are offered.
    """

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.scan = named(LayerCombo(viewer, accept=can_be_scan), "Scan", PHASE_MAP["scan"])
        self.model = named(model_combo(), "Model", PHASE_MAP["model"])
        self.summary = sentence()
        self.centre = CentreBox()
        self.voltage = VoltageBox()
        self.tilts = TiltBox()
        self.pattern = PatternViewBox(viewer)
        fields = form()
        fields.addRow("Scan", self.scan)
        fields.addRow("Model", self.model)
        fields.addRow(self.summary)
        fields.addRow("Centre", self.centre)
        fields.addRow("Voltage", self.voltage)
        fields.addRow("Tilts", self.tilts)
        fields.addRow("Pattern", self.pattern)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(fields)

    @property
    def indexes(self) -> bool:
        """Whether indexing is chosen and no network."""
        return isinstance(self.model.currentData(), IndexingWay)

    @property
    def network(self) -> str:
        """Name or file of the network that is chosen."""
        card = self.model.currentData()
        return str(card.path or card.name)

    def applied(self, stack: PatternStack) -> PatternStack:
        """Return a scan with the pattern centre and the tilts that a person gives."""
        return self.centre.applied(stack).with_tilts(*self.tilts.given)

    def set_idle(self, idle: bool) -> None:
        """Whether anything can be chosen now."""
        for part in (self.scan, self.model, self.centre, self.voltage, self.tilts):
            part.setEnabled(idle)

    def show_scan(self, navigation: ScanNavigation | None) -> None:
        """Say what is known of another scan."""
        stack, layer = None if navigation is None else navigation.stack, self.scan.layer()
        # what one of them says does not hold before all show the same scan
        for box in (self.centre, self.voltage, self.tilts):
            with QSignalBlocker(box):
                box.show_stack(stack, layer)
        self.pattern.show_scan(layer, navigation)

    def show_model(self) -> None:
        """Say what the model is for."""
        card = self.model.currentData()
        self.summary.setText(
            "No model for EBSD patterns is installed." if card is None else card.summary
        )
        self.centre.offer_refinement(self.indexes)
