"""Following in the classification panel: folders and files that grow while the window is open."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mouse import stop_following, tick
from PIL import Image
from qtpy.QtCore import Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_diffraction.learning.classes import LAUE, ZONE
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.review.store import SessionStore
from napari_diffraction.ui.viewer.coordinator import Coordinator

pytestmark = pytest.mark.gui

#: Milliseconds that a slow machine may take.
LONG = 60_000


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    monkeypatch.setattr("napari_diffraction.ui.classify.tasks.EVERY", 0.05)


@pytest.fixture
def opened(make_napari_viewer, learning, errors):
    """Return a function that opens a window with an input and the classification panel."""

    def open_window(path):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        (layer,) = viewer.open(str(path), plugin="napari-diffraction")
        _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Classify patterns")
        QApplication.processEvents()
        return viewer, panel, layer

    return open_window


def picture(path: Path, first: int) -> Path:
    """Write a picture that tells its number in its first pixel."""
    image = np.full((16, 16), 200, np.uint8)
    image[0, 0] = first
    Image.fromarray(image).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """A folder with three pictures."""
    run = tmp_path / "run42"
    run.mkdir()
    for number in (10, 20, 30):
        picture(run / f"a{number}.png", number)
    return run


def classified(viewer) -> int:
    session = Coordinator.of(viewer).session
    return 0 if session is None else len(session)


def first_pixels(layer) -> list[int]:
    return [int(np.asarray(frame)[0, 0]) for frame in layer.data]


def test_layers_and_counts_grow_with_a_folder(opened, folder, qtbot, errors):
    viewer, panel, layer = opened(folder)
    layer.contrast_limits = (3, 150)
    assert panel.follow.switch.isEnabled()
    assert panel.follow.newest.isHidden()
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    points = viewer.layers["run42 - classes"]
    texts, colours = points.text.string.array.tolist(), points.face_color.tolist()
    zoom, selected = 5.0, viewer.layers.selection.active
    viewer.scene.camera.zoom = zoom
    viewer.dims.set_point(0, 1)
    for number in (40, 50):
        picture(folder / f"a{number}.png", number)
    qtbot.waitUntil(lambda: classified(viewer) == 5, timeout=LONG)

    assert layer in viewer.layers
    assert first_pixels(layer) == [10, 20, 30, 40, 50]
    assert viewer.dims.range[0].stop == 4
    assert viewer.layers["run42 - classes"] is points
    assert len(points.data) == len(points.features) == 5
    assert points.shown.all()
    assert points.text.string.array.tolist()[:3] == texts
    assert points.face_color.tolist()[:3] == colours
    assert all(points.text.string.array)
    assert points.text.color.array.shape == (5, 4)
    assert not points.features[["label", "confidence"]].isna().any(axis=None)
    assert [Path(name).name for name in points.features["source"]] == [
        "a10.png", "a20.png", "a30.png", "a40.png", "a50.png"
    ]  # fmt: skip
    assert sum(Coordinator.of(viewer).session.counts().classes.values()) == 5
    assert panel.histogram.numbers.sum() == 5
    assert panel.counts._numbers[""].text() == "5"
    # nothing of the view is lost
    assert tuple(layer.contrast_limits) == (3, 150)
    assert viewer.scene.camera.zoom == zoom
    assert viewer.layers.selection.active is selected
    assert viewer.dims.current_step[0] == 1
    assert "5 sorted" in panel.bar.text.text()

    stop_following(qtbot, panel)
    assert classified(viewer) == 5
    assert not panel.follow.switch.isChecked()
    assert panel.run_button.isVisible()
    assert errors == []


def test_the_slider_goes_to_the_newest_or_stays(opened, folder, qtbot):
    viewer, panel, layer = opened(folder)
    work = Coordinator.of(viewer)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    work.show(1)
    # it is another number that shows the same pattern when one comes before it
    picture(folder / "a5.png", 5)
    picture(folder / "a40.png", 40)
    qtbot.waitUntil(lambda: classified(viewer) == 5, timeout=LONG)
    assert first_pixels(layer) == [5, 10, 20, 30, 40]
    assert work.current == 2
    assert not panel.follow.newest.isChecked()

    tick(panel.follow.newest)
    assert work.current == int(work.session.index[-1])
    picture(folder / "a50.png", 50)
    qtbot.waitUntil(lambda: classified(viewer) == 6, timeout=LONG)
    assert work.current == 5
    # the newest is not always the last
    picture(folder / "a15.png", 15)
    qtbot.waitUntil(lambda: classified(viewer) == 7, timeout=LONG)
    assert first_pixels(layer)[work.current] == 15
    # who looks at one class is left alone
    label = work.session.label(0)
    work.open_class(label)
    picture(folder / "a60.png", 60)
    qtbot.waitUntil(lambda: classified(viewer) == 8, timeout=LONG)
    assert work.class_on_view == label
    work.show_all()

    tick(panel.follow.newest)
    work.show(0)
    picture(folder / "a70.png", 70)
    qtbot.waitUntil(lambda: classified(viewer) == 9, timeout=LONG)
    assert work.current == 0
    stop_following(qtbot, panel)


def test_decisions_stay_with_their_patterns_and_are_found_again(opened, folder, qtbot):
    viewer, panel, _ = opened(folder)
    work = Coordinator.of(viewer)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    work.show(1)
    work.decide(ZONE)
    picture(folder / "a5.png", 5)
    picture(folder / "a15.png", 15)
    qtbot.waitUntil(lambda: classified(viewer) == 5, timeout=LONG)
    work.show(4)
    work.decide(LAUE)

    def decided():
        rows = viewer.layers["run42 - classes"].features
        rows = rows[rows["reviewed"]]
        names = [Path(name).name for name in rows["source"]]
        return dict(zip(names, rows["label"].astype(str), strict=True))

    assert decided() == {"a20.png": ZONE, "a30.png": LAUE}
    stop_following(qtbot, panel)
    key = stack_key(open_stack(folder))
    saved = ReviewSession.restore(key, SessionStore.of(key).folder)
    assert saved.given()[0].tolist() == [3, 4]
    assert saved.table()["index"].tolist() == [0, 1, 2, 3, 4]
    # the way back leads back to both, also to the one that has another number now
    work.undo()
    work.undo()
    assert decided() == {}
    assert work.current == 3


def test_a_file_that_is_not_whole_is_waited_for(opened, folder, qtbot, errors, learning, tmp_path):
    viewer, panel, layer = opened(folder)
    whole = picture(tmp_path / "whole.png", 40).read_bytes()
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    # the quick classifier does not read: it is told what it would find
    learning.unreadable = (3,)
    part = folder / "a40.png"
    part.write_bytes(whole[: len(whole) // 2])
    qtbot.waitUntil(lambda: len(layer.data) == 4, timeout=LONG)
    picture(folder / "a50.png", 50)
    qtbot.waitUntil(lambda: classified(viewer) == 4, timeout=LONG)
    session = Coordinator.of(viewer).session
    assert sorted(session.index.tolist()) == [0, 1, 2, 4]
    points = viewer.layers["run42 - classes"]
    assert points.shown.tolist() == [True, True, True, False, True]
    learning.unreadable = ()
    part.write_bytes(whole)
    qtbot.waitUntil(lambda: classified(viewer) == 5, timeout=LONG)
    assert first_pixels(layer) == [10, 20, 30, 40, 50]
    assert points.shown.all()
    assert errors == []
    stop_following(qtbot, panel)


def test_patterns_that_are_gone_are_waited_for(opened, folder, qtbot, errors):
    viewer, panel, layer = opened(folder)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    content = (folder / "a20.png").read_bytes()
    (folder / "a20.png").unlink()
    picture(folder / "a40.png", 40)
    qtbot.waitUntil(lambda: "waiting for 1 that" in panel.bar.text.text(), timeout=LONG)
    assert first_pixels(layer)[0] == 10
    assert len(layer.data) == 3
    (folder / "a20.png").write_bytes(content)
    qtbot.waitUntil(lambda: classified(viewer) == 4, timeout=LONG)
    assert first_pixels(layer) == [10, 20, 30, 40]
    assert errors == []
    stop_following(qtbot, panel)


def test_results_that_are_there_are_not_found_anew(opened, folder, qtbot, learning):
    viewer, panel, _ = opened(folder)
    with qtbot.waitSignal(panel.bar.finished, timeout=LONG):
        QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    before = Coordinator.of(viewer).session
    tick(panel.follow.switch)
    picture(folder / "a40.png", 40)
    qtbot.waitUntil(lambda: classified(viewer) == 4, timeout=LONG)
    assert learning.skipped == 3
    assert Coordinator.of(viewer).session is before
    stop_following(qtbot, panel)


@pytest.fixture
def writer(recording):
    """A file that another process writes, and a function that tells it what to do."""
    return recording("run.h5")


def test_a_file_open_for_writing_grows(opened, writer, qtbot, errors):
    path, do = writer
    do("add 3")
    viewer, panel, layer = opened(path)
    assert panel.follow.newest.isHidden()  # nothing is followed
    tick(panel.follow.switch)
    tick(panel.follow.newest)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    do("add 2")
    qtbot.waitUntil(lambda: classified(viewer) == 5, timeout=LONG)
    assert first_pixels(layer) == [1, 2, 3, 4, 5]
    assert Coordinator.of(viewer).current == 4
    assert len(viewer.layers["run - classes"].data) == 5
    work = Coordinator.of(viewer)
    work.show(2)
    work.decide(ZONE)
    do("add 1")
    qtbot.waitUntil(lambda: classified(viewer) == 6, timeout=LONG)
    do("close")

    # the review is kept under the name that the finished file has
    def key():
        return stack_key(open_stack(path))

    qtbot.waitUntil(lambda: work.session.key == key(), timeout=LONG)
    stop_following(qtbot, panel)
    saved = ReviewSession.restore(key(), SessionStore.of(key()).folder)
    assert saved.given()[0].tolist() == [2]
    assert len(saved) == 6
    assert errors == []


def test_a_scan_gets_rows(opened, tmp_path, qtbot, errors):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "scan.h5"

    def write(rows):
        frames = np.full((rows, 4, 16, 16), 200, np.uint8)
        frames[..., 0, 0] = np.arange(rows * 4).reshape(rows, 4)
        # under another name first: the map's thread may be reading the file
        with h5py.File(tmp_path / "new", "w") as file:
            file["data"] = frames
        (tmp_path / "new").replace(path)

    write(2)
    viewer, panel, layer = opened(path)
    assert layer.ndim == 4
    tick(panel.follow.switch)
    tick(panel.follow.newest)
    qtbot.waitUntil(lambda: classified(viewer) == 8, timeout=LONG)
    write(3)
    qtbot.waitUntil(lambda: classified(viewer) == 12, timeout=LONG)
    assert layer.data.shape == (3, 4, 16, 16)
    points = viewer.layers["scan - classes"]
    assert points.data[-1][:2].tolist() == [2, 3]
    assert Coordinator.of(viewer).current == 11
    assert errors == []
    stop_following(qtbot, panel)


def test_another_form_ends_it_with_a_sentence_and_keeps_what_is_done(
    opened, tmp_path, qtbot, errors
):
    path = tmp_path / "run.npy"
    np.save(path, np.random.default_rng(1).integers(1, 99, (3, 16, 16), np.uint8))
    viewer, panel, _ = opened(path)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    with qtbot.waitSignal(panel.bar.finished, timeout=LONG):
        np.save(path, np.random.default_rng(1).integers(1, 99, (3, 20, 16), np.uint8))
    assert len(errors) == 1
    assert "another form now (3x20x16)" in errors[0]
    assert classified(viewer) == 3
    assert not panel.follow.switch.isChecked()


def test_what_cannot_grow_is_not_followed(opened, folder):
    _, panel, _ = opened(folder / "a10.png")
    assert not panel.follow.switch.isEnabled()
    assert "Only a folder" in panel.follow.switch.toolTip()


def test_cancel_and_an_error_leave_off_too(opened, folder, qtbot, errors, learning):
    viewer, panel, _ = opened(folder)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    with qtbot.waitSignal(panel.bar.finished, timeout=LONG):
        QTest.mouseClick(panel.bar.cancel_button, Qt.MouseButton.LeftButton)
    assert not panel.follow.switch.isChecked()
    assert panel.follow.switch.isEnabled()
    assert errors == []
    learning.fail_at = 3
    tick(panel.follow.switch)
    with qtbot.waitSignal(panel.bar.finished, timeout=LONG):
        picture(folder / "a40.png", 40)
    assert errors == ["No graphics card was found: choose device 'cpu'."]
    assert classified(viewer) == 3


def test_removing_the_layer_ends_it_quietly(opened, folder, qtbot, errors):
    viewer, panel, layer = opened(folder)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    picture(folder / "a40.png", 40)
    with qtbot.waitSignal(panel.bar.finished, timeout=LONG):
        viewer.layers.remove(layer)
    assert list(viewer.layers) == []
    assert not panel.follow.switch.isChecked()
    assert errors == []


def test_closing_the_window_ends_it_quietly(opened, folder, qtbot, errors):
    viewer, panel, _ = opened(folder)
    tick(panel.follow.switch)
    qtbot.waitUntil(lambda: classified(viewer) == 3, timeout=LONG)
    picture(folder / "a40.png", 40)
    viewer.close()
    assert QThreadPool.globalInstance().waitForDone(LONG)  # nobody looks any more
    QApplication.processEvents()
    assert errors == []
