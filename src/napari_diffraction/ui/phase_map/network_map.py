"""The part of the phase map panel that shows what a network says of a scan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QComboBox, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from napari_diffraction.analysis.maps.phase_map import DEFAULT_THRESHOLD, NOT_INDEXED, PhaseMap
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR, class_colour, class_title
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.phase_map.layers import PhaseMapLayers
from napari_diffraction.ui.phase_map.share_rows import ShareRow, ShareRows
from napari_diffraction.ui.phase_map.tasks import ScanWork, comparing
from napari_diffraction.ui.viewer.layers import follow, known_of
from napari_diffraction.ui.viewer.scan_navigation import ScanNavigation
from napari_diffraction.ui.widgets.compare_box import CompareBox
from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.panel import button, form, group, named, sentence
from napari_diffraction.ui.widgets.tooltips import PHASE_MAP

if TYPE_CHECKING:
    from napari_diffraction.analysis.maps.compare import Comparison
    from napari_diffraction.patterns.maps.vendor_map import VendorMap

_VOTES = ("of each pattern by itself", "of regions that vote")


class NetworkMapBox(QWidget):
    """Labels, legend and threshold of a map, and the probabilities of the point on view.

    Parameters
    ----------
    viewer
        Where the layers are.

    Signals
    -------
    votes_changed()
        The labels of single patterns, or of regions, are wanted.
    compare_asked()
        A person wants to compare with the map of another program.
    export_asked()
        A person wants a file.
    """

    votes_changed = Signal()
    compare_asked = Signal()
    export_asked = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._works: WeakKeyDictionary[Layer, ScanWork] = known_of(viewer, "mapped")
        self._layer: Image | None = None
        self._navigation: ScanNavigation | None = None
        self._rows: list[pd.DataFrame] = []
        self._flushed, self._cost = 0.0, 0.0
        self.comparing = Latest("The comparison", self)
        self.comparing.done.connect(self._on_compared)
        self.comparing.finished.connect(self._show_comparison)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._build_map())
        layout.addWidget(self._build_point())
        follow(self, viewer.layers.events.removed, lambda event: self.drop(event.value))

    def _build_map(self) -> QWidget:
        box, column = group("Map")
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
        self.compare_button = button("Compare…", PHASE_MAP["compare"], self.compare_asked.emit)
        self.comparison = CompareBox()
        self.export_button = button("Export…", PHASE_MAP["export"], self.export_asked.emit)
        column.addLayout(fields)
        for part in (self.legend, self.compare_button, self.comparison, self.export_button):
            column.addWidget(part)
        self.votes.currentIndexChanged.connect(self.votes_changed)
        self.threshold.valueChanged.connect(self.show_map)
        return box

    def _build_point(self) -> QWidget:
        box, column = group("Point on view")
        self.point_text = sentence()
        self.bars = named(ShareRows(), "Probabilities", PHASE_MAP["point"])
        column.addWidget(self.point_text)
        column.addWidget(self.bars)
        return box

    @property
    def by_regions(self) -> bool:
        """Whether the map in which regions voted is wanted."""
        return bool(self.votes.currentIndex() == 1)

    @property
    def lacks_votes(self) -> bool:
        """Whether regions are wanted to vote, and have not."""
        return self.by_regions and (self.work is None or self.work.voted is None)

    @property
    def can_vote(self) -> bool:
        """Whether all that regions vote on is there."""
        return self.work is not None and self.work.complete

    def leave_votes(self) -> None:
        """Go back to the labels of single patterns where regions have not voted."""
        if self.lacks_votes:
            self.votes.setCurrentIndex(0)

    @property
    def shown(self) -> PhaseMap | None:
        """The map on view."""
        return None if self.work is None else self.work.shown(self.by_regions)

    def set_idle(self, idle: bool) -> None:
        """Whether the map stays as it is now, so that it can be written."""
        for part in (self.votes, self.export_button):
            part.setEnabled(idle)

    # -- filling a map --------------------------------------------------------------------------
    def goes_on(self, about: dict[str, Any]) -> bool:
        """Whether a run of a model, by what is told of it, would add to an unfinished map."""
        work = self.work
        if work is None or work.complete or work.followed or not work.layers.there:
            return False
        return all(work.single.about.get(key) == value for key, value in about.items())

    def begin(
        self, stack: PatternStack, card: Any, about: dict[str, Any], *, followed: bool = False
    ) -> None:
        """Begin the map of the scan on view, in the place of any earlier one.

        Parameters
        ----------
        stack
            The scan, with what a person says of it.
        card
            Of the model.
        about
            How the map comes about.
        followed
            Whether the scan is still recorded: then no later run goes on from the map.
        """
        assert self._layer is not None
        assert self._navigation is not None
        before = self.work
        if before is not None:
            before.layers.clear()
        made = PhaseMap.empty(stack, card, about)
        layers = PhaseMapLayers(self._viewer, self._navigation, made, card.name)
        work = self._works[self._layer] = ScanWork(made, layers, followed=followed)
        if before is not None and len(before.single) == len(made):
            work.other, work.path = before.other, before.path
        self._rows, self._flushed, self._cost = [], 0.0, 0.0

    def add(self, layer: Layer, rows: list[pd.DataFrame]) -> None:
        """Add points to the map of a scan; drawing it takes at most a tenth of the time."""
        self._rows += rows
        if time.monotonic() - self._flushed > max(0.2, 10 * self._cost):
            self.flush(layer)

    def flush(self, layer: Layer) -> None:
        """Draw all points that were added."""
        rows, self._rows = self._rows, []
        work = self._works.get(layer)
        if not rows or work is None or layer not in self._viewer.layers:
            return
        began = time.monotonic()
        work.single.add(pd.concat(rows, ignore_index=True))
        self.show_map()
        self._flushed = time.monotonic()
        self._cost = self._flushed - began

    def grow(self, layer: Layer, stack: PatternStack) -> None:
        """Let the map of a scan have the rows that the scan has by now."""
        work = self._works.get(layer)
        if work is not None and len(work.single) < len(stack):
            # a vote and a comparison were those of the scan as it was
            work.single, work.voted = work.single.grown(stack), None
            work.other = work.found = None
            work.layers.clear_difference()

    def take_votes(self, layer: Layer, voted: PhaseMap) -> None:
        """Take the map in which the regions of a scan voted."""
        work = self._works.get(layer)
        if work is not None:
            work.voted = voted

    # -- showing --------------------------------------------------------------------------------
    @property
    def work(self) -> ScanWork | None:
        """What is known of the scan on view."""
        return None if self._layer is None else self._works.get(self._layer)

    @property
    def note(self) -> str:
        """How far the map goes, where it is not complete."""
        work = self.work
        if work is None or work.complete:
            return ""
        done, total = int(work.single.done.sum()), len(work.single)
        return f"{done:,} of {total:,} patterns are classified."

    def show_scan(self, layer: Image | None, navigation: ScanNavigation | None) -> None:
        """Take up another scan."""
        work = None if layer is None else self._works.get(layer)
        if work is not None and work.layers.navigation is not navigation:
            self.drop(layer)  # it is of patterns that were in this layer before
        self._layer, self._navigation = layer, navigation

    def drop(self, layer: Layer) -> None:
        """Forget the map of a scan, and remove its layers."""
        before = self._works.pop(layer, None)
        if before is not None:
            before.layers.clear()

    def show_when_there(self, wanted: bool) -> None:
        """Appear where it is wanted and there is a map."""
        work = self.work
        there = work is not None and bool(work.single.done.any()) and work.layers.there
        self.setVisible(wanted and there)
        if wanted and there:
            self.show_map()

    def show_map(self) -> None:
        """Draw the map as it is known now, with its legend."""
        work = self.work
        if work is None or not work.layers.there:
            return
        shown, threshold = work.shown(self.by_regions), self.threshold.value()
        work.layers.show(shown, threshold)
        shares = shown.shares(threshold)
        self.legend.set_rows([_row(name, shown, share) for name, share in shares.items()])
        self.setVisible(True)
        self._show_comparison()
        if self._navigation is not None and self._navigation.current is not None:
            self.show_point(*self._navigation.current)

    def compare_with(self, path: Path) -> None:
        """Compare the map with that of another program, in another thread."""
        if self.work is not None:
            self._compare(self.work, path, None)

    def _compare(self, work: ScanWork, path: Path, other: VendorMap | None) -> None:
        shown, threshold = work.shown(self.by_regions), self.threshold.value()
        work.found_for = work.state(self.by_regions, threshold)
        self.comparing.ask(lambda: (work, path, *comparing(shown, threshold, path, other)))

    def _on_compared(self, answer: tuple[ScanWork, Path, VendorMap, Comparison]) -> None:
        work, path, other, found = answer
        if found.difference.shape != work.single.shape:
            return  # the scan has grown since
        work.path, work.other, work.found = path, other, found
        work.layers.show_difference(found, str(path))

    def _show_comparison(self) -> None:
        """Show the newest comparison, and ask for another one where the map is another by now."""
        work = self.work
        if work is None:
            return
        self.comparison.show_comparison(work.found)
        state = work.state(self.by_regions, self.threshold.value())
        # one that waits may be with a file that was chosen just now
        if work.other is not None and not self.comparing.running and work.found_for != state:
            self._compare(work, work.path, work.other)

    def show_point(self, row: int, column: int) -> None:
        """Say what the network thinks of the pattern of a point."""
        shown = self.shown
        if shown is None:
            return
        there = row < shown.shape[0]  # the scan may have grown since
        if not there or not shown.known[row, column]:
            unread = there and shown.done[row * shown.shape[1] + column]
            said = "its pattern cannot be read" if unread else ""
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
