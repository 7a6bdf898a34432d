"""From the sample stack to its unit cell, as a newcomer does it; see ``screenshots.py``."""

from __future__ import annotations

from window import PLUGIN, classified, rest, take, wait


def take_unit_cell(viewer: object) -> None:
    """Sort the sample, fit nets to its zones, find the cell, and look at it."""
    (layer, *_) = viewer.open_sample(PLUGIN, "serial_experiment")
    viewer.window.remove_dock_widget(classified(viewer, layer, "zones"))
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Unit cell")
    wait(lambda: panel.known is not None and bool(panel.known.nets.fits))
    wait(lambda: not panel.bar.running)
    panel.run()
    wait(lambda: panel.known.result is not None and bool(panel.known.result.matches), 900)
    wait(lambda: not panel.bar.running)
    panel.cells.lattice_button.click()
    rest(1)
    # a zone with few spots, whose names can be read
    nets = panel.known.nets
    few = min(panel.known.axes, key=lambda pattern: abs(int(nets.fits[pattern].used.sum()) - 45))
    panel.nets.list.chosen.emit(few)
    viewer.reset_view()
    take(viewer, "unit_cell")
