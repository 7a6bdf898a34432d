"""Indexing in the phase map panel, with a solution that is made up."""

import time

import h5py
import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollArea

from napari_diffraction.analysis.indexed.ipf import ipf_colours
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.overlay import solution_drawing
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR, OKABE_ITO

pytestmark = pytest.mark.gui
ROWS, COLUMNS, SIDE = 8, 12, 60
LEFT = "#E69F00"


def test_nothing_is_given_and_all_is_told(opened, indexing, qtbot, hand):
    viewer, panel = opened
    assert panel.model.currentText() == "Find the phases (nothing given)"
    assert not panel.indexed.isVisible()
    indexing.delay = 0.1
    said = []
    panel.bar.stepped.connect(lambda steps: said.append(panel.bar.text.text()))
    hand.run(panel)
    assert any(text.startswith("1 of 3, grains: Looking for grains") for text in said)
    assert any("steps" in text for text in said)
    assert any("patterns" in text and "left" in text for text in said)
    assert indexing.settings.pc is None
    assert indexing.settings.voltage is None
    assert indexing.settings.phases == ()

    box = panel.indexed
    assert box.isVisible()
    assert not panel.network.isVisible()
    assert box.list.centre.text() == ("Centre found: 0.509(2) 0.341(2) 0.627(3) (Bruker), 15 kV")
    first, second = (row.text() for row in box.list.rows)
    assert "cF (p = 0.97), a = 3.52(6) A" in first
    assert "50.0% of the points, 1 grain, misfit 0.40 deg" in first
    assert "Looks like: " in first
    assert "no known material" in panel.indexed.list.rows[1].text()
    assert "In doubt: c/a 1.59" in second
    assert "1.0% not indexed" in box.list.rest.text()
    assert "Nobody knows." in box.list.notes.text()
    assert box.key.groups == ["m-3m", "6/mmm"]

    # What is seen: the map in the colours of the orientations, then in those of the phases.
    indexed = panel.indexed.indexed
    colours = ipf_colours(indexed, "z")
    layer = viewer.layers["alloy - orientations (IPF Z)"]
    np.testing.assert_allclose(layer.data[3, 2, :3], colours[3 * COLUMNS + 2], atol=1e-6)
    left = hand.seen(viewer, colours[3 * COLUMNS + 2])
    assert left > 500
    hand.show(panel, "x")
    assert viewer.layers["alloy - orientations (IPF X)"].visible
    assert not box.key.isHidden()
    hand.show(panel, "phases")
    assert box.key.isHidden()
    one, two = hand.seen(viewer, OKABE_ITO[0]), hand.seen(viewer, OKABE_ITO[1])
    assert one == pytest.approx(two, rel=0.25)
    assert one == pytest.approx(left, rel=0.25)
    for key, name in (("misfit", "misfit"), ("quality", "pattern quality"), ("grains", "grains")):
        hand.show(panel, key)
        shown = [one.name for one in viewer.layers if one.visible]
        assert f"alloy - {name}" in shown
        assert "alloy - phase map (indexed)" not in shown
    assert viewer.layers["alloy - grains"].data[3, 11] == 2
    np.testing.assert_array_equal(
        viewer.layers["alloy - grains"].scale, viewer.layers["alloy - navigation"].scale
    )
    assert viewer.layers.selection.active.name == "alloy"


def test_one_click_names_a_phase_everywhere(opened, qtbot, tmp_path, hand):
    viewer, panel = opened
    hand.run(panel)
    row = panel.indexed.list.rows[0]
    assert 'href="Cu"' in row.text()
    row.linkActivated.emit("Ni")
    assert "<b>Ni</b>: cF" in row.text()
    assert 'href="Ni"' not in row.text()
    layer = viewer.layers["alloy - phase map (indexed)"]
    assert list(layer.features["phase"]) == ["", "not indexed", "Ni", "phase 2"]
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "map.csv")
    table = pd.read_csv(tmp_path / "map.csv")
    assert set(table["phase"]) == {"Ni", "phase 2", "not indexed"}
    assert table["phi1"].notna().sum() == ROWS * COLUMNS - 1
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "map.h5")
    with h5py.File(tmp_path / "map.h5") as file:
        assert "solution" in str(list(file.keys())) or file["crystal_map"]
    # the atoms come with the name, where the cell is that of the material
    phases = panel.indexed.indexed.phases
    assert phases[0].structure.space_group == 225
    panel.indexed.name_phase(1, "what I think it is")
    assert panel.indexed.indexed.phases[1].structure is None


def test_limits_recolour_at_once_and_count_for_files(opened, indexing, qtbot, tmp_path, hand):
    viewer, panel = opened
    hand.run(panel)
    hand.show(panel, "phases")
    indexing.settings = None
    before = hand.seen(viewer, OKABE_ITO[1])
    began = time.monotonic()
    panel.indexed.confidence.setValue(0.5)
    assert time.monotonic() - began < 0.5
    assert hand.seen(viewer, OKABE_ITO[1]) < before / 10
    assert hand.seen(viewer, NOT_INDEXED_COLOUR, 4) > before / 2
    assert "51.0% not indexed" in panel.indexed.list.rest.text()
    assert "0.0% of the points, 0 grains" in panel.indexed.list.rows[1].text()
    assert "misfit" not in panel.indexed.list.rows[1].text()
    panel.indexed.confidence.setValue(0)
    panel.indexed.misfit.setValue(1.0)
    layer = viewer.layers["alloy - phase map (indexed)"]
    assert (layer.data[-1] == 1).all()
    assert (layer.data[1:-1] > 1).all()
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "map.csv")
    table = pd.read_csv(tmp_path / "map.csv")
    assert (table["phase"] == "not indexed").sum() == COLUMNS + 1
    panel.indexed.misfit.setValue(3.0)
    assert (layer.data[-1] > 1).all()
    assert indexing.settings is None  # nothing was computed again


def test_a_point_shows_its_solution_over_the_pattern(opened, qtbot, hand):
    viewer, panel = opened
    hand.run(panel)
    viewer.dims.set_point([0, 1], [3, 2])
    text = panel.indexed.point.text.text()
    assert panel.indexed.point.place.text() == "Row 3, column 2"
    for said in ("phase 1 (cF)", "0.40 deg", "11 matched of 16 found", "0.60", "Bunge angles"):
        assert said in text
    bands = viewer.layers["alloy - bands of the solution"]
    drawn = solution_drawing(panel.indexed.indexed, 3 * COLUMNS + 2, 12, 7)
    ends = bands.data.cumsum(axis=1)
    np.testing.assert_allclose(ends[: len(drawn.ends)], drawn.ends, atol=1e-4)
    names = overlay_of(panel).names
    assert "[001]" in names
    assert {"(200)", "(111)"} & set(names)
    assert hand.seen(viewer, "#B0E4FF", 40) > 10
    for place in names.values():  # strokes around it write it
        assert (np.abs(ends[:, 0] - place).max(axis=1) < 0.08 * SIDE).sum() >= 8
    # What is seen: orange lines, which another point has elsewhere, and none where nothing matches.
    lines = hand.seen(viewer, LEFT, 60)
    assert lines > 100
    first = np.array(bands.data)
    place = panel._navigation.image.data_to_world((3, 10))
    canvas, camera = viewer.window._qt_viewer.canvas.native, viewer.scene.camera
    right = (place[1] - camera.center[-1]) * camera.zoom + canvas.width() / 2
    down = (place[0] - camera.center[-2]) * camera.zoom + canvas.height() / 2
    QTest.mouseMove(canvas, QPoint(round(right), round(down)))
    QApplication.processEvents()
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(round(right), round(down)))
    QApplication.processEvents()
    assert panel.indexed.point.place.text() == "Row 3, column 10"
    assert "phase 2 (hP)" in panel.indexed.point.text.text()
    assert np.array(bands.data).shape != first.shape or not np.allclose(bands.data, first)
    viewer.dims.set_point([0, 1], [0, 0])
    assert "not indexed" in panel.indexed.point.text.text()
    assert not bands.visible
    viewer.dims.set_point([0, 1], [3, 2])
    assert bands.visible
    panel.indexed.point.draw.click()
    assert not bands.visible


def test_a_band_that_is_chosen_is_marked_in_the_pattern(opened, qtbot, hand):
    viewer, panel = opened
    hand.run(panel)
    viewer.dims.set_point([0, 1], [3, 2])
    bands = panel.indexed.point.bands
    qtbot.waitUntil(lambda: bands.table.rowCount() > 0 and not bands.latest.running, timeout=60_000)
    before, solution = hand.seen(viewer, "#F0E442", 40), hand.seen(viewer, LEFT, 60)
    bands.table.selectRow(0)
    marked = viewer.layers["alloy - bands of the solution"].data[-2:].cumsum(axis=1)
    np.testing.assert_allclose(marked, bands.found.edges[0], atol=1e-4)
    assert hand.seen(viewer, "#F0E442", 40) > before + 100
    panel.indexed.point.draw.click()  # also with no solution drawn
    assert hand.seen(viewer, LEFT, 60) < solution - 100
    assert hand.seen(viewer, "#F0E442", 40) > before + 100
    viewer.dims.set_point([0, 1], [0, 0])  # where nothing matches bands are listed all the same
    assert hand.seen(viewer, "#F0E442", 40) <= before
    qtbot.waitUntil(lambda: not bands.latest.running, timeout=60_000)
    assert bands.table.selectedIndexes() == []
    assert {bands.table.item(row, 0).text() for row in range(bands.table.rowCount())} == {"–"}


def test_cancel_acts_and_the_earlier_solution_stays(opened, indexing, qtbot, errors, hand):
    viewer, panel = opened
    hand.run(panel)
    before = panel.indexed.indexed
    indexing.delay = 0.2
    QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.bar.bar.value() > 0, timeout=60_000)
    assert not panel.indexed.export_button.isEnabled()
    began = time.monotonic()
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        QTest.mouseClick(panel.bar.cancel_button, Qt.MouseButton.LeftButton)
    assert time.monotonic() - began < 1.5
    assert indexing.closed
    assert panel.indexed.indexed is before
    assert panel.indexed.isVisible()
    indexing.delay = 0
    hand.run(panel)
    assert sum("phase map" in layer.name for layer in viewer.layers) == 1
    indexing.error = InputError("No pattern can be read.")
    hand.run(panel)
    assert errors == ["No pattern can be read."]


def test_my_phases_and_my_centre_are_used_without_training(opened, indexing, qtbot, hand):
    _, panel = opened
    panel.model.choose("my phases by indexing")
    assert panel.phases.content.isVisible()
    assert not panel.run_button.isEnabled()
    assert "Tick the phases" in panel.note.text()
    panel.phases.choose("Ni", "TiC")
    assert panel.run_button.isEnabled()
    assert panel.note.text() == ""
    panel.centre.source.setCurrentIndex(1)
    panel.voltage.source.setCurrentIndex(1)
    panel.voltage.number.setValue(12)
    hand.run(panel)
    assert [one.name for one in indexing.settings.phases] == ["Ni", "TiC"]
    assert indexing.settings.pc == (0.5, 0.3, 0.6)
    assert indexing.settings.voltage == 12
    assert panel.indexed.isVisible()


def test_a_model_would_be_trained_for_the_centre_that_is_given(opened):
    _, panel = opened
    assert "pattern centre not known" in panel.phases.about.text()
    panel.centre.source.setCurrentIndex(1)
    panel.phases.choose("Ni", "TiC")
    assert panel.phases.recipe().pc == (0.5, 0.3, 0.6)
    panel.centre.numbers[1].setValue(0.25)
    assert "pattern centre 0.500, 0.250, 0.600 (Bruker)" in panel.phases.about.text()
    panel.centre.source.setCurrentIndex(0)
    assert panel.phases.recipe().pc == ()


def test_links_can_be_read_in_every_theme(opened, hand):
    viewer, panel = opened
    hand.run(panel)
    for theme, colour in (("light", "#0072b2"), ("dark", "#56b4e9")):
        viewer.theme = theme
        QApplication.processEvents()
        assert panel.indexed.list.rows[0].text().count(colour) == 2


def test_the_choice_of_the_model_says_which_result_is_shown(opened, qtbot, hand):
    viewer, panel = opened
    hand.run(panel)
    viewer.dims.set_point([0, 1], [3, 2])
    assert viewer.layers["alloy - bands of the solution"].visible
    panel.model.choose("bravais")
    assert not panel.indexed.isVisible()
    assert not viewer.layers["alloy - bands of the solution"].visible
    panel.model.setCurrentIndex(0)
    assert panel.indexed.isVisible()
    assert viewer.layers["alloy - bands of the solution"].visible


def test_the_pattern_is_flattened_by_one_click(opened, qtbot, hand):
    viewer, panel = opened
    QTest.mouseClick(panel.pattern.buttons["flattened"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "alloy - flattened" in viewer.layers, timeout=60_000)
    layer = viewer.layers["alloy - flattened"]
    assert viewer.layers.index(layer) == viewer.layers.index(viewer.layers["alloy"]) + 1
    assert abs(float(layer.data.mean())) < 0.1
    before = layer.data.copy()
    viewer.dims.set_point([0, 1], [2, 11])
    qtbot.waitUntil(lambda: not np.allclose(layer.data, before), timeout=60_000)
    panel.pattern.buttons["static corrected"].click()
    qtbot.waitUntil(lambda: layer.name == "alloy - static corrected", timeout=60_000)
    panel.pattern.buttons["raw"].click()
    assert not layer.visible


def test_averages_of_grains_are_a_stack_of_their_own(opened, qtbot, hand):
    viewer, panel = opened
    hand.run(panel)
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        panel.indexed.averages_button.click()
    layer = viewer.layers["alloy - grain averages"]
    assert layer.data.shape == (2, SIDE, SIDE)
    assert layer.metadata["pattern_stack"].metadata["patterns"] == [48, 47]
    # an average of 48 patterns has far less noise than one of them
    inner = slice(8, -8)
    mean, single = (
        np.asarray(one, float)[inner, inner] for one in (layer.data[0], panel._stack().frame(0))
    )
    rough = [np.std(np.diff(one, axis=0)) / np.std(one) for one in (mean, single)]
    assert rough[0] < 0.6 * rough[1]
    assert panel.scan.currentText() == "alloy"


def test_what_was_drawn_goes_with_the_scan(opened, qtbot, hand):
    viewer, panel = opened
    hand.run(panel)
    viewer.layers.remove("alloy")
    QApplication.processEvents()
    assert [layer.name for layer in viewer.layers] == []
    assert not panel.indexed.isVisible()


def overlay_of(panel):
    return panel.indexed._now().overlay


def test_nothing_is_cut_off_on_a_laptop(opened, qtbot, hand):
    _, panel = opened
    hand.run(panel)
    QApplication.processEvents()
    area = panel.findChild(QScrollArea)
    assert panel.width() < 420
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()
