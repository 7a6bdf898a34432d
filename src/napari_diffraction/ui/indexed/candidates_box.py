"""What the phases found may be: the built-in materials, and a person's folder of CIF files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from napari.utils.notifications import show_info
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFileDialog, QVBoxLayout, QWidget

from napari_diffraction.ui.widgets.latest_request import Latest
from napari_diffraction.ui.widgets.panel import button, sentence
from napari_diffraction.ui.widgets.tooltips import INDEXED

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure


class CandidatesBox(QWidget):
    """A button that chooses a folder of CIF files, whose crystals are ranked for each phase.

    Signals
    -------
    changed()
        Other materials are to be ranked.

    Attributes
    ----------
    structures
        A person's own materials by name, besides the built-in ones.
    """

    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.structures: Mapping[str, Structure] = {}
        self.folder_button = button("Which phase is it?…", INDEXED["candidates"], self._ask)
        self.note = sentence()
        self.note.setVisible(False)
        self.reading = Latest("Reading the folder", self)
        self.reading.done.connect(self._take)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.folder_button)
        layout.addWidget(self.note)

    def _ask(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "A folder with CIF files of what it may be")
        if name:
            self.read(Path(name))

    def read(self, folder: Path) -> None:
        """Read all crystals of a folder, in another thread."""
        self.reading.ask(lambda: _read(folder))

    def _take(self, answer: tuple[Path, dict[str, Structure], list[str]]) -> None:
        folder, self.structures, skipped = answer
        number = len(self.structures)
        self.note.setText(
            f"Ranked: {number} crystal{'' if number == 1 else 's'} of {folder.name}, and the "
            "built-in materials."
        )
        self.note.setVisible(True)
        if skipped:
            show_info("\n".join(skipped))
        self.changed.emit()


def _read(folder: Path) -> tuple[Path, dict[str, Structure], list[str]]:
    from napari_diffraction.crystal.cif import structures_in_folder

    skipped: list[str] = []
    return folder, structures_in_folder(folder, skipped), skipped
