"""The panel that maps the phases of a scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari.layers import Layer
from napari.utils.notifications import show_info
from qtpy.QtCore import QTimer
from qtpy.QtGui import QShowEvent

from napari_diffraction.analysis.maps.phase_map import PhaseMap
from napari_diffraction.analysis.maps.regions import vote_by_regions
from napari_diffraction.indexing.solution import IndexedMap
from napari_diffraction.patterns.growing import may_grow
from napari_diffraction.patterns.readers import Opening
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.classify.follow import FollowBox
from napari_diffraction.ui.classify.growth import Grown
from napari_diffraction.ui.indexed.box import IndexedBox
from napari_diffraction.ui.indexed.grain_averages import add_averages, averaging
from napari_diffraction.ui.indexed.live import Recorded, live_indexing
from napari_diffraction.ui.indexed.pictures import Pictured
from napari_diffraction.ui.indexed.tasks import (
    GIVEN,
    IndexingStep,
    Wishes,
    exporting_indexed,
    indexing,
)
from napari_diffraction.ui.phase_map.choice import ChoiceBox
from napari_diffraction.ui.phase_map.dialogs import ask_export, ask_map
from napari_diffraction.ui.phase_map.kept_steps import KeptSteps
from napari_diffraction.ui.phase_map.live import live_mapping
from napari_diffraction.ui.phase_map.my_phases_box import MyPhasesBox
from napari_diffraction.ui.phase_map.network_map import NetworkMapBox
from napari_diffraction.ui.phase_map.tasks import about_model, exporting, mapping
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import bare_viewer
from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation
from napari_diffraction.ui.widgets.model_list import MODELS
from napari_diffraction.ui.widgets.panel import Panel, button, sentence
from napari_diffraction.ui.widgets.tooltips import PHASE_MAP
from napari_diffraction.ui.widgets.worker_bar import Make, WorkBar

_MAPPING, _FOLLOWING = "The phase map", "Following"


class PhaseMapWidget(Panel):
    """Choose a scan and what names its phases, map them, and see how sure each point is.

    Parameters
    ----------
    napari_viewer
        The viewer; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = bare_viewer(napari_viewer)
        self._navigation: ScanNavigation | None = None
        self._run_layer: Layer | None = None
        self._so_far: Callable[[], IndexedMap] | None = None
        self._steps = KeptSteps(self._viewer)
        self._doing, self._seen = "", False
        self._build()
        self._on_model()
        self.scan.choose(Coordinator.of(self._viewer).at_hand())
        self._on_scan()

    # -- the parts ------------------------------------------------------------------------------
    def _build(self) -> None:
        self.choice = ChoiceBox(self._viewer)
        self.scan, self.model = self.choice.scan, self.choice.model
        self.centre, self.voltage = self.choice.centre, self.choice.voltage
        self.pattern = self.choice.pattern
        self.run_button = button("Run", PHASE_MAP["run"], self.run)
        self.follow = FollowBox(Coordinator.of(self._viewer), PHASE_MAP)
        self.bar = WorkBar("patterns", PHASE_MAP["cancel"])
        self.note = sentence()
        self.phases = MyPhasesBox()
        self.indexed = IndexedBox(self._viewer)
        self.network = NetworkMapBox(self._viewer)
        for part in (self.choice, self.run_button, self.follow, self.bar, self.note):
            self.content.addWidget(part)
        for part in (self.phases, self.indexed, self.network):
            self.content.addWidget(part)
        self.content.addStretch(1)
        self.scan.currentIndexChanged.connect(self._on_scan)
        self.model.currentIndexChanged.connect(self._on_model)
        self.centre.changed.connect(self._tell_phases)
        self.centre.changed.connect(self._on_model)
        self.voltage.changed.connect(self._on_told)
        self.choice.tilts.changed.connect(self._on_told)
        self.follow.switched.connect(self._on_follow)
        self.follow.gone.connect(self.bar.cancel)
        self.bar.stepped.connect(self._on_steps)
        self.bar.returned.connect(self._on_returned)
        self.bar.finished.connect(self._on_finished)
        self.phases.trained.connect(self._on_trained)
        self.phases.changed.connect(self._refresh)
        self.indexed.appeared.connect(self._refresh)
        self.indexed.vanished.connect(self._refresh)
        self.indexed.averages_asked.connect(self._average)
        self.network.votes_changed.connect(self._on_votes)
        for box in (self.indexed, self.network):
            box.export_asked.connect(self._ask_export)
            box.compare_asked.connect(self._ask_compare)
        for put_away in (self.indexed.put_away, self.pattern.put_away):
            self.closed.connect(put_away)

    # -- choosing -------------------------------------------------------------------------------
    def _on_scan(self) -> None:
        layer = self.scan.layer()
        if self.bar.running and self._run_layer not in self._viewer.layers:
            self.bar.cancel()  # somebody removed the scan
        navigation = None if layer is None else ScanNavigation.of(self._viewer, layer)
        if navigation is not self._navigation:
            if self._navigation is not None:
                self._navigation.moved.disconnect(self._show_point, missing_ok=True)
                self._navigation.replaced.disconnect(self._on_replaced, missing_ok=True)
            self._navigation = navigation
            if navigation is not None:
                self.listen(navigation.moved, self._show_point)
                self.listen(navigation.replaced, self._on_replaced)
                self._show_alone(layer)
        for box in (self.indexed, self.network):
            box.show_scan(layer, navigation)
        self.choice.show_scan(navigation)
        self._on_model()
        self._on_told()

    def _on_replaced(self) -> None:
        """Begin anew with other patterns in the layer: what was done says nothing of them."""
        layer = self.scan.currentData()
        if self._run_layer is layer:
            self._run_layer = None
            self.bar.cancel()
        self._on_scan()

    def _show_alone(self, layer: Layer | None) -> None:
        """Hide other scans, and a list of patterns if a person has chosen the scan."""
        coordinator = Coordinator.of(self._viewer)
        if self.isVisible() or coordinator.layer is None or coordinator.layer.ndim > 3:
            coordinator.show_alone(layer)

    def _tell_phases(self) -> None:
        """Say for what camera a model would be trained: what is said by hand counts."""
        stack = None if self._navigation is None else self.centre.applied(self._navigation.stack)
        self.phases.show_scan(stack, self.voltage.known)

    def _on_told(self) -> None:
        """Let what depends on the voltage and on the tilts follow them."""
        self._tell_phases()
        if not self.bar.running:
            self.indexed.set_voltage(*self.voltage.holds)
            self.indexed.set_tilts(*self.choice.tilts.told)
        self._refresh()

    def _on_trained(self, name: str) -> None:
        """Offer a model that has just been made, and choose it."""
        MODELS.changed.emit()
        self.model.choose(name)

    def _on_model(self) -> None:
        card = self.model.currentData()
        self.choice.show_model()
        self._about = {}
        if card is GIVEN:
            self.phases.open()
        elif card is not None and not self.choice.indexes:
            self._about = about_model(card, self.centre.given)
        self._refresh()

    def _on_votes(self) -> None:
        work = self.network.work
        if self.network.lacks_votes and work is not None and not self.bar.running:
            stack, single = self._stack(), work.single
            self._start(lambda: vote_by_regions(single, stack), "The vote of regions")
        self._refresh()

    def _stack(self) -> PatternStack:
        assert self._navigation is not None
        return self._navigation.stack

    # -- running --------------------------------------------------------------------------------
    def run(self) -> None:
        """Map the scan, or go on where the last run was cancelled."""
        layer, card = self.scan.layer(), self.model.currentData()
        if layer is None or card is None or self.bar.running:
            return
        self._show_alone(layer)  # another may have been opened over it
        if self.choice.indexes:
            self._index()
            return
        stack = self.choice.applied(self._stack())
        if not self.network.goes_on(self._about):
            self.network.begin(stack, card, self._about)
        work = self.network.work
        assert work is not None
        work.voted = None
        skip = frozenset(work.single.done.nonzero()[0].tolist())
        name, settings = self.choice.network, self._about["settings"]
        self._start(lambda: mapping(stack, name, settings, skip), _MAPPING)
        self._refresh()

    def _index(self) -> None:
        """Index the scan; an earlier solution stays until points of another one are there."""
        layer, stack, wishes = self.scan.layer(), self._stack(), self._wishes()
        steps = self._steps.begin(layer, stack, wishes)
        self._start(lambda: indexing(stack, wishes, steps), "The indexing")
        self._refresh()

    def _on_follow(self, wanted: bool) -> None:
        """Work on the rows that are there and those that come, or stop doing so."""
        layer, stack = self.scan.layer(), self._stack()
        opening = may_grow(stack)
        if not wanted:
            self.bar.cancel()
        elif layer is not None and opening is not None:
            make = self._live(layer, opening, stack)
            Coordinator.of(self._viewer).set_layer(layer)
            self.follow.begin(layer)
            self._start(make, _FOLLOWING)
        self._refresh()

    def _live(self, layer: Layer, opening: Opening, stack: PatternStack) -> Make:
        """Return what works on a scan that grows; an earlier map makes room for a network's."""
        if self.choice.indexes:
            wishes = self._wishes()
            self._steps.drop(layer)
            return lambda: live_indexing(opening, stack, wishes)
        name, settings = self.choice.network, self._about["settings"]
        centre = self.centre.given
        applied = self.choice.applied(stack)
        self.network.begin(applied, self.model.currentData(), self._about, followed=True)
        return lambda: live_mapping(opening, stack, name, settings, centre)

    def _wishes(self) -> Wishes:
        """What is told of the scan now."""
        return Wishes(
            self.centre.given,
            self.voltage.given,
            self.phases.phases if self.model.currentData() is GIVEN else (),
            self.centre.refines,
            self.choice.tilts.given,
            self.indexed.candidates.structures,
        )

    def _goes_on(self) -> bool:
        """Whether Run would add to what was done before Cancel."""
        if not self.choice.indexes:
            return self.network.goes_on(self._about)
        layer, navigation = self.scan.layer(), self._navigation
        if navigation is None or layer is None or self._unnamed:
            return False
        return self._steps.goes_on(layer, navigation.stack, self._wishes())

    @property
    def _unnamed(self) -> bool:
        """Whether phases are to be ticked before anything can be done."""
        return self.model.currentData() is GIVEN and not self.phases.phases

    def _average(self) -> None:
        stack, indexed = self._stack(), self.indexed.indexed
        if indexed is not None and not self.bar.running:
            self._start(lambda: averaging(stack, indexed), "The averaging")
            self._refresh()

    def _start(self, make: Make, what: str) -> None:
        self._run_layer, self._doing, self._so_far = self.scan.layer(), what, None
        self.bar.start(make, what)

    def _on_steps(self, steps: list[Progress]) -> None:
        solution = None
        for step in steps:
            if isinstance(step, Grown):
                self.follow.grow(step)
                if self._run_layer is not None and step.stack is not None:
                    self.network.grow(self._run_layer, self.choice.applied(step.stack))
            if isinstance(step, Recorded) and self._navigation is not None:
                if step.blank:
                    self._navigation.look(step.first, step.stop)
                self.follow.show(step.stop * self._navigation.shape[1] - 1)
            if isinstance(step, IndexingStep):
                self._so_far = step.so_far
                solution = step.solution or solution
        if solution is not None:
            self._take(solution.indexed, solution)
        rows = [step.rows for step in steps if hasattr(step, "rows") and len(step.rows)]
        if self._run_layer is not None:
            self.network.add(self._run_layer, rows)
        for note in (step.note for step in steps if getattr(step, "note", "")):
            self.centre.say(note)

    def _take(self, indexed: IndexedMap, pictures: Pictured | None = None) -> None:
        """Show a solution, whole or so far."""
        if self._run_layer in self._viewer.layers and self._navigation is not None:
            self.indexed.take(self._run_layer, self._navigation, indexed, pictures)
            self.indexed.show_when_there(self.choice.indexes)

    def _on_returned(self, result: Any) -> None:
        self._so_far = None
        if isinstance(result, PhaseMap) and self._run_layer is not None:
            self.network.take_votes(self._run_layer, result)
        elif isinstance(result, Pictured) and self._run_layer is not None:
            self._steps.drop(self._run_layer)
            self._take(result.indexed, result)
        elif isinstance(result, PatternStack) and self._run_layer is not None:
            add_averages(self._viewer, result, self._run_layer)
        elif isinstance(result, Path):
            show_info(f"Written: {result}")

    def _on_finished(self) -> None:
        self.follow.end()
        if self._run_layer is not None:
            self.network.flush(self._run_layer)
        if self._so_far is not None:  # it was broken off: what is done is kept
            self._take(self._so_far())
            self._so_far = None
        if self._doing not in (_MAPPING, _FOLLOWING) or not self.network.can_vote:
            self.network.leave_votes()
        else:
            self._on_votes()
        if not self.bar.running:  # else the votes are being counted
            self._run_layer = None  # which may be removed by now, and must be free to go
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
        path = ask_map(self, self._stack())
        if path is not None:
            self.compare_with(path)

    def compare_with(self, path: Path) -> None:
        """Compare the map that is shown with that of another program."""
        (self.indexed if self.choice.indexes else self.network).compare_with(Path(path))

    def _ask_export(self) -> None:
        path = ask_export(self, self._stack(), self.choice.indexes)
        if path is not None:
            self.export(path)

    def export(self, path: Path) -> None:
        """Write the map that is shown; the end of the name says how."""
        indexed, shown = self.indexed.indexed, self.network.shown
        if self.bar.running:
            return
        if self.choice.indexes and indexed is not None:
            self._start(lambda: exporting_indexed(indexed, path), "The export")
        elif shown is not None:
            threshold = self.network.threshold.value()
            told = replace(shown, geometry=self.choice.tilts.of(shown.geometry))
            self._start(lambda: exporting(told, path, threshold), "The export")
        self._refresh()

    # -- showing --------------------------------------------------------------------------------
    def _refresh(self) -> None:
        scan, card, idle = self.scan.layer(), self.model.currentData(), not self.bar.running
        for box in (self.choice, self.indexed, self.network):
            box.set_idle(idle)
        self.run_button.setVisible(idle)
        self.run_button.setEnabled(scan is not None and card is not None and not self._unnamed)
        ready = scan is not None and card is not None and idle and not self._unnamed
        navigation = self._navigation
        self.follow.refresh(None if navigation is None else navigation.stack, ready=ready)
        goes_on = self._goes_on()
        self.run_button.setText("Continue" if goes_on else "Run")
        self.run_button.setToolTip(PHASE_MAP["continue" if goes_on else "run"])
        self.note.setText(self._note())
        self.note.setVisible(bool(self.note.text()))
        self.indexed.show_when_there(self.choice.indexes)
        self.network.show_when_there(not self.choice.indexes)

    def _note(self) -> str:
        if self.scan.layer() is None:
            return "Open a scan first: drag a file with patterns in rows and columns in."
        if self._unnamed:
            return "Tick the phases that can be there, below."
        box = self.indexed if self.choice.indexes else self.network
        return "" if self.bar.running else box.note

    def _show_point(self, row: int, column: int) -> None:
        self.pattern.follow(row, column)
        self.indexed.show_point(row, column)
        if not self.choice.indexes:
            self.network.show_point(row, column)
