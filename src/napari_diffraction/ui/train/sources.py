"""Where the patterns of a training come from: the window, files, simulation, or all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QListWidget,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_diffraction.errors import InputError
from napari_diffraction.learning.labels.labelled import LabelledSource
from napari_diffraction.learning.pictures.recipe import KikuchiSource, SpotSource
from napari_diffraction.ui.evaluate.tasks import places_of
from napari_diffraction.ui.train.tasks import Opened
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import LayerCombo, stack_of
from napari_diffraction.ui.widgets.panel import button, form, named, plain
from napari_diffraction.ui.widgets.tooltips import TRAIN

_LINES = 3
#: What can be simulated, and the volumes of random cells in A^3.
_SPOTS, _BANDS = "spot patterns of random crystals", "EBSD patterns of known crystals"
_VOLUME = (300.0, 1500.0)
#: Orientations of each random cell, few, as a camera and its noise are drawn for each and must not
#: tell the class; of all patterns, the share of those without a crystal, and of those with two.
_OF_A_CELL, _EMPTY, _DOUBLE = 5, 0.15, 0.15


def narrow(combo: QComboBox) -> QComboBox:
    """Let a list be narrower than its longest line, so that it fits into a dock."""
    combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    combo.setMinimumContentsLength(12)
    return combo


class TrainSources(QWidget):
    """Three kinds of sources, each with a box to tick.

    Signals
    -------
    changed()
        Something else is chosen.
    """

    changed = Signal()

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__()
        self._coordinator = coordinator
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self.opened, self.files, self.simulated = (
            self._part(layout, name, content)
            for name, content in (
                ("Patterns in the window", self._build_opened()),
                ("Files and folders", self._build_files()),
                ("Simulation", self._build_simulation()),
            )
        )
        self.layer.choose(coordinator.at_hand())
        self._fill_labels()
        self.opened.setChecked(self.labels.count() > 0)

    def _part(self, layout: QVBoxLayout, name: str, content: QWidget) -> QCheckBox:
        box = named(QCheckBox(name), name, TRAIN[name])
        content.setVisible(False)
        box.toggled.connect(content.setVisible)
        box.toggled.connect(lambda _: self.changed.emit())
        layout.addWidget(box)
        layout.addWidget(content)
        return box

    # -- the parts ------------------------------------------------------------------------------
    def _build_opened(self) -> QWidget:
        content, column = plain()
        self.layer = named(LayerCombo(self._coordinator.viewer), "Patterns", TRAIN["layer"])
        self.labels = named(QComboBox(), "Labels", TRAIN["labels"])
        fields = form()
        for title, combo in (("Layer", self.layer), ("Labels", self.labels)):
            fields.addRow(title, narrow(combo))
        column.addLayout(fields)
        self.layer.currentIndexChanged.connect(self._fill_labels)
        self.labels.currentIndexChanged.connect(lambda _: self.changed.emit())
        # Many decisions may come one after the other, as when a whole class is accepted.
        self._later = QTimer(self, interval=200, singleShot=True)
        self._later.timeout.connect(self._fill_labels)
        return content

    def _build_files(self) -> QWidget:
        content, column = plain()
        self.paths = named(QListWidget(), "Labelled files and folders", TRAIN["paths"])
        self.paths.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.paths.setFixedHeight(_LINES * self.fontMetrics().height() + 12)
        row = QHBoxLayout()
        for text, tip, slot in (
            ("Folder…", "add_folder", self._ask_folder),
            ("File…", "add_file", self._ask_file),
            ("Remove", "remove", self._remove),
        ):
            row.addWidget(button(text, TRAIN[tip], slot))
        column.addWidget(self.paths)
        column.addLayout(row)
        return content

    def _build_simulation(self) -> QWidget:
        content, column = plain()
        self.kind = named(narrow(QComboBox()), "What is simulated", TRAIN["kind"])
        self.kind.addItems([_SPOTS, _BANDS])
        self.patterns = named(QSpinBox(), "Simulated patterns", TRAIN["patterns"])
        self.patterns.setRange(100, 1_000_000)
        self.patterns.setSingleStep(500)
        self.patterns.setValue(2000)
        self.structures = named(QLineEdit(), "Crystals", TRAIN["structures"])
        self.structures.setPlaceholderText("Ni, Al, Fe")
        self.structures.setEnabled(False)
        fields = form()
        fields.addRow(self.kind)
        fields.addRow("Patterns", self.patterns)
        fields.addRow("Crystals", self.structures)
        column.addLayout(fields)
        self.kind.currentTextChanged.connect(
            lambda text: self.structures.setEnabled(text == _BANDS)
        )
        self.kind.currentIndexChanged.connect(lambda _: self.changed.emit())
        return content

    # -- choosing -------------------------------------------------------------------------------
    def later(self) -> None:
        """Look for labels anew, soon."""
        self._later.start()

    def _fill_labels(self) -> None:
        """Offer the labels that the layer has now; the choice stays where it can."""
        layer, before = self.layer.layer(), self.labels.currentText().partition(" (")[0]
        places = [] if layer is None else places_of(self._coordinator, layer, stack_of(layer))
        self.labels.blockSignals(True)
        self.labels.clear()
        for place in places:
            self.labels.addItem(place.title, place)
            if before and place.title.startswith(before):
                self.labels.setCurrentIndex(self.labels.count() - 1)
        self.labels.blockSignals(False)
        self.changed.emit()

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "A folder with a folder for each class")
        if name:
            self.add_path(name)

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "A stack with labels in it or beside it")
        if name:
            self.add_path(name)

    def add_path(self, name: str) -> None:
        """Add a labelled file or folder, once."""
        if name not in self._names():
            self.paths.addItem(str(Path(name)))
        self.changed.emit()

    def _remove(self) -> None:
        for item in self.paths.selectedItems():
            self.paths.takeItem(self.paths.row(item))
        self.changed.emit()

    def _names(self) -> list[str]:
        return [self.paths.item(k).text() for k in range(self.paths.count())]

    # -- what is chosen -------------------------------------------------------------------------
    @property
    def is_for_bands(self) -> bool:
        """Whether EBSD patterns are simulated."""
        return self.simulated.isChecked() and self.kind.currentText() == _BANDS

    def missing(self) -> str:
        """Say what has to be chosen before a training can begin; empty where nothing."""
        parts = (self.opened, self.files, self.simulated)
        if not any(part.isChecked() for part in parts):
            return "Tick where the patterns come from."
        if self.opened.isChecked() and self.labels.currentData() is None:
            return "Open patterns and label some in the panel Review patterns."
        if self.files.isChecked() and not self._names():
            return "Add a folder that holds a folder of patterns for each class, or a file."
        return ""

    def chosen(self) -> Opened | None:
        """Return the patterns in the window that are learned from."""
        layer, place = self.layer.layer(), self.labels.currentData()
        if not self.opened.isChecked() or layer is None or place is None:
            return None
        return Opened(stack_of(layer), place)

    def tables(self) -> dict[str, Any]:
        """Return the sources as a recipe names them.

        Raises
        ------
        InputError
            No crystals are named that could be simulated.
        """
        opened = self.chosen()
        names = [] if opened is None else [opened.name]
        if self.files.isChecked():
            names += self._names()
        tables: dict[str, Any] = {"labelled": tuple(LabelledSource(path=name) for name in names)}
        if self.simulated.isChecked():
            if self.is_for_bands:
                tables["kikuchi"] = (self._bands(),)
            else:
                tables["spots"] = self._spots()
        return tables

    def _bands(self) -> KikuchiSource:
        names = tuple(filter(None, map(str.strip, self.structures.text().split(","))))
        if len(names) < 2:
            raise InputError("Name two or more crystals to simulate, such as: Ni, Al, Fe.")
        each = max(2, self.patterns.value() // len(names))
        return KikuchiSource(structures=names, patterns=each, label="structure")

    def _spots(self) -> tuple[SpotSource, ...]:
        """Spot patterns of one crystal, of two, and of none."""
        wanted = ((1, 1 - _EMPTY - _DOUBLE), (2, _DOUBLE), (0, _EMPTY))
        sources = []
        for crystals, share in wanted:
            number = self.patterns.value() * share
            cells = max(2, round(number / _OF_A_CELL))
            each = max(1, round(number / cells))
            sources.append(
                SpotSource(
                    _VOLUME, cells=cells, orientations=each, crystals=crystals, realistic=True
                )
            )
        return tuple(sources)
