"""Learn from the labels given in a review, and sort the stack anew."""

from __future__ import annotations

from html import escape
from importlib.metadata import version
from pathlib import Path
from typing import Any
from weakref import ref

import numpy as np
from napari.utils.notifications import show_error, show_info
from qtpy.QtGui import QResizeEvent
from qtpy.QtWidgets import QLineEdit, QVBoxLayout, QWidget

from napari_diffraction.errors import InputError
from napari_diffraction.files import writing_error
from napari_diffraction.review.provenance import file_hash
from napari_diffraction.ui.review.tasks import Learned, Question, lesson
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.widgets.model_list import MODELS
from napari_diffraction.ui.widgets.panel import button, form, named, sentence
from napari_diffraction.ui.widgets.tooltips import LEARN
from napari_diffraction.ui.widgets.wording import counted
from napari_diffraction.ui.widgets.worker_bar import WorkBar

#: Labels of a class from which a lesson is worth its while.
_ENOUGH = 10


class LearnBox(QWidget):
    """How many labels there are, and the button that makes a model of them."""

    def __init__(self, coordinator: Coordinator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._coordinator = coordinator
        # no longer than needed, lest patterns that are removed stay in memory
        self._layer: ref[Any] | None = None
        self._stack: Any = None
        self.about = sentence()
        self.name = named(QLineEdit(), "Name of the new model", LEARN["name"])
        self.learn_button = button("Learn from my labels", LEARN["learn"], self.run)
        self.bar = WorkBar("steps", LEARN["cancel"])
        self.result = sentence()
        fields = form()
        fields.addRow("Name", self.name)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.about)
        layout.addLayout(fields)
        for part in (self.learn_button, self.bar, self.result):
            layout.addWidget(part)
        self.bar.returned.connect(self._on_returned)
        self.bar.finished.connect(self._on_finished)
        self.refresh()

    # -- showing --------------------------------------------------------------------------------
    def resizeEvent(self, event: QResizeEvent) -> None:
        """Give the sentences the room they need."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        # A column that scrolls would rather cut off lines than grow.
        for label in (self.about, self.result):
            label.setMinimumHeight(label.heightForWidth(label.width()) if label.text() else 0)

    def refresh(self) -> None:
        """Say how many labels there are, and whether they are enough."""
        counts = self._counts()
        self.about.setText(_about(counts))
        self.name.setPlaceholderText(self._usual_name())
        running = self.bar.running
        self.name.setEnabled(not running)
        self.learn_button.setVisible(not running)
        self.learn_button.setEnabled(sum(number >= 2 for number in counts.values()) >= 2)
        layer = None if self._layer is None else self._layer()
        if self._coordinator.layer is not layer and not running:
            self.result.setText("")
        self._fit()

    def _counts(self) -> dict[str, int]:
        """Numbers of the labels by which the model at work could learn."""
        session = self._coordinator.session
        if session is None:
            return {}
        _, labels = session.given()
        return {name: int((labels == name).sum()) for name in session.classes}

    def _usual_name(self) -> str:
        """Name a model after the one it comes from and the stack; it keeps its name after that."""
        session, stack = self._coordinator.session, self._coordinator.stack
        if session is None or stack is None:
            return ""
        model = str(session.about.get("model", ""))
        end = "-" + "".join(c if c.isalnum() or c in " .+-_" else "_" for c in stack.name)[:40]
        return model if model.endswith(end) else model + end

    # -- learning -------------------------------------------------------------------------------
    def run(self) -> None:
        """Learn; a model of the same name is replaced."""
        try:
            asked = self._question()
        except InputError as error:
            show_error(str(error))
            return
        self._layer, self._stack = ref(self._coordinator.layer), asked.stack
        self.result.setText("")
        self.bar.start(lambda: lesson(asked), "The lesson")
        self.refresh()

    def _question(self) -> Question:
        from napari_diffraction.learning.models.files import own_path, usable_name

        session, stack = self._coordinator.session, self._coordinator.stack
        if session is None or stack is None:
            raise InputError("Classify the patterns of a stack first: their labels are learned.")
        name = usable_name(self.name.text().strip() or self._usual_name(), "replace")
        output = own_path(name)
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise writing_error(output.parent, error) from error
        indices, labels = session.given()
        here = np.isin(indices, session.index[session.readable])
        settings = {"device": "auto", "batch_size": 64, "shares": ""}
        return Question(
            stack,
            indices[here],
            labels[here],
            session.person,
            str(session.about.get("model", "")),
            name,
            output,
            settings | dict(session.about.get("settings", {})),
        )

    def _on_returned(self, learned: Learned) -> None:
        coordinator, layer = self._coordinator, None if self._layer is None else self._layer()
        MODELS.changed.emit()
        if layer not in coordinator.viewer.layers:
            return
        review = coordinator.review_in(layer)
        if review is None or review.stack is not self._stack:  # other numbers, or other patterns
            name, model = layer.name, learned.card.name
            show_info(f"{model} is made, but {name} has changed since: choose {model} and run it.")
            return
        coordinator.set_layer(layer)
        before = coordinator.session
        settings = {} if before is None else dict(before.about.get("settings", {}))
        card = learned.card
        about = {
            "model": card.name,
            "model_sha256": file_hash(Path(card.path)),
            "settings": settings,
            "version": version("napari-diffraction"),
        }
        coordinator.begin(tuple(card.classes), about)
        coordinator.add_rows(learned.table)
        coordinator.note_lesson({"model": card.name, **card.recipe})
        coordinator.offer(learned.offered)
        self.name.clear()
        self.result.setText(f"{learned.verdict}. {_offer(len(learned.offered))}")
        self._fit()
        coordinator.next()

    def _on_finished(self) -> None:
        self._stack = None
        MODELS.changed.emit()  # a lesson that was stopped late has made a model, too
        self.refresh()


def _about(counts: dict[str, int]) -> str:
    given = sum(counts.values())
    if not given:
        return "Decide on some patterns by the keys; then the model can learn from you."
    said = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    few = [name for name, number in counts.items() if number < _ENOUGH]
    more = f" Better with {_ENOUGH} or more of each: {', '.join(few)}." if few else ""
    # a class may be called "<110>"
    return f"<b>{counted(given, 'labels')}</b>: {escape(said)}.{escape(more)}"


def _offer(number: int) -> str:
    if number == 1:
        return "The next pattern is the one that teaches most."
    return f"The next {number} patterns are those that teach most." if number else ""
