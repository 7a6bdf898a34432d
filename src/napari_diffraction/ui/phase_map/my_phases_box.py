"""Name the phases of a scan and train a model that tells them apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_error, show_info
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFileDialog,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_diffraction.crystal.given_structures import given_structures
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.errors import InputError
from napari_diffraction.learning.phases.recipe import FEWEST, LONGEST, MOST, PhasesRecipe
from napari_diffraction.learning.runs.background_process import in_own_process
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.widgets.panel import button, form, named, plain, sentence
from napari_diffraction.ui.widgets.worker_bar import WorkBar

_PATH = Qt.ItemDataRole.UserRole
_LINES = 7
_TIPS = {
    "open": "Name the phases of the sample yourself and train a model for them, in minutes.",
    "search": "Part of a name, such as 'Ti', or another name of a material, such as 'ferrite'.",
    "list": f"Tick {FEWEST} to {MOST} phases that can be in the sample.",
    "cif": "Add a crystal of your own from a CIF file.",
    "name": "What the model is called in the lists of models.",
    "train": "Simulate the phases for this voltage and camera, and train a model on them.",
    "cancel": "Stop the training; nothing is kept.",
}


def train(recipe: PhasesRecipe, output: Path) -> Any:
    """Train in the process that this is sent to."""
    from napari_diffraction.learning.phases.training import train_phases

    return train_phases(recipe, output)


def _short(phase: str) -> str:
    return Path(phase).stem if phase.lower().endswith(".cif") else phase


def _usual_name(phases: tuple[str, ...]) -> str:
    """Name a model that nobody has named: never like one of those that are shipped."""
    return "-".join(["my", *map(_short, phases)])


class MyPhasesBox(QWidget):
    """A button that opens the choice of phases and the training of a model for them.

    Signals
    -------
    trained(str)
        The name of a model that has been made.
    changed()
        Other phases may be ticked.
    """

    trained = Signal(str)
    changed = Signal()

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._stack: PatternStack | None = None
        self._voltage = 0.0
        self._last = ""
        self.open_button = button("My phases…", _TIPS["open"], self._toggle)
        self.open_button.setCheckable(True)
        self.content, column = plain()
        self.content.setVisible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.open_button)
        layout.addWidget(self.content)
        self._build(column)
        self._refresh()

    def _build(self, column: QVBoxLayout) -> None:
        self.search = named(QLineEdit(), "Search", _TIPS["search"])
        self.search.setPlaceholderText("Search")
        self.search.setClearButtonEnabled(True)
        self.list = named(QListWidget(), "Phases", _TIPS["list"])
        for name in sorted(MATERIALS, key=str.casefold):
            self._add(name, name)
        self.list.setFixedHeight(_LINES * max(self.list.sizeHintForRow(0), 18) + 4)
        self.cif_button = button("Add CIF…", _TIPS["cif"], self._ask_cif)
        self.chosen = sentence()
        self.about = sentence()
        self.name = named(QLineEdit(), "Name of the model", _TIPS["name"])
        fields = form()
        fields.addRow("Name", self.name)
        self.train_button = button("Train for this geometry", _TIPS["train"], self.run)
        self.bar = WorkBar("patterns", _TIPS["cancel"])
        self.result = sentence()
        for part in (self.search, self.list, self.cif_button, self.chosen):
            column.addWidget(part)
        column.addLayout(fields)
        for part in (self.about, self.train_button, self.bar, self.result):
            column.addWidget(part)
        self.search.textChanged.connect(self._filter)
        self.list.itemChanged.connect(self._on_ticked)
        self.bar.stepped.connect(self._on_steps)
        self.bar.returned.connect(self._on_returned)
        self.bar.finished.connect(self._refresh)

    def _toggle(self) -> None:
        self.content.setVisible(self.open_button.isChecked())

    def open(self) -> None:
        """Show the choice of phases."""
        self.open_button.setChecked(True)
        self._toggle()

    def _on_ticked(self) -> None:
        self._refresh()
        self.changed.emit()

    # -- choosing -------------------------------------------------------------------------------
    def show_scan(self, stack: PatternStack | None, voltage: float) -> None:
        """Take pattern centre and size from another scan.

        Parameters
        ----------
        stack
            The scan.
        voltage
            In kV; 0: nobody knows it.
        """
        self._stack, self._voltage = stack, voltage
        self._refresh()

    def _add(self, text: str, path: str, checked: bool = False) -> None:
        item = QListWidgetItem(text)
        item.setFlags(item.flags() | Qt.ItemFlag.ItemIsUserCheckable)
        item.setCheckState(Qt.CheckState.Checked if checked else Qt.CheckState.Unchecked)
        item.setData(_PATH, path)
        self.list.addItem(item)

    def _items(self) -> list[QListWidgetItem]:
        return [self.list.item(k) for k in range(self.list.count())]

    @property
    def phases(self) -> tuple[str, ...]:
        """The materials and CIF files that are ticked."""
        ticked = Qt.CheckState.Checked
        return tuple(i.data(_PATH) for i in self._items() if i.checkState() == ticked)

    def choose(self, *names: str) -> None:
        """Tick phases, each by its name in the list or another name of it."""
        wanted = {MATERIALS[name].name for name in names}
        for item in self._items():
            if item.data(_PATH) in wanted:
                item.setCheckState(Qt.CheckState.Checked)

    def _filter(self, text: str) -> None:
        """Show what fits to the search, and whatever is ticked."""
        text = text.strip()
        alias = MATERIALS.get(text)
        for item in self._items():
            fits = text.casefold() in item.text().casefold()
            fits = fits or (alias is not None and alias.name == item.data(_PATH))
            item.setHidden(not fits and item.checkState() != Qt.CheckState.Checked)

    def _ask_cif(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Add a crystal", "", "Crystals (*.cif)")
        if path:
            self.add_cif(Path(path))

    def add_cif(self, path: Path) -> None:
        """Add a crystal of a CIF file, ticked."""
        try:
            (structure,), notes = given_structures([str(path)])
        except InputError as error:
            show_error(str(error))
            return
        for note in notes:
            show_info(note)
        known = {item.data(_PATH): item for item in self._items()}
        if str(path) in known:
            known[str(path)].setCheckState(Qt.CheckState.Checked)
            known[str(path)].setHidden(False)
        else:
            self._add(f"{path.stem} ({structure.lattice}, {path.name})", str(path), checked=True)
        self.list.scrollToBottom()
        self._on_ticked()

    # -- training -------------------------------------------------------------------------------
    def recipe(self) -> PhasesRecipe:
        """Return what would be trained.

        Raises
        ------
        InputError
            Too few or too many phases, or a name that cannot be used.
        """
        phases = self.phases
        geometry = None if self._stack is None else self._stack.geometry
        pc = geometry.pc if isinstance(geometry, KikuchiGeometry) else None
        return PhasesRecipe(
            name=self._checked_name(phases),
            phases=phases,
            voltage=self._voltage,
            pc=tuple(pc or ()),
            shape=() if self._stack is None else self._stack.frame_shape,
        )

    def _checked_name(self, phases: tuple[str, ...]) -> str:
        from napari_diffraction.learning.models.files import usable_name

        return usable_name(self.name.text().strip() or _usual_name(phases), "replace")

    def run(self) -> None:
        """Train; a model of the same name is replaced."""
        from napari_diffraction.learning.models.registry import user_folder

        try:
            recipe = self.recipe()
            user_folder().mkdir(parents=True, exist_ok=True)
        except (InputError, OSError) as error:
            show_error(str(error))
            return
        output = user_folder() / f"{recipe.name}.safetensors"
        self.result.setText("")
        self.bar.start(lambda: in_own_process(train, recipe, output), "The training")
        self._refresh()

    def _on_steps(self, steps: list[Progress]) -> None:
        self._last = steps[-1].message

    def _on_returned(self, output: Path) -> None:
        self.result.setText(f"{output.stem}: {self._last}.")
        self.trained.emit(output.stem)

    def _refresh(self) -> None:
        phases = self.phases
        names = [_short(phase) for phase in phases]
        self.chosen.setText(
            f"{len(names)} chosen: {', '.join(names)}" if names else "Tick the phases."
        )
        self.name.setPlaceholderText(_usual_name(phases))
        enough = FEWEST <= len(phases) <= MOST
        self.train_button.setVisible(not self.bar.running)
        self.train_button.setEnabled(enough and self._stack is not None)
        for part in (self.list, self.cif_button, self.name):
            part.setEnabled(not self.bar.running)
        self.about.setText(self._about())

    def _about(self) -> str:
        """Say for what camera the model will be."""
        if self._stack is None:
            return "Open a scan first: the model is trained for its voltage and camera."
        geometry = self._stack.geometry
        height, width = self._stack.frame_shape
        voltage = f"{self._voltage:g} kV" if self._voltage else "voltage not known: any usual one"
        text = (
            f"The training takes {LONGEST} min at most. Patterns of {width} x {height} pixels, "
            f"{voltage}, "
        )
        if isinstance(geometry, KikuchiGeometry) and geometry.pc is not None:
            return text + "pattern centre {:.3f}, {:.3f}, {:.3f} (Bruker).".format(*geometry.pc)
        return text + "pattern centre not known: any usual one is trained for."
