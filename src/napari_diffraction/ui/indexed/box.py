"""The part of the phase map panel that shows an indexed scan."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import Qt, QTimer, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from napari_diffraction.analysis.indexed.ipf import ipf_group
from napari_diffraction.indexing.revision import ranked_anew, with_name, with_voltage
from napari_diffraction.ui.indexed.candidates_box import CandidatesBox
from napari_diffraction.ui.indexed.comparing import Comparing
from napari_diffraction.ui.indexed.ipf_key_box import IpfKeyBox
from napari_diffraction.ui.indexed.layers import SHOWN, IndexedLayers
from napari_diffraction.ui.indexed.phase_list import IndexedList
from napari_diffraction.ui.indexed.point_box import PointBox
from napari_diffraction.ui.indexed.solved import Solved
from napari_diffraction.ui.indexed.tasks import accepted
from napari_diffraction.ui.viewer.difference_layer import DifferenceLayer
from napari_diffraction.ui.viewer.layers import follow, known_of
from napari_diffraction.ui.viewer.solution_overlay import SolutionOverlay
from napari_diffraction.ui.widgets.compare_box import CompareBox
from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.panel import button, form, group, named
from napari_diffraction.ui.widgets.tooltips import INDEXED

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.ui.indexed.pictures import Pictured
    from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation

#: Largest misfit that can be asked for, in degrees: there every one is accepted.
_ANY_MISFIT = 3.0


class IndexedBox(QWidget):
    """Maps, phases and limits of the solution of a scan, and what was found at a point.

    Parameters
    ----------
    viewer
        Where the layers are.

    Signals
    -------
    export_asked()
        A person wants a file.
    compare_asked()
        A person wants to compare with the map of another program.
    averages_asked()
        A person wants to see the grains' averages.
    appeared()
        All layers of a solution are there.
    vanished()
        Somebody has removed them.
    """

    export_asked = Signal()
    compare_asked = Signal()
    averages_asked = Signal()
    appeared = Signal()
    vanished = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._solved: WeakKeyDictionary[Layer, Solved] = known_of(viewer, "indexed")
        self._layer: Layer | None = None
        self._navigation: ScanNavigation | None = None
        # dies with the window, and with it whatever was still to come
        self._later = QTimer(self, interval=0)
        self._later.timeout.connect(self._add_next)
        self.ranking = Latest("The comparison with known materials", self)
        self.ranking.done.connect(self._on_ranked)
        self.point = PointBox(viewer)
        self.point.changed.connect(self._show_here)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._build_solution())
        layout.addWidget(self.point)
        follow(self, viewer.layers.events.removed, self._on_removed)
        for solved in self._solved.values():  # by a panel that was closed
            self._listen(solved)

    def _build_solution(self) -> QWidget:
        box, column = group("Solution")
        self.list = IndexedList()
        self.candidates = CandidatesBox()
        self.show_combo = named(QComboBox(), "Map", INDEXED["show"])
        self.show_combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        for key, title in SHOWN.items():
            self.show_combo.addItem(title, key)
        self.key = named(IpfKeyBox(), "Key", INDEXED["key"])
        self.confidence = _slider("Least confidence", INDEXED["confidence"], 1.0, 0.0)
        self.misfit = _slider("Largest misfit", INDEXED["misfit"], _ANY_MISFIT, _ANY_MISFIT)
        self.compare_button = button("Compare…", INDEXED["compare"], self.compare_asked.emit)
        self.comparison = CompareBox()
        self.export_button = button("Export…", INDEXED["export"], self.export_asked.emit)
        self.averages_button = button(
            "Grain averages", INDEXED["averages"], self.averages_asked.emit
        )
        fields = form()
        fields.addRow("Map", self.show_combo)
        limits = form()
        limits.addRow("Confidence", self.confidence)
        limits.addRow("Misfit (deg)", self.misfit)
        column.addWidget(self.list)
        column.addWidget(self.candidates)
        column.addLayout(fields)
        column.addWidget(self.key)
        column.addLayout(limits)
        for part in (self.averages_button, self.compare_button, self.comparison):
            column.addWidget(part)
        column.addWidget(self.export_button)
        column.addWidget(self.list.notes)
        self.list.chosen.connect(self.name_phase)
        self.candidates.changed.connect(self._on_candidates)
        self.show_combo.currentIndexChanged.connect(self._on_map)
        self.confidence.valueChanged.connect(self._on_limits)
        self.misfit.valueChanged.connect(self._on_limits)
        return box

    # -- which solution -------------------------------------------------------------------------
    def _now(self) -> Solved | None:
        return None if self._layer is None else self._solved.get(self._layer)

    @property
    def indexed(self) -> IndexedMap | None:
        """The solution on view without the points that are too doubtful."""
        now = self._now()
        return None if now is None else now.shown

    @property
    def there(self) -> bool:
        """Whether the scan on view is indexed and nobody has removed its map."""
        now = self._now()
        return now is not None and now.layers.complete and now.layers.there

    @property
    def arriving(self) -> bool:
        """Whether layers of a solution are still to come."""
        return self._later.isActive()

    @property
    def note(self) -> str:
        """How far the solution goes, where it was broken off."""
        now = self._now()
        if now is None or now.indexed.finished or not now.layers.there:
            return ""
        done = int(now.indexed.done.sum())
        return f"{done:,} of {len(now.indexed):,} patterns are indexed."

    def set_idle(self, idle: bool) -> None:
        """Whether the solution stays as it is now, so that it can be named, written, compared."""
        for part in (self.export_button, self.averages_button, self.compare_button):
            part.setEnabled(idle)
        self.list.set_idle(idle)

    def show_when_there(self, wanted: bool) -> None:
        """Appear, with the drawing over the pattern, where it is wanted and there is a solution."""
        self.setVisible(wanted and self.there)
        self._show_here()

    def show_scan(self, layer: Image | None, navigation: ScanNavigation | None) -> None:
        """Show the solution of another scan, if it has one."""
        changed = layer is not self._layer or navigation is not self._navigation
        before, solved = self._now(), None if layer is None else self._solved.get(layer)
        if solved is not None and solved.layers.navigation is not navigation:
            self.drop(layer)  # it is of patterns that were in this layer before
        self._layer, self._navigation = layer, navigation
        if not changed:
            return
        self.point.clear()
        if before is not None:
            before.overlay.hide()
        now = self._now()
        if now is not None:  # what was chosen for another scan counts for this one, too
            if not now.layers.complete:
                self._later.start()
            self._on_map()
            self._on_limits()
            self._rank()

    def take(
        self,
        layer: Image,
        navigation: ScanNavigation,
        indexed: IndexedMap,
        pictures: Pictured | None = None,
    ) -> None:
        """Show a solution of a scan, whole or so far, in the place of any earlier one.

        Its layers come one by one in the next turns of the event loop.

        Parameters
        ----------
        layer, navigation
            The scan.
        indexed
            The solution.
        pictures
            What was made of it in another thread.
        """
        self._layer, self._navigation = layer, navigation
        now = self._now()
        if now is None or not now.layers.there:
            self.drop(layer)
            layers = IndexedLayers(self._viewer, navigation, indexed, pictures)
            overlay = SolutionOverlay(self._viewer, layer, navigation, indexed.name)
            comparing = Comparing(DifferenceLayer(self._viewer, navigation, indexed.name))
            now = self._solved[layer] = Solved(indexed, layers, overlay, comparing, indexed)
            self._listen(now)
            self.show_combo.setCurrentIndex(0)
            self._on_map()
            self._later.start()
        else:
            now.indexed = indexed
        self._on_limits(pictures=pictures)
        if self.candidates.structures and indexed.finished:  # chosen while it was found, perhaps
            now.unranked = True
            self._rank()

    def _add_next(self) -> None:
        """Add one layer; painting and a person's hand come before the next one."""
        for solved in list(self._solved.values()):
            if not solved.layers.complete:
                solved.layers.add_next()
                return
        self._later.stop()
        self.appeared.emit()

    def drop(self, layer: Layer) -> None:
        """Forget the solution of a scan, and remove its layers."""
        before = self._solved.pop(layer, None)
        if before is not None:
            before.clear()
            self._show_comparison()

    def _on_removed(self, event: Any) -> None:
        """Tidy up after somebody removed the patterns, or the last of the maps."""
        self.drop(event.value)
        gone = [layer for layer, one in self._solved.items() if not one.layers.there]
        for layer in gone:
            self.drop(layer)
        if gone:
            self.vanished.emit()

    def put_away(self) -> None:
        """Hide what follows the point on view, as nothing does when the panel is closed."""
        self.point.opinion.clear()
        for solved in self._solved.values():
            solved.overlay.hide()

    # -- what a person changes ------------------------------------------------------------------
    def name_phase(self, number: int, name: str) -> None:
        """Give a phase a name, here, in the layers and in every file."""
        now = self._now()
        if now is not None:
            now.indexed = with_name(now.indexed, number, name, self.candidates.structures)
            self._on_limits()

    def set_voltage(self, voltage: float, voltage_from: str) -> None:
        """Let cells that were found follow another voltage, in kV."""
        now = self._now()
        if now is None or (now.indexed.voltage, now.indexed.voltage_from) == (
            voltage,
            voltage_from,
        ):
            return
        now.indexed = with_voltage(now.indexed, voltage, voltage_from)
        now.unranked = True
        self._on_limits()
        self._rank()

    def set_tilts(self, sample: float | None, camera: float | None) -> None:
        """Let orientations follow other tilts, in degrees; ``None``: nobody tells them."""
        now = self._now()
        if now is not None and now.tilt(sample, camera):
            self._on_limits()

    def _on_candidates(self) -> None:
        """Let other materials count, for other scans as soon as they are looked at."""
        for solved in self._solved.values():
            solved.unranked = True
        self._rank()

    def _rank(self) -> None:
        """Compare the phases with known materials once more, in another thread, if it is due."""
        now = self._now()
        if now is not None and now.unranked:
            indexed, structures = now.indexed, self.candidates.structures
            self.ranking.ask(lambda: (now, ranked_anew(indexed, structures)))

    def _on_ranked(self, answer: tuple[Solved, IndexedMap]) -> None:
        """Take the candidates of those phases whose cells are still those that were ranked."""
        solved, ranked = answer
        candidates = {id(phase.cell): phase.candidates for phase in ranked.phases}
        phases = solved.indexed.phases
        solved.unranked = not all(id(phase.cell) in candidates for phase in phases)
        phases = tuple(
            replace(phase, candidates=candidates.get(id(phase.cell), phase.candidates))
            for phase in phases
        )
        solved.indexed = replace(solved.indexed, phases=phases)
        if solved is self._now():
            self._on_limits()

    def _on_limits(self, _: float = 0.0, pictures: Pictured | None = None) -> None:
        now = self._now()
        if now is None:
            return
        misfit = self.misfit.value()
        now.shown = accepted(
            now.indexed, self.confidence.value(), misfit if misfit < _ANY_MISFIT else None
        )
        now.layers.show(now.indexed, now.shown, pictures)
        self._show_all()
        now.comparing.compare(now.shown)

    def _on_map(self) -> None:
        now, key = self._now(), str(self.show_combo.currentData())
        self._show_key()
        if now is not None:
            now.layers.choose(key)

    def _show_key(self) -> None:
        """Show what the colours of orientations mean, where there are any."""
        now = self._now()
        groups = [] if now is None else [ipf_group(phase) for phase in now.shown.phases]
        self.key.show_groups(groups)
        self.key.setVisible(bool(groups) and self.show_combo.currentData() in ("x", "y", "z"))

    # -- comparing ------------------------------------------------------------------------------
    def compare_with(self, path: Path) -> None:
        """Compare the solution with the map of another program, in another thread."""
        now = self._now()
        if now is not None:
            now.comparing.with_map(path, now.shown)

    def _listen(self, solved: Solved) -> None:
        solved.comparing.latest.finished.connect(self._show_comparison)

    def _show_comparison(self) -> None:
        now = self._now()
        self.comparison.show_comparison(None if now is None else now.comparing.found)

    # -- showing --------------------------------------------------------------------------------
    def _show_all(self) -> None:
        now = self._now()
        assert now is not None
        self.list.show_solution(now.shown)
        self._show_key()
        self._show_comparison()
        self._show_here()

    def _show_here(self) -> None:
        if self._navigation is not None and self._navigation.current is not None:
            self.show_point(*self._navigation.current)

    def show_point(self, row: int, column: int) -> None:
        """Say what was found at a point, and draw it over the pattern."""
        now = self._now()
        if now is None or not self.there or self._layer is None:
            return
        wanted = not self.isHidden()
        if row < now.shown.shape[0]:
            self.point.show_point(now.shown, now.overlay, self._layer, row, column, wanted)
        else:  # the scan has grown since
            self.point.show_nothing(now.overlay, row, column)


def _slider(name: str, tip: str, top: float, value: float) -> Any:
    slider = named(QLabeledDoubleSlider(Qt.Orientation.Horizontal), name, tip)
    slider.setRange(0, top)
    slider.setSingleStep(0.01)
    slider.setValue(value)
    return slider
