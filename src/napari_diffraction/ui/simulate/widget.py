"""The panel that simulates patterns: a live preview, then a stack with its truth."""

from __future__ import annotations

import itertools
from collections.abc import Generator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import psutil
from qtpy.QtCore import QSignalBlocker, Qt
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QCheckBox,
    QFrame,
    QHBoxLayout,
    QLabel,
    QScrollArea,
    QSlider,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.progress import Progress
from napari_diffraction.simulation.conditions import (
    DetectorEffects,
    SpotConditions,
    realistic_conditions,
    realistic_effects,
)
from napari_diffraction.simulation.samples import FIGURE_1
from napari_diffraction.simulation.spots.dataset import SimulatedStack, simulate_one, simulate_spots
from napari_diffraction.ui.simulate.crystal import CrystalForm, Plan
from napari_diffraction.ui.simulate.form import SettingsForm, form_layout, section
from napari_diffraction.ui.simulate.kikuchi import KikuchiTab
from napari_diffraction.ui.simulate.layers import add_simulated, describe
from napari_diffraction.ui.simulate.preview import Newest, Previewed, PreviewLayer, in_turn
from napari_diffraction.ui.simulate.result import ResultBox
from napari_diffraction.ui.viewer.layers import bare_viewer
from napari_diffraction.ui.viewer.vertex_arrays import guard
from napari_diffraction.ui.widgets.colours import swatch
from napari_diffraction.ui.widgets.fields import WholeBox, leave_the_wheel
from napari_diffraction.ui.widgets.panel import button, sentence
from napari_diffraction.ui.widgets.worker_bar import WorkBar

#: Tells one simulated stack from another in the list of layers.
_numbers = itertools.count(1)
#: Room that napari's style leaves beside a scroll bar, in pixels.
_BAR_MARGIN = 4
_GETTING_READY = "Getting ready (half a minute the first time after an installation)"


class SimulateWidget(QWidget, Previewed):
    """Simulate spot patterns, and on another tab Kikuchi patterns.

    Parameters
    ----------
    napari_viewer
        Gets the layers; napari recognises the parameter by its name.
    """

    def __init__(self, napari_viewer: Any) -> None:
        super().__init__()
        self._viewer = bare_viewer(napari_viewer)
        guard(self._viewer)
        self._warm = False
        self.crystal = CrystalForm()
        self.settings = SettingsForm()
        self.preview_layer = PreviewLayer(self._viewer)
        self.preview = Newest(self)
        self._build()
        self._connect()
        self.update_preview()

    # -- the panel ------------------------------------------------------------------------------
    def _build(self) -> None:
        page = QWidget()
        self.tabs = QTabWidget()
        self.tabs.addTab(page, "Spots")
        self.tabs.addTab(QWidget(), "Kikuchi")
        self.tabs.currentChanged.connect(self._on_tab)
        self.kikuchi: KikuchiTab | None = None
        whole = QVBoxLayout(self)
        whole.setContentsMargins(6, 6, 6, 6)
        whole.addWidget(self.tabs)
        layout = QVBoxLayout(page)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.addLayout(self._preset_row())
        self._area = self._scroll_area()
        layout.addWidget(self._area, 1)
        layout.addLayout(self._orientation_row())
        layout.addLayout(self._status_row())
        self.error = sentence()
        self.error.setVisible(False)
        layout.addWidget(self.error)
        self.work = WorkBar("patterns", "Stop; nothing is added.")
        layout.addWidget(self.work)
        self.run_button = button("Simulate stack", "", self.simulate)
        layout.addWidget(self.run_button)
        self.result = ResultBox(self._viewer, self.work)
        layout.addWidget(self.result)

    def _on_tab(self, index: int) -> None:
        """Make the second tab when it is first looked at: few people need both."""
        if index == 1 and self.kikuchi is None:
            self.kikuchi = KikuchiTab(self._viewer, self.preview_layer)
            QVBoxLayout(self.tabs.widget(1)).addWidget(self.kikuchi)
        elif index == 0:
            self.update_preview()

    def _preset_row(self) -> QHBoxLayout:
        self.paper_button = button(
            "Paper's settings",
            "Beam and camera as in Gorelik et al. (2025): equal spots, black and white, no noise.",
            lambda: self.settings.set_values(SpotConditions(), DetectorEffects()),
        )
        self.realistic_button = button(
            "Realistic camera",
            "Draw an ordinary camera, sample and beam at random; each click draws another. "
            "The zone classifier is trained on these.",
            self._draw_camera,
        )
        self.live = QCheckBox("Live preview")
        self.live.setChecked(True)
        self.live.setToolTip("Show one pattern while the settings change.")
        row = QHBoxLayout()
        for widget in (self.paper_button, self.realistic_button, self.live):
            row.addWidget(widget)
        return row

    def _scroll_area(self) -> QScrollArea:
        content = QWidget()
        column = QVBoxLayout(content)
        column.setContentsMargins(0, 0, 4, 0)
        column.setSpacing(0)
        column.addWidget(section("Crystal", self.crystal, is_open=True))
        column.addWidget(section("Stack", self._stack_form(), is_open=True))
        column.addWidget(self.settings)
        column.addStretch(1)
        area = QScrollArea()
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setWidgetResizable(True)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(content)
        return area

    def showEvent(self, event: QShowEvent) -> None:
        """Take the width that the fields need in napari's style, which is now known."""
        bar = self._area.verticalScrollBar().sizeHint().width() + _BAR_MARGIN
        self._area.setMinimumWidth(self._area.widget().minimumSizeHint().width() + bar)
        super().showEvent(event)

    def _stack_form(self) -> QWidget:
        body = QWidget()
        rows = form_layout(body)
        self.orientations = WholeBox(
            1000,
            1,
            1_000_000,
            "",
            "Number of patterns: the directions of the beam in the crystal, spread evenly over the "
            "sphere.",
        )
        self.size = WholeBox(256, 16, 4096, "px", "Height and width of a pattern in pixels.")
        self.seed = WholeBox(
            0, 0, 2**31 - 1, "", "Start of the random numbers: the same seed gives the same stack."
        )
        rows.addRow("Orientations", self.orientations)
        rows.addRow("Pattern size", self.size)
        rows.addRow("Seed", self.seed)
        return body

    def _orientation_row(self) -> QHBoxLayout:
        self.orientation = QSlider(Qt.Orientation.Horizontal)
        self.orientation.setToolTip("Orientation of the crystal in the preview.")
        self.orientation.setRange(0, self.orientations.value() - 1)
        leave_the_wheel(self.orientation)
        self.orientation_text = QLabel()
        row = QHBoxLayout()
        row.addWidget(self.orientation_text)
        row.addWidget(self.orientation, 1)
        return row

    def _status_row(self) -> QHBoxLayout:
        self.status_dot = QLabel()
        self.status_dot.setFixedWidth(18)
        self.status = sentence()
        self.status.setToolTip("Class of the pattern on view, its dominant zone, visible spots.")
        row = QHBoxLayout()
        row.addWidget(self.status_dot)
        row.addWidget(self.status, 1)
        return row

    def _connect(self) -> None:
        self.crystal.changed.connect(self._on_setting)
        self.settings.changed.connect(self._on_setting)
        for box in (self.orientations, self.size, self.seed):
            box.valueChanged.connect(self._on_setting)
        self.orientation.valueChanged.connect(lambda _: self.update_preview(fit_contrast=False))
        self.live.toggled.connect(self._on_live)
        self.preview.failed.connect(self._on_failure)
        self.preview.done.connect(self._on_preview)
        self.work.returned.connect(self._on_stack)
        self.work.finished.connect(self._on_work_over)
        self.result.looked_at.connect(self._on_look)

    # -- preview --------------------------------------------------------------------------------
    def plan(self) -> Plan:
        """Return what the form says.

        Raises
        ------
        InputError
            It makes no sense.
        """
        conditions, effects = self.settings.values()
        return Plan(
            cell=self.crystal.cell(),
            space_group=self.crystal.group(),
            conditions=conditions,
            effects=effects,
            orientations=self.orientations.value(),
            size=self.size.value(),
            crystals=self.crystal.crystals.value(),
            seed=self.seed.value(),
        )

    def _on_setting(self, *_: Any) -> None:
        with QSignalBlocker(self.orientation):
            self.orientation.setRange(0, self.orientations.value() - 1)
        self.update_preview()

    def update_preview(self, fit_contrast: bool = True) -> None:
        """Simulate the pattern that the form describes and show it."""
        count, index = self.orientations.value(), self.orientation.value()
        self.orientation_text.setText(f"Orientation {index + 1:,} of {count:,}")
        try:
            plan = self.plan()
        except InputError as error:
            self._show_error(str(error))
            return
        self._show_error("")
        self.run_button.setText(f"Simulate stack of {count:,}")
        self.run_button.setToolTip(
            f"Simulate all {count:,} orientations; they take up to {plan.megabytes:,.0f} MB."
        )
        if self.live.isChecked():
            if not self._warm:
                self.status.setText(_GETTING_READY)
            self.preview.ask(lambda: (_one(plan, index), fit_contrast))

    def _on_preview(self, result: tuple[SimulatedStack, bool] | None) -> None:
        if result is None:  # the warming up is over
            self._warm = True
            return
        simulated, fit_contrast = result
        self._show_error("")
        self.preview_layer.show(simulated.images[0], fit_contrast)
        self._tell(simulated.labels.iloc[0].to_dict(), "Preview")
        if not self._warm and not self.preview.busy:
            self.preview.ask(_warm_up)

    def _draw_camera(self) -> None:
        rng = np.random.default_rng()
        effects = realistic_effects(rng, self.size.value())
        self.settings.set_values(_legible(realistic_conditions(rng)), _legible(effects))

    def _tell(self, row: dict[str, Any], what: str) -> None:
        self.status.setText(f"{what}: {describe(row)}")
        self.status_dot.setPixmap(swatch(row["label"], ZONE_CLASSES).pixmap(14, 14))

    # -- the stack ------------------------------------------------------------------------------
    def simulate(self) -> None:
        """Simulate the whole stack in another thread."""
        try:
            plan = self.plan()
            _check_memory(plan)
        except InputError as error:
            self._show_error(str(error))
            return
        self.work.start(lambda: in_turn(_stack(plan)), "Simulation")
        self.run_button.setEnabled(False)

    def _on_stack(self, result: tuple[Plan, SimulatedStack] | None) -> None:
        if result is None:  # something was saved
            return
        plan, simulated = result
        self.preview_layer.hide()
        add_simulated(self._viewer, simulated, f"simulated {next(_numbers)}", plan.as_dict())
        self.result.look()

    def _on_work_over(self) -> None:
        self.run_button.setEnabled(not self._shown_error)

    def _on_look(self, name: str, row: dict[str, Any]) -> None:
        self.preview_layer.hide()
        self._tell(row, name)


def _legible(settings: Any) -> Any:
    """Round settings that were drawn at random to three digits."""
    drawn = {
        item.name: float(f"{value:.3g}")
        for item in fields(settings)
        if isinstance(value := getattr(settings, item.name), float) and value != item.default
    }
    return replace(settings, **drawn)


def _one(plan: Plan, index: int) -> SimulatedStack:
    return simulate_one(
        plan.cell,
        plan.conditions,
        plan.effects,
        orientation_index=index,
        orientations=plan.orientations,
        size=plan.size,
        space_group=plan.space_group,
        crystals=plan.crystals,
        seed=plan.seed,
    )


def _warm_up() -> None:
    """Compile what a picture in counts needs, before somebody asks for one."""
    simulate_one(FIGURE_1, None, DetectorEffects(signal=1.0, poisson=True), size=16)


def _stack(plan: Plan) -> Generator[Progress, None, tuple[Plan, SimulatedStack]]:
    stack = yield from simulate_spots(
        [plan.cell],
        plan.conditions,
        plan.effects,
        orientations=plan.orientations,
        size=plan.size,
        space_group=plan.space_group,
        crystals=plan.crystals,
        seed=plan.seed,
    )
    return plan, stack


def _check_memory(plan: Plan) -> None:
    """Refuse a stack that would not fit, before anything is computed."""
    # The parts and the stack that is made of them are there at once.
    needed = 2 * plan.megabytes * 1e6
    free = psutil.virtual_memory().available
    if needed > free:
        raise InputError(
            f"{plan.orientations:,} patterns of {plan.size} px need {needed / 1e9:.1f} GB of "
            f"memory and {free / 1e9:.1f} GB are free: ask for fewer orientations or smaller "
            "patterns."
        )
