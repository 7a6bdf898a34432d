"""The panels that napari opens; what they import does not halt the window."""

from __future__ import annotations

from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any

from napari_diffraction.ui.alive import apart

_ROOMS = {
    "ClassifyWidget": "classify",
    "EvaluateWidget": "evaluate",
    "ExplainWidget": "explain",
    "PeaksWidget": "peaks",
    "PhaseMapWidget": "phase_map",
    "ReviewWidget": "review",
    "SimulateWidget": "simulate",
    "TrainWidget": "train",
    "UnitCellWidget": "unit_cell",
}


def __getattr__(name: str) -> Any:
    """Import a panel when napari asks for it, which takes half a second the first time."""
    if name not in _ROOMS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(apart(partial(_imported, _ROOMS[name])), name)


def _imported(room: str) -> ModuleType:
    from napari_diffraction.ui.viewer.quiet import prepare_layers

    prepare_layers()
    return import_module(f"napari_diffraction.ui.{room}.widget")


def open_panel(viewer: Any, plugin: str, name: str) -> None:
    """Open a dock of a plugin, or bring it to the front."""
    window = getattr(viewer, "window", None)
    if window is not None:
        dock, _ = window.add_plugin_dock_widget(plugin, name, tabify=True)
        dock.show()
        dock.raise_()
