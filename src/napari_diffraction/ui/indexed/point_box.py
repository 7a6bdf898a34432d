"""What was found at the point on view: the solution, the second-best answer, a network's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QVBoxLayout, QWidget

from napari_diffraction.analysis.indexed.orientations import bunge_angles
from napari_diffraction.ui.indexed.band_table import BandTable
from napari_diffraction.ui.indexed.opinion_box import OpinionBox
from napari_diffraction.ui.viewer.solution_overlay import SolutionOverlay
from napari_diffraction.ui.widgets.panel import group, named, sentence
from napari_diffraction.ui.widgets.tooltips import INDEXED

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap


class PointBox(QWidget):
    """The answers for one pattern, and which of them is drawn over it.

    Parameters
    ----------
    viewer
        Where the layers are.

    Signals
    -------
    changed()
        Something else is to be drawn.
    """

    changed = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        box, column = group("Point on view")
        self.place = sentence()
        self.text = named(sentence(), "Point", INDEXED["point"])
        self.draw = named(QCheckBox("Bands of the solution"), "Draw bands", INDEXED["bands"])
        self.draw.setChecked(True)
        self.other = named(
            QCheckBox("Bands of the second-best"), "Draw the second-best", INDEXED["second"]
        )
        self.bands = BandTable()
        self.opinion = OpinionBox(viewer)
        self._overlay: SolutionOverlay | None = None
        for part in (self.place, self.text, self.draw, self.other, self.bands, self.opinion):
            column.addWidget(part)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(box)
        # one drawing at a time: both would lie on one another
        self.draw.toggled.connect(lambda on: self._on_draw(on, self.other))
        self.other.toggled.connect(lambda on: self._on_draw(on, self.draw))
        self.bands.marked.connect(self._on_marked)

    def _on_draw(self, on: bool, rival: QCheckBox) -> None:
        if on and rival.isChecked():
            rival.setChecked(False)
        else:
            self.changed.emit()

    def _on_marked(self, edges: Any) -> None:
        if self._overlay is not None:
            self._overlay.mark(edges)

    def show_point(
        self,
        indexed: IndexedMap,
        overlay: SolutionOverlay,
        layer: Image,
        row: int,
        column: int,
        wanted: bool,
    ) -> None:
        """Say what was found at a point, and draw it over the pattern.

        Parameters
        ----------
        indexed
            The solution.
        overlay
            Draws it.
        layer
            The patterns.
        row, column
            The point.
        wanted
            Whether anything is to be drawn.
        """
        index = row * indexed.shape[1] + column
        self.place.setText(f"Row {row}, column {column}")
        said = "".join(
            f"<tr><td>{name}&nbsp;&nbsp;</td><td>{value}</td></tr>"
            for name, value in [*said_at(indexed, index), *second_at(indexed, index)]
        )
        self.text.setText(f"<table>{said}</table>")
        second = second_solution(indexed)
        self.other.setEnabled(second is not None and bool(second.phase[index] >= 0))
        drawn = second if second is not None and self.other.isChecked() else indexed
        self._overlay = overlay
        overlay.wanted = wanted and (self.draw.isChecked() or self.other.isChecked())
        overlay.show(drawn, index)
        if wanted:
            self.bands.show_pattern(layer, drawn, index)
        known = indexed.pattern_centre_from != "assumed"
        self.opinion.show_pattern(layer, index, indexed.pattern_centre if known else None)

    def clear(self) -> None:
        """Forget the patterns."""
        self.opinion.clear()
        self._overlay = None

    def show_nothing(self, overlay: SolutionOverlay, row: int, column: int) -> None:
        """Say that a point is not part of the solution."""
        self.place.setText(f"Row {row}, column {column}")
        self.text.setText("Not indexed yet.")
        self.other.setEnabled(False)
        self.opinion.clear()
        overlay.hide()


def said_at(indexed: IndexedMap, index: int) -> list[tuple[str, str]]:
    """Say what was found at a point, as pairs of a name and a value."""
    if not indexed.done[index]:
        unread = "the pattern cannot be read" if indexed.finished else "not indexed yet"
        return [("Phase", unread)]
    found = f"{int(indexed.bands_found[index])} found"
    if indexed.phase[index] < 0:
        return [("Phase", "not indexed"), ("Bands", found), _quality(indexed, index)]
    return [
        ("Phase", _phase(indexed, index)),
        ("Misfit", f"{indexed.misfit_deg[index]:.2f} deg"),
        ("Bands", f"{int(indexed.bands[index])} matched of {found}"),
        ("Confidence", f"{indexed.confidence[index]:.2f}"),
        ("Bunge angles", f"{_angles(indexed, index)} deg (sample as EDAX)"),
        _quality(indexed, index),
    ]


def second_at(indexed: IndexedMap, index: int) -> list[tuple[str, str]]:
    """Say what else a pattern might be, as pairs of a name and a value; nothing if nothing."""
    second = second_solution(indexed)
    if second is None or indexed.second is None or second.phase[index] < 0:
        return []
    share = float(indexed.second.share[index])
    # of what was indexed, though perhaps not surely enough to be shown, the confidence is known
    of = (
        "of what the solution does" if indexed.confidence[index] > 0 else "of what it would have to"
    )
    return [
        ("Second-best", _phase(second, index)),
        ("", f"explains {share:.0%} {of}"),
        ("", f"{_angles(second, index)} deg"),
    ]


def second_solution(indexed: IndexedMap) -> IndexedMap | None:
    """Return the second-best answers as a solution, if they are known."""
    if indexed.second is None:
        return None
    return replace(indexed, phase=indexed.second.phase, rotation=indexed.second.rotation)


def _phase(indexed: IndexedMap, index: int) -> str:
    phase = indexed.phases[int(indexed.phase[index])]
    return phase.name if phase.name == phase.lattice else f"{phase.name} ({phase.lattice})"


def _angles(indexed: IndexedMap, index: int) -> str:
    one = slice(index, index + 1)
    here = replace(indexed, phase=indexed.phase[one], rotation=indexed.rotation[one])
    return ", ".join(f"{value:.1f}" for value in bunge_angles(here)[0])


def _quality(indexed: IndexedMap, index: int) -> tuple[str, str]:
    return "Pattern quality", f"{indexed.quality[index]:.3f}"
