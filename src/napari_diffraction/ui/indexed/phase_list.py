"""What indexing found, in words: the centre, and each phase with the names that it may have."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt, Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_diffraction.analysis.indexed.orientations import assumptions
from napari_diffraction.analysis.indexed.phases import phase_colours
from napari_diffraction.analysis.indexed.words import cell_text, with_su
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR
from napari_diffraction.ui.widgets.panel import named, sentence
from napari_diffraction.ui.widgets.tooltips import INDEXED

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase

#: Candidates named, and the least score of one.
_CANDIDATES, _LIKELY = 5, 0.2
_FROM = {
    "file": "Centre of the file",
    "given": "Centre as given",
    "found": "Centre found",
    "assumed": "Centre not known, a usual one is",
}


class IndexedList(QWidget):
    """The sentences of a solution; a click on a candidate names its phase.

    Signals
    -------
    chosen(int, str)
        Number of a phase, and the name that it is to have.

    Attributes
    ----------
    notes
        What was assumed and cannot be told; to be placed where there is room for it.
    """

    chosen = Signal(int, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.centre = named(sentence(), "Pattern centre", INDEXED["centre"])
        self.rows: list[QLabel] = []
        self._phases: list[tuple[IndexedPhase, str]] = []
        self._link, self._idle = "", True
        self.rest, self.notes = sentence(), sentence()
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        for part in (self.centre, self.rest):
            self._column.addWidget(part)

    def show_solution(self, indexed: IndexedMap) -> None:
        """Show what was found."""
        self.centre.setText(centre_text(indexed))
        while len(self.rows) > len(indexed.phases):
            row = self.rows.pop()
            self._column.removeWidget(row)
            row.deleteLater()
        while len(self.rows) < len(indexed.phases):
            self.rows.append(self._add_row(len(self.rows)))
        self._phases = list(zip(indexed.phases, phase_colours(indexed), strict=True))
        self._write()
        none = "" if indexed.phases else "No phase was found. "
        self.rest.setText(
            f"{none}{_square(NOT_INDEXED_COLOUR)} {indexed.not_indexed:.1%} not indexed"
        )
        self.notes.setText("\n".join((*indexed.notes, *assumptions(indexed))))
        self.notes.setVisible(bool(self.notes.text()))

    def changeEvent(self, event: QEvent) -> None:
        """Write links so that they can be read in another theme."""
        super().changeEvent(event)
        kinds = (QEvent.Type.StyleChange, QEvent.Type.PaletteChange)
        if event.type() in kinds and self._phases and self._colour() != self._link:
            self._write()

    def _colour(self) -> str:
        dark = self.palette().color(QPalette.ColorRole.Window).lightness() < 128
        return "#56b4e9" if dark else "#0072b2"

    def _write(self) -> None:
        self._link = self._colour()
        for row, (phase, colour) in zip(self.rows, self._phases, strict=True):
            row.setText(_rich(phase, colour, self._link))

    def set_idle(self, idle: bool) -> None:
        """Whether phases can be named now: not while they are still being filled."""
        self._idle = idle
        for row in self.rows:
            row.setEnabled(idle)

    def _add_row(self, number: int) -> QLabel:
        row = named(sentence(), f"Phase {number + 1}", INDEXED["phase"])
        row.setTextFormat(Qt.TextFormat.RichText)
        row.setTextInteractionFlags(Qt.TextInteractionFlag.TextBrowserInteraction)
        row.linkActivated.connect(lambda name: self.chosen.emit(number, name))
        row.setEnabled(self._idle)
        self._column.insertWidget(1 + number, row)
        return row


def centre_text(indexed: IndexedMap) -> str:
    """Say where the pattern centre is, and the voltage."""
    numbers = " ".join(
        with_su(value, su) if su > 0 else f"{value:.3f}"
        for value, su in zip(indexed.pattern_centre, indexed.pattern_centre_su, strict=True)
    )
    assumed = " assumed" if indexed.voltage_from == "assumed" else ""
    return (
        f"{_FROM.get(indexed.pattern_centre_from, 'Centre')}: {numbers} (Bruker), "
        f"{indexed.voltage:g} kV{assumed}"
    )


def phase_lines(phase: IndexedPhase) -> list[str]:
    """Say of a phase its lattice, cell, share and misfit, and what is in doubt."""
    sure = phase.lattice_probabilities.get(phase.lattice)
    probability = "" if sure is None or phase.structure is not None else f" (p = {sure:.2f})"
    misfit = f", misfit {phase.misfit_deg:.2f} deg" if math.isfinite(phase.misfit_deg) else ""
    grains = f"{phase.grains} grain" + ("" if phase.grains == 1 else "s")
    lines = [
        f"{phase.lattice}{probability}, {cell_text(phase)}",
        f"{phase.share:.1%} of the points, {grains}{misfit}",
    ]
    return [*lines, f"In doubt: {phase.doubt}"] if phase.doubt else lines


def _rich(phase: IndexedPhase, colour: str, link: str) -> str:
    lines = [html.escape(line) for line in phase_lines(phase)]
    text = f"{_square(colour)} <b>{html.escape(phase.name)}</b>: {'<br>'.join(lines)}"
    likely = [one for one in phase.candidates if one.score >= _LIKELY][:_CANDIDATES]
    if likely:
        links = (
            _link(one.name, one.name == phase.name, link) + f" {one.score:.2f}" for one in likely
        )
        text += f"<br>Looks like: {', '.join(links)}"
    elif phase.structure is None:
        text += "<br>Looks like no known material of this size; give yours by the button below."
    return text


def _link(name: str, chosen: bool, colour: str) -> str:
    shown = html.escape(name)
    return f"<b>{shown}</b>" if chosen else f'<a href="{shown}" style="color: {colour}">{shown}</a>'


def _square(colour: str) -> str:
    return f'<span style="color: {colour}">\u25a0</span>'
