"""The panel that shows what a network looked at."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image
from numpy.typing import NDArray
from qtpy.QtWidgets import QCheckBox, QComboBox, QSpinBox, QWidget

from napari_diffraction.learning.explain.heatmaps import METHODS, WAYS
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.explain.heat_layer import HeatLayer, Question
from napari_diffraction.ui.explain.tasks import Answer, Explainers
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import LayerCombo, follow, stack_of
from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.model_list import ModelCombo, digest_of
from napari_diffraction.ui.widgets.panel import Panel, button, form, group, named, sentence
from napari_diffraction.ui.widgets.preferences import preference
from napari_diffraction.ui.widgets.tooltips import EXPLAIN
from napari_diffraction.ui.widgets.wording import counted
from napari_diffraction.ui.widgets.worker_bar import WorkBar

_PREDICTED = "predicted"


class ExplainWidget(Panel):
    """Choose patterns, a model and a class, and see over each pattern what counted for it.

    Parameters
    ----------
    napari_viewer
        The viewer; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._coordinator = Coordinator.of(napari_viewer)
        self._viewer = self._coordinator.viewer
        self._shown: WeakKeyDictionary[Image, HeatLayer] = WeakKeyDictionary()
        self._bar_for: HeatLayer | None = None
        self._explainers = Explainers()
        self._latest = Latest("The explanation", self)
        self._latest.done.connect(self._on_answer)
        self._latest.finished.connect(self._refresh)
        self._build()
        self.listen(self._coordinator.results_changed, self._refresh)
        follow(self, self._viewer.dims.events.current_step, self._on_step)
        follow(self, self._viewer.layers.events.removed, self._on_removed)
        self.layer.choose(self._coordinator.at_hand())
        self._on_layer()

    # -- the parts ------------------------------------------------------------------------------
    def _build(self) -> None:
        self.layer = named(LayerCombo(self._viewer), "Patterns", EXPLAIN["layer"])
        self.model = named(ModelCombo(lambda card: card.network in WAYS), "Model", EXPLAIN["model"])
        self.summary = sentence()
        self.label = named(QComboBox(), "Class", EXPLAIN["class"])
        self.method = named(QComboBox(), "Method", EXPLAIN["method"])
        for key, title in METHODS.items():
            self.method.addItem(title, key)
        fields = form()
        fields.addRow("Layer", self.layer)
        fields.addRow("Model", self.model)
        fields.addRow(self.summary)
        fields.addRow("Class", self.label)
        fields.addRow("Method", self.method)
        self.button = button("Explain this pattern", EXPLAIN["explain"], self.explain)
        self.follow = named(QCheckBox("Follow the slider"), "Follow the slider", EXPLAIN["follow"])
        self.follow.setChecked(True)
        self.note = sentence()
        self.content.addLayout(fields)
        for part in (self.button, self.follow, self.note, self._build_several()):
            self.content.addWidget(part)
        self.content.addStretch(1)
        self.layer.currentIndexChanged.connect(self._on_layer)
        self.model.currentIndexChanged.connect(self._on_model)
        self.label.currentIndexChanged.connect(self._on_question)
        self.method.currentIndexChanged.connect(self._on_question)
        self.follow.toggled.connect(self._on_step)

    def _build_several(self) -> QWidget:
        box, column = group("Several patterns")
        self.first = named(QSpinBox(), "First pattern", EXPLAIN["first"])
        self.last = named(QSpinBox(), "Last pattern", EXPLAIN["last"])
        fields = form()
        for text, field in (("From", self.first), ("to", self.last)):
            fields.addRow(text, field)
            field.valueChanged.connect(self._refresh)
        self.filtered = named(QCheckBox(), "Only filtered patterns", EXPLAIN["filtered"])
        self.filtered.toggled.connect(self._refresh)
        self.several_button = button("Compute", EXPLAIN["several"], self.explain_several)
        self.bar = WorkBar("patterns", EXPLAIN["cancel"])
        self.bar.stepped.connect(self._on_steps)
        self.bar.finished.connect(self._on_several)
        column.addLayout(fields)
        for part in (self.filtered, self.several_button, self.bar):
            column.addWidget(part)
        return box

    # -- choosing -------------------------------------------------------------------------------
    @property
    def shown(self) -> HeatLayer | None:
        """The maps of the chosen patterns."""
        image = self.layer.layer()
        if image is None:
            return None
        stack, shown = stack_of(image), self._shown.get(image)
        if shown is None or shown.stack is not stack:
            self._take(image, stack)
        return self._shown[image]

    def _take(self, image: Image, stack: PatternStack) -> None:
        """Begin with the patterns of a layer, or go on with more of the same."""
        shown = self._shown.get(image)
        if shown is not None and shown.grow(stack):
            for field in (self.first, self.last):
                field.setMaximum(len(stack) - 1)
            return
        if shown is not None:
            shown.remove()
        self._shown[image] = HeatLayer(self._viewer, image, stack)

    @property
    def question(self) -> Question | None:
        """What would be asked now."""
        card = self.model.currentData()
        if card is None:
            return None
        label = self.label.currentText() if self.label.currentIndex() > 0 else None
        model, method = str(card.path or card.name), self.method.currentData()
        return Question(model, label, method, digest_of(card))

    def _on_layer(self) -> None:
        shown = self.shown
        if shown is not None:
            last = len(shown.stack) - 1
            for field, value in ((self.first, 0), (self.last, last)):
                field.blockSignals(True)
                field.setRange(0, last)
                field.setValue(value)
                field.blockSignals(False)
            self.model.suit(type(shown.stack.geometry))
        self._on_model()

    def _on_model(self) -> None:
        card = self.model.currentData()
        self.summary.setText(card.summary if card is not None else "No model is installed.")
        classes = [] if card is None else list(card.classes)
        if classes != [self.label.itemText(place) for place in range(1, self.label.count())]:
            self._fill(self.label, [_PREDICTED, *classes])
        if card is not None:
            self.method.blockSignals(True)
            self.method.setCurrentIndex(self.method.findData(WAYS[card.network].method))
            self.method.blockSignals(False)
        self._on_question()

    @staticmethod
    def _fill(combo: QComboBox, texts: list[str]) -> None:
        combo.blockSignals(True)
        combo.clear()
        combo.addItems(texts)
        combo.blockSignals(False)

    def _on_question(self) -> None:
        shown = self.shown
        if shown is not None and shown.is_shown:
            self.explain()
        self._refresh()

    def _on_step(self, event: Any = None) -> None:
        shown = self.shown
        if shown is not None and shown.is_shown and self.follow.isChecked():
            self.explain()
        self._refresh()

    def _on_removed(self, event: Any) -> None:
        gone = self._shown.pop(event.value, None)
        if gone is not None:
            gone.remove()
            if gone is self._bar_for:
                self.bar.cancel()  # nobody would see the maps
        self._refresh()

    # -- one pattern ----------------------------------------------------------------------------
    def explain(self) -> None:
        """Show the map of the pattern on view, which is made in another thread if it is new."""
        shown, question = self.shown, self.question
        index = None if shown is None else shown.view.index()
        if shown is None or question is None or index is None:
            return
        self._show_layer(shown, question)
        if (question, index) not in shown.maps:
            device = preference("device", "auto")
            self._latest.ask(lambda: self._explainers.answer(shown, question, index, device))
        self._refresh()

    def _show_layer(self, shown: HeatLayer, question: Question) -> None:
        title = METHODS[question.method]
        about = {
            "model": self.model.currentData().name,
            "model_sha256": question.digest,
            "settings": {"method": question.method, "class": question.label or _PREDICTED},
            "version": version("napari-diffraction"),
        }
        name = f"{shown.image.name} - {title} ({question.label or _PREDICTED})"
        shown.ask(question, name, about)

    def _on_answer(self, answer: Answer) -> None:
        if answer.shown is self.shown and answer.question == self.question:
            answer.shown.refresh()

    # -- several --------------------------------------------------------------------------------
    def several(self) -> list[int]:
        """Return the numbers of the patterns that are chosen."""
        first, last = sorted((self.first.value(), self.last.value()))
        within = self._within() if self.filtered.isChecked() else None
        if within is None:
            return list(range(first, last + 1))
        return [int(index) for index in within if first <= index <= last]

    def _within(self) -> NDArray[np.int64] | None:
        """Numbers of the patterns in the range of confidences, if one is chosen for them."""
        coordinator = self._coordinator
        return coordinator.filtered() if self.layer.layer() is coordinator.layer else None

    def explain_several(self) -> None:
        """Make the maps of all chosen patterns."""
        shown, question, indices = self.shown, self.question, self.several()
        if shown is None or question is None or not indices or self.bar.running:
            return
        self._show_layer(shown, question)
        self._bar_for, device = shown, preference("device", "auto")
        self.bar.start(
            lambda: self._explainers.several(shown, question, indices, device), "The explanation"
        )
        self._refresh()

    def _on_steps(self, steps: list[Progress]) -> None:
        shown = self.shown
        if shown is not None and any(step.done for step in steps):
            shown.refresh()

    def _on_several(self) -> None:
        self._bar_for = None
        if self.shown is not None:
            self.shown.refresh()
        self._refresh()

    # -- showing --------------------------------------------------------------------------------
    def _refresh(self, event: Any = None) -> None:
        shown, question = self.shown, self.question
        ready = shown is not None and question is not None
        self.button.setEnabled(ready and shown.view.index() is not None)
        number = len(self.several())
        self.several_button.setText(f"Compute {counted(number, 'maps')}")
        self.several_button.setEnabled(ready and number > 0)
        self.several_button.setVisible(not self.bar.running)
        within = self._within()
        self.filtered.setVisible(within is not None)
        if within is not None and self._coordinator.range is not None:
            low, high = self._coordinator.range
            self.filtered.setText(f"Only confidence {low:.2f} to {high:.2f}")
        self.note.setText(self._note())
        self.note.setVisible(bool(self.note.text()))

    def _note(self) -> str:
        shown, question = self.shown, self.question
        if shown is None:
            return "Open a stack first: drag a file or a folder of patterns into the window."
        index = shown.view.index()
        if question is None or index is None or not shown.is_shown:
            return ""
        made = shown.maps.get(question, index)
        if made is None:
            return f"Pattern {index} is being explained." if self._latest.running else ""
        text = f"Pattern {index}: {made.predicted} {made.probabilities[made.predicted]:.2f}."
        if made.label != made.predicted:
            text += f" The map is of {made.label} ({made.probabilities[made.label]:.2f})."
        return text if made.heat.any() else f"{text} Nothing speaks for {made.label}."
