"""The upper half of the unit cell panel: zones, their nets, and what a person does with them."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_diffraction.indexing.zones.ellipse import Ellipse
from napari_diffraction.ui.unit_cell.nets.net_list import NetList
from napari_diffraction.ui.unit_cell.nets.zone_nets import ZoneNets
from napari_diffraction.ui.widgets.panel import button, named, sentence
from napari_diffraction.ui.widgets.tooltips import UNIT_CELL
from napari_diffraction.ui.widgets.wording import counted


class NetsBox(QWidget):
    """Says how many zones and nets there are, lists them, and takes orders.

    Signals
    -------
    stepped(int)
        1: the next net is wanted; -1: the one before.
    struck()
        The net on view is to be struck out, or taken in again.
    added()
        The pattern on view is to be taken as a zone.
    """

    stepped = Signal(int)
    struck = Signal()
    added = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.heading = sentence()
        self.list = NetList()
        self.pattern = sentence()
        self.previous_button = button(
            "Previous   J", UNIT_CELL["previous"], lambda: self.stepped.emit(-1)
        )
        self.next_button = button("Next   K", UNIT_CELL["next"], lambda: self.stepped.emit(1))
        self.strike_button = button("Strike out   X", UNIT_CELL["strike"], self.struck.emit)
        self.add_button = button("This is a zone   A", UNIT_CELL["add"], self.added.emit)
        self.correct = named(QCheckBox("Correct by hand"), "Correct by hand", UNIT_CELL["correct"])
        steps, orders = QHBoxLayout(), QHBoxLayout()
        for part in (self.previous_button, self.next_button):
            steps.addWidget(part)
        for part in (self.strike_button, self.correct, self.add_button):
            orders.addWidget(part, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)  # all of the panel is to be seen on a small laptop
        column.addWidget(self.heading)
        column.addWidget(self.list)
        column.addWidget(self.pattern)
        column.addLayout(steps)
        column.addLayout(orders)

    def show_nets(
        self,
        zones: int,
        nets: ZoneNets,
        pixel_size: float | None,
        axes: Mapping[int, tuple[int, int, int]],
        ellipse: Ellipse | None,
    ) -> None:
        """Show how many zones and nets there are, and list the nets; see `NetList.show_nets`."""
        counts = [_count(zones, "zone"), _count(len(nets.fits), "net")]
        if nets.struck:
            counts.append(f"{len(nets.struck)} struck out")
        self.heading.setText(f"<b>{', '.join(counts)}</b>")
        there = bool(nets.fits)
        for part in (self.list, self.previous_button, self.next_button):
            part.setVisible(there)
        if there:
            self.list.show_nets(nets, pixel_size, axes, ellipse)

    def show_pattern(
        self, index: int | None, nets: ZoneNets, misfit: float | None, by_cell: str
    ) -> None:
        """Say what is known of the pattern on view.

        Parameters
        ----------
        index
            Its number.
        nets
            All nets.
        misfit
            How far its net is off that of the chosen cell; ``None``: not explained by it.
        by_cell
            What the chosen cell makes of it, in words; empty: there is nothing to say.
        """
        there, struck = index in nets.fits, index in nets.struck
        self.list.show_pattern(index)
        self.strike_button.setText("Take in   X" if struck else "Strike out   X")
        # a pattern has a net to work on, or it can be taken as a zone: one row does for both
        for part in (self.strike_button, self.correct):
            part.setVisible(there)
        self.add_button.setVisible(index is not None and index not in nets.spots)
        if index is None:
            self.pattern.setText("")
            return
        said = _said(index, nets, misfit)
        if nets.doubtful(index) and not struck:
            said += ": it may be no zone, but counts for the cell until you strike it out (X)."
            by_cell = by_cell[:1].upper() + by_cell[1:]
        between = ", " if by_cell and not said.endswith(".") else " "
        self.pattern.setText(f"No. {index:,}: {said}{between}{by_cell}".rstrip())


def _said(index: int, nets: ZoneNets, misfit: float | None) -> str:
    if index not in nets.fits:
        return "its spots span no net" if index in nets.spots else "not among the zones"
    on, spots = nets.counts(index)
    only = "only " if nets.doubtful(index) else ""
    parts = [f"{only}{on} of {counted(spots, 'spots')} on its net"]
    if index in nets.by_hand:
        parts.append("corrected by hand")
    if index in nets.struck:
        parts.append("struck out")
    elif misfit is not None:
        parts.append(f"{misfit:.2%} off the cell")
    return ", ".join(parts)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
