"""The panel that finds peaks, lets a person correct them, and redraws the patterns from them."""

from __future__ import annotations

import time
from importlib.metadata import version
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QHBoxLayout, QWidget

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.zones.peak_tables import COLUMNS, Found, find_in_stack, tabulate
from napari_diffraction.patterns.spots.measure import THRESHOLD, find_spots, measure_spots
from napari_diffraction.patterns.stack import PatternStack, SpotGeometry
from napari_diffraction.progress import Progress
from napari_diffraction.review.provenance import write_beside
from napari_diffraction.ui.panels import open_panel
from napari_diffraction.ui.peaks.layers import PeakLayers
from napari_diffraction.ui.peaks.redrawn_layer import RedrawnLayer, Searched
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import LayerCombo, follow, stack_of
from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.panel import Panel, button, form, group, named, sentence
from napari_diffraction.ui.widgets.save_dialog import ask_where
from napari_diffraction.ui.widgets.tooltips import PEAKS
from napari_diffraction.ui.widgets.wording import counted
from napari_diffraction.ui.widgets.worker_bar import WorkBar, report

_CLASSIFY = ("napari-diffraction", "Classify patterns")


class PeaksWidget(Panel):
    """Choose patterns, find and correct their peaks, and redraw the patterns as clean ones.

    Parameters
    ----------
    napari_viewer
        The viewer; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._coordinator = Coordinator.of(napari_viewer)
        self._viewer = self._coordinator.viewer
        self._shown: WeakKeyDictionary[Image, PeakLayers] = WeakKeyDictionary()
        self._redrawn: WeakKeyDictionary[Image, RedrawnLayer] = WeakKeyDictionary()
        self._bar_for: PeakLayers | None = None
        self._waiting: dict[int, Found] = {}
        self._flushed = self._cost = 0.0
        self._latest = Latest("The search for peaks", self)
        self._latest.done.connect(self._on_answer)
        self._latest.finished.connect(self._refresh)
        self._search = Latest("The search for peaks", self)
        self._search.done.connect(self._on_searched)
        self._build()
        follow(self, self._viewer.dims.events.current_step, self._on_step)
        follow(self, self._viewer.layers.events.removed, self._on_removed)
        self.layer.choose(self._coordinator.at_hand())
        self._refresh()

    # -- the parts ------------------------------------------------------------------------------
    def _build(self) -> None:
        self.layer = named(LayerCombo(self._viewer), "Patterns", PEAKS["layer"])
        self.threshold = named(QDoubleSpinBox(), "Threshold", PEAKS["threshold"])
        self.threshold.setRange(0.5, 1000)
        self.threshold.setSingleStep(0.5)
        self.threshold.setDecimals(1)
        self.threshold.setValue(THRESHOLD)
        self.threshold.setSuffix(" × noise")
        self.threshold.setKeyboardTracking(False)
        fields = form()
        fields.addRow("Layer", self.layer)
        fields.addRow("Threshold", self.threshold)
        self.button = button("Find peaks of this pattern", PEAKS["find"], self.find)
        self.all_button = button("Find peaks of all patterns", PEAKS["all"], self.find_all)
        self.follow = named(QCheckBox("Follow the slider"), "Follow the slider", PEAKS["follow"])
        self.follow.setChecked(True)
        self.bar = WorkBar("patterns", PEAKS["cancel"])
        self.bar.stepped.connect(self._on_steps)
        self.bar.finished.connect(self._on_finished)
        self.note = sentence()
        self.content.addLayout(fields)
        parts = (self.button, self.follow, self.all_button, self.bar, self.note)
        for part in (*parts, self._build_use()):
            self.content.addWidget(part)
        self.content.addStretch(1)
        self.layer.currentIndexChanged.connect(self._refresh)
        self.follow.toggled.connect(self._on_step)
        self.threshold.valueChanged.connect(self._on_threshold)

    def _build_use(self) -> QWidget:
        self.use, column = group("With these peaks")
        self.redraw_button = button("Redraw the patterns", PEAKS["redraw"], self.redraw)
        self.classify_button = button("Classify…", PEAKS["classify"], self._classify)
        self.save_button = button("Save…", PEAKS["save"], self._ask_where)
        row = QHBoxLayout()
        row.addWidget(self.classify_button)
        row.addWidget(self.save_button)
        column.addWidget(self.redraw_button)
        column.addLayout(row)
        return self.use

    # -- what is shown --------------------------------------------------------------------------
    @property
    def shown(self) -> PeakLayers | None:
        """The peaks of the chosen patterns."""
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
            self._redrawn[image].grow(stack)
            self._update_redrawn(shown)
            return
        self._forget(image)
        self._shown[image] = PeakLayers(self._viewer, image, stack, self._on_edit)
        self._redrawn[image] = RedrawnLayer(self._viewer, image, stack)

    @property
    def redrawn(self) -> RedrawnLayer | None:
        """The redrawn patterns of the chosen ones."""
        return None if self.shown is None else self._redrawn[self.shown.image]

    def _forget(self, image: Image) -> None:
        for kept in (self._shown, self._redrawn):
            gone = kept.pop(image, None)
            if gone is not None:
                gone.remove()
                if gone is self._bar_for:
                    self.bar.cancel()  # nobody would see what is found

    def _on_removed(self, event: Any) -> None:
        if event.value in self._shown:
            self._forget(event.value)
        self._refresh()

    def _about(self) -> dict[str, Any]:
        return {
            "settings": {"threshold": self.threshold.value()},
            "version": version("napari-diffraction"),
        }

    # -- finding --------------------------------------------------------------------------------
    def find(self) -> None:
        """Find the peaks of the pattern on view, also where some were set by hand."""
        shown = self.shown
        index = None if shown is None else shown.view.index()
        if shown is None or index is None or not self._has_spots(shown.stack):
            return
        about, stack, threshold = self._about(), shown.stack, self.threshold.value()
        shown.show(about)
        self._latest.ask(lambda: (shown, _found(stack, index, threshold), about, None))
        self._refresh()

    def find_all(self) -> None:
        """Find the peaks of all patterns that no hand has touched."""
        shown = self.shown
        if shown is None or self.bar.running or not self._has_spots(shown.stack):
            return
        shown.show(self._about())
        todo = [i for i in range(len(shown.stack)) if i not in shown.edited]
        threshold = self.threshold.value()
        self._bar_for, self._waiting = shown, {}
        self.bar.start(lambda: find_in_stack(shown.stack, threshold, todo), "The search for peaks")
        self._refresh()

    def _has_spots(self, stack: PatternStack) -> bool:
        if isinstance(stack.geometry, SpotGeometry):
            return True
        error = InputError(f"{stack.name} holds Kikuchi patterns, which have no spots to be found.")
        report("The search for peaks", error)
        return False

    def _on_steps(self, steps: list[Progress]) -> None:
        for step in steps:
            self._waiting |= getattr(step, "found", {})
        # Drawing the peaks never takes more than a tenth of the time.
        if time.monotonic() - self._flushed > max(0.3, 10 * self._cost):
            self._flush()

    def _on_finished(self) -> None:
        self._flush()
        self._bar_for = None

    def _flush(self) -> None:
        shown, began = self._bar_for, time.monotonic()
        found, self._waiting = self._waiting, {}
        if shown is not None:  # what was corrected meanwhile stays
            shown.put({i: one for i, one in found.items() if i not in shown.edited})
            self._update_redrawn(shown)
        self._refresh()
        self._flushed = time.monotonic()
        self._cost = self._flushed - began

    def _on_step(self, event: Any = None) -> None:
        shown = self.shown
        if shown is not None and shown.is_shown and self.follow.isChecked():
            index = shown.view.index()
            if index is not None and not shown.looked[index] and not self.bar.running:
                self.find()
        self._search_redrawn()
        self._refresh()

    def _on_threshold(self) -> None:
        shown = self.shown
        index = None if shown is None else shown.view.index()
        if shown is not None and shown.is_shown and index is not None:
            shown.show(self._about())
            if not shown.looked[index]:
                self.find()

    # -- correcting -----------------------------------------------------------------------------
    def _on_edit(self, shown: PeakLayers, index: int) -> None:
        position, centre = shown.position(index), shown.centre(index)
        by_hand = shown.moved(index)
        stack = shown.stack

        def measure() -> Any:
            spots = measure_spots(stack.frame(index), position)
            return shown, (index, tabulate(index, spots, centre)), {}, by_hand

        self._latest.ask(measure)
        self._update_redrawn(shown)

    def _on_answer(
        self, answer: tuple[PeakLayers, tuple[int, Found], dict[str, Any], NDArray[np.bool_] | None]
    ) -> None:
        shown, (index, found), about, by_hand = answer
        if by_hand is not None:
            shown.mark(index, found, by_hand)
        elif about == shown.about:  # else another threshold counts by now
            shown.put({index: found})
            shown.edited.discard(index)
        self._update_redrawn(shown)
        self._refresh()

    # -- using ----------------------------------------------------------------------------------
    def redraw(self) -> None:
        """Show beside the patterns what is drawn from their peaks."""
        shown = self.shown
        if shown is not None and self._has_spots(shown.stack):
            self._draw(shown)
        self._refresh()

    def _update_redrawn(self, shown: PeakLayers) -> None:
        redrawn = self._redrawn.get(shown.image)
        if redrawn is not None and redrawn.is_shown:
            self._draw(shown)

    def _draw(self, shown: PeakLayers) -> None:
        about = {**(shown.about or self._about()), "preprocess": "redraw"}
        threshold = about["settings"]["threshold"]
        self._redrawn[shown.image].show(shown.drawn(), shown.edited, threshold, about)
        self._search_redrawn()

    def _search_redrawn(self) -> None:
        """Look for the peaks of a pattern that is seen redrawn, unless that is being done."""
        shown, redrawn = self.shown, self.redrawn
        index = None if shown is None else shown.view.index()
        if redrawn is None or index is None or self._latest.running or not redrawn.lacks(index):
            return
        self._search.ask(redrawn.search(index))

    def _on_searched(self, found: Searched) -> None:
        redrawn, *rest = found
        redrawn.take(*rest)

    def _classify(self) -> None:
        self.redraw()
        if self.redrawn is not None and self.redrawn.is_shown:
            open_panel(self._coordinator.viewer, *_CLASSIFY)
            self._coordinator.set_layer(self.redrawn.layer)

    def _ask_where(self) -> None:
        shown = self.shown
        if shown is None:
            return
        stack = shown.stack
        folder = Path(stack.source(0)).parent if stack.sources else Path.home()
        name = f"{stack.name}-peaks.csv"
        path = ask_where(self, "Save the peaks", folder, name, "Table (*.csv)")
        if path is not None:
            self.save(path)

    def save(self, path: Path) -> None:
        """Write the peaks found so far."""
        shown = self.shown
        if shown is None or not shown.is_shown:
            return
        try:
            with replacing(path) as temporary:
                columns = [*COLUMNS, "by_hand"]
                shown.table().to_csv(temporary, columns=columns, index=False, float_format="%.6g")
            stack = shown.stack
            about = {"sources": sorted(set(stack.sources)), "patterns": len(stack)}
            write_beside(path, {**shown.about, **about, "found_in": int(shown.looked.sum())})
        except InputError as error:
            report("Saving", error)
        else:
            show_info(f"Written: {path}")

    # -- showing --------------------------------------------------------------------------------
    def _refresh(self, event: Any = None) -> None:
        shown = self.shown
        ready = shown is not None
        peaks = ready and shown.is_shown
        self.button.setEnabled(ready and shown.view.index() is not None)
        self.all_button.setEnabled(ready)
        self.all_button.setVisible(not self.bar.running)
        self.threshold.setEnabled(not self.bar.running)
        number = len(shown.stack) if ready else 0
        some = counted(number, "patterns")
        self.all_button.setText(f"Find peaks of {'all ' if number != 1 else ''}{some}")
        self.use.setEnabled(ready)
        self.save_button.setEnabled(peaks)
        self.note.setText(self._note())
        self.note.setVisible(bool(self.note.text()))

    def _note(self) -> str:
        shown = self.shown
        if shown is None:
            return "Open a stack first: drag a file or a folder of patterns into the window."
        index = shown.view.index()
        if index is None or not shown.is_shown:
            return ""
        if not shown.looked[index]:
            waiting = "Its peaks are being looked for, which takes up to a minute the first time."
            return waiting if self._latest.running else ""
        mine = shown.features(index)
        zonal, by_hand = int(mine["zonal"].sum()), int(mine["by_hand"].sum())
        text = f"Pattern {index}: {counted(len(mine), 'peaks')}, {zonal} of its main zone (orange)"
        hand = f", {by_hand} set by hand" if by_hand else ""
        whole = counted(len(shown.stack), "patterns")
        return f"{text}{hand}. {int(shown.looked.sum()):,} of {whole} done."


def _found(stack: PatternStack, index: int, threshold: float) -> tuple[int, Found]:
    return index, tabulate(index, find_spots(stack.frame(index), threshold))
