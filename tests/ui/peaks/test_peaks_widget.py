import json
import threading

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from mouse import click
from qtpy.QtWidgets import QApplication

from napari_diffraction.learning.classes import LAUE, ZONE
from napari_diffraction.learning.zones.peak_tables import tabulate
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.spots.measure import THRESHOLD, find_spots, measure_spots
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress, finish
from napari_diffraction.simulation.samples import serial_experiment
from napari_diffraction.simulation.spots.redraw import SIZE, redraw_frame
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import can_be_stack, stack_of
from napari_diffraction.ui.widgets.colours import class_colour

pytestmark = pytest.mark.gui
N = 10


@pytest.fixture(scope="module")
def simulated():
    made = finish(serial_experiment(seed=2, n=N))
    tabulate(0, find_spots(made.images[0]))  # compiled before the clock of a test runs
    return made


@pytest.fixture
def opened(make_napari_viewer, simulated):
    """Return a function that opens a window with patterns and the panel."""

    def open_window(data=simulated.images, geometry=simulated.geometry, **options):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        chunks = (1,) * (data.ndim - 2) + data.shape[-2:]
        stack = PatternStack(da.from_array(data, chunks=chunks), "run42", geometry=geometry)
        viewer.add_image(stack.data, name="run42", metadata={"pattern_stack": stack}, **options)
        _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Peaks")
        viewer.dims.set_current_step(0, 0)
        QApplication.processEvents()
        return viewer, panel

    return open_window


def settled(qtbot, panel, index):
    """Wait until the peaks of a pattern are known and nothing is being done."""
    qtbot.waitUntil(lambda: bool(panel.shown.looked[index]), timeout=60_000)
    qtbot.waitUntil(lambda: not panel._latest.running, timeout=60_000)


def coloured(viewer, label):
    """Number of pixels of the canvas in the colour of a class."""
    QApplication.processEvents()
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    wanted = [int(class_colour(label)[k : k + 2], 16) for k in (1, 3, 5)]
    return int((np.abs(picture - wanted).max(axis=-1) < 25).sum())


def test_peaks_are_found_shown_and_follow_the_slider(opened, qtbot, simulated):
    viewer, panel = opened()
    number = int(np.argmax(simulated.labels["zone_fraction"].between(0.5, 0.95)))
    viewer.dims.set_current_step(0, number)
    assert len(viewer.layers) == 1
    assert coloured(viewer, ZONE) == coloured(viewer, LAUE) == 0
    click(panel.button)
    settled(qtbot, panel, number)
    points = viewer.layers["run42 - peaks"]
    spots = find_spots(simulated.images[number])
    np.testing.assert_allclose(np.sort(points.data[:, 2]), np.sort(spots.position[:, 0]))
    assert set(points.features.columns) >= {"intensity", "snr", "zonal", "h", "k"}
    assert points.features["zonal"].any()
    assert coloured(viewer, ZONE) > 20
    assert f"{len(spots)} peaks" in panel.note.text()
    beam = viewer.layers["run42 - beam centre"]
    np.testing.assert_allclose(beam.data[0], [number, *spots.centre[::-1]])

    other = (number + 1) % N
    viewer.dims.set_current_step(0, other)
    settled(qtbot, panel, other)
    assert set(points.data[:, 0]) <= {number, other}
    panel.follow.setChecked(False)
    third = (number + 2) % N
    viewer.dims.set_current_step(0, third)
    qtbot.wait(200)
    assert not panel.shown.looked[third]
    assert coloured(viewer, ZONE) == coloured(viewer, LAUE) == 0


def test_a_correction_is_measured_marked_and_redrawn(opened, qtbot):
    viewer, panel = opened()
    click(panel.button)
    settled(qtbot, panel, 0)
    points = viewer.layers["run42 - peaks"]
    click(panel.redraw_button)
    redrawn = viewer.layers["run42 - redrawn"]
    before = np.asarray(redrawn.data[0])
    count = len(points.data)
    points.add([[0, 40.0, 60.0]])
    qtbot.waitUntil(lambda: bool(points.features["by_hand"].any()), timeout=30_000)
    settled(qtbot, panel, 0)
    assert len(points.data) == count + 1
    mine = points.features[points.features["by_hand"]]
    assert len(mine) == 1
    assert np.isfinite(mine["snr"].iloc[0])
    assert "1 set by hand" in panel.note.text()
    after = np.asarray(redrawn.data[0])
    assert (after != before).any()

    points.selected_data = set(range(count + 1))
    points.remove_selected()
    qtbot.waitUntil(lambda: len(points.data) == 0, timeout=30_000)
    settled(qtbot, panel, 0)
    alone = np.asarray(redrawn.data[0])
    assert 0 < (alone > 0).sum() < 40  # the beam
    # What was corrected is not found again, unless it is asked for.
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        click(panel.all_button)
    assert not (points.data[:, 0] == 0).any()
    assert panel.shown.looked.all()
    click(panel.button)
    qtbot.waitUntil(lambda: bool((points.data[:, 0] == 0).any()), timeout=30_000)


def test_moving_the_beam_moves_the_redrawn_pattern(opened, qtbot):
    viewer, panel = opened()
    click(panel.button)
    settled(qtbot, panel, 0)
    click(panel.redraw_button)
    redrawn = viewer.layers["run42 - redrawn"]
    before = np.asarray(redrawn.data[0])
    beam = viewer.layers["run42 - beam centre"]
    wanted = beam.data[0] + [0, 12, 0]
    beam.data = wanted[None]
    settled(qtbot, panel, 0)
    assert panel.shown.centre(0)[1] == pytest.approx(wanted[1])
    assert (np.asarray(redrawn.data[0]) != before).any()


def test_redrawn_patterns_lie_beside_and_are_a_stack_of_their_own(opened, qtbot, simulated):
    viewer, panel = opened(scale=(1, 0.5, 0.5))
    click(panel.redraw_button)
    redrawn = viewer.layers["run42 - redrawn"]
    assert redrawn.data.shape == (N, SIZE, SIZE)
    right_edge = viewer.layers["run42"].extent.world[1, 2]
    assert redrawn.extent.world[0, 2] > right_edge
    heights = [np.ptp(viewer.layers[name].extent.world[:, 1]) for name in ("run42", redrawn.name)]
    assert heights[0] == pytest.approx(heights[1], rel=0.02)
    stack = stack_of(redrawn)
    assert can_be_stack(redrawn)
    np.testing.assert_array_equal(stack.frame(3), redraw_frame(simulated.images[3]))
    viewer.dims.set_current_step(0, 3)
    qtbot.waitUntil(lambda: bool(np.asarray(redrawn.data[3]).any()), timeout=60_000)
    np.testing.assert_array_equal(np.asarray(redrawn.data[3]), stack.frame(3))
    assert redrawn.metadata["preprocess"] == "redraw"
    viewer.layers["run42"].visible = False
    assert not redrawn.visible


def test_what_is_redrawn_first_is_searched_beside_the_window(opened, qtbot, simulated, monkeypatch):
    drawn = {index: redraw_frame(simulated.images[index]) for index in (0, 5)}
    fewer = redraw_frame(simulated.images[0], 2 * THRESHOLD)
    threads = []

    def find(frame, threshold):
        threads.append(threading.current_thread())
        return find_spots(frame, threshold)

    room = "napari_diffraction"
    for module in (f"{room}.ui.peaks.redrawn_layer", f"{room}.simulation.spots.redraw"):
        monkeypatch.setattr(f"{module}.find_spots", find, raising=False)
    viewer, panel = opened()
    click(panel.redraw_button)
    redrawn = viewer.layers["run42 - redrawn"]
    stack = stack_of(redrawn)
    for index in drawn:
        viewer.dims.set_current_step(0, index)
        qtbot.waitUntil(lambda i=index: bool(np.asarray(redrawn.data[i]).any()), timeout=60_000)
        np.testing.assert_array_equal(redrawn._slice.image.raw, drawn[index])
    assert stack_of(redrawn) is stack  # with all that is known of it
    asked = len(threads)
    viewer.dims.set_current_step(0, 0)
    assert threading.main_thread() not in threads
    assert len(viewer.layers) == 2
    assert not panel._search.running  # what was found is not looked for again
    # another threshold finds others
    panel.threshold.setValue(2 * THRESHOLD)
    click(panel.redraw_button)
    qtbot.waitUntil(lambda: len(threads) > asked, timeout=60_000)
    qtbot.waitUntil(lambda: not panel._search.running, timeout=60_000)
    np.testing.assert_array_equal(redrawn._slice.image.raw, fewer)
    assert threading.main_thread() not in threads


def test_all_patterns_a_scan_and_the_table(opened, qtbot, simulated, tmp_path):
    viewer, panel = opened(simulated.images.reshape(2, 5, 256, 256))
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        click(panel.all_button)
    points = viewer.layers["run42 - peaks"]
    assert points.data.shape[1] == 4
    panel.save(tmp_path / "peaks.csv")
    table = pd.read_csv(tmp_path / "peaks.csv")
    columns = ["index", "x", "y", "intensity", "snr", "zonal", "h", "k", "by_hand"]
    assert list(table.columns) == columns
    assert table["index"].is_monotonic_increasing
    spots = find_spots(simulated.images[7])
    mine = table[table["index"] == 7]
    np.testing.assert_allclose(np.sort(mine["x"]), np.sort(spots.position[:, 0]), rtol=1e-4)
    viewer.layers.remove("run42")
    assert len(viewer.layers) == 0
    assert "Open a stack first" in panel.note.text()


def test_kikuchi_patterns_have_no_peaks(opened):
    viewer, panel = opened(geometry=KikuchiGeometry())
    click(panel.button)
    click(panel.all_button)
    click(panel.redraw_button)
    assert len(viewer.layers) == 1


def test_corrections_stay_when_the_input_grows(make_napari_viewer, simulated, qtbot, tmp_path):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    path = tmp_path / "run42.npy"
    np.save(path, simulated.images[:4])
    (layer,) = viewer.open(path, plugin="napari-diffraction")
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Peaks")
    viewer.dims.set_current_step(0, 0)
    QApplication.processEvents()
    work = Coordinator.of(viewer)
    work.set_layer(layer)
    click(panel.button)
    settled(qtbot, panel, 0)
    click(panel.redraw_button)
    points = viewer.layers["run42 - peaks"]
    points.add([[0, 40.0, 60.0]])
    settled(qtbot, panel, 0)
    peaks = points.data.copy()
    # following begins with another look at what is there, before anything is added
    work.grow(layer, open_stack(path), "the same")
    panel._refresh()
    np.save(path, simulated.images[:6])
    work.grow(layer, open_stack(path), "more")
    viewer.dims.set_current_step(0, 5)
    settled(qtbot, panel, 5)
    assert viewer.layers["run42 - peaks"] is points
    np.testing.assert_array_equal(points.data[points.data[:, 0] == 0], peaks)
    assert panel.shown.features(0)["by_hand"].sum() == 1
    assert panel.shown.edited == {0}
    assert panel.shown.looked.tolist() == [True, False, False, False, False, True]
    assert len(viewer.layers["run42 - redrawn"].data) == 6
    # other patterns have no peaks in common with these
    np.save(tmp_path / "other.npy", simulated.images[:3])
    work.grow(layer, open_stack(tmp_path / "other.npy"), "another")
    panel._refresh()
    assert not panel.shown.looked.any()
    assert points not in viewer.layers


def test_a_search_ends_with_the_patterns_it_is_for(opened, qtbot, simulated, monkeypatch):
    def endless(stack, threshold, todo):
        while True:
            yield Progress(0, len(todo), "Finding peaks")

    monkeypatch.setattr("napari_diffraction.ui.peaks.widget.find_in_stack", endless)
    viewer, panel = opened()
    viewer.add_image(simulated.images, name="run43")
    panel.layer.choose(viewer.layers["run42"])
    click(panel.all_button)
    assert not panel.all_button.isVisible()
    viewer.layers.remove("run43")  # another one: nobody minds
    viewer.add_image(simulated.images, name="run44")
    assert panel.bar.cancel_button.isEnabled()
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        viewer.layers.remove("run42")
    assert panel.layer.currentText() == "run44"
    assert panel.all_button.isVisible()


def test_a_peak_set_by_hand_is_measured_whatever_layer_is_chosen(opened, qtbot, simulated):
    viewer, panel = opened()
    other = PatternStack(
        da.from_array(simulated.images[::-1], chunks=(1, 256, 256)),
        "b",
        geometry=simulated.geometry,
    )
    viewer.add_image(other.data, name="b", metadata={"pattern_stack": other})
    for name in ("run42", "b"):
        panel.layer.choose(viewer.layers[name])
        click(panel.button)
        settled(qtbot, panel, 0)
    mine, theirs = viewer.layers["run42 - peaks"], viewer.layers["b - peaks"].features.copy()
    mine.add(np.array([[0.0, 20.0, 30.0]]))
    qtbot.waitUntil(lambda: not panel._latest.running, timeout=60_000)
    wanted = measure_spots(simulated.images[0], [[30.0, 20.0]])
    assert mine.features["by_hand"].tolist() == [False] * (len(mine.data) - 1) + [True]
    assert mine.features["intensity"].iloc[-1] == pytest.approx(wanted.intensity[0])
    assert viewer.layers["b - peaks"].features.equals(theirs)


def test_another_threshold_leaves_no_peaks_of_the_one_before(opened, qtbot, tmp_path):
    viewer, panel = opened()
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        click(panel.all_button)
    points = viewer.layers["run42 - peaks"]
    points.add(np.array([[0.0, 20.0, 30.0]]))  # a correction stays
    qtbot.waitUntil(lambda: not panel._latest.running, timeout=60_000)
    corrected = int((points.data[:, 0] == 0).sum())
    viewer.dims.set_current_step(0, 1)
    panel.threshold.setValue(20)
    settled(qtbot, panel, 1)
    assert set(points.data[:, 0]) == {0, 1}
    assert (points.data[:, 0] == 0).sum() == corrected
    panel.save(tmp_path / "peaks.csv")
    saved = pd.read_csv(tmp_path / "peaks.csv")
    about = json.loads((tmp_path / "peaks.csv.json").read_text())
    assert about["settings"]["threshold"] == 20
    assert about["found_in"] == saved["index"].nunique() == 2
    assert saved.loc[saved["index"] == 1, "snr"].min() > 10


def test_the_threshold_of_a_file_is_that_of_its_peaks(opened, qtbot, simulated, tmp_path):
    viewer, panel = opened()
    click(panel.button)
    settled(qtbot, panel, 0)
    viewer.add_image(simulated.images, name="b")
    panel.layer.choose(viewer.layers["b"])
    panel.threshold.setValue(20)  # of the peaks of the other layer
    panel.layer.choose(viewer.layers["run42"])
    panel.save(tmp_path / "peaks.csv")
    about = json.loads((tmp_path / "peaks.csv.json").read_text())
    assert about["settings"]["threshold"] == THRESHOLD


def test_peaks_still_being_found_are_not_those_of_another_threshold(opened, qtbot, monkeypatch):
    viewer, panel = opened()
    asked = []
    click(panel.button)
    settled(qtbot, panel, 0)
    with monkeypatch.context() as held:  # the answer comes after the threshold has changed
        held.setattr(panel._latest, "ask", asked.append)
        viewer.dims.set_current_step(0, 1)
        panel.threshold.setValue(20)
    first, *_, last = asked
    panel._on_answer(first())
    assert not panel.shown.looked[1]
    panel._on_answer(last())
    assert panel.shown.looked[1]
