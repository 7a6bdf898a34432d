"""How many patterns each class has; a click opens them."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QPushButton, QWidget

from napari_diffraction.ui.widgets.colours import swatch
from napari_diffraction.ui.widgets.panel import button
from napari_diffraction.ui.widgets.tooltips import CLASSIFY


class ClassButtons(QWidget):
    """One button per class with its colour and number, and one for the whole stack.

    Parameters
    ----------
    open_class
        Called with the name of a class to be shown.
    show_all
        Called to show the whole stack again.
    """

    def __init__(
        self,
        open_class: Callable[[str], object],
        show_all: Callable[[], object],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._open_class, self._show_all = open_class, show_all
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(0, 1)
        self.buttons: dict[str, QPushButton] = {}
        self._numbers: dict[str, QLabel] = {}

    def set_counts(self, counts: dict[str, int], classes: tuple[str, ...]) -> None:
        """Show the number of patterns of each class."""
        wanted = ["", *counts]
        if wanted != list(self.buttons):
            self._build(wanted, classes)
        total = sum(counts.values())
        for name, number in {"": total, **counts}.items():
            self.buttons[name].setEnabled(number > 0)
            share = f"  {number / total:.1%}" if total and name else ""
            self._numbers[name].setText(f"{number:,}{share}")

    def _build(self, names: list[str], classes: tuple[str, ...]) -> None:
        while (item := self._grid.takeAt(0)) is not None:
            item.widget().deleteLater()
        self.buttons, self._numbers = {}, {}
        for row, name in enumerate(names):
            if name:
                made = button(name, CLASSIFY["class"], lambda name=name: self._open_class(name))
                made.setText(name.replace("&", "&&"))  # else Qt takes it for the mark of a key
                made.setIcon(swatch(name, classes))
                made.setIconSize(QSize(16, 16))
            else:
                made = button("All patterns", CLASSIFY["all"], self._show_all)
            made.setStyleSheet("text-align: left")
            number = QLabel()
            number.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self._grid.addWidget(made, row, 0)
            self._grid.addWidget(number, row, 1)
            self.buttons[name], self._numbers[name] = made, number
