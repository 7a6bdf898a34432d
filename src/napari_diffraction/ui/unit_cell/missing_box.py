"""What the unit cell panel lacks, beside the buttons that get it."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from napari_diffraction.patterns.stack import SpotGeometry
from napari_diffraction.ui.panels import open_panel
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.widgets.panel import button, sentence
from napari_diffraction.ui.widgets.tooltips import UNIT_CELL

_PLUGIN = "napari-diffraction"


class MissingBox(QWidget):
    """Says in a sentence what has to be there first; hidden where nothing is missing."""

    def __init__(self, coordinator: Coordinator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._coordinator = coordinator
        self.text = sentence()
        self.sample_button = button("Open the sample stack", UNIT_CELL["sample"], self._sample)
        self.classify_button = button(
            "Classify patterns…", UNIT_CELL["classify"], lambda: self._open("Classify patterns")
        )
        self.review_button = button(
            "Review patterns…", UNIT_CELL["review"], lambda: self._open("Review patterns")
        )
        row = QHBoxLayout()
        for part in (self.sample_button, self.classify_button, self.review_button):
            row.addWidget(part)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.text)
        column.addLayout(row)

    def refresh(self, zones: int) -> None:
        """Say what is missing.

        Parameters
        ----------
        zones
            Number of zones that there are.
        """
        stack, session = self._coordinator.stack, self._coordinator.session
        sorted_out = session is not None and len(session) > 0
        spots = stack is not None and isinstance(stack.geometry, SpotGeometry)
        self.setVisible(not (spots and zones))
        self.sample_button.setVisible(stack is None)
        self.classify_button.setVisible(spots and not sorted_out)
        self.review_button.setVisible(spots and sorted_out)
        if stack is None:
            text = "Open a stack first: drag a file or a folder of patterns into the window."
        elif not spots:
            text = f"{stack.name} holds Kikuchi patterns, which have no zones of spots."
        elif not sorted_out:
            text = "The zones have to be sorted out first, or taken by hand, one by one, below."
        else:
            text = "No pattern is sorted as 2DZone: look at the doubtful ones."
        self.text.setText(text)

    def _sample(self) -> None:
        layers = self._coordinator.viewer.open_sample(_PLUGIN, "serial_experiment")
        self._coordinator.set_layer(layers[0])

    def _open(self, name: str) -> None:
        open_panel(self._coordinator.viewer, _PLUGIN, name)
