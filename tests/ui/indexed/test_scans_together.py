"""Two indexed scans in one window, and a panel that is closed and opened again."""

import gc
from dataclasses import replace
from threading import Event
from weakref import ref

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

pytestmark = pytest.mark.gui


def on_view(viewer):
    return {layer.name for layer in viewer.layers if layer.visible}


def of(scan, *names):
    return {scan, *(f"{scan} - {name}" for name in names)}


USUAL = ("navigation", "position", "orientations (IPF Z)", "bands of the solution")


@pytest.fixture
def second(opened):
    """Add another scan of the same size, of other points, and return its layer."""
    viewer, panel = opened
    first = panel._navigation.stack
    stack = PatternStack(
        first.data[::-1], "steel", geometry=KikuchiGeometry(voltage=15.0), step=(1.0, 0.5)
    )
    return viewer.add_image(stack.data, name="steel", metadata={"pattern_stack": stack})


def open_again(viewer):
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Phase map")
    QApplication.processEvents()
    return panel


def test_what_is_drawn_for_a_scan_goes_and_comes_with_its_patterns(opened, second, qtbot, hand):
    viewer, panel = opened
    panel.scan.choose(viewer.layers["alloy"])
    hand.run(panel)
    viewer.dims.set_point([0, 1], [3, 2])
    panel.pattern.buttons["flattened"].click()
    qtbot.waitUntil(lambda: "alloy - flattened" in viewer.layers, timeout=60_000)
    panel.scan.choose(second)
    assert on_view(viewer) == of("steel", "navigation", "position")
    hand.run(panel)
    assert on_view(viewer) == of("steel", *USUAL)
    panel.scan.choose(viewer.layers["alloy"])
    assert on_view(viewer) == of("alloy", *USUAL, "flattened")
    # also by hand, whatever is done in the panel meanwhile
    viewer.layers["alloy"].visible = False
    viewer.dims.set_point([0, 1], [3, 10])
    hand.show(panel, "misfit")
    qtbot.waitUntil(lambda: not panel.pattern.busy, timeout=60_000)
    assert on_view(viewer) == set()
    viewer.layers["alloy"].visible = True
    assert on_view(viewer) == of("alloy", *USUAL[:2], *USUAL[3:], "misfit", "flattened")


def test_what_is_chosen_counts_for_the_scan_on_view(opened, second, hand):
    viewer, panel = opened
    for name in ("steel", "alloy"):
        panel.scan.choose(viewer.layers[name])
        hand.run(panel)
    hand.show(panel, "phases")
    panel.indexed.confidence.setValue(0.5)
    panel.scan.choose(second)
    assert panel.indexed.show_combo.currentText() == "Phases"
    assert "steel - phase map (indexed)" in on_view(viewer)
    assert panel.indexed.key.isHidden()
    assert "51.0% not indexed" in panel.indexed.list.rest.text()
    assert (panel.indexed.indexed.phase < 0).sum() == 49  # which is what is exported


def test_own_materials_are_ranked_for_each_scan(opened, second, qtbot, hand, monkeypatch):
    viewer, panel = opened
    asked = []

    def ranked(indexed, structures):
        asked.append((indexed.name, sorted(structures)))
        return indexed

    monkeypatch.setattr("napari_diffraction.ui.indexed.box.ranked_anew", ranked)
    box = panel.indexed
    for name in ("steel", "alloy"):
        panel.scan.choose(viewer.layers[name])
        hand.run(panel)
    box.candidates.structures = {"mine": load_structure("Ni")}
    box.candidates.changed.emit()
    qtbot.waitUntil(lambda: not box.ranking.running, timeout=30_000)
    assert asked == [("alloy", ["mine"])]
    panel.scan.choose(second)
    qtbot.waitUntil(lambda: not box.ranking.running, timeout=30_000)
    assert asked[1:] == [("steel", ["mine"])]
    panel.scan.choose(viewer.layers["alloy"])
    assert not box.ranking.running
    hand.run(panel)  # what was found was ranked with what counted when it began
    qtbot.waitUntil(lambda: len(asked) == 3, timeout=30_000)


def test_averages_of_another_scan_of_the_same_name_stay(opened, qtbot, hand):
    viewer, panel = opened
    first = viewer.layers["alloy"]
    stack = panel._navigation.stack
    again = replace(stack, data=stack.data[::-1])
    other = viewer.add_image(again.data, name="alloy", metadata={"pattern_stack": again})
    for layer in (first, other, other):
        panel.scan.choose(layer)
        hand.run(panel)
        with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
            panel.indexed.averages_button.click()
    assert len([one for one in viewer.layers if "grain averages" in one.name]) == 2


def test_a_closed_panel_leaves_the_solution_and_nothing_that_is_stale(opened, qtbot, hand, close):
    viewer, panel = opened
    hand.run(panel)
    viewer.dims.set_point([0, 1], [3, 2])
    panel.indexed.name_phase(0, "mine")
    panel.pattern.buttons["flattened"].click()
    qtbot.waitUntil(lambda: "alloy - flattened" in viewer.layers, timeout=60_000)
    close(panel)
    assert on_view(viewer) == of("alloy", *USUAL[:3])
    viewer.dims.set_point([0, 1], [3, 10])
    assert on_view(viewer) == of("alloy", *USUAL[:3])
    panel = open_again(viewer)
    assert panel.indexed.isVisible()
    assert panel.indexed.indexed.phases[0].name == "mine"
    assert panel.indexed.point.place.text() == "Row 3, column 10"
    assert panel.pattern.buttons["raw"].isChecked()
    assert on_view(viewer) == of("alloy", *USUAL)
    before = list(viewer.layers)
    hand.run(panel)
    assert list(viewer.layers) == before


def test_a_run_ends_with_its_panel_and_goes_on_in_the_next(opened, indexing, qtbot, close):
    viewer, panel = opened
    indexing.delay, gate = 0.05, Event()
    indexing.gates[5] = gate
    panel.run()
    qtbot.waitUntil(lambda: panel.indexed.there, timeout=60_000)
    close(panel)
    gate.set()
    qtbot.waitUntil(lambda: indexing.closed, timeout=60_000)
    panel = open_again(viewer)
    assert panel.indexed.isVisible()
    assert not panel.indexed.indexed.finished
    assert "patterns are indexed" in panel.note.text()


def test_a_map_that_was_removed_comes_back_when_it_is_chosen(opened, hand):
    viewer, panel = opened
    hand.run(panel)
    viewer.dims.set_point([0, 1], [3, 2])
    viewer.layers.remove("alloy - phase map (indexed)")
    viewer.dims.set_point([0, 1], [0, 0])  # where nothing is drawn over the pattern
    assert on_view(viewer) == of("alloy", *USUAL[:3])
    hand.show(panel, "phases")
    assert "alloy - phase map (indexed)" in on_view(viewer)
    for name in ("phase map (indexed)", "grains", "misfit", "pattern quality"):
        viewer.layers.remove(f"alloy - {name}")
    assert panel.indexed.isVisible()
    viewer.layers.remove("alloy - orientations (IPF Z)")
    assert not panel.indexed.isVisible()
    assert "alloy - bands of the solution" not in viewer.layers


def test_a_scan_that_was_removed_is_free_to_go(opened, qtbot, hand):
    viewer, panel = opened
    hand.run(panel)
    viewer.dims.set_point([0, 1], [3, 2])
    bands = panel.indexed.point.bands.latest
    qtbot.waitUntil(lambda: not bands.running, timeout=60_000)
    kept = [viewer.layers["alloy"], panel._navigation, panel._stack(), panel.indexed.indexed]
    kept = [ref(one) for one in kept]
    viewer.layers.remove("alloy")
    QApplication.processEvents()
    gc.collect()
    assert [one() for one in kept] == [None] * 4


def test_other_patterns_in_the_layer_end_what_was_known(opened, qtbot, hand):
    viewer, panel = opened
    hand.run(panel)
    viewer.dims.set_point([0, 1], [3, 2])
    layer = viewer.layers["alloy"]
    layer.data = layer.data[:, 4:]
    assert on_view(viewer) == of("alloy", "navigation", "position")
    assert not panel.indexed.isVisible()
    assert panel._stack().data.shape == layer.data.shape
    viewer.dims.set_point([0, 1], [3, 2])
    panel.pattern.buttons["static corrected"].click()
    qtbot.waitUntil(lambda: "alloy - static corrected" in viewer.layers, timeout=60_000)
    layer.data = layer.data[0]
    assert list(viewer.layers) == [layer]
    assert not panel.run_button.isEnabled()
    assert panel.note.text().startswith("Open a scan first")


def test_a_run_on_patterns_that_are_exchanged_ends(opened, indexing, qtbot):
    viewer, panel = opened
    indexing.delay, gate = 0.05, Event()
    indexing.gates[5] = gate
    panel.run()
    qtbot.waitUntil(lambda: panel.indexed.there, timeout=60_000)
    layer = viewer.layers["alloy"]
    layer.data = layer.data[:, 4:]
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        gate.set()
    assert on_view(viewer) == of("alloy", "navigation", "position")
    assert panel.run_button.text() == "Run"


def test_what_is_laid_over_a_flattened_pattern_is_seen(opened, qtbot):
    viewer, panel = opened
    panel.pattern.buttons["flattened"].click()
    qtbot.waitUntil(lambda: "alloy - flattened" in viewer.layers, timeout=60_000)
    heat = Image(np.zeros((60, 60)), name="heat")
    viewer.layers.insert(viewer.layers.index("alloy") + 1, heat)  # as a heat map comes
    QApplication.processEvents()
    assert [one.name for one in viewer.layers][:3] == ["alloy", "alloy - flattened", "heat"]


def test_patterns_exchanged_while_another_scan_is_looked_at_are_indexed_anew(
    opened, second, indexing, hand
):
    viewer, panel = opened
    layer = viewer.layers["alloy"]
    panel.scan.choose(layer)
    indexing.error = InputError("The drive is gone.")
    hand.run(panel)  # broken off after its grains were found
    assert panel.run_button.text() != "Run"
    panel.scan.choose(second)
    layer.data = layer.data[:, 4:]
    panel.scan.choose(layer)
    assert panel.run_button.text() == "Run"
    before = indexing.steps
    hand.run(panel)
    assert indexing.steps is not before  # whose grains are those of the patterns before


def test_other_patterns_of_the_same_size_end_what_was_known(opened, hand):
    viewer, panel = opened
    hand.run(panel)
    layer = viewer.layers["alloy"]
    others = replace(panel._stack(), data=panel._stack().data[::-1], name="others")
    layer.metadata = {**layer.metadata, "pattern_stack": others}
    layer.data = others.data
    assert panel._stack() is others
    assert not panel.indexed.isVisible()
    assert on_view(viewer) == {"alloy", "others - navigation", "others - position"}
