"""The unit cell panel on a sample stack, as story 5 tells it."""

from __future__ import annotations

import json
from dataclasses import replace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from mouse import click
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollArea

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reduction import cells_alike
from napari_diffraction.learning.classes import LAUE, MULTIPLE, NO_HIT, ZONE, ZONE_CLASSES
from napari_diffraction.learning.zones.peak_tables import tabulate
from napari_diffraction.patterns.geometry import electron_wavelength
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.spots.measure import find_spots
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack, SpotGeometry
from napari_diffraction.progress import finish
from napari_diffraction.simulation.samples import FIGURE_1, serial_experiment, take
from napari_diffraction.ui.unit_cell.cell_overlay import CellOverlay
from napari_diffraction.ui.unit_cell.lattice_scene import lattice_scene
from napari_diffraction.ui.unit_cell.lattice_view import LatticeView
from napari_diffraction.ui.unit_cell.nets.layers import NET_COLOUR, STRUCK_COLOUR
from napari_diffraction.ui.viewer.coordinator import Coordinator

pytestmark = pytest.mark.gui
BLUE = "#56b4e9"


@pytest.fixture(scope="module")
def simulated():
    every = finish(serial_experiment())
    # all zones, since few of them suggest many cells, which takes long; but few other patterns
    labels = every.labels["label"].to_numpy(str)
    wanted = {ZONE: 30, LAUE: 20, NO_HIT: 5, MULTIPLE: 1}
    chosen = np.concatenate([np.flatnonzero(labels == name)[:n] for name, n in wanted.items()])
    made = take([every], np.zeros(len(chosen), int), chosen)
    tabulate(0, find_spots(made.images[0]))  # compiled before anything is waited for
    return made


@pytest.fixture
def opened(make_napari_viewer, simulated):
    """Return a function that opens a window with sorted patterns and the panel."""

    def open_window(geometry=simulated.geometry, classified=True):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        data = da.from_array(simulated.images, chunks=(1, 256, 256))
        stack = PatternStack(data, "run42", geometry=geometry)
        layer = viewer.add_image(data, name="run42", metadata={"pattern_stack": stack})
        work = Coordinator.of(viewer)
        work.set_layer(layer)
        if classified:
            work.begin(ZONE_CLASSES, {"model": "truth"})
            work.add_rows(table_of(simulated.labels["label"].to_numpy(str)))
        _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Unit cell")
        window = panel.window()
        window.activateWindow()
        QApplication.setActiveWindow(window)
        QApplication.processEvents()
        return viewer, panel, work

    return open_window


def table_of(labels):
    rows = pd.DataFrame({"index": np.arange(len(labels)), "source": "", "label": labels})
    rows["confidence"] = 0.97
    for name in ZONE_CLASSES:
        rows[f"p_{name}"] = np.where(labels == name, 0.97, 0.01)
    return rows


def press(panel, key):
    """Press a key where the keyboard is: on the canvas of the patterns."""
    QTest.keyClick(panel.window()._qt_viewer.canvas.native, key)
    QApplication.processEvents()


def coloured(viewer, colour):
    """Number of pixels of the canvas in a colour."""
    QApplication.processEvents()
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return int((np.abs(picture - wanted).max(axis=-1) < 30).sum())


def fitted(qtbot, panel):
    """Wait until the nets, which are looked for when the panel opens, are there."""
    qtbot.waitUntil(lambda: bool(panel.nets.list.rowCount()), timeout=120_000)
    qtbot.waitUntil(lambda: not panel.bar.running, timeout=120_000)


def solved(qtbot, panel, every=False):
    panel.every.setChecked(every)
    click(panel.run_button)
    qtbot.waitUntil(
        lambda: panel.known.result is not None and (bool(panel.known.result.matches) or not every),
        timeout=200_000,
    )
    qtbot.waitUntil(lambda: not panel.bar.running, timeout=120_000)


def test_from_zones_to_the_cell_by_keys_and_buttons(opened, qtbot, simulated, tmp_path):
    viewer, panel, work = opened()
    zones = np.flatnonzero(simulated.labels["label"] == ZONE).tolist()
    fitted(qtbot, panel)
    nets = panel.known.nets
    assert set(nets.fits) <= set(zones)
    assert len(nets.fits) >= len(zones) - 1
    assert f"{len(zones)} zones, {len(nets.fits)} nets" in panel.nets.heading.text()
    first = work.current  # the panel went to a net by itself
    assert first in nets.fits
    assert coloured(viewer, NET_COLOUR) > 300
    # the nodes of the net are where the spots are
    drawn = viewer.layers["run42 - nets"].data
    here = drawn[drawn[:, 0] == first][:, [2, 1]]
    fit = nets.fits[first]
    spots = nets.spots[first][["x", "y"]].to_numpy(float)[fit.used]
    away = np.hypot(*(here[:, None] - spots[None]).transpose(2, 0, 1)).min(axis=0)
    assert np.median(away) < 0.5

    press(panel, Qt.Key.Key_K)
    assert work.current == nets.neighbour(first, 1) != first
    press(panel, Qt.Key.Key_J)
    assert work.current == first
    orange = coloured(viewer, NET_COLOUR)
    press(panel, Qt.Key.Key_X)
    assert nets.struck == {first}
    assert "1 struck out" in panel.nets.heading.text()
    assert coloured(viewer, STRUCK_COLOUR) > 200
    assert coloured(viewer, NET_COLOUR) < orange / 4
    assert panel.nets.strike_button.text().startswith("Take in")

    solved(qtbot, panel)
    # all is seen on a small laptop: every column, and the button that writes the cells
    assert not panel.nets.list.horizontalScrollBar().maximum()
    assert not panel.findChild(QScrollArea).verticalScrollBar().maximum()
    assert panel.cells.table.sizeHintForRow(0) <= panel.cells.table.rowHeight(0)
    result = panel.known.result
    assert first not in result.patterns
    best = result.found.phases[0][0]
    assert cells_alike(best.niggli, FIGURE_1, lengths=0.01, angles=0.6, scale=0.01)
    table = panel.cells.table
    assert table.item(0, 2).text() == f"zones {best.zones_explained}/{len(result.patterns)}"
    press(panel, Qt.Key.Key_X)
    assert not nets.struck
    assert panel.cells.stale.isVisible()
    solved(qtbot, panel)
    assert first in panel.known.result.patterns
    assert not panel.cells.stale.isVisible()

    panel.export(tmp_path / "cells")
    qtbot.waitUntil(lambda: not panel.bar.running, timeout=60_000)
    written = json.loads((tmp_path / "cells" / "cells.json").read_text())
    assert written["scale_known"] is True
    assert written["cells"][0]["cell"] == pytest.approx(panel.known.cell.cell.parameters, abs=1e-5)


def test_the_cell_is_seen_on_zones_on_any_pattern_and_in_3d(opened, qtbot, simulated):
    viewer, panel, work = opened()
    fitted(qtbot, panel)
    assert coloured(viewer, BLUE) < 20
    looked_at = int(np.flatnonzero(simulated.labels["label"] == LAUE)[0])
    work.show(looked_at)
    solved(qtbot, panel, every=True)
    assert work.current == looked_at  # nobody is led away from the pattern on view
    best = panel.known.cell
    assert best.patterns_indexed > 0.7
    assert f"{best.patterns_indexed:.0%} of all" in panel.cells.table.item(0, 2).text()
    zone = panel.known.nets.patterns[2]
    work.show(zone)
    assert coloured(viewer, BLUE) > 100
    names = viewer.layers["run42 - hkl of the cell"]
    assert any(names.features["hkl"] != "")
    panel.cells.draw.setChecked(False)
    assert coloured(viewer, BLUE) < 20
    panel.cells.draw.setChecked(True)

    laue = np.flatnonzero(simulated.labels["label"] == LAUE).tolist()
    oriented = [index for index in laue if panel.known.matched(index) is not None]
    assert len(oriented) > 0.8 * len(laue)
    work.show(oriented[0])
    assert coloured(viewer, NET_COLOUR) < 250  # no net, but for the name of a class
    assert coloured(viewer, BLUE) > 100
    assert "indexed by the cell" in panel.nets.pattern.text()
    dots = viewer.layers["run42 - spots of the cell"].data
    spots = simulated.spots[simulated.spots["pattern"] == oriented[0]]
    away = np.hypot(*(dots[:, None, ::-1] - spots[["x", "y"]].to_numpy()[None]).transpose(2, 0, 1))
    assert np.median(away.min(axis=0)) < 1.5
    empty = int(np.flatnonzero(simulated.labels["label"] == NO_HIT)[0])
    work.show(empty)
    assert coloured(viewer, BLUE) < 20

    # by a cell further down the list, a pattern is indexed when it comes on view
    panel.cells.table.selectRow(1)
    second = panel.known.cell
    assert second is not best
    work.show(oriented[0])
    qtbot.waitUntil(lambda: panel.known.waiting(oriented[0]) is None, timeout=60_000)
    qtbot.waitUntil(lambda: not panel.one_by_one.running, timeout=60_000)
    assert "spots indexed by the cell" in panel.nets.pattern.text()
    assert coloured(viewer, BLUE) > 100
    assert viewer.layers["run42 - spots of the cell"].metadata["cell"] == pytest.approx(
        second.cell.parameters
    )
    work.show(empty)
    qtbot.waitUntil(lambda: panel.known.waiting(empty) is None, timeout=60_000)
    qtbot.waitUntil(lambda: not panel.one_by_one.running, timeout=60_000)
    assert "no better than by chance" in panel.nets.pattern.text()
    assert coloured(viewer, BLUE) < 20
    panel.cells.table.selectRow(0)

    work.show(zone)
    click(panel.cells.lattice_button)
    view = panel.lattice.view
    qtbot.waitUntil(lambda: view.isVisible() and view.width() > 200, timeout=60_000)
    plane = view.model.layers["plane on view"]
    assert plane.visible
    picture = view.picture()[..., :3].astype(int)
    assert (np.abs(picture - [0x56, 0xB4, 0xE9]).max(axis=-1) < 60).sum() > 200
    work.show(empty)
    assert not plane.visible
    viewer.window.remove_dock_widget(view)
    QApplication.processEvents()
    work.show(zone)
    click(panel.cells.lattice_button)
    assert panel.lattice.view is not None
    assert panel.lattice.view is not view


def test_a_vector_that_is_dragged_is_fitted_to_the_spots(opened, qtbot, monkeypatch):
    said = []
    monkeypatch.setattr("napari_diffraction.ui.unit_cell.widget.show_error", said.append)
    viewer, panel, work = opened()
    fitted(qtbot, panel)
    nets, index = panel.known.nets, work.current
    before = nets.fits[index]
    panel.nets.correct.setChecked(True)
    handles = viewer.layers["run42 - net handles"]
    assert handles.visible
    assert viewer.layers.selection.active is handles
    assert handles.mode == "select"
    first = 3 * nets.patterns.index(index)
    moved = handles.data.copy()
    moved[first + 1, 1:] += [0.7, -0.5]
    handles.data = moved
    assert index in nets.by_hand
    assert nets.fits[index].basis == pytest.approx(before.basis, abs=0.1)
    assert handles.data[first + 1, 1:] != pytest.approx(moved[first + 1, 1:], abs=0.1)
    assert "corrected by hand" in panel.nets.pattern.text()
    # a handle that is deleted comes back
    handles.selected_data = {first}
    handles.remove_selected()
    assert len(handles.data) == 3 * len(nets.fits)
    # vectors through no spots are refused, and the net stays
    moved = handles.data.copy()
    moved[first + 2] = moved[first]
    kept = nets.fits[index]
    handles.data = moved
    assert nets.fits[index] is kept
    assert said == [f"Too few spots of pattern {index} lie on this net: it stays as it was."]


def test_what_is_missing_is_said_beside_the_button_that_gets_it(opened, qtbot):
    viewer, panel, _ = opened(classified=False)
    assert "sorted out first" in panel.missing.text.text()
    assert panel.missing.classify_button.isVisible()
    assert not panel.cells_group.isVisible()
    click(panel.missing.classify_button)
    assert any("Classify" in name for name in viewer.window.dock_widgets)
    viewer.layers.clear()
    QApplication.processEvents()
    assert "Open a stack first" in panel.missing.text.text()
    assert not panel.nets_group.isVisible()


def test_ebsd_patterns_have_no_zones(opened):
    _, panel, _ = opened(geometry=KikuchiGeometry(), classified=False)
    assert "Kikuchi patterns" in panel.missing.text.text()
    assert not panel.nets_group.isVisible()


def test_a_pattern_taken_by_hand_and_one_that_is_sorted_out_again(opened, qtbot, simulated):
    viewer, panel, work = opened()
    fitted(qtbot, panel)
    laue = int(np.flatnonzero(simulated.labels["label"] == LAUE)[0])
    zones = len(panel.zones)
    work.show(laue)
    assert panel.nets.add_button.isVisible()
    press(panel, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: laue in panel.known.nets.spots, timeout=60_000)
    qtbot.waitUntil(lambda: not panel.bar.running, timeout=60_000)
    assert len(panel.zones) == zones + 1
    # one whose net holds few of its spots is taken, too, but the panel says so
    several = int(np.flatnonzero(simulated.labels["label"] == MULTIPLE)[0])
    work.show(several)
    press(panel, Qt.Key.Key_A)
    qtbot.waitUntil(lambda: several in panel.known.nets.fits, timeout=60_000)
    qtbot.waitUntil(lambda: not panel.bar.running, timeout=60_000)
    on, spots = panel.known.nets.counts(several)
    assert on < spots / 2
    assert several in panel.known.nets.counted
    said = panel.nets.pattern.text()
    assert f"only {on} of {spots} spots on its net: it may be no zone" in said
    press(panel, Qt.Key.Key_X)
    assert "it may be no zone" not in panel.nets.pattern.text()
    zones += 1
    # a review takes a zone away: its net goes, too
    gone = panel.known.nets.patterns[0]
    work.show(gone)
    work.decide(LAUE)
    assert gone not in panel.known.nets.fits
    assert not (viewer.layers["run42 - nets"].data[:, 0] == gone).any()
    assert len(panel.zones) == zones


def test_without_a_scale_lengths_are_in_pixels_and_the_cell_up_to_a_factor(opened, qtbot):
    _, panel, _ = opened(geometry=SpotGeometry())
    fitted(qtbot, panel)
    assert panel.scale.pixel_size is None
    fit = panel.known.nets.fits[panel.known.nets.patterns[0]]
    assert panel.nets.list.item(0, 1).text().startswith(f"{np.hypot(*fit.basis[0]):.1f} ")
    solved(qtbot, panel)
    assert "but for a common factor" in panel.cells.notes.text()
    cell = panel.known.cell
    assert cells_alike(cell.niggli, FIGURE_1, lengths=0.01, angles=0.6, scale=None)
    panel.scale.source.setCurrentIndex(panel.scale.source.findData("as I say"))
    assert panel.cells.stale.isVisible()
    assert panel.scale.number.isVisible()


def test_a_voltage_by_hand_makes_a_scale_of_the_camera_length(opened, simulated, qtbot):
    size = simulated.geometry.pixel_size
    angle = size * electron_wavelength(200)
    _, panel, _ = opened(geometry=SpotGeometry(pixel_angle=angle))
    fitted(qtbot, panel)
    assert panel.beam.wavelength is None
    assert panel.scale.pixel_size is None
    solved(qtbot, panel)
    panel.beam.source.setCurrentText("as I say")
    panel.beam.number.setValue(200)
    assert panel.scale.pixel_size == pytest.approx(size)
    assert panel.cells.stale.isVisible()
    solved(qtbot, panel)
    assert panel.known.result.wavelength == pytest.approx(electron_wavelength(200))
    assert cells_alike(panel.known.cell.niggli, FIGURE_1, lengths=0.01, angles=0.6)
    panel.beam.number.setValue(300)
    assert panel.scale.pixel_size == pytest.approx(angle / electron_wavelength(300))
    panel.beam.source.setCurrentIndex(0)
    assert panel.scale.pixel_size is None


def test_what_was_said_of_a_stack_holds_as_long_as_its_patterns_are_those(
    make_napari_viewer, simulated, tmp_path
):
    viewer = make_napari_viewer()
    path = tmp_path / "run42.npy"
    np.save(path, simulated.images[:4])
    (layer,) = viewer.open(path, plugin="napari-diffraction")
    other = viewer.add_image(simulated.images[:3], name="other")
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Unit cell")
    work = Coordinator.of(viewer)
    work.set_layer(layer)
    known = panel.known
    panel.scale.source.setCurrentIndex(panel.scale.source.findData("as I say"))
    panel.scale.number.setValue(0.002)
    known.stale = False
    # following begins with another look at what is there, before anything is added
    work.grow(layer, open_stack(path), "the same")
    assert panel.scale.pixel_size == 0.002
    work.set_layer(other)
    assert panel.scale.pixel_size is None
    work.set_layer(layer)
    assert panel.scale.pixel_size == 0.002
    assert panel.known is known
    assert not known.stale
    # nets are of the patterns that had these numbers
    turned = replace(open_stack(path), events=(3, 0, 1, 2))
    work.grow(layer, turned, "turned", np.array([1, 2, 3, 0]))
    assert panel.known is not known
    assert panel.scale.pixel_size == 0.002


def two_shortest(basis):
    """Lengths of the two shortest vectors of a net, by trying."""
    a, b = basis
    return np.sort(np.hypot(*np.transpose([a, b, a + b, a - b])))[:2]


def test_lengths_are_without_the_stretch_once_it_is_known(opened, qtbot):
    _, panel, _ = opened()
    fitted(qtbot, panel)
    first, nets = panel.known.nets.patterns[0], panel.known.nets
    as_seen = panel.nets.list.item(0, 1).text()
    size = panel.scale.pixel_size
    assert as_seen == "{:.3f} {:.3f}".format(*two_shortest(nets.fits[first].basis * size))
    before = panel.nets.list.horizontalHeaderItem(1).toolTip()
    solved(qtbot, panel)
    ellipse = panel.known.result.nets.ellipse
    assert ellipse.stretch > 0.03
    freed = two_shortest(ellipse.corrected(nets.fits[first].basis) * size)
    assert panel.nets.list.item(0, 1).text() == "{:.3f} {:.3f}".format(*freed) != as_seen
    assert panel.nets.list.horizontalHeaderItem(1).toolTip() != before


def test_too_few_nets_are_one_sentence_and_the_panel_goes_on(opened, qtbot, monkeypatch):
    said = []
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar.show_error", said.append)
    _, panel, _ = opened()
    fitted(qtbot, panel)
    for pattern in panel.known.nets.patterns[2:]:
        panel.known.nets.strike(pattern)
    click(panel.run_button)
    qtbot.waitUntil(lambda: bool(said), timeout=60_000)
    assert "a unit cell needs at least 3" in said[0]
    assert panel.known.result is None
    qtbot.waitUntil(panel.run_button.isVisible, timeout=60_000)


def test_dots_are_alike_and_of_too_many_spots_those_in_the_middle_are_drawn():
    viewer = ViewerModel()
    overlay = CellOverlay(viewer, viewer.add_image(np.zeros((100, 100))))
    grid = np.stack(np.meshgrid(np.arange(5, 95, 2.5), np.arange(5, 95, 2.5)), axis=-1)
    places = grid.reshape(-1, 2)
    assert len(places) > 800
    overlay.show(places, np.ones((len(places), 3), np.int64), {})
    drawn = np.unique(overlay.dots.data, axis=0)
    assert len(drawn) == len(overlay.dots.data)
    assert np.allclose(drawn.mean(axis=0), places.mean(axis=0), atol=0.5)  # on no side more
    overlay.show(places[:90], np.ones((90, 3), np.int64), {})
    _, times = np.unique(overlay.dots.data, axis=0, return_counts=True)
    assert len(times) == 90
    assert np.ptp(times) <= 1  # else one spot stands out


def test_a_folder_may_have_a_dot_in_its_name(opened, qtbot, tmp_path):
    _, panel, _ = opened()
    fitted(qtbot, panel)
    solved(qtbot, panel)
    folder = tmp_path / "run.42-cells"
    panel.export(folder)
    qtbot.waitUntil(lambda: not panel.bar.running, timeout=60_000)
    assert {path.name for path in folder.iterdir()} >= {"cells.json", "cells.csv", "cells.cell"}


def test_the_lattice_is_seen_in_every_theme(make_napari_viewer):
    viewer = make_napari_viewer(show=True)
    viewer.theme = "light"
    view = LatticeView()
    viewer.window.add_dock_widget(view, area="bottom")
    view.show_scene(lattice_scene(UnitCell(5, 6, 7, 90, 90, 90), [], 0.8), "")
    QApplication.processEvents()
    picture = view.picture()[..., :3].astype(int)
    ground = picture[2, 2]
    white = (picture > 200).all(axis=-1)  # the axes and their names
    assert ground.max() < 60
    assert white.sum() > 100
    view.release()
