"""The panel that maps the phases of a scan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import pandas as pd
from napari.layers import Layer
from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QComboBox, QFileDialog, QWidget
from superqt import QLabeledDoubleSlider

from napari_diffraction.analysis.map_export import WRITERS
from napari_diffraction.analysis.phase_map import DEFAULT_THRESHOLD, NOT_INDEXED, PhaseMap
from napari_diffraction.analysis.regions import vote_by_regions
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.solution import IndexedMap
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR, class_colour, class_title
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.centre_box import CentreBox
from napari_diffraction.ui.compare_box import CompareBox
from napari_diffraction.ui.grain_averages import add_averages, averaging
from napari_diffraction.ui.indexed_box import IndexedBox
from napari_diffraction.ui.indexed_work import (
    GIVEN,
    INDEXED_FILES,
    IndexingWay,
    exporting_indexed,
    indexing,
)
from napari_diffraction.ui.layers import LayerCombo, bare_viewer, can_be_scan
from napari_diffraction.ui.model_list import MODELS
from napari_diffraction.ui.my_phases_box import MyPhasesBox
from napari_diffraction.ui.panel import Panel, button, form, group, named, sentence
from napari_diffraction.ui.pattern_view import PatternViewBox
from napari_diffraction.ui.phase_map_layers import PhaseMapLayers
from napari_diffraction.ui.phase_map_work import (
    ScanWork,
    about_model,
    exporting,
    mapping,
    model_combo,
)
from napari_diffraction.ui.scan_navigation import ScanNavigation
from napari_diffraction.ui.share_rows import ShareRow, ShareRows
from napari_diffraction.ui.tooltips import PHASE_MAP
from napari_diffraction.ui.work import Make, WorkBar

_MAPPING = "The phase map"
_VOTES = ("of each pattern by itself", "of regions that vote")
_MAPS = "Maps (*.ang *.ctf *.h5 *.hdf5 *.h5oina *.oh5)"
_FILES = (
    "orix crystal map (*.h5);;EDAX (*.ang);;Oxford (*.ctf);;Figure with legend (*.png);;"
    "Table (*.csv)"
)


class PhaseMapWidget(Panel):
    """Choose a scan and a model, map the phases, and see how sure each point is.

    Parameters
    ----------
    napari_viewer
        The viewer; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = bare_viewer(napari_viewer)
        self._works: WeakKeyDictionary[Layer, ScanWork] = WeakKeyDictionary()
        self._navigation: ScanNavigation | None = None
        self._rows: list[pd.DataFrame] = []
        self._flushed, self._cost = 0.0, 0.0
        self._run_layer: Layer | None = None
        self._doing, self._seen = "", False
        self._build()
        self._on_model()
        self._on_scan()

    # -- the parts ------------------------------------------------------------------------------
    def _build(self) -> None:
        self.scan = named(LayerCombo(self._viewer, accept=can_be_scan), "Scan", PHASE_MAP["scan"])
        self.model = named(model_combo(), "Model", PHASE_MAP["model"])
        self.summary = sentence()
        fields = form()
        fields.addRow("Scan", self.scan)
        fields.addRow("Model", self.model)
        fields.addRow(self.summary)
        self.centre = CentreBox()
        fields.addRow("Centre", self.centre)
        self.pattern = PatternViewBox(self._viewer)
        fields.addRow("Pattern", self.pattern)
        self.run_button = button("Run", PHASE_MAP["run"], self.run)
        self.bar = WorkBar("patterns", PHASE_MAP["cancel"])
        self.bar.stepped.connect(self._on_steps)
        self.bar.returned.connect(self._on_returned)
        self.bar.finished.connect(self._on_finished)
        self.note = sentence()
        self.phases = MyPhasesBox()
        self.phases.trained.connect(self._on_trained)
        self.phases.changed.connect(lambda: self._refresh())
        self.indexed = IndexedBox(self._viewer)
        self.indexed.export_asked.connect(self._ask_export)
        self.indexed.averages_asked.connect(self._average)
        self.content.addLayout(fields)
        for part in (self.run_button, self.bar, self.note, self.phases):
            self.content.addWidget(part)
        self.content.addWidget(self.indexed)
        self.content.addWidget(self._build_results())
        self.content.addWidget(self._build_point())
        self.content.addStretch(1)
        self.scan.currentIndexChanged.connect(self._on_scan)
        self.model.currentIndexChanged.connect(self._on_model)
        self.centre.changed.connect(self._on_model)

    def _build_results(self) -> QWidget:
        self.results, column = group("Map")
        self.votes = named(QComboBox(), "Labels", PHASE_MAP["votes"])
        self.votes.addItems(_VOTES)
        self.threshold = QLabeledDoubleSlider(Qt.Orientation.Horizontal)
        named(self.threshold, "Confidence threshold", PHASE_MAP["threshold"])
        self.threshold.setRange(0, 1)
        self.threshold.setSingleStep(0.01)
        self.threshold.setValue(DEFAULT_THRESHOLD)
        self.legend = named(ShareRows(), "Legend", PHASE_MAP["legend"])
        fields = form()
        fields.addRow("Labels", self.votes)
        fields.addRow("Threshold", self.threshold)
        self.compare_button = button("Compare…", PHASE_MAP["compare"], self._ask_compare)
        self.comparison = CompareBox()
        self.export_button = button("Export…", PHASE_MAP["export"], self._ask_export)
        column.addLayout(fields)
        for part in (self.legend, self.compare_button, self.comparison, self.export_button):
            column.addWidget(part)
        self.votes.currentIndexChanged.connect(self._on_votes)
        self.threshold.valueChanged.connect(self._show_map)
        return self.results

    def _build_point(self) -> QWidget:
        self.point, column = group("Point on view")
        self.point_text = sentence()
        self.bars = named(ShareRows(), "Probabilities", PHASE_MAP["point"])
        column.addWidget(self.point_text)
        column.addWidget(self.bars)
        return self.point

    # -- choosing -------------------------------------------------------------------------------
    @property
    def work(self) -> ScanWork | None:
        """What is known of the chosen scan."""
        layer = self.scan.layer()
        return None if layer is None else self._works.get(layer)

    def _on_scan(self) -> None:
        layer = self.scan.layer()
        if self.bar.running and self._run_layer not in self._viewer.layers:
            self.bar.cancel()  # somebody removed the scan
        navigation = None if layer is None else ScanNavigation.of(self._viewer, layer)
        if navigation is not self._navigation:
            if self._navigation is not None:
                self._navigation.moved.disconnect(self._show_point, missing_ok=True)
            self._navigation = navigation
            if navigation is not None:
                self.listen(navigation.moved, self._show_point)
        stack = None if navigation is None else navigation.stack
        self.phases.show_scan(stack)
        self.centre.show_stack(stack)
        self.pattern.show_scan(layer, navigation)
        self.indexed.show_scan(layer, navigation)
        self._refresh()

    def _on_trained(self, name: str) -> None:
        """Offer a model that has just been made, and choose it."""
        MODELS.changed.emit()
        self.model.choose(name)

    def _on_model(self) -> None:
        card = self.model.currentData()
        self.summary.setText(
            "No model for EBSD patterns is installed." if card is None else card.summary
        )
        self._about = {}
        if card is GIVEN:
            self.phases.open()
        elif card is not None and not self._indexes:
            self._about = about_model(card, self.centre.given)
        self._refresh()

    @property
    def _indexes(self) -> bool:
        """Whether indexing is chosen and no network."""
        return isinstance(self.model.currentData(), IndexingWay)

    def _on_votes(self) -> None:
        work = self.work
        if self._by_regions and work is not None and work.voted is None and not self.bar.running:
            stack, single = self._stack(), work.single
            self._start(lambda: vote_by_regions(single, stack), "The vote of regions")
        self._refresh()

    @property
    def _by_regions(self) -> bool:
        return bool(self.votes.currentIndex() == 1)

    def _stack(self) -> Any:
        assert self._navigation is not None
        return self._navigation.stack

    # -- running --------------------------------------------------------------------------------
    def run(self) -> None:
        """Map the scan, or go on where the last run was cancelled."""
        layer, card = self.scan.layer(), self.model.currentData()
        if layer is None or card is None or self.bar.running:
            return
        if self._indexes:
            self._index()
            return
        stack = self.centre.applied(self._stack())
        if not self._goes_on():
            self._begin(layer, card)
        work = self._works[layer]
        work.voted = None
        self._flushed, self._cost = 0.0, 0.0
        skip = frozenset(work.single.done.nonzero()[0].tolist())
        name, settings = str(card.path or card.name), self._about["settings"]
        self._start(lambda: mapping(stack, name, settings, skip), _MAPPING)
        self._refresh()

    def _index(self) -> None:
        """Index the scan; an earlier solution stays until there is another."""
        stack, pc, voltage = self._stack(), self.centre.given, self.phases.told_voltage
        phases = self.phases.phases if self.model.currentData() is GIVEN else ()
        self._start(lambda: indexing(stack, pc, voltage, phases), "The indexing")
        self._refresh()

    def _average(self) -> None:
        stack, indexed = self._stack(), self.indexed.indexed
        if indexed is not None and not self.bar.running:
            self._start(lambda: averaging(stack, indexed), "The averaging")
            self._refresh()

    def _start(self, make: Make, what: str) -> None:
        self._run_layer, self._doing, self._rows = self.scan.layer(), what, []
        self.bar.start(make, what)

    def _goes_on(self) -> bool:
        """Whether a run would add to an unfinished map."""
        work = self.work
        if work is None or work.complete or not work.layers.there or self._indexes:
            return False
        return all(work.single.about.get(key) == value for key, value in self._about.items())

    def _begin(self, layer: Any, card: Any) -> None:
        before = self._works.get(layer)
        if before is not None:
            before.layers.clear()
        assert self._navigation is not None
        made = PhaseMap.empty(self._stack(), card, self._about)
        layers = PhaseMapLayers(self._viewer, self._navigation, made, card.name)
        other = {} if before is None else {"other": before.other, "other_name": before.other_name}
        self._works[layer] = ScanWork(made, layers, **other)

    def _on_steps(self, steps: list[Progress]) -> None:
        self._rows += [step.rows for step in steps if hasattr(step, "rows") and len(step.rows)]
        for note in (step.note for step in steps if getattr(step, "note", "")):
            self.centre.say(note)
        # Drawing the map never takes more than a tenth of the time.
        if time.monotonic() - self._flushed > max(0.2, 10 * self._cost):
            self._flush()

    def _flush(self) -> None:
        rows, self._rows = self._rows, []
        work = self._works.get(self._run_layer)
        if not rows or work is None or self._run_layer not in self._viewer.layers:
            return
        began = time.monotonic()
        work.single.add(pd.concat(rows, ignore_index=True))
        self._show_map()
        self._flushed = time.monotonic()
        self._cost = self._flushed - began

    def _on_returned(self, result: Any) -> None:
        work = self._works.get(self._run_layer)
        if isinstance(result, PhaseMap) and work is not None:
            work.voted = result
        elif isinstance(result, IndexedMap) and self._run_layer in self._viewer.layers:
            assert self._navigation is not None
            self.indexed.take(self._run_layer, self._navigation, result)
        elif isinstance(result, PatternStack):
            add_averages(self._viewer, result, self._run_layer)
        elif isinstance(result, Path):
            show_info(f"Written: {result}")

    def _on_finished(self) -> None:
        self._flush()
        work = self._works.get(self._run_layer) if self._run_layer is not None else None
        if self._by_regions and (work is None or work.voted is None):
            if self._doing == _MAPPING and work is not None and work.complete:
                self._on_votes()
            else:
                self.votes.setCurrentIndex(0)
        self._on_scan()

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with models that were made while another panel was in front."""
        super().showEvent(event)
        self.model.fill()
        if not self._seen:  # the panel has just taken a part of the canvas
            self._seen = True
            QTimer.singleShot(0, self._viewer.reset_view)

    # -- comparing and writing ------------------------------------------------------------------
    def _ask_compare(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Compare with", str(self._folder()), _MAPS)
        if name:
            self.compare_with(Path(name))

    def compare_with(self, path: Path) -> None:
        """Compare the map with that of another program."""
        work = self.work
        if work is None:
            return
        from napari_diffraction.patterns.ebsd_maps import read_map

        before = work.other, work.other_name
        try:
            work.other, work.other_name = read_map(path), str(path)
            self._show_comparison()
        except InputError as error:
            work.other, work.other_name = before
            show_error(str(error))

    def _ask_export(self) -> None:
        suggestion = self._folder() / f"{self._stack().name}-phases.h5"
        files = INDEXED_FILES if self._indexes else _FILES
        name, chosen = QFileDialog.getSaveFileName(self, "Export", str(suggestion), files)
        if name:
            usual = chosen.rpartition("*")[2].rstrip(")")
            known = Path(name).suffix.lower() in (".json", *WRITERS)
            self.export(Path(name if known else name + usual))

    def export(self, path: Path) -> None:
        """Write the map that is shown; the end of the name says how."""
        work, indexed, threshold = self.work, self.indexed.indexed, self.threshold.value()
        if self.bar.running:
            return
        if self._indexes and indexed is not None:
            self._start(lambda: exporting_indexed(indexed, path), "The export")
        elif work is not None:
            shown = work.shown(self._by_regions)
            self._start(lambda: exporting(shown, path, threshold), "The export")
        self._refresh()

    def _folder(self) -> Path:
        sources = self._stack().sources
        return Path(sources[0]).parent if sources else Path.home()

    # -- showing --------------------------------------------------------------------------------
    def _refresh(self) -> None:
        scan, card, work = self.scan.layer(), self.model.currentData(), self.work
        running = self.bar.running
        for part in (self.scan, self.model, self.centre, self.votes, self.export_button):
            part.setEnabled(not running)
        self.indexed.set_idle(not running)
        self.run_button.setVisible(not running)
        ready = scan is not None and card is not None
        self.run_button.setEnabled(ready and not (card is GIVEN and not self.phases.phases))
        goes_on = self._goes_on()
        self.run_button.setText("Continue" if goes_on else "Run")
        self.run_button.setToolTip(PHASE_MAP["continue" if goes_on else "run"])
        self.note.setText(self._note())
        self.note.setVisible(bool(self.note.text()))
        self.indexed.show_when_there(self._indexes)
        there = work is not None and bool(work.single.done.any()) and work.layers.there
        there = there and not self._indexes
        self.results.setVisible(there)
        self.point.setVisible(there)
        if there:
            self._show_map()

    def _note(self) -> str:
        work = self.work
        if self.scan.layer() is None:
            return "Open a scan first: drag a file with patterns in rows and columns in."
        if self._indexes:
            given = self.model.currentData() is GIVEN
            return (
                "Tick the phases that can be there, below."
                if given and not self.phases.phases
                else ""
            )
        if work is not None and not work.complete and not self.bar.running:
            done, total = int(work.single.done.sum()), len(work.single)
            return f"{done:,} of {total:,} patterns are classified."
        return ""

    def _show_map(self) -> None:
        work = self.work
        if work is None or not work.layers.there or self._indexes:
            return
        shown, threshold = work.shown(self._by_regions), self.threshold.value()
        work.layers.show(shown, threshold)
        shares = shown.shares(threshold)
        self.legend.set_rows([_row(name, shown, share) for name, share in shares.items()])
        self.results.setVisible(True)
        self.point.setVisible(True)
        self._show_comparison()
        if self._navigation is not None and self._navigation.current is not None:
            self._show_point(*self._navigation.current)

    def _show_comparison(self) -> None:
        work = self.work
        assert work is not None
        comparison = work.compared(self._by_regions, self.threshold.value())
        self.comparison.show_comparison(comparison)
        if comparison is not None:
            work.layers.show_difference(comparison, work.other_name)

    def _show_point(self, row: int, column: int) -> None:
        self.pattern.follow(row, column)
        self.indexed.show_point(row, column)
        work = self.work
        if work is None:
            return
        shown = work.shown(self._by_regions)
        if not shown.known[row, column]:
            said = "its pattern cannot be read" if shown.done[row * shown.shape[1] + column] else ""
            self.point_text.setText(f"Row {row}, column {column}: {said or 'not classified yet'}.")
            self.bars.set_rows([])
            return
        name = shown.label(row, column, self.threshold.value())
        self.point_text.setText(f"Row {row}, column {column}: {class_title(name)}.")
        shares = shown.at(row, column).tolist()
        pairs = sorted(zip(shares, shown.classes, strict=True), reverse=True)
        self.bars.set_rows([_row(name, shown, share) for share, name in pairs])


def _row(name: str, phase_map: PhaseMap, share: float) -> ShareRow:
    grey = name == NOT_INDEXED
    colour = NOT_INDEXED_COLOUR if grey else class_colour(name, phase_map.classes)
    return ShareRow(class_title(name), colour, share)
