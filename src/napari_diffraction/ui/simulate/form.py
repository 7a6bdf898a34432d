"""The settings of beam and camera as a form of sections that fold."""

from __future__ import annotations

import dataclasses
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QFormLayout, QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_diffraction.simulation.conditions import DetectorEffects, SpotConditions
from napari_diffraction.ui.widgets.fields import Field, NumberField, field_for
from napari_diffraction.ui.widgets.panel import button, sentence

#: Sections in the order of the form.  A setting that is in none gets into the last one.
SECTIONS = {
    "Beam and crystal": (
        "excitation_error",
        "resolution",
        "wavelength",
        "intensities",
        "falloff",
        "rocking",
        "in_plane",
    ),
    "Camera: spots": (
        "signal",
        "extent",
        "spot_radius",
        "spot_softness",
        "central_radius",
        "central_signal",
    ),
    "Camera: background": ("background", "halo", "halo_width", "carbon", "ice"),
    "Camera: noise and read-out": ("poisson", "read_noise", "gain", "offset", "saturation"),
    "Camera: defects": ("hot_pixels", "dead_pixels", "gap_width"),
    "Camera: beam stop": ("beam_stop", "beam_stop_arm", "beam_stop_angle"),
    "Camera: geometry": ("shift_x", "shift_y", "ellipticity", "ellipticity_angle"),
    "Imperfect spots": ("missing", "false_spots", "jitter"),
}
_REST = "Further settings"
_OPEN = ("Beam and crystal",)

#: Names of settings where the field's own, with spaces, would not do.
_NAMES = {
    "extent": "Pattern radius",
    "intensities": "Spot intensities",
    "falloff": "B factor",
    "rocking": "Rocking curve",
    "in_plane": "In-plane turn",
    "signal": "Spot brightness",
    "central_radius": "Beam radius",
    "central_signal": "Beam brightness",
    "background": "Even background",
    "halo": "Inelastic halo",
    "carbon": "Carbon rings",
    "ice": "Ice rings",
    "poisson": "Counting noise",
    "gap_width": "Module gaps",
    "beam_stop": "Beam stop radius",
    "beam_stop_arm": "Arm half width",
    "beam_stop_angle": "Arm direction",
    "shift_x": "Beam shift x",
    "shift_y": "Beam shift y",
    "ellipticity_angle": "Stretch direction",
    "missing": "Missing spots",
    "jitter": "Position jitter",
}
#: These do nothing while the picture is black and white.
NEED_COUNTS = {
    "spot_softness",
    "central_signal",
    "background",
    "halo",
    "halo_width",
    "carbon",
    "ice",
    "poisson",
    "read_noise",
    "gain",
    "offset",
    "saturation",
    "hot_pixels",
    "dead_pixels",
}
#: Brightness of the spots when somebody asks for counts, in counts.
_COUNTS = 100.0
#: Wide enough for most names, so that fields stand below one another, in pixels.
_LABEL_WIDTH = 116


class SettingsForm(QWidget):
    """All settings of `SpotConditions` and `DetectorEffects`.

    Signals
    -------
    changed()
        Somebody changed a setting.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, Field] = {}
        self._labels: dict[str, QLabel] = {}
        self._hints: list[QWidget] = []
        items = {
            item.name: item
            for kind in (SpotConditions, DetectorEffects)
            for item in dataclasses.fields(kind)
        }
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        placed = {name for names in SECTIONS.values() for name in names}
        rest = tuple(name for name in items if name not in placed)
        for title, names in (*SECTIONS.items(), *([(_REST, rest)] if rest else [])):
            layout.addWidget(self._section(title, [items[name] for name in names]))
        self._on_changed(quiet=True)

    def _section(self, title: str, items: list[dataclasses.Field[Any]]) -> QCollapsible:
        body = QWidget()
        rows = form_layout(body)
        if title != "Camera: spots" and NEED_COUNTS.intersection(item.name for item in items):
            rows.addRow(self._hint())
        for item in items:
            field = field_for(item)
            self.fields[item.name] = field
            self._labels[item.name] = label = QLabel(setting_name(item.name))
            label.setToolTip(item.metadata["tip"])
            label.setMinimumWidth(_LABEL_WIDTH)
            field.setAccessibleName(label.text())
            field.changed.connect(self._on_changed)
            rows.addRow(label, field)
        return section(title, body, title in _OPEN)

    def _hint(self) -> QWidget:
        hint = QWidget()
        row = QHBoxLayout(hint)
        row.setContentsMargins(0, 0, 0, 0)
        text = sentence("The picture is black and white.")
        row.addWidget(text, 1)
        row.addWidget(
            button(
                "Use counts",
                "Give the spots a brightness in counts: background, noise and bad pixels need it.",
                self._ask_for_counts,
            )
        )
        self._hints.append(hint)
        return hint

    def _ask_for_counts(self) -> None:
        signal = self.fields["signal"]
        assert isinstance(signal, NumberField)
        signal.box.setValue(_COUNTS)

    def _on_changed(self, quiet: bool = False) -> None:
        counts = self.fields["signal"].value() > 0
        for name in NEED_COUNTS:
            self.fields[name].setEnabled(counts)
            self._labels[name].setEnabled(counts)
        for hint in self._hints:
            hint.setVisible(not counts)
        if not quiet:
            self.changed.emit()

    def values(self) -> tuple[SpotConditions, DetectorEffects]:
        """Return the settings.

        Raises
        ------
        InputError
            They do not go together.
        """
        conditions, effects = (
            kind(**{item.name: self.fields[item.name].value() for item in dataclasses.fields(kind)})
            for kind in (SpotConditions, DetectorEffects)
        )
        return conditions, effects

    def set_values(self, conditions: SpotConditions, effects: DetectorEffects) -> None:
        """Show settings; one signal for all."""
        for settings in (conditions, effects):
            for item in dataclasses.fields(settings):
                self.fields[item.name].set_value(getattr(settings, item.name))
        self._on_changed()


def setting_name(name: str) -> str:
    """Return the name of a setting for people."""
    return _NAMES.get(name, name.replace("_", " ").capitalize())


def form_layout(body: QWidget) -> QFormLayout:
    """Make a form whose labels are as wide in every section."""
    rows = QFormLayout(body)
    rows.setContentsMargins(4, 2, 4, 6)
    rows.setVerticalSpacing(4)
    rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return rows


def section(title: str, body: QWidget, is_open: bool) -> QCollapsible:
    """Put some rows under a title that folds them away."""
    # Without icons: those of QCollapsible are black in napari's dark theme.
    fold = QCollapsible("", expandedIcon=QIcon(), collapsedIcon=QIcon())
    fold.toggled.connect(lambda on: fold.setText(f"{'▾' if on else '▸'}  {title}"))
    fold.setText(f"▸  {title}")
    fold.setDuration(0)
    fold.toggleButton().setStyleSheet(
        "text-align: left; border: none; background: transparent; font-weight: bold; padding: 4px"
    )
    fold.layout().setContentsMargins(0, 0, 0, 0)
    fold.addWidget(body)
    if is_open:
        fold.expand(animate=False)
    return fold
