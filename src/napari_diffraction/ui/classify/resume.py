"""The question whether to take up a saved review, asked in the panel without stopping anything."""

from __future__ import annotations

from qtpy.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from napari_diffraction.review.store import describe
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.widgets.panel import button, sentence
from napari_diffraction.ui.widgets.tooltips import REVIEW


class ResumeQuestion(QFrame):
    """What was saved and when, with the buttons Continue and Start anew; hidden if nothing was."""

    def __init__(self, coordinator: Coordinator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self._coordinator = coordinator
        self.text = sentence()
        self.continue_button = button("Continue", REVIEW["continue"], coordinator.resume)
        self.anew_button = button("Start anew", REVIEW["anew"], coordinator.start_anew)
        row = QHBoxLayout()
        row.addWidget(self.continue_button)
        row.addWidget(self.anew_button)
        layout = QVBoxLayout(self)
        layout.addWidget(self.text)
        layout.addLayout(row)
        self.refresh()

    def refresh(self) -> None:
        """Ask, or hide where there is nothing to ask."""
        saved = self._coordinator.saved
        self.setVisible(saved is not None)
        if saved is not None:
            self.text.setText(describe(saved))
