"""The tab that simulates Kikuchi patterns: a live preview, then a stack with its truth."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from napari.components import ViewerModel
from napari.layers import Image
from napari.utils.notifications import show_info
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QHideEvent, QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSlider,
    QVBoxLayout,
    QWidget,
)

from napari_diffraction.errors import InputError
from napari_diffraction.progress import Progress
from napari_diffraction.simulation.kikuchi.effects import COLUMNS, KikuchiEffects, realistic_rows
from napari_diffraction.simulation.kikuchi.files import ENDINGS, save_kikuchi
from napari_diffraction.simulation.kikuchi.patterns import (
    KikuchiConditions,
    SimulatedKikuchi,
    draw_geometry,
    simulate_kikuchi,
    simulate_one_kikuchi,
)
from napari_diffraction.ui.simulate.form import form_layout, section
from napari_diffraction.ui.simulate.kikuchi_form import CLEAN, KikuchiForm, StructureBox
from napari_diffraction.ui.simulate.kikuchi_layers import AXES, BANDS, KIKUCHI, Overlay, add_kikuchi
from napari_diffraction.ui.simulate.preview import Newest, Previewed, PreviewLayer, in_turn
from napari_diffraction.ui.viewer.layers import StackView, follow
from napari_diffraction.ui.widgets.fields import WholeBox, leave_the_wheel
from napari_diffraction.ui.widgets.panel import button, named, sentence
from napari_diffraction.ui.widgets.save_dialog import ask_where
from napari_diffraction.ui.widgets.worker_bar import WorkBar

_numbers = itertools.count(1)


class KikuchiTab(QWidget, Previewed):
    """Simulate Kikuchi patterns.

    Parameters
    ----------
    viewer
        Gets the layers.
    preview_layer
        Shows the preview, shared with the tab of spot patterns.
    """

    def __init__(self, viewer: ViewerModel, preview_layer: PreviewLayer) -> None:
        super().__init__()
        self._viewer, self.preview_layer = viewer, preview_layer
        self.crystal, self.settings = StructureBox(), KikuchiForm()
        self.overlay = Overlay(viewer)
        self._previewed: tuple[Any, ...] | None = None
        self.preview = Newest(self)
        self._build()
        for signal in (
            self.crystal.changed,
            self.settings.changed,
            *(box.valueChanged for box in (self.patterns, self.size, self.seed)),
            self.orientation.valueChanged,
        ):
            signal.connect(self.update_preview)
        self.live.toggled.connect(self._on_live)
        self.preview.done.connect(self._on_preview)
        self.preview.failed.connect(self._on_failure)
        self.work.returned.connect(self._on_stack)
        self.work.finished.connect(lambda: self._show_error(self._shown_error))
        follow(self, viewer.dims.events.current_step, self._follow_view)

    # -- the panel ------------------------------------------------------------------------------
    def _build(self) -> None:
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.addLayout(self._preset_row())
        layout.addWidget(self._scroll_area(), 1)
        self.orientation = named(
            QSlider(Qt.Orientation.Horizontal), "Orientation", "Orientation in the preview."
        )
        leave_the_wheel(self.orientation)
        self.orientation_text = QLabel()
        row = QHBoxLayout()
        row.addWidget(self.orientation_text)
        row.addWidget(self.orientation, 1)
        layout.addLayout(row)
        self.status, self.error = sentence(), sentence()
        self.error.setVisible(False)
        layout.addWidget(self.status)
        layout.addWidget(self.error)
        self.work = WorkBar("patterns", "Stop; nothing is added.")
        layout.addWidget(self.work)
        self.run_button = button("Simulate stack", "", self.simulate)
        layout.addWidget(self.run_button)
        layout.addLayout(self._result_row())

    def _preset_row(self) -> QHBoxLayout:
        self.clean_button = button(
            "Clean bands",
            "Bands without noise; their profile is that of dynamical nickel patterns.",
            lambda: self.settings.set_values(KikuchiConditions(), CLEAN),
        )
        self.realistic_button = button(
            "Realistic camera",
            "Draw an ordinary camera and sample at random; each click draws another.",
            self._draw_camera,
        )
        self.live = QCheckBox("Live preview")
        self.live.setChecked(True)
        self.live.setToolTip("Show one pattern while the settings change.")
        row = QHBoxLayout()
        for widget in (self.clean_button, self.realistic_button, self.live):
            row.addWidget(widget)
        return row

    def _scroll_area(self) -> QScrollArea:
        stack = QWidget()
        rows = form_layout(stack)
        self.patterns = WholeBox(1000, 1, 1_000_000, "", "Patterns, in random orientations.")
        self.size = WholeBox(128, 16, 2048, "px", "Height and width of a pattern in pixels.")
        self.seed = WholeBox(0, 0, 2**31 - 1, "", "The same seed gives the same stack.")
        for text, box in (
            ("Patterns", self.patterns),
            ("Pattern size", self.size),
            ("Seed", self.seed),
        ):
            rows.addRow(text, box)
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(0)
        column.addWidget(section("Crystal", self.crystal, is_open=True))
        column.addWidget(section("Stack", stack, is_open=True))
        column.addWidget(self.settings)
        column.addStretch(1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        return area

    def _result_row(self) -> QHBoxLayout:
        self.bands = named(QCheckBox("Bands"), "Show bands", "Draw the strongest bands with h k l.")
        self.axes = named(
            QCheckBox("Zone axes"), "Show zone axes", "Mark the zone axes of low indices."
        )
        self.save_button = button(
            "Save...", "Write the simulated stack with its labels.", self.ask_where_to_save
        )
        row = QHBoxLayout()
        for box in (self.bands, self.axes):
            box.toggled.connect(self._draw_overlay)
            row.addWidget(box)
        row.addWidget(self.save_button)
        return row

    def showEvent(self, event: QShowEvent) -> None:
        """Begin with the preview when the tab is first looked at."""
        super().showEvent(event)
        self.update_preview()

    def hideEvent(self, event: QHideEvent) -> None:
        """Take the drawings away: another tab or panel shows other patterns."""
        super().hideEvent(event)
        self._previewed = None  # the tab of spot patterns has the same preview
        self._draw_overlay()

    # -- preview --------------------------------------------------------------------------------
    def update_preview(self, *_: Any) -> None:
        """Simulate the pattern that the form describes and show it."""
        with QSignalBlocker(self.orientation):
            self.orientation.setRange(0, self.patterns.value() - 1)
        count, index = self.patterns.value(), self.orientation.value()
        self.orientation_text.setText(f"Orientation {index + 1:,} of {count:,}")
        self.run_button.setText(f"Simulate stack of {count:,}")
        try:
            conditions, effects = self.settings.values()
        except InputError as error:
            self._show_error(str(error))
            return
        self._show_error("")
        if not (self.live.isChecked() and self.isVisible()):
            return
        structure, size, seed = self.crystal.structure(), self.size.value(), self.seed.value()

        def work() -> tuple[Any, ...]:
            angles, centres = (a[index] for a in draw_geometry(index + 1, conditions, seed))
            image = simulate_one_kikuchi(
                structure, angles, conditions, effects, pc=centres, size=size, seed=seed
            )
            return image, (structure, angles, centres, conditions, image.shape)

        self.preview.ask(work)

    def _on_preview(self, result: tuple[Any, ...]) -> None:
        image, previewed = result
        if not self.isVisible():  # the preview is that of another tab by now
            return
        self._previewed = previewed
        self._show_error("")
        self.preview_layer.show(image, fit_contrast=False)
        layer = self.preview_layer.layer
        assert layer is not None
        layer.contrast_limits = (0, 255)
        layer.events.visible.connect(self._follow_view)
        self._draw_overlay()

    def _draw_camera(self) -> None:
        row = realistic_rows(1, np.random.default_rng())[0]
        drawn = {name: float(f"{value:.3g}") for name, value in zip(COLUMNS, row, strict=True)}
        conditions, _ = self.settings.values()
        self.settings.set_values(conditions, KikuchiEffects(**drawn))

    # -- bands and axes -------------------------------------------------------------------------
    def _on_view(self) -> tuple[Any, ...] | None:
        """Crystal, angles, centre, conditions and frame of the pattern on view."""
        shown = self.preview_layer.layer
        if shown is not None and shown in self._viewer.layers and shown.visible:
            return self._previewed
        layer = self.layer()
        if layer is None or not layer.visible:  # something else is on view
            return None
        index = StackView(self._viewer, layer).index()
        if index is None:
            return None
        simulated: SimulatedKikuchi = layer.metadata[KIKUCHI]
        row = simulated.labels.iloc[index]
        crystals = {structure.name: structure for structure in simulated.structures}
        angles, centre = (
            row[list(names)].to_numpy(float)
            for names in (("phi1", "Phi", "phi2"), ("pc_x", "pc_y", "pc_z"))
        )
        crystal = crystals[row["structure"]]
        return crystal, angles, centre, simulated.conditions, simulated.images.shape[1:]

    def _follow_view(self, event: Any = None) -> None:
        # where all layers are removed, as when napari closes, that would never end if each step
        # on the way brought more
        self._draw_overlay(anew=False)

    def _draw_overlay(self, *_: Any, anew: bool = True) -> None:
        wanted = {
            name
            for name, box in ((BANDS, self.bands), (AXES, self.axes))
            if box.isChecked() and self.isVisible()
        }
        seen = self._on_view()
        if seen is None:
            for name in (BANDS, AXES):
                self.overlay.hide(name)
            return
        structure, angles = seen[:2]
        turned = " ".join(f"{angle:.1f}" for angle in angles)
        self.status.setText(f"{structure.name} ({structure.lattice}) · Euler angles {turned}°")
        self.overlay.show(wanted, *seen, anew=anew)

    # -- the stack ------------------------------------------------------------------------------
    def layer(self) -> Image | None:
        """Return the simulated stack that is selected, or else the newest one."""
        stacks = [layer for layer in self._viewer.layers if KIKUCHI in layer.metadata]
        active = self._viewer.layers.selection.active
        return active if active in stacks else (stacks or [None])[-1]

    def simulate(self) -> None:
        """Simulate the whole stack in another thread."""
        try:
            conditions, effects = self.settings.values()
            count, size, seed = self.patterns.value(), self.size.value(), self.seed.value()
            needed, free = 2.0 * count * size**2, psutil.virtual_memory().available
            if needed > free:
                raise InputError(
                    f"{count:,} patterns of {size} px need {needed / 1e9:.1f} GB of memory and "
                    f"{free / 1e9:.1f} GB are free: ask for fewer or smaller patterns."
                )
        except InputError as error:
            self._show_error(str(error))
            return
        crystals = [self.crystal.structure()]
        self.work.start(
            lambda: in_turn(
                simulate_kikuchi(
                    crystals, conditions, effects, patterns=count, size=size, seed=seed
                )
            ),
            "Simulation",
        )
        self.run_button.setEnabled(False)

    def _on_stack(self, simulated: SimulatedKikuchi | None) -> None:
        if simulated is None:  # something was saved
            return
        self.preview_layer.hide()
        name = f"{simulated.structures[0].name} {next(_numbers)}"
        image = add_kikuchi(self._viewer, simulated, name)
        image.events.visible.connect(self._follow_view)
        self._draw_overlay()

    def ask_where_to_save(self) -> None:
        """Let a person name the file, then write it."""
        layer = self.layer()
        if layer is None:
            show_info("Simulate a stack first.")
            return
        kinds = "HDF5: patterns and labels (*.h5);;NumPy: patterns and labels (*.npz)"
        path = ask_where(self, "Save", Path(), f"{layer.name}.h5", kinds, ENDINGS)
        if path is not None:
            self.save(path)

    def save(self, path: Path) -> None:
        """Write the stack in another thread."""
        layer = self.layer()
        if layer is None or self.work.running:
            return
        simulated = layer.metadata[KIKUCHI]

        def saving() -> Any:
            yield Progress(0, len(simulated), f"Writing {path.name}")
            save_kikuchi(simulated, path)
            show_info(f"{path} is written.")

        self.work.start(saving, "Saving")
