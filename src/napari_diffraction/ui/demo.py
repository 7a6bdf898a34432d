"""The main job on the built-in sample, in a window of its own."""

from __future__ import annotations

import napari

_PLUGIN = "napari-diffraction"


def show_demo() -> None:
    """Open napari with the sample, classify it, and go on to the review; returns when closed."""
    viewer = napari.Viewer()
    viewer.open_sample(_PLUGIN, "serial_experiment")
    _, panel = viewer.window.add_plugin_dock_widget(_PLUGIN, "Classify patterns")
    panel.bar.returned.connect(lambda _: panel.review_button.click())
    panel.run()
    napari.run()
