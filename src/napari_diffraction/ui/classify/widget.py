"""The panel that sorts the patterns of a stack."""

from __future__ import annotations

import time
from importlib.metadata import version
from typing import Any

import pandas as pd
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QSpinBox, QWidget

from napari_diffraction.patterns.growing import may_grow
from napari_diffraction.progress import Progress
from napari_diffraction.ui.classify.class_buttons import ClassButtons
from napari_diffraction.ui.classify.follow import FollowBox
from napari_diffraction.ui.classify.growth import Grown
from napari_diffraction.ui.classify.resume import ResumeQuestion
from napari_diffraction.ui.classify.tasks import (
    SHARES,
    Bordered,
    Earlier,
    classification,
    following,
)
from napari_diffraction.ui.classify.threshold_box import threshold_box
from napari_diffraction.ui.panels import open_panel
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import LayerCombo
from napari_diffraction.ui.widgets.histogram import ConfidenceHistogram
from napari_diffraction.ui.widgets.model_list import ModelCombo, digest_of
from napari_diffraction.ui.widgets.panel import Panel, button, form, group, named, sentence
from napari_diffraction.ui.widgets.preferences import preference
from napari_diffraction.ui.widgets.tooltips import CLASSIFY
from napari_diffraction.ui.widgets.wording import counted
from napari_diffraction.ui.widgets.worker_bar import WorkBar

_DEVICES = ("auto", "cpu", "cuda", "mps")
#: What is done to the patterns before, by what stands in the list.
_PREPARED = {"as they are": None, "redrawn from their peaks": "redraw"}
_REVIEW = ("napari-diffraction", "Review patterns")


class ClassifyWidget(Panel):
    """Choose a stack and a model, sort the patterns, and see what came out.

    Parameters
    ----------
    napari_viewer
        The viewer; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._coordinator = Coordinator.of(napari_viewer)
        self._rows: list[pd.DataFrame] = []
        self._told = ""
        self._border: float | None = None
        self._run_about: dict[str, Any] = {}
        self._flushed, self._cost = 0.0, 0.0
        self._forget_run()
        self._build()
        self.listen(self._coordinator.stack_changed, self._on_stack)
        self.listen(self._coordinator.results_changed, self._refresh)
        self.layer.choose(self._coordinator.at_hand())
        self._on_layer()
        self._on_model()
        self._refresh()

    # -- the parts ------------------------------------------------------------------------------
    def _build(self) -> None:
        self.layer = named(
            LayerCombo(self._coordinator.viewer), "Stack of patterns", CLASSIFY["layer"]
        )
        self.model = named(ModelCombo(), "Model", CLASSIFY["model"])
        self.summary = sentence()
        self.device = named(QComboBox(), "Device", CLASSIFY["device"])
        self.device.addItems(_DEVICES)
        self.device.setCurrentText(preference("device", "auto"))
        self.batch_size = named(QSpinBox(), "Batch size", CLASSIFY["batch_size"])
        self.batch_size.setRange(1, 4096)
        self.batch_size.setValue(preference("batch_size", 64))
        self.batch_size.setSuffix(" patterns")
        self.shares = named(QComboBox(), "Expected shares of the classes", CLASSIFY["shares"])
        self.shares.addItems(SHARES)
        self.prepared = named(QComboBox(), "Patterns are", CLASSIFY["preprocess"])
        for text, name in _PREPARED.items():
            self.prepared.addItem(text, name)
        for combo in (self.shares, self.prepared):  # for a narrow panel
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
        self.threshold = threshold_box(self._coordinator)
        fields = form()
        fields.addRow("Layer", self.layer)
        fields.addRow("Model", self.model)
        fields.addRow(self.summary)
        fields.addRow("Device", self.device)
        fields.addRow("Batch size", self.batch_size)
        fields.addRow("Shares", self.shares)
        fields.addRow("Patterns", self.prepared)
        fields.addRow("Threshold", self.threshold)
        self.question = ResumeQuestion(self._coordinator)
        self.run_button = button("Run", CLASSIFY["run"], self.run)
        self.follow = FollowBox(self._coordinator, CLASSIFY)
        self.follow.switched.connect(self._on_follow)
        self.bar = WorkBar("patterns", CLASSIFY["cancel"])
        self.bar.stepped.connect(self._on_steps)
        self.bar.returned.connect(self._flush)  # whoever else waits for the end has all results
        self.bar.finished.connect(self._on_finished)
        self.follow.gone.connect(self.bar.cancel)
        self.note = sentence()
        self.content.addLayout(fields)
        self.content.addWidget(self.question)
        self.content.addWidget(self.run_button)
        self.content.addWidget(self.follow)
        self.content.addWidget(self.bar)
        self.content.addWidget(self.note)
        self.content.addWidget(self._build_results())
        self.content.addStretch(1)
        self.layer.currentIndexChanged.connect(self._on_layer)
        self.model.currentIndexChanged.connect(self._on_model)
        self.shares.currentIndexChanged.connect(self._refresh)
        self.prepared.currentIndexChanged.connect(self._refresh)

    def _build_results(self) -> QWidget:
        self.results, column = group("Results")
        self.counts = ClassButtons(self._open_class, self._coordinator.show_all)
        self.histogram = named(
            ConfidenceHistogram(), "Histogram of confidence", CLASSIFY["histogram"]
        )
        self.histogram.chosen.connect(self._coordinator.set_filter)
        self.filter_text = sentence()
        self.clear_button = button(
            "Show all", CLASSIFY["clear_filter"], lambda: self._coordinator.set_filter(None)
        )
        row = QHBoxLayout()
        row.addWidget(self.filter_text, 1)
        row.addWidget(self.clear_button)
        self.review_button = button("Review", CLASSIFY["review"], self._open_review)
        column.addWidget(self.counts)
        column.addWidget(self.histogram)
        column.addLayout(row)
        column.addWidget(self.review_button)
        return self.results

    # -- choosing -------------------------------------------------------------------------------
    def _on_layer(self) -> None:
        if not self.bar.running:
            self._coordinator.set_layer(self.layer.layer())
        stack = self._coordinator.stack
        if stack is not None:
            self.model.suit(type(stack.geometry))

    def _on_model(self) -> None:
        card = self.model.currentData()
        self.summary.setText(card.summary if card is not None else "No model is installed.")
        self._refresh()

    def _on_stack(self) -> None:
        if self._coordinator.layer is not None:
            self.layer.choose(self._coordinator.layer)
        if self.bar.running and self._coordinator.review_in(self._run_layer) is None:
            self.bar.cancel()  # somebody removed the stack
        session = self._coordinator.session
        if session is not None and len(session) and not self.bar.running:
            self.model.choose(str(session.about.get("model", "")))  # which made these results
            self.shares.setCurrentText(session.about.get("settings", {}).get("shares", ""))
        self.question.refresh()
        self._refresh()

    def _open_class(self, label: str) -> None:
        self._coordinator.open_class(label)

    def _open_review(self) -> None:
        open_panel(self._coordinator.viewer, *_REVIEW)
        self._coordinator.next()

    # -- running --------------------------------------------------------------------------------
    def run(self) -> None:
        """Sort the patterns, or go on where the last run was cancelled."""
        self._coordinator.set_layer(self._coordinator.layer)  # it may have been drawn anew
        stack, card = self._coordinator.stack, self.model.currentData()
        if stack is None or card is None or self.bar.running:
            return
        goes_on = self._goes_on(card)
        earlier = self._earlier() if goes_on else None
        name, settings = self._begin_run(card, goes_on)
        self.bar.start(lambda: classification(stack, name, settings, earlier), "Classification")
        self._refresh()

    def _on_follow(self, wanted: bool) -> None:
        """Sort what is there and what comes, or stop doing so."""
        stack, card = self._coordinator.stack, self.model.currentData()
        opening = None if stack is None else may_grow(stack)
        if not wanted:
            self.bar.cancel()
        elif stack is not None and opening is not None and card is not None:
            goes_on = self._alike(card)
            # results in which the border was put nobody knows where are found anew
            known = goes_on and "border" in self._coordinator.session.about
            earlier = self._earlier() if known else None
            name, settings = self._begin_run(card, goes_on)
            newest = int(self._coordinator.session.index[-1]) if goes_on else None
            self.follow.begin(self._run_layer, newest)
            self.bar.start(lambda: following(opening, stack, name, settings, earlier), "Following")
        self._refresh()

    def _begin_run(self, card: Any, goes_on: bool) -> tuple[str, dict[str, Any]]:
        """Note what is run; return the model's name or file, and the settings."""
        settings = self._settings(card)
        # kept, as another model may be chosen before the first results are there
        self._run_classes, self._run_about = tuple(card.classes), self._about(card, settings)
        self._run_layer = self._coordinator.layer
        self._coordinator.show_alone(self._run_layer)  # another may have been opened over it
        self._run_review = self._coordinator.review_in(self._run_layer)
        self._run_session = self._coordinator.session if goes_on else None
        self._rows, self._flushed, self._cost, self._border = [], 0.0, 0.0, None
        return str(card.path or card.name), settings

    def _earlier(self) -> Earlier:
        session = self._coordinator.session
        return Earlier(session.said, float(session.about.get("border", 0.0)))

    def _settings(self, card: Any) -> dict[str, Any]:
        return {
            "model": card.name,
            "device": self.device.currentText(),
            "batch_size": self.batch_size.value(),
            "shares": self.shares.currentText(),
            "preprocess": self.prepared.currentData(),
        }

    def _goes_on(self, card: Any) -> bool:
        """Whether a run would add to unfinished results, also those of another day."""
        session, stack = self._coordinator.session, self._coordinator.stack
        unfinished = session is not None and stack is not None and len(session) < len(stack)
        return unfinished and self._alike(card)

    def _alike(self, card: Any) -> bool:
        """Whether there are results of the model and the settings that are chosen."""
        session = self._coordinator.session
        if session is None or not len(session):
            return False
        about, settings = session.about, self._settings(card)
        earlier = about.get("settings", {})
        same = all(earlier.get(name) == settings[name] for name in ("shares", "preprocess"))
        if not same or about.get("model") != card.name:
            return False
        return bool(about.get("model_sha256") == digest_of(card))

    def _on_steps(self, steps: list[Progress]) -> None:
        for step in steps:
            if not self._holds:
                self._leave()
                return
            if isinstance(step, Grown):
                self._flush()  # before numbers change
                if step.changed:
                    self._begin_results()
                self.follow.grow(step)
            elif len(getattr(step, "rows", ())):
                self._rows.append(step.rows)
            if isinstance(step, Bordered):
                self._told, self._border = step.note, step.shift
            else:
                self._told = getattr(step, "note", "") or self._told
        # Drawing the results never takes more than a tenth of the time.
        if time.monotonic() - self._flushed > max(0.3, 10 * self._cost):
            self._flush()

    def _flush(self, _: Any = None) -> None:
        if not self._holds:
            self._leave()
        rows, self._rows = self._rows, []
        if not rows:
            return
        began = time.monotonic()
        self._begin_results()
        found = pd.concat(rows, ignore_index=True)
        self._coordinator.add_rows(found, self._run_layer)
        self._keep_told()
        self._flushed = time.monotonic()
        self._cost = self._flushed - began
        self.follow.show(int(found["index"].max()))

    def _begin_results(self) -> None:
        """Begin with an empty table, unless the run goes on with what is there."""
        if self._run_session is None and self._holds:
            self._coordinator.begin(self._run_classes, self._run_about, self._run_layer)
            self._run_session = self._run_review.session

    @property
    def _holds(self) -> bool:
        """Whether the layer of the run still has its patterns and no results but its own.

        A lesson that ends meanwhile shows those of the new model; the layer may get other
        patterns, or be removed.
        """
        review = self._coordinator.review_in(self._run_layer)
        if review is None or review is not self._run_review:
            return False
        return self._run_session is None or review.session is self._run_session

    def _leave(self) -> None:
        """Stop the run, and leave what it found aside."""
        self._rows, self._told, self._border = [], "", None
        self.bar.cancel()

    def _keep_told(self) -> None:
        """Keep what was found out about the whole stack, once."""
        told, self._told = self._told, ""
        border, self._border = self._border, None
        if told or border is not None:
            facts = {} if border is None else {"border": border}
            self._coordinator.tell(told, self._run_layer, **facts)

    def _about(self, card: Any, settings: dict[str, Any]) -> dict[str, Any]:
        return {
            "model": card.name,
            "model_sha256": digest_of(card),
            "settings": {**settings, "threshold": self._coordinator.threshold},
            "border": 0.0,
            "version": version("napari-diffraction"),
        }

    def _on_finished(self) -> None:
        self._flush()
        if self._holds:
            self._keep_told()
        self.follow.end()
        self._forget_run()
        self._on_layer()
        self._refresh()

    def _forget_run(self) -> None:
        """Let go of the patterns of the run, which may be removed and take much memory."""
        self._run_layer = self._run_review = self._run_session = None

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what happened while another panel was in front."""
        super().showEvent(event)
        self._refresh()

    # -- showing --------------------------------------------------------------------------------
    def _refresh(self) -> None:
        coordinator = self._coordinator
        stack, session, running = coordinator.stack, coordinator.session, self.bar.running
        card = self.model.currentData()
        choices = (self.layer, self.model, self.device, self.batch_size, self.shares, self.prepared)
        for part in choices:
            part.setEnabled(not running)
        self.run_button.setVisible(not running)
        ready = stack is not None and card is not None
        self.run_button.setEnabled(ready)
        self.follow.refresh(stack, ready=ready and not running)
        goes_on = card is not None and self._goes_on(card)
        self.run_button.setText("Continue" if goes_on else "Run")
        self.run_button.setToolTip(CLASSIFY["continue" if goes_on else "run"])
        self.note.setText(self._note())
        self.note.setVisible(bool(self.note.text()))
        self.results.setVisible(session is not None and len(session) > 0)
        if session is not None and len(session) and self.isVisible():
            self._show_results()

    def _note(self) -> str:
        stack, session = self._coordinator.stack, self._coordinator.session
        if stack is None:
            return "Open a stack first: drag a file or a folder of patterns into the window."
        if session is not None and 0 < len(session) < len(stack) and not self.bar.running:
            whole = counted(len(stack), "patterns")
            return f"{len(session):,} of {whole} {'is' if len(stack) == 1 else 'are'} classified."
        return "" if session is None else str(session.about.get("told", ""))

    def _show_results(self) -> None:
        coordinator = self._coordinator
        session = coordinator.session
        assert session is not None
        counts = session.counts()
        self.counts.set_counts(counts.classes, session.classes)
        self.histogram.set_values(session.confidence, session.codes, session.names)
        self.histogram.mark(coordinator.threshold, coordinator.range)
        filtered = coordinator.range is not None
        self.clear_button.setVisible(filtered)
        self.filter_text.setVisible(filtered)
        if coordinator.range is not None:
            low, high = coordinator.range
            self.filter_text.setText(f"Only confidence {low:.2f} to {high:.2f}")
        text = f"Review {counts.left:,} doubtful" if counts.left else "Review"
        self.review_button.setText(text)
