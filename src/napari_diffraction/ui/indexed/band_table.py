"""The bands of the pattern on view, one by one; a click on one marks it in the pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.growing import same_input
from napari_diffraction.ui.viewer.layers import stack_of
from napari_diffraction.ui.viewer.strokes import index_text
from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.panel import named
from napari_diffraction.ui.widgets.tooltips import BAND_COLUMNS, INDEXED

if TYPE_CHECKING:
    from napari_diffraction.indexing.pattern_bands import PatternBands
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.patterns.kikuchi.preparation import Preparation
    from napari_diffraction.patterns.stack import PatternStack

#: Rows that are seen without scrolling.
_ROWS = 6
#: Bands that are more probably real than not are written as usual, others fainter.
_REAL = 0.5


class BandTable(QWidget):
    """The bands found in a pattern: plane, half width, how probably it is real, and angle off.

    Signals
    -------
    marked(object)
        The edges of the band that a person wants to see, (2, 2, 2); ``None``: of none.
    """

    marked = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._prepared: WeakKeyDictionary[Layer, tuple[PatternStack, Preparation]] = (
            WeakKeyDictionary()
        )
        self._asked: tuple[object, ...] = ()
        #: What is listed.
        self.found: PatternBands | None = None
        self.latest = Latest("The search for bands", self)
        self.latest.done.connect(self._show)
        self.table = named(QTableWidget(0, len(BAND_COLUMNS)), "Bands found", INDEXED["found"])
        for column, (name, tip) in enumerate(BAND_COLUMNS.items()):
            item = QTableWidgetItem(name)
            item.setToolTip(tip)
            self.table.setHorizontalHeaderItem(column, item)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().hide()
        high = self.table.fontMetrics().height() + 6
        self.table.verticalHeader().setMinimumSectionSize(high)
        self.table.verticalHeader().setDefaultSectionSize(high)
        header = self.table.horizontalHeader().sizeHint().height()
        self.table.setFixedHeight(header + _ROWS * high + 4)
        self.table.itemSelectionChanged.connect(self._on_selected)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.table)

    def show_pattern(self, layer: Image, indexed: IndexedMap, index: int) -> None:
        """Find the bands of a pattern, in another thread, unless they are there already.

        Parameters
        ----------
        layer
            The patterns.
        indexed
            The solution.
        index
            Flat number of the pattern.
        """
        number = int(indexed.phase[index])
        phase = indexed.phases[number] if number >= 0 else None
        turn, pc = indexed.rotation[index].tobytes(), indexed.pattern_centre
        asked = id(layer), index, number, turn, pc, phase and (phase.cell, phase.reflectors)
        if asked != self._asked:
            self._asked = asked
            stack = stack_of(layer)  # now, as the layer may be given other patterns meanwhile
            self.latest.ask(lambda: (asked, self._look(layer, stack, indexed, index)))

    def _look(
        self, layer: Image, stack: PatternStack, indexed: IndexedMap, index: int
    ) -> PatternBands | None:
        from napari_diffraction.indexing.pattern_bands import pattern_bands
        from napari_diffraction.indexing.points import PIXELS
        from napari_diffraction.patterns.kikuchi.preparation import prepare

        try:
            before, preparation = self._prepared.get(layer, (None, None))
            if preparation is None or not same_input(stack, before):
                preparation = prepare(stack).thinned(PIXELS)
                self._prepared[layer] = stack, preparation
            return pattern_bands(stack.frame(index), preparation, indexed, index)
        except InputError:  # it cannot be read, which the panel says
            return None

    def _show(self, answer: tuple[tuple[object, ...], PatternBands | None]) -> None:
        asked, found = answer
        if asked != self._asked:
            return  # another one is wanted meanwhile
        self.found = found
        table = self.table
        table.blockSignals(True)
        table.clearSelection()
        table.setCurrentItem(None)
        table.setRowCount(0 if found is None else len(found))
        for row, texts in enumerate([] if found is None else _texts(found)):
            for column, text in enumerate(texts):
                item = QTableWidgetItem(text)
                item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
                if found is not None and found.probability[row] < _REAL:
                    item.setForeground(table.palette().placeholderText())
                table.setItem(row, column, item)
        table.scrollToTop()
        table.blockSignals(False)

    def _on_selected(self) -> None:
        rows = {index.row() for index in self.table.selectedIndexes()}
        self.marked.emit(self.found.edges[rows.pop()] if rows and self.found else None)


def _texts(found: PatternBands) -> list[tuple[str, ...]]:
    return [
        (
            index_text(hkl, "()") if any(hkl) else "–",
            f"{width:.1f}°",
            f"{real:.0%}",
            "–" if np.isnan(off) else f"{off:.1f}°",
        )
        for hkl, width, real, off in zip(
            found.hkl.tolist(), found.half_width_deg, found.probability, found.off_deg, strict=True
        )
    ]
