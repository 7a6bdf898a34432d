"""Writing what was found: the table, the patterns of a class, a list for CrystFEL."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.notifications import show_info
from numpy.typing import NDArray
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QVBoxLayout, QWidget

from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.review.export import (
    HDF5,
    TIFF,
    export_crystfel,
    export_patterns,
    export_table,
)
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.widgets.panel import button, named
from napari_diffraction.ui.widgets.save_dialog import ask_where
from napari_diffraction.ui.widgets.tooltips import REVIEW
from napari_diffraction.ui.widgets.worker_bar import WorkBar

Indices = NDArray[np.int64]
Export = Callable[[ReviewSession, PatternStack, Indices, Path], Generator[Progress, None, Path]]


@dataclass(frozen=True)
class _Kind:
    """A kind of file that can be written; the first of its suffixes is the usual one."""

    title: str
    suffixes: tuple[str, ...]
    filter: str
    of_class: bool
    write: Export


KINDS = (
    _Kind(
        "Table of all patterns (CSV)", (".csv",), "Table (*.csv)", False,
        lambda session, stack, indices, path: export_table(session, path),
    ),
    _Kind("Patterns of a class (HDF5)", HDF5, "HDF5 (*.h5)", True, export_patterns),
    _Kind("Patterns of a class (TIFF)", TIFF, "TIFF (*.tif)", True, export_patterns),
    _Kind(
        "List of a class for CrystFEL (.lst)", (".lst",), "CrystFEL list (*.lst)", True,
        lambda session, stack, indices, path: export_crystfel(session, stack, indices, path),
    ),
)  # fmt: skip


class ExportBox(QWidget):
    """What to write, of which class, and the button that does it."""

    def __init__(self, coordinator: Coordinator, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._coordinator = coordinator
        self.kind = named(QComboBox(), "What to export", REVIEW["export_what"])
        for kind in KINDS:
            self.kind.addItem(kind.title, kind)
        self.label = named(QComboBox(), "Class to export", REVIEW["export_class"])
        for combo in (self.kind, self.label):
            combo.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            combo.setMinimumContentsLength(10)
        self.export_button = button("Export…", REVIEW["export"], self._ask)
        self.bar = WorkBar("patterns", "Stop writing. No file is left behind.")
        self.bar.returned.connect(_say_written)
        self.bar.finished.connect(self.refresh)
        row = QHBoxLayout()
        row.addWidget(self.label, 1)
        row.addWidget(self.export_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.kind)
        layout.addLayout(row)
        layout.addWidget(self.bar)
        self.kind.currentIndexChanged.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Offer the classes there are."""
        session = self._coordinator.session
        counts = {} if session is None else session.counts().classes
        wanted = [name for name, number in counts.items() if number and name != UNREADABLE]
        if wanted != [self.label.itemText(i) for i in range(self.label.count())]:
            before = self.label.currentText()
            self.label.clear()
            self.label.addItems(wanted)
            self.label.setCurrentText(before)
        self.label.setVisible(self.kind.currentData().of_class)
        self.export_button.setEnabled(bool(counts) and not self.bar.running)

    def _ask(self) -> None:
        kind, stack = self.kind.currentData(), self._coordinator.stack
        if stack is None:
            return
        folder = Path(stack.source(0)).parent if stack.sources else Path.home()
        end = f"-{self.label.currentText()}" if kind.of_class else "-classes"
        name = f"{stack.name}{end}{kind.suffixes[0]}"
        path = ask_where(self, kind.title, folder, name, kind.filter, kind.suffixes)
        if path is not None:
            self.export(path)

    def export(self, path: Path) -> None:
        """Write the chosen kind of file."""
        kind: _Kind = self.kind.currentData()
        session, stack = self._coordinator.session, self._coordinator.stack
        if session is None or stack is None:
            return
        indices = session.patterns_of(self.label.currentText()) if kind.of_class else session.index
        self.bar.start(lambda: kind.write(session, stack, indices, path), "The export")
        self.export_button.setEnabled(False)


def _say_written(path: Any) -> None:
    show_info(f"Written: {path}")
