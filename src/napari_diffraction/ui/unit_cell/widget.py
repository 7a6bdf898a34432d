"""The panel that finds the unit cell: zones, their nets, cells, and what they explain."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Layer
from napari.utils.notifications import show_error, show_info
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import QCheckBox, QHBoxLayout

from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.indexing.zones.solution import CellSolution
from napari_diffraction.learning.classes import ZONE
from napari_diffraction.patterns.stack import SpotGeometry
from napari_diffraction.progress import Progress
from napari_diffraction.ui.unit_cell.beam_box import BeamBox
from napari_diffraction.ui.unit_cell.cells_box import CellsBox
from napari_diffraction.ui.unit_cell.lattice_dock import LatticeDock
from napari_diffraction.ui.unit_cell.missing_box import MissingBox
from napari_diffraction.ui.unit_cell.nets.box import NetsBox
from napari_diffraction.ui.unit_cell.scale_box import ScaleBox
from napari_diffraction.ui.unit_cell.stack_cells import StackCells
from napari_diffraction.ui.unit_cell.tasks import NetsFitted, exporting, fitting, hearing, searching
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.keys import ReviewKeys
from napari_diffraction.ui.viewer.layers import LayerCombo, follow
from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.panel import Panel, button, form, group, named
from napari_diffraction.ui.widgets.tooltips import UNIT_CELL
from napari_diffraction.ui.widgets.wording import counted
from napari_diffraction.ui.widgets.worker_bar import WorkBar


class UnitCellWidget(Panel):
    """Fit nets to zones, find the cells that explain them, and see what they explain.

    Parameters
    ----------
    napari_viewer
        The viewer; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._coordinator = Coordinator.of(napari_viewer)
        self._viewer = self._coordinator.viewer
        self._known: WeakKeyDictionary[Layer, StackCells] = WeakKeyDictionary()
        self._working: StackCells | None = None
        self._flushed, self._cost, self._pending = 0.0, 0.0, False
        self._heard, self._fits = True, False
        self._build()
        self.keys = ReviewKeys(self, self._key_actions())
        self.listen(self._coordinator.stack_changed, self._refresh)
        self.listen(self._coordinator.results_changed, self._on_results)
        self.listen(self._coordinator.moved, self._show_pattern)
        follow(self, self._viewer.layers.events.removed, self._on_removed)
        self.layer.choose(self._coordinator.at_hand())
        self.layer.currentIndexChanged.connect(self._on_layer)
        self._on_layer()

    # -- the parts ------------------------------------------------------------------------------
    def _build(self) -> None:
        self.layer = named(LayerCombo(self._viewer), "Stack of patterns", UNIT_CELL["layer"])
        self.missing = MissingBox(self._coordinator)
        self.content.addWidget(self.layer)
        self.content.addWidget(self.missing)
        self.nets_group, column = group("Nets of the zones")
        self.fit_button = button("Fit nets", UNIT_CELL["fit"], self.fit)
        self.nets = NetsBox()
        column.addWidget(self.nets)
        column.addWidget(self.fit_button)
        self.bar = WorkBar("patterns", UNIT_CELL["cancel"])
        self.cells_group, column = group("Unit cell")
        self.beam, self.scale = BeamBox(), ScaleBox()
        self.every = named(QCheckBox(), "Index all patterns", UNIT_CELL["every"])
        self.every.setChecked(True)
        self.run_button = button("Run", UNIT_CELL["run"], self.run)
        self.cells = CellsBox()
        fields = form()
        fields.addRow("Beam", self.beam)
        fields.addRow("Scale", self.scale)
        column.addLayout(fields)
        row = QHBoxLayout()
        row.addWidget(self.run_button, 1)
        row.addWidget(self.every)
        column.addLayout(row)
        column.addWidget(self.cells)
        for part in (self.nets_group, self.bar, self.cells_group):
            self.content.addWidget(part)
        self.content.addStretch(1)
        self.lattice = LatticeDock(self, self._viewer)
        self.one_by_one = Latest("The indexing of the pattern", self)
        self.nets.stepped.connect(self._step)
        self.nets.struck.connect(self._strike)
        self.nets.added.connect(self._add)
        self.nets.list.chosen.connect(self._coordinator.show)
        self.nets.correct.toggled.connect(self._on_correct)
        self.beam.changed.connect(self._on_scale)
        self.scale.changed.connect(self._on_scale)
        self.one_by_one.done.connect(lambda _: self._show_pattern())
        self.bar.stepped.connect(self._on_steps)
        self.bar.returned.connect(self._on_returned)
        self.bar.finished.connect(self._on_finished)
        self.cells.chosen.connect(self._on_cell)
        self.cells.drawing_changed.connect(self._show_pattern)
        self.cells.lattice_asked.connect(self._show_lattice)
        self.cells.export_asked.connect(self.export)

    # -- keys -----------------------------------------------------------------------------------
    def _key_actions(self) -> dict[str, Any]:
        return {"J": lambda: self._step(-1), "K": lambda: self._step(1), "X": self._strike,
                "A": self._add}  # fmt: skip

    def showEvent(self, event: QShowEvent) -> None:
        """Take the keys, and fit the nets of zones that are there but not looked at."""
        super().showEvent(event)
        self._refresh()
        QTimer.singleShot(0, self._on_shown)

    def hideEvent(self, event: QHideEvent) -> None:
        """Give the keys back to napari's layers."""
        super().hideEvent(event)
        self.keys.switch(False)

    def _on_shown(self) -> None:
        if self.isVisible() and self.zones:
            self._viewer.reset_view()  # the panel has just taken a part of the canvas
            self.fit()

    # -- what there is --------------------------------------------------------------------------
    @property
    def known(self) -> StackCells | None:
        """What is known of the stack at work."""
        layer, stack = self._coordinator.layer, self._coordinator.stack
        if layer is None or stack is None or not self._has_spots:
            return None
        known = self._known.get(layer)
        if known is None or not (known.stack is stack or known.grow(stack)):
            gone, known = known, StackCells(self._viewer, layer, stack, self._on_edit)
            self._known[layer] = known
            self._clear(gone)  # nets of other patterns say nothing of these
        return known

    @property
    def _has_spots(self) -> bool:
        stack = self._coordinator.stack
        return stack is not None and isinstance(stack.geometry, SpotGeometry)

    @property
    def zones(self) -> list[int]:
        """Patterns that are zones: by review, else by the network, and those added here."""
        session, known = self._coordinator.session, self.known
        sorted_out = set() if session is None else set(session.patterns_of(ZONE).tolist())
        return sorted(sorted_out | (set() if known is None else known.added))

    def _waiting(self) -> list[int]:
        """Zones whose nets have not been looked for."""
        known = self.known
        return [] if known is None else [i for i in self.zones if i not in known.nets.spots]

    def _on_layer(self) -> None:
        self._coordinator.set_layer(self.layer.layer())
        self._refresh()

    # -- nets -----------------------------------------------------------------------------------
    def fit(self) -> None:
        """Fit the nets of all zones that have not been looked at."""
        stack, known, waiting = self._coordinator.stack, self.known, self._waiting()
        if stack is None or known is None or not waiting or self.bar.running:
            return
        self._working, self._flushed, self._cost = known, 0.0, 0.0
        self._fits = True
        self.bar.start(lambda: fitting(stack, waiting), "The search for nets")
        self._refresh()

    def _on_steps(self, steps: list[Progress]) -> None:
        known = self._working
        if known is None:
            return
        for step in steps:
            known.found.update(getattr(step, "found", {}))
        fitted = [step for step in steps if isinstance(step, NetsFitted)]
        if not fitted:
            return
        for step in fitted:
            known.nets.take(step.found, step.fits)
        self._pending = True
        # Drawing the nets never takes more than a tenth of the time.
        if time.monotonic() - self._flushed > max(0.3, 10 * self._cost):
            self._flush()

    def _flush(self) -> None:
        known = self._working
        if known is None or known.image not in self._viewer.layers:
            return
        began = time.monotonic()
        self._pending, known.stale = False, True
        known.draw()
        self._refresh()
        self._flushed = time.monotonic()
        self._cost = self._flushed - began

    def _step(self, step: int) -> None:
        known = self.known
        found = None if known is None else known.nets.neighbour(self._coordinator.current, step)
        if found is not None:
            self._coordinator.show(found)

    def _strike(self) -> None:
        known, index = self.known, self._coordinator.current
        if known is None or index is None or index not in known.nets.fits:
            return
        known.nets.strike(index)
        known.stale = True
        known.layers.colour()
        self._refresh()

    def _add(self) -> None:
        known, index = self.known, self._coordinator.current
        if known is None or index is None or self.bar.running or index in self.zones:
            return
        known.added.add(index)
        self.fit()

    def _on_correct(self) -> None:
        if self.known is not None:
            self.known.layers.let_correct(self.nets.correct.isChecked())

    def _on_edit(self, index: int, origin: NDArray[np.float64], basis: NDArray[np.float64]) -> None:
        known = self.known
        if known is None:
            return
        if known.nets.correct(index, origin, basis):
            known.stale = True
        else:
            show_error(f"Too few spots of pattern {index} lie on this net: it stays as it was.")
        known.draw()
        self._refresh()

    # -- cells ----------------------------------------------------------------------------------
    def run(self) -> None:
        """Find the cells that explain the nets that count."""
        stack, known = self._coordinator.stack, self.known
        if stack is None or known is None or self.bar.running:
            return
        counted, size = known.nets.counted, self.scale.pixel_size
        name, wavelength = self.layer.currentText(), self.beam.wavelength
        self._working, known.stale = known, False
        self.bar.start(lambda: searching(name, counted, size, wavelength), "The search for cells")
        self._refresh()

    def _on_returned(self, result: Any) -> None:
        if isinstance(result, CellResult) and self._working is not None:
            self._working.result = result
            self._working.choose(None)
            self._heard = bool(result.matches)
            self._refresh()
        elif isinstance(result, list):
            show_info(f"Written: {', '.join(str(path) for path in result)}")

    def _on_finished(self) -> None:
        if self._pending:
            self._flush()
        known, self._working = self._working, None
        fitted, self._fits = self._fits, False
        self._refresh()
        if not self._heard:
            self._heard = True
            self._hear()
        # who looks at something else while cells are searched stays there
        misses = known is not None and known.misses(self._coordinator.current)
        if fitted and misses and known is self.known:
            self._step(1)

    def _hear(self) -> None:
        """Ask all patterns about the cells that explain the zones."""
        stack, known = self._coordinator.stack, self.known
        if stack is None or known is None or known.result is None or known.stale:
            return
        if known.result.found.phases and self.every.isChecked():
            result, found = known.result, dict(known.found)
            self._working = known
            self.bar.start(lambda: hearing(stack, result, found), "The indexing of patterns")
            self._refresh()

    def _on_cell(self, cell: CellSolution | None) -> None:
        if self.known is not None:
            self.known.choose(cell)
            self._show_nets()
            self.lattice.show_scene(self.known)
            self._show_pattern()

    def _on_scale(self) -> None:
        known = self.known
        if known is not None:
            known.stale = True
        self._refresh()

    def _show_lattice(self) -> None:
        if self.known is not None:
            self.lattice.open(self.known)
            self.lattice.highlight(self.known, self._coordinator.current)

    def export(self, path: Path) -> None:
        """Write the cells; the end of the name says how, a name without one is a folder."""
        result, stack = None if self.known is None else self.known.result, self._coordinator.stack
        if result is not None and stack is not None and not self.bar.running:
            self.bar.start(lambda: exporting(result, stack, path), "The export")
            self._refresh()

    # -- showing --------------------------------------------------------------------------------
    def _on_results(self) -> None:
        """Follow the review: what is no zone any more has no net here."""
        known, stack, session = self.known, self._coordinator.stack, self._coordinator.session
        if known is None or stack is None or self.bar.running:
            return
        unfinished = session is not None and len(session) < len(stack)
        if not unfinished and known.nets.keep_only(self.zones):
            known.stale = True
            known.draw()
        self._refresh()

    def _on_removed(self, event: Any) -> None:
        # To draw anew when a drawing is removed would never end.
        if event.value in self._known:
            self._clear(self._known.pop(event.value))
            self._refresh()

    def _clear(self, gone: StackCells | None) -> None:
        """Take what is drawn away, and end the work that it is for."""
        if gone is None:
            return
        if gone is self._working:
            self._working = None
            self.bar.cancel()
        gone.remove()

    def _refresh(self) -> None:
        coordinator, known, running = self._coordinator, self.known, self.bar.running
        self.layer.choose(coordinator.layer)
        zones, waiting = self.zones, self._waiting()
        self.missing.refresh(len(zones))
        self.nets_group.setVisible(known is not None)
        self.cells_group.setVisible(known is not None and bool(known.nets.fits))
        self.keys.switch(self.isVisible() and known is not None)
        for part in (self.layer, self.beam, self.scale, self.every):
            part.setEnabled(not running)
        self.fit_button.setVisible(bool(waiting) and not running)
        self.fit_button.setText(f"Fit the nets of {len(waiting):,} zones")
        self.run_button.setVisible(not running)
        number = 0 if coordinator.stack is None else len(coordinator.stack)
        self.every.setText(f"index {'all ' if number != 1 else ''}{counted(number, 'patterns')}")
        self.beam.show_stack(coordinator.stack, coordinator.layer)
        self.scale.show_stack(coordinator.stack, coordinator.layer, self.beam.wavelength)
        if known is None:
            self.cells.show_result(None, Path.home())
            return
        self._show_nets()
        sources = () if coordinator.stack is None else coordinator.stack.sources
        self.cells.show_result(known.result, Path(sources[0]).parent if sources else Path.home())
        self.cells.show_stale(known.stale and not running)
        self.cells.export_button.setEnabled(not running)
        self._show_pattern()

    def _show_nets(self) -> None:
        known = self.known
        if known is not None:
            size, ellipse = self.scale.pixel_size, known.ellipse
            self.nets.show_nets(len(self.zones), known.nets, size, known.axes, ellipse)

    def _show_pattern(self) -> None:
        known, index = self.known, self._coordinator.current
        if known is None:
            return
        work = known.waiting(index)
        if work is not None and index is not None:
            self.one_by_one.ask(lambda: work.ask(index))
        self.nets.show_pattern(index, known.nets, known.misfit(index), known.words(index))
        known.draw_cell(index, self.cells.draw.isChecked())
        self.lattice.highlight(known, index)
