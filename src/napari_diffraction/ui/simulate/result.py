"""What can be done with a simulated stack: read its labels, index its spots, save it."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from napari.utils.notifications import show_info
from qtpy.QtCore import QSignalBlocker, Signal
from qtpy.QtWidgets import QCheckBox, QHBoxLayout, QWidget

from napari_diffraction.progress import Progress
from napari_diffraction.review.export import HDF5, TIFF
from napari_diffraction.simulation.files import save_simulated
from napari_diffraction.simulation.spots.dataset import SimulatedStack
from napari_diffraction.ui.simulate.layers import SIMULATION, show_indices
from napari_diffraction.ui.viewer.features_table import open_table
from napari_diffraction.ui.viewer.layers import StackView, follow
from napari_diffraction.ui.widgets.panel import button, named
from napari_diffraction.ui.widgets.save_dialog import ask_where
from napari_diffraction.ui.widgets.worker_bar import WorkBar

_ENDINGS = (*HDF5, *TIFF, ".npy")
_FILTERS = (
    "HDF5: patterns, labels and spots (*.h5)",
    "TIFF: patterns, labels beside them (*.tif)",
)


class ResultBox(QWidget):
    """The buttons for the simulated stack on view.

    Signals
    -------
    looked_at(str, dict)
        Somebody moved the slider: name of the stack, and what is known of the pattern.

    Parameters
    ----------
    viewer
        Holds the layers.
    work
        Shows the progress of saving.
    """

    looked_at = Signal(str, dict)

    def __init__(self, viewer: ViewerModel, work: WorkBar) -> None:
        super().__init__()
        self._viewer, self._work = viewer, work
        self.indices = named(
            QCheckBox("h k l"), "Show h k l", "Write h k l beside the spots of the simulated stack."
        )
        self.indices.toggled.connect(self._on_indices)
        self.table_button = button(
            "Table", "Open the table of the true labels, one row a pattern.", self.open_table
        )
        self.save_button = button(
            "Save...",
            "Write the simulated stack with its labels, as HDF5 (with the spots) or TIFF.",
            self.ask_where_to_save,
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        for widget in (self.indices, self.table_button, self.save_button):
            row.addWidget(widget)
        follow(self, viewer.dims.events.current_step, self.look)
        events = viewer.layers.events
        for event in (events.inserted, events.removed, viewer.layers.selection.events.active):
            follow(self, event, self.refresh)
        work.finished.connect(self.refresh)
        self.refresh()

    def layer(self) -> Image | None:
        """Return the simulated stack that is selected, or else the newest one in sight."""
        stacks = [layer for layer in self._viewer.layers if SIMULATION in layer.metadata]
        active = self._viewer.layers.selection.active
        seen = [layer for layer in stacks if layer.visible]
        if active in stacks:
            return active
        return (seen or stacks or [None])[-1]

    def refresh(self, event: Any = None) -> None:
        """Allow what the layers allow."""
        layer = self.layer()
        self.indices.setEnabled(self._made_from(layer, "spots") is not None)
        self.table_button.setEnabled(self._made_from(layer, "truth") is not None)
        self.save_button.setEnabled(layer is not None and not self._work.running)
        spots = self._made_from(layer, "spots")
        with QSignalBlocker(self.indices):
            self.indices.setChecked(spots is not None and bool(spots.metadata.get("indices")))

    def _made_from(self, layer: Layer | None, what: str) -> Points | None:
        """Return the points that belong to a stack, where nobody has removed them."""
        if layer is None:
            return None
        for other in self._viewer.layers:
            if other.metadata.get(what) is layer.metadata[SIMULATION]:
                return other
        return None

    def look(self, event: Any = None) -> None:
        """Tell what is known of the pattern on view."""
        layer = self.layer()
        if layer is None or not layer.visible:
            return
        index = StackView(self._viewer, layer).index()
        if index is not None:
            row = layer.metadata["labels"].iloc[index].to_dict()
            self.looked_at.emit(f"{layer.name}, pattern {index}", row)

    def _on_indices(self, on: bool) -> None:
        spots = self._made_from(self.layer(), "spots")
        if spots is not None:
            show_indices(spots, on)

    def open_table(self) -> None:
        """Open napari's table with the labels."""
        truth = self._made_from(self.layer(), "truth")
        if truth is not None:
            open_table(self._viewer, truth)

    def ask_where_to_save(self) -> None:
        """Let a person name the file, then write it."""
        layer = self.layer()
        if layer is None:
            return
        title, name = f"Save {layer.name}", f"{layer.name}.h5"
        path = ask_where(self, title, Path(), name, ";;".join(_FILTERS), _ENDINGS)
        if path is not None:
            self.save(path)

    def save(self, path: Path) -> None:
        """Write the stack in another thread."""
        layer = self.layer()
        if layer is not None and not self._work.running:
            simulated = layer.metadata[SIMULATION]
            self._work.start(lambda: _saving(simulated, path), "Saving")
            self.refresh()


def _saving(simulated: SimulatedStack, path: Path) -> Generator[Progress, None, None]:
    yield Progress(0, len(simulated), f"Writing {path.name}")
    save_simulated(simulated, path)
    show_info(f"{path} is written.")
