"""The part of the phase map panel that shows an indexed scan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from napari.components import ViewerModel
from napari.layers import Image, Layer
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget
from superqt import QLabeledDoubleSlider

from napari_diffraction.analysis.indexed_phases import laue_of_phase
from napari_diffraction.ui.indexed_layers import SHOWN, IndexedLayers
from napari_diffraction.ui.indexed_list import IndexedList
from napari_diffraction.ui.indexed_work import accepted, said_at, with_name
from napari_diffraction.ui.ipf_key_box import IpfKeyBox
from napari_diffraction.ui.layers import follow
from napari_diffraction.ui.panel import button, form, group, named, sentence
from napari_diffraction.ui.solution_overlay import SolutionOverlay
from napari_diffraction.ui.tooltips import INDEXED

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.ui.scan_navigation import ScanNavigation

#: Largest misfit that can be asked for, in degrees: there every one is accepted.
_ANY_MISFIT = 3.0


@dataclass
class _Solved:
    """An indexed scan: its solution, under the names given to phases, and what draws it."""

    indexed: IndexedMap
    layers: IndexedLayers
    overlay: SolutionOverlay
    shown: IndexedMap


class IndexedBox(QWidget):
    """Maps, phases and limits of the solution of a scan, and what was found at a point.

    Parameters
    ----------
    viewer
        Where the layers are.

    Signals
    -------
    export_asked()
        A person wants a file.
    averages_asked()
        A person wants to see the grains' averages.
    """

    export_asked = Signal()
    averages_asked = Signal()

    def __init__(self, viewer: ViewerModel, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._solved: WeakKeyDictionary[Layer, _Solved] = WeakKeyDictionary()
        self._layer: Layer | None = None
        self._navigation: ScanNavigation | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._build_solution())
        layout.addWidget(self._build_point())
        follow(self, viewer.layers.events.removed, lambda event: self.drop(event.value))

    def _build_solution(self) -> QWidget:
        box, column = group("Solution")
        self.list = IndexedList()
        self.show_combo = named(QComboBox(), "Map", INDEXED["show"])
        self.show_combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        for key, title in SHOWN.items():
            self.show_combo.addItem(title, key)
        self.key = named(IpfKeyBox(), "Key", INDEXED["key"])
        self.confidence = _slider("Least confidence", INDEXED["confidence"], 1.0, 0.0)
        self.misfit = _slider("Largest misfit", INDEXED["misfit"], _ANY_MISFIT, _ANY_MISFIT)
        self.export_button = button("Export…", INDEXED["export"], self.export_asked.emit)
        self.averages_button = button(
            "Grain averages", INDEXED["averages"], self.averages_asked.emit
        )
        fields = form()
        fields.addRow("Map", self.show_combo)
        column.addWidget(self.list)
        column.addLayout(fields)
        column.addWidget(self.key)
        limits = form()
        limits.addRow("Confidence", self.confidence)
        limits.addRow("Misfit", self.misfit)
        column.addLayout(limits)
        column.addWidget(self.averages_button)
        column.addWidget(self.export_button)
        column.addWidget(self.list.notes)
        self.list.chosen.connect(self.name_phase)
        self.show_combo.currentIndexChanged.connect(self._on_map)
        self.confidence.valueChanged.connect(self._on_limits)
        self.misfit.valueChanged.connect(self._on_limits)
        return box

    def _build_point(self) -> QWidget:
        box, column = group("Point on view")
        self.place = sentence()
        self.draw = named(QCheckBox("Bands of the solution"), "Draw bands", INDEXED["bands"])
        self.draw.setChecked(True)
        self.draw.toggled.connect(lambda _: self._show_here())
        self.point = named(sentence(), "Point", INDEXED["point"])
        for part in (self.place, self.point, self.draw):
            column.addWidget(part)
        return box

    # -- which solution -------------------------------------------------------------------------
    def _now(self) -> _Solved | None:
        return None if self._layer is None else self._solved.get(self._layer)

    @property
    def indexed(self) -> IndexedMap | None:
        """The solution on view without the points that are too doubtful."""
        now = self._now()
        return None if now is None else now.shown

    @property
    def there(self) -> bool:
        """Whether the scan on view is indexed and nobody has removed its map."""
        now = self._now()
        return now is not None and now.layers.there

    def set_idle(self, idle: bool) -> None:
        """Whether files can be written and averages be made now."""
        self.export_button.setEnabled(idle)
        self.averages_button.setEnabled(idle)

    def show_when_there(self, wanted: bool) -> None:
        """Appear, with the drawing over the pattern, where it is wanted and there is a solution."""
        self.setVisible(wanted and self.there)
        self._show_here()

    def show_scan(self, layer: Image | None, navigation: ScanNavigation | None) -> None:
        """Show the solution of another scan, if it has one."""
        self._layer, self._navigation = layer, navigation
        if self._now() is not None:
            self._show_all()

    def take(self, layer: Image, navigation: ScanNavigation, indexed: IndexedMap) -> None:
        """Show the solution of a scan in the place of any earlier one."""
        self.drop(layer)
        self._layer, self._navigation = layer, navigation
        layers = IndexedLayers(self._viewer, navigation, indexed)
        overlay = SolutionOverlay(self._viewer, layer, indexed.name)
        self._solved[layer] = _Solved(indexed, layers, overlay, indexed)
        self.show_combo.setCurrentIndex(0)
        self._on_limits()
        self._on_map()

    def drop(self, layer: Layer) -> None:
        """Forget the solution of a scan, and remove its layers."""
        before = self._solved.pop(layer, None)
        if before is not None:
            before.layers.clear()
            before.overlay.clear()

    # -- what a person changes ------------------------------------------------------------------
    def name_phase(self, number: int, name: str) -> None:
        """Give a phase a name, here, in the layers and in every file."""
        now = self._now()
        if now is not None:
            now.indexed = with_name(now.indexed, number, name)
            self._on_limits()

    def _on_limits(self) -> None:
        now = self._now()
        if now is None:
            return
        misfit = self.misfit.value()
        now.shown = accepted(
            now.indexed, self.confidence.value(), misfit if misfit < _ANY_MISFIT else None
        )
        now.layers.show(now.indexed, now.shown)
        self._show_all()

    def _on_map(self) -> None:
        now, key = self._now(), str(self.show_combo.currentData())
        self.key.setVisible(key in ("x", "y", "z"))
        if now is not None:
            now.layers.choose(key)

    # -- showing --------------------------------------------------------------------------------
    def _show_all(self) -> None:
        now = self._now()
        assert now is not None
        self.list.show_solution(now.shown)
        self.key.show_groups([laue_of_phase(phase) for phase in now.shown.phases])
        self._show_here()

    def _show_here(self) -> None:
        if self._navigation is not None and self._navigation.current is not None:
            self.show_point(*self._navigation.current)

    def show_point(self, row: int, column: int) -> None:
        """Say what was found at a point, and draw it over the pattern."""
        now = self._now()
        if now is None or not now.layers.there:
            return
        index = row * now.shown.shape[1] + column
        self.place.setText(f"Row {row}, column {column}")
        said = "".join(
            f"<tr><td>{name}&nbsp;&nbsp;</td><td>{value}</td></tr>"
            for name, value in said_at(now.shown, index)
        )
        self.point.setText(f"<table>{said}</table>")
        now.overlay.wanted = self.draw.isChecked() and not self.isHidden()
        now.overlay.show(now.shown, index)


def _slider(name: str, tip: str, top: float, value: float) -> Any:
    slider = named(QLabeledDoubleSlider(Qt.Orientation.Horizontal), name, tip)
    slider.setRange(0, top)
    slider.setSingleStep(0.01)
    slider.setValue(value)
    return slider
