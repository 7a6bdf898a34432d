"""The panel in which a person looks at the doubtful patterns and gives each its class."""

from __future__ import annotations

from html import escape
from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QWidget

from napari_diffraction.ui.classify.resume import ResumeQuestion
from napari_diffraction.ui.classify.threshold_box import threshold_box
from napari_diffraction.ui.panels import open_panel
from napari_diffraction.ui.review.export_box import ExportBox
from napari_diffraction.ui.review.label_buttons import LabelButtons
from napari_diffraction.ui.review.learn_box import LearnBox
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.features_table import open_table, scroll_to, show_row
from napari_diffraction.ui.viewer.keys import ReviewKeys
from napari_diffraction.ui.viewer.layers import LayerCombo
from napari_diffraction.ui.widgets.panel import Panel, button, group, named, plain, sentence
from napari_diffraction.ui.widgets.share_bar import ShareBar
from napari_diffraction.ui.widgets.tooltips import CLASSIFY, REVIEW
from napari_diffraction.ui.widgets.wording import counted

_CLASSIFY = ("napari-diffraction", "Classify patterns")


class ReviewWidget(Panel):
    """Step through the doubtful patterns, decide, undo, accept the rest, export.

    Parameters
    ----------
    napari_viewer
        The viewer; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._coordinator = Coordinator.of(napari_viewer)
        self._build()
        self.keys = ReviewKeys(self, self._key_actions())
        self.listen(self._coordinator.stack_changed, self._refresh)
        self.listen(self._coordinator.results_changed, self._refresh)
        self.listen(self._coordinator.moved, self._show_pattern)
        self.listen(self._coordinator.row_changed, show_row)
        self.layer.choose(self._coordinator.at_hand())
        self.layer.currentIndexChanged.connect(self._on_layer)
        self._on_layer()
        self._refresh()

    def _on_layer(self) -> None:
        self._coordinator.set_layer(self.layer.layer())

    # -- the parts ------------------------------------------------------------------------------
    def _build(self) -> None:
        coordinator = self._coordinator
        self.layer = named(LayerCombo(coordinator.viewer), "Stack of patterns", CLASSIFY["layer"])
        self.heading = sentence()
        self.question = ResumeQuestion(coordinator)
        self.classify_button = button("Classify patterns…", REVIEW["classify"], self._open_classify)
        self.all_button = button("All patterns", CLASSIFY["all"], coordinator.show_all)
        self.content.addWidget(self.layer)
        self.content.addWidget(self.heading)
        self.content.addWidget(self.all_button)
        self.content.addWidget(self.question)
        self.content.addWidget(self.classify_button)
        self.body, column = plain()
        column.addWidget(self._build_pattern())
        column.addWidget(self._build_rest())
        self.learn_group, learn_column = group("Learn")
        self.learn = LearnBox(coordinator)
        learn_column.addWidget(self.learn)
        column.addWidget(self.learn_group)
        self.export_group, export_column = group("Export")
        self.export = ExportBox(coordinator)
        export_column.addWidget(self.export)
        column.addWidget(self.export_group)
        self.content.addWidget(self.body)
        self.content.addStretch(1)

    def _build_pattern(self) -> QWidget:
        coordinator = self._coordinator
        box, column = group("Pattern")
        self.pattern = sentence()
        self.labels = LabelButtons(coordinator.decide)
        self.next_button = button("Next doubtful   N", REVIEW["next"], self._next)
        self.undo_button = button("Undo   Ctrl+Z", REVIEW["undo"], coordinator.undo)
        row = QHBoxLayout()
        row.addWidget(self.next_button, 1)
        row.addWidget(self.undo_button)
        column.addWidget(self.pattern)
        column.addWidget(self.labels)
        column.addLayout(row)
        return box

    def _build_rest(self) -> QWidget:
        box, column = group("Progress")
        self.left = sentence()
        self.bar = named(ShareBar(), "Doubtful patterns decided", REVIEW["progress"])
        self.threshold = threshold_box(self._coordinator)
        self.accept_button = button("Accept", REVIEW["accept"], self._accept)
        row = QHBoxLayout()
        row.addWidget(self.accept_button, 1)
        row.addWidget(self.threshold)
        self.table_button = button("Features table", REVIEW["table"], self._open_table)
        self.clear_button = button(
            "Every confidence", CLASSIFY["clear_filter"], lambda: self._coordinator.set_filter(None)
        )
        column.addWidget(self.left)
        column.addWidget(self.clear_button)
        column.addWidget(self.bar)
        column.addLayout(row)
        column.addWidget(self.table_button)
        return box

    # -- keys -----------------------------------------------------------------------------------
    def _key_actions(self) -> dict[str, Any]:
        actions: dict[str, Any] = {"N": self._next, "Ctrl+Z": self._coordinator.undo}
        for place in range(9):
            actions[str(place + 1)] = lambda place=place: self._decide(place)
        return actions

    def _decide(self, place: int) -> None:
        session = self._coordinator.session
        if session is not None and place < len(session.classes):
            self._coordinator.decide(session.classes[place])

    def showEvent(self, event: QShowEvent) -> None:
        """Take the keys."""
        super().showEvent(event)
        self._switch_keys()

    def hideEvent(self, event: QHideEvent) -> None:
        """Give the keys back to napari's layers."""
        super().hideEvent(event)
        self.keys.switch(False)

    def _switch_keys(self) -> None:
        self.keys.switch(self.isVisible() and self._coordinator.session is not None)

    # -- doing ----------------------------------------------------------------------------------
    def _next(self) -> None:
        if self._coordinator.next() is None and self._coordinator.session is not None:
            show_info("No doubtful pattern is left. Lower the threshold to see fewer, raise it "
                      "to see more of them.")  # fmt: skip

    def _accept(self) -> None:
        self._coordinator.accept()

    def _open_classify(self) -> None:
        open_panel(self._coordinator.viewer, *_CLASSIFY)

    def _open_table(self) -> None:
        layer = self._coordinator.points_layer
        if layer is not None:
            open_table(self._coordinator.viewer, layer)
            # When the table has taken its place from the patterns.
            QTimer.singleShot(100, self._fit_view)

    def _fit_view(self) -> None:
        self._coordinator.viewer.reset_view()
        self._show_pattern()

    # -- showing --------------------------------------------------------------------------------
    def _refresh(self) -> None:
        coordinator = self._coordinator
        self.layer.choose(coordinator.layer)
        session = coordinator.session
        ready = session is not None and len(session) > 0
        self.question.refresh()
        self.body.setVisible(ready)
        self.classify_button.setVisible(not ready)
        self._switch_keys()
        if session is not None:
            self.labels.set_classes(session.classes)
        self._show_pattern()
        if session is None or not ready:
            return
        counts = session.counts()
        self._show_queue()
        self.accept_button.setText(f"Accept {counts.acceptable:,} at or above")
        self.accept_button.setEnabled(counts.acceptable > 0)
        self.undo_button.setEnabled(session.last is not None)
        self.export.refresh()
        self.learn.refresh()

    def _show_queue(self) -> None:
        coordinator = self._coordinator
        left, total = coordinator.queue()
        kind = "that teach most" if len(coordinator.offered) else "doubtful"
        if coordinator.range is not None:
            low, high = coordinator.range
            kind = f"with confidence {low:.2f} to {high:.2f}"
        self.left.setText(f"<b>{left:,} of {total:,}</b> {kind} left")
        self.bar.show_share(1 - left / total if total else 1)
        self.clear_button.setVisible(coordinator.range is not None)

    def _heading(self) -> str:
        coordinator = self._coordinator
        if coordinator.stack is None:
            return "Open a stack first: drag a file or a folder of patterns into the window."
        if coordinator.session is None:
            return "The patterns have to be classified first."
        shown = coordinator.class_on_view
        what = f"{shown} only" if shown else counted(len(coordinator.stack), "patterns")
        return f"{what}, {coordinator.session.counts().reviewed:,} decided"

    def _show_pattern(self) -> None:
        session, index = self._coordinator.session, self._coordinator.current
        self.heading.setText(self._heading())
        self.all_button.setVisible(self._coordinator.class_on_view is not None)
        if session is None or not len(session):
            return
        if index is None or session.row(index) is None:
            self.pattern.setText("This pattern is not classified.")
            self.labels.show_pattern("", {})
            return
        if self._coordinator.points_layer is not None:
            scroll_to(self._coordinator.points_layer, index)
        label, reviewer = session.label(index), session.reviewer(index)
        how = f"decided by {reviewer}" if reviewer else f"confidence {session.certainty(index):.3f}"
        # a class may be called "<110>"
        self.pattern.setText(f"No. {index:,}: <b>{escape(label)}</b>, {escape(how)}")
        self.labels.show_pattern(label, session.probabilities(index))
