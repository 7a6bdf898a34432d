"""Crystal, microscope and camera of simulated Kikuchi patterns, as a form."""

from __future__ import annotations

import dataclasses
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QFileDialog, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from napari_diffraction.crystal.materials import MATERIALS, load_structure
from napari_diffraction.crystal.structure import Structure
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions
from napari_diffraction.ui.simulate.form import form_layout, section
from napari_diffraction.ui.widgets.fields import Field, field_for
from napari_diffraction.ui.widgets.panel import button, named, sentence

#: Bands alone, with room for noise: the contrast is no effect where there is nothing else.
CLEAN = KikuchiEffects(contrast=0.3)

#: Sections in the order of the form; effects that are in none get into the last one.
SECTIONS = {
    "Microscope": ("voltage", "pc_x", "pc_y", "pc_z", "pc_spread", "sample_tilt", "camera_tilt"),
    "Bands": (
        *("reflectors", "spacing", "width", "floor", "power", "dip"),
        *("plate", "excess", "saturation"),
    ),
    "Camera: noise and blur": (
        "contrast",
        "noise",
        "grain",
        "grain_size",
        "gain",
        "blur",
        "pixels",
    ),
    "Camera: background": (
        *("dome", "dome_x", "dome_y", "dome_width", "vignetting"),
        *("residual", "ghost", "overlap"),
    ),
    "Camera: mask": (*("mask_x", "mask_y", "mask_radius", "half_width", "half_height", "outside"),),
}
_REST = "Camera: defects and read-out"
_OPEN = ("Microscope",)
_NAMES = {
    "pc_x": "Pattern centre x",
    "pc_y": "Pattern centre y",
    "pc_z": "Distance",
    "pc_spread": "Centre's spread",
    "reflectors": "Bands",
    "spacing": "Smallest spacing",
    "width": "Edge width",
    "floor": "Least edge width",
    "power": "Strength's power",
    "dip": "Dark edges",
    "plate": "Even inside",
    "pixels": "Pixels after binning",
}
_LABEL_WIDTH = 116


class StructureBox(QWidget):
    """The crystal: a material of the table, or one from a CIF file.

    Signals
    -------
    changed()
        Another crystal was chosen.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.materials = named(
            QComboBox(), "Material", "A crystal from the literature, or one from a CIF file."
        )
        self.materials.addItems(list(MATERIALS))
        self.materials.setMinimumContentsLength(12)
        self.materials.setCurrentText("Ni")
        self._files: dict[str, Structure] = {}
        self.text = sentence()
        row = QHBoxLayout()
        row.addWidget(self.materials, 1)
        row.addWidget(button("CIF...", "Read a crystal from a CIF file.", self.ask_for_file))
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 2, 4, 6)
        column.addLayout(row)
        column.addWidget(self.text)
        self.materials.currentIndexChanged.connect(self._on_choice)
        self._on_choice()

    def structure(self) -> Structure:
        """Return the crystal."""
        name = self.materials.currentText()
        return self._files[name] if name in self._files else MATERIALS[name]

    def ask_for_file(self) -> None:
        """Let a person choose a CIF file."""
        path, _ = QFileDialog.getOpenFileName(self, "Read a crystal", "", "CIF (*.cif)")
        if path:
            self.read(path)

    def read(self, path: str) -> None:
        """Read a CIF file and choose its crystal; raises `InputError` where it cannot be read."""
        structure = load_structure(path)
        name = structure.name
        while name in MATERIALS:
            name += " (file)"
        self._files[name] = structure
        if self.materials.findText(name) < 0:
            self.materials.addItem(name)
        if self.materials.currentText() == name:  # another file whose crystal is called alike
            self._on_choice()
        self.materials.setCurrentText(name)

    def _on_choice(self, *_: Any) -> None:
        crystal = self.structure()
        cell = " ".join(f"{value:.5g}" for value in crystal.cell.parameters)
        self.text.setText(f"{crystal.lattice}, space group {crystal.space_group}, {cell}")
        self.text.setToolTip(crystal.source)
        self.changed.emit()


class KikuchiForm(QWidget):
    """All settings of `KikuchiConditions` and `KikuchiEffects`.

    Signals
    -------
    changed()
        Somebody changed a setting.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, Field] = {}
        items = {
            item.name: item
            for kind in (KikuchiConditions, KikuchiEffects)
            for item in dataclasses.fields(kind)
        }
        placed = {name for names in SECTIONS.values() for name in names}
        rest = tuple(name for name in items if name not in placed)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for title, names in (*SECTIONS.items(), (_REST, rest)):
            layout.addWidget(self._section(title, [items[name] for name in names]))
        self.set_values(KikuchiConditions(), CLEAN)

    def _section(self, title: str, items: list[dataclasses.Field[Any]]) -> QWidget:
        body = QWidget()
        rows = form_layout(body)
        for item in items:
            field = self.fields[item.name] = field_for(item)
            text = _NAMES.get(item.name, item.name.replace("_", " ").capitalize())
            label = QLabel(text)
            label.setToolTip(item.metadata["tip"])
            label.setMinimumWidth(_LABEL_WIDTH)
            field.setAccessibleName(text)
            field.changed.connect(self.changed)
            rows.addRow(label, field)
        return section(title, body, title in _OPEN)

    def values(self) -> tuple[KikuchiConditions, KikuchiEffects]:
        """Return the settings; raises `InputError` where they make no sense."""
        return self._read(KikuchiConditions), self._read(KikuchiEffects)

    def _read(self, kind: Any) -> Any:
        return kind(
            **{
                item.name: type(item.default)(self.fields[item.name].value())
                for item in dataclasses.fields(kind)
            }
        )

    def set_values(self, conditions: KikuchiConditions, effects: KikuchiEffects) -> None:
        """Show settings; one signal for all."""
        for settings in (conditions, effects):
            for item in dataclasses.fields(settings):
                self.fields[item.name].set_value(getattr(settings, item.name))
        self.changed.emit()
