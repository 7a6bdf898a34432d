"""The panel that compares models with labels that are known."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from napari.layers import Image
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QCheckBox, QComboBox, QFileDialog

from napari_diffraction.patterns.growing import only_grew
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.evaluate.layers import ChosenLayers
from napari_diffraction.ui.evaluate.results import EvaluationBox
from napari_diffraction.ui.evaluate.tasks import Evaluated, judging, places_of, writing
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import LayerCombo, follow, stack_of
from napari_diffraction.ui.viewer.stacks.stack_review import same_patterns
from napari_diffraction.ui.widgets.model_list import ModelCombo
from napari_diffraction.ui.widgets.panel import Panel, button, form, named, sentence
from napari_diffraction.ui.widgets.preferences import preference
from napari_diffraction.ui.widgets.tooltips import EVALUATE
from napari_diffraction.ui.widgets.worker_bar import WorkBar


class EvaluateWidget(Panel):
    """Choose labelled patterns and a model, and see what it gets right and how sure that is.

    Parameters
    ----------
    napari_viewer
        The viewer; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._coordinator = Coordinator.of(napari_viewer)
        self._viewer = self._coordinator.viewer
        self._chosen: WeakKeyDictionary[Image, ChosenLayers] = WeakKeyDictionary()
        self._found: WeakKeyDictionary[Image, tuple[PatternStack, Evaluated]] = WeakKeyDictionary()
        self._run_layer: Image | None = None
        self._run_stack: PatternStack | None = None
        self._build()
        self.listen(self._coordinator.results_changed, self._fill_labels)
        follow(self, self._viewer.layers.events.removed, self._on_removed)
        self.layer.choose(self._coordinator.at_hand())
        self._on_layer()

    # -- the parts ------------------------------------------------------------------------------
    def _build(self) -> None:
        self.layer = named(LayerCombo(self._viewer), "Patterns", EVALUATE["layer"])
        self.labels = named(QComboBox(), "True classes", EVALUATE["labels"])
        self.labels.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.labels.setMinimumContentsLength(12)
        self.model = named(ModelCombo(), "Model", EVALUATE["model"])
        self.compare = named(QCheckBox("Compare"), "Compare with", EVALUATE["other"])
        self.other = named(ModelCombo(), "Model to compare with", EVALUATE["other"])
        self.summary = sentence()
        fields = form()
        fields.addRow("Layer", self.layer)
        fields.addRow("Labels", self.labels)
        fields.addRow("Model", self.model)
        fields.addRow(self.summary)
        fields.addRow(self.compare, self.other)
        self.run_button = button("Evaluate", EVALUATE["run"], self.run)
        self.bar = WorkBar("patterns", EVALUATE["cancel"])
        self.bar.returned.connect(self._on_returned)
        self.bar.finished.connect(self._on_finished)
        self.note = sentence()
        self.results = EvaluationBox()
        self.results.opened.connect(self._open)
        self.results.all_wanted.connect(self._show_all)
        self.results.threshold_chosen.connect(self._coordinator.set_threshold)
        self.report_button = button("Save report…", EVALUATE["report"], self._ask_report)
        self.content.addLayout(fields)
        for part in (self.run_button, self.bar, self.note, self.results, self.report_button):
            self.content.addWidget(part)
        self.content.addStretch(1)
        self.layer.currentIndexChanged.connect(self._on_layer)
        self.model.currentIndexChanged.connect(self._refresh)
        self.compare.toggled.connect(self._refresh)
        self.labels.currentIndexChanged.connect(self._refresh)

    # -- choosing -------------------------------------------------------------------------------
    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with models and reviews made while another panel was in front."""
        super().showEvent(event)
        self.model.fill()
        self.other.fill()
        self._fill_labels()

    def _on_layer(self) -> None:
        if self.bar.running and self._run_layer not in self._viewer.layers:
            self.bar.cancel()  # somebody removed the patterns
        layer = self.layer.layer()
        if layer is not None:
            for models in (self.model, self.other):
                models.suit(type(stack_of(layer).geometry))
        self._fill_labels()
        self._show_found()

    def _fill_labels(self) -> None:
        layer, before = self.layer.layer(), self.labels.currentText().partition(" (")[0]
        places = [] if layer is None else places_of(self._coordinator, layer, stack_of(layer))
        self.labels.blockSignals(True)
        self.labels.clear()
        for place in places:
            self.labels.addItem(place.title, place)
            if before and place.title.startswith(before):
                self.labels.setCurrentIndex(self.labels.count() - 1)
        self.labels.blockSignals(False)
        self._refresh()

    # -- running --------------------------------------------------------------------------------
    def run(self) -> None:
        """Have the model judge the patterns, and compare the results with the labels."""
        layer, place, card = self.layer.layer(), self.labels.currentData(), self.model.currentData()
        if layer is None or place is None or card is None or self.bar.running:
            return
        self._run_layer, self._run_stack = layer, stack_of(layer)
        cards = [card, *([self.other.currentData()] if self.compare.isChecked() else [])]
        models = [str(one.path or one.name) for one in cards]
        settings = {
            "device": preference("device", "auto"),
            "batch_size": preference("batch_size", 64),
        }
        self._show_all()
        stack = self._run_stack
        self.bar.start(lambda: judging(stack, place, models, settings), "The evaluation")
        self._refresh()

    def _on_returned(self, result: Any) -> None:
        if isinstance(result, Path):
            show_info(f"Written: {result}")
        elif self._run_layer in self._viewer.layers and self._run_stack is not None:
            self._found[self._run_layer] = self._run_stack, result
            for event in (self._run_layer.events.data, self._run_layer.events.metadata):
                event.connect(self._on_input)
            self._show_found()

    def _on_finished(self) -> None:
        self._run_layer = self._run_stack = None  # patterns that are removed stay in memory else
        self._refresh()

    def _on_input(self, event: Any = None) -> None:
        """Leave what was found aside where a layer shows other patterns."""
        if self.layer.layer() is not None:
            self._show_found()

    def _on_removed(self, event: Any) -> None:
        gone = self._chosen.pop(event.value, None)
        if gone is not None:
            gone.show_all()

    def _ask_report(self) -> None:
        layer = self.layer.layer()
        if layer is None:
            return
        stack = stack_of(layer)
        start = Path(stack.source(0)).parent if stack.sources else Path.home()
        name = QFileDialog.getExistingDirectory(self, "Folder for the report", str(start))
        if name:
            self.save_report(Path(name) / f"{stack.name} - evaluation")

    def save_report(self, folder: Path) -> None:
        """Write tables, figures and the page into a folder."""
        layer = self.layer.layer()
        found = None if layer is None else self._found_of(layer)
        if found is not None:
            self._run_layer, stack = layer, stack_of(layer)
            self.bar.start(lambda: writing(found, folder, stack), "The report")
            self._refresh()

    # -- showing --------------------------------------------------------------------------------
    def _found_of(self, layer: Image) -> Evaluated | None:
        """What was found of the patterns that a layer shows, if it still shows them."""
        stack, found = self._found.get(layer, (None, None))
        now = stack_of(layer)
        if stack is None or now is stack or only_grew(now, stack) or same_patterns(now, stack):
            return found
        del self._found[layer]
        return None

    def _show_found(self) -> None:
        layer = self.layer.layer()
        found = None if layer is None else self._found_of(layer)
        if found is None:
            self.results.show_evaluations((), None, 0.0)
        else:
            self.results.show_evaluations(
                found.evaluations, found.comparison, self._coordinator.threshold
            )
        self._refresh()

    def _open(self, indices: NDArray[Any], title: str) -> None:
        layer, evaluation = self.layer.layer(), self.results.evaluation
        if layer is None or evaluation is None:
            return
        stack, before = stack_of(layer), self._chosen.get(layer)
        if before is None or before.stack is not stack:
            if before is not None:
                before.show_all()
            self._chosen[layer] = ChosenLayers(self._viewer, layer, stack)
        self._chosen[layer].open(evaluation, indices, title)
        self.results.all_button.setEnabled(self._chosen[layer].shown is not None)

    def _show_all(self) -> None:
        for chosen in self._chosen.values():
            chosen.show_all()

    def _refresh(self) -> None:
        layer, card, running = self.layer.layer(), self.model.currentData(), self.bar.running
        self.summary.setText("No model is installed." if card is None else card.summary)
        for part in (self.layer, self.labels, self.model, self.compare):
            part.setEnabled(not running)
        self.other.setEnabled(self.compare.isChecked() and not running)
        self.run_button.setVisible(not running)
        can = layer is not None and card is not None and self.labels.count() > 0
        self.run_button.setEnabled(can)
        self.note.setText(self._note(layer))
        self.note.setVisible(bool(self.note.text()))
        self.report_button.setVisible(self.results.evaluation is not None)
        self.report_button.setEnabled(not running)

    def _note(self, layer: Image | None) -> str:
        if layer is None:
            return "Open a stack first: drag a file or a folder of patterns into the window."
        if not self.labels.count():
            return (
                "Nothing is known of what these patterns truly are: label some in the panel "
                "Review patterns, or open a file with labels."
            )
        return ""
