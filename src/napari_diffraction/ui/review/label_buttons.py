"""The buttons that give the pattern on view its class, with their keys and the model's opinion."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QSize
from qtpy.QtWidgets import QGridLayout, QPushButton, QWidget

from napari_diffraction.ui.widgets.colours import class_colour, swatch
from napari_diffraction.ui.widgets.panel import button, named
from napari_diffraction.ui.widgets.share_bar import ShareBar
from napari_diffraction.ui.widgets.tooltips import REVIEW


class LabelButtons(QWidget):
    """One row per class: key, name and colour on a button, the model's probability as a bar.

    Parameters
    ----------
    decide
        Called with the class chosen.
    """

    def __init__(self, decide: Callable[[str], object], parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._decide = decide
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setVerticalSpacing(3)
        self._grid.setColumnStretch(0, 3)
        self._grid.setColumnStretch(1, 1)
        self.buttons: dict[str, QPushButton] = {}
        self._bars: dict[str, ShareBar] = {}

    def set_classes(self, classes: tuple[str, ...]) -> None:
        """Offer these classes, the first with key 1."""
        if classes == tuple(self.buttons):
            return
        while (item := self._grid.takeAt(0)) is not None:
            item.widget().deleteLater()
        self.buttons, self._bars = {}, {}
        for row, name in enumerate(classes):
            key = str(row + 1)
            tip = REVIEW["label"].format(label=name, key=key)
            made = button(f"{key}   {name}", tip, lambda name=name: self._decide(name))
            made.setText(made.text().replace("&", "&&"))  # else Qt takes it for the mark of a key
            made.setIcon(swatch(name, classes))
            made.setIconSize(QSize(16, 16))
            made.setStyleSheet(
                "QPushButton {text-align: left} QPushButton:checked {font-weight: bold}"
            )
            made.setCheckable(True)
            bar = named(
                ShareBar(class_colour(name, classes)),
                f"Probability of {name}",
                REVIEW["probability"],
            )
            self._grid.addWidget(made, row, 0)
            self._grid.addWidget(bar, row, 1)
            self.buttons[name], self._bars[name] = made, bar

    def show_pattern(self, label: str, probabilities: dict[str, float]) -> None:
        """Show the class a pattern has and what the model thinks of it."""
        for name, made in self.buttons.items():
            made.setChecked(name == label)
            probability = probabilities.get(name)
            bar = self._bars[name]
            if probability is None:
                bar.show_share(0)
            else:
                bar.show_share(probability, f"{probability:.2f}")
