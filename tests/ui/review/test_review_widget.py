import json

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from qtpy.QtCore import Qt
from qtpy.QtGui import QTextDocument
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QTableView

from napari_diffraction.learning.classes import LAUE, MULTIPLE, NO_HIT, ZONE, ZONE_CLASSES
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.widgets.colours import rgba

pytestmark = pytest.mark.gui
N = 40


@pytest.fixture
def reviewing(make_napari_viewer, make_stack, learning):
    """Return a function that opens a window with a classified stack under review."""

    def open_window(n=N, classified=True):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        stack = make_stack(n)
        layer = viewer.add_image(stack.data, name="run42", metadata={"pattern_stack": stack})
        work = Coordinator.of(viewer)
        work.set_layer(layer)
        if classified:
            work.begin(ZONE_CLASSES, {"model": "zones"})
            work.add_rows(learning.table(stack, range(n)))
        _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Review patterns")
        window = panel.window()
        window.activateWindow()
        QApplication.setActiveWindow(window)
        QApplication.processEvents()
        return viewer, panel, work

    return open_window


def press(panel, key, modifier=Qt.KeyboardModifier.NoModifier):
    """Press a key where the keyboard is: on the canvas of the patterns."""
    window = panel.window()
    QTest.keyClick(window._qt_viewer.canvas.native, key, modifier)
    QApplication.processEvents()


LAYERS = {
    "image": lambda viewer: viewer.layers["run42"],
    "results": lambda viewer: viewer.layers["run42 - classes"],
    "labels": lambda viewer: viewer.add_labels(np.zeros((N, 64, 64), int)),
    "shapes": lambda viewer: viewer.add_shapes(ndim=3),
    "no layer": lambda viewer: None,
}


def test_keys_decide_whatever_layer_is_active(reviewing):
    viewer, panel, work = reviewing()
    for kind in LAYERS:
        decide_by_keys(viewer, panel, work, kind)


def decide_by_keys(viewer, panel, work, kind):
    before = work.session.counts().reviewed
    active = LAYERS[kind](viewer)
    viewer.layers.selection.active = active
    mode = getattr(active, "mode", None)
    press(panel, Qt.Key.Key_N)
    expected = {}
    for key, label in zip((Qt.Key.Key_1, Qt.Key.Key_2, Qt.Key.Key_3, Qt.Key.Key_4),
                          ZONE_CLASSES, strict=True):  # fmt: skip
        expected[work.current] = label
        press(panel, key)
    assert len(expected) == 4, kind
    assert {i: work.session.label(i) for i in expected} == expected
    assert work.session.counts().reviewed == before + 4
    last = list(expected)[-1]
    press(panel, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert work.current == last
    assert work.session.counts().reviewed == before + 3
    # napari's own meaning of the keys stayed out of it.
    assert getattr(active, "mode", None) == mode
    assert len(viewer.layers["run42 - classes"].data) == N


def test_keys_are_given_back_when_the_panel_closes(reviewing):
    viewer, panel, work = reviewing()
    labels = viewer.add_labels(np.zeros((N, 64, 64), int))
    viewer.layers.selection.active = labels
    viewer.window.remove_dock_widget(panel)
    window = viewer.window._qt_window
    QTest.keyClick(window._qt_viewer.canvas.native, Qt.Key.Key_2)
    assert labels.mode == "paint"
    assert work.session.counts().reviewed == 0


def test_a_number_typed_into_a_field_is_no_decision(reviewing):
    _, panel, work = reviewing()
    field = panel.threshold.lineEdit()
    field.setFocus()
    field.selectAll()
    QTest.keyClicks(field, "0.42")
    QTest.keyClick(field, Qt.Key.Key_Return)
    assert work.session.counts().reviewed == 0
    assert work.threshold == 0.42


def test_a_pattern_decided_on_before_the_run_comes_to_it_shows_its_class_then(
    reviewing, learning, make_stack
):
    viewer, _, work = reviewing(classified=False)
    work.begin(ZONE_CLASSES, {"model": "zones"})
    rows = learning.table(make_stack(N), range(N))
    work.add_rows(rows.iloc[:8])
    points = work.points_layer
    for index in (3, N - 1):  # one that is known, one that is not
        viewer.dims.set_current_step(0, index)
        work.decide(ZONE_CLASSES[0])
    assert points.shown.tolist() == [True] * 8 + [False] * (N - 8)
    work.undo()
    work.decide(ZONE_CLASSES[1])  # the pattern is on view again
    work.add_rows(rows.iloc[8:])
    assert points.shown.all()
    assert points.features["label"].iloc[N - 1] == ZONE_CLASSES[1]
    assert points.features["reviewed"].tolist() == [i in (3, N - 1) for i in range(N)]


def test_what_the_panel_says_follows_the_pattern(reviewing):
    _, panel, work = reviewing()
    QTest.mouseClick(panel.next_button, Qt.MouseButton.LeftButton)
    index = work.current
    counts = work.session.counts()
    assert f"No. {index}" in panel.pattern.text()
    assert f"<b>{counts.left} of {counts.doubtful}</b>" in panel.left.text()
    assert panel.labels.buttons[work.session.label(index)].isChecked()
    assert [b.text().split()[0] for b in panel.labels.buttons.values()] == ["1", "2", "3", "4"]
    QTest.mouseClick(panel.labels.buttons[NO_HIT], Qt.MouseButton.LeftButton)
    assert f"<b>{counts.left - 1} of {counts.doubtful}</b>" in panel.left.text()
    QTest.mouseClick(panel.undo_button, Qt.MouseButton.LeftButton)
    assert f"<b>{counts.left} of {counts.doubtful}</b>" in panel.left.text()
    panel.threshold.setValue(0.8)
    counts = work.session.counts()
    assert panel.accept_button.text() == f"Accept {counts.acceptable} at or above"
    QTest.mouseClick(panel.accept_button, Qt.MouseButton.LeftButton)
    assert work.session.counts().acceptable == 0
    assert not panel.accept_button.isEnabled()


def test_a_decision_is_seen_on_the_canvas_in_the_colour_of_the_class(reviewing):
    viewer, panel, work = reviewing()
    index = work.next()
    wanted = MULTIPLE if work.session.label(index) != MULTIPLE else ZONE
    press(panel, Qt.Key.Key_4 if wanted == MULTIPLE else Qt.Key.Key_1)
    work.show(index)
    QApplication.processEvents()
    canvas = viewer.screenshot(flash=False)[..., :3].astype(int)
    colour = np.rint(255 * rgba([wanted], ())[0, :3])
    assert (np.abs(canvas - colour).max(axis=-1) < 30).sum() > 60
    window = viewer.screenshot(canvas_only=False, flash=False)
    assert window[..., :3].std() > 20


@pytest.mark.parametrize("n", [N, 2500], ids=["short table", "long table"])
def test_slider_points_and_features_table_stay_in_step(reviewing, n):
    viewer, panel, work = reviewing(n)
    panel.table_button.click()
    QApplication.processEvents()
    [table] = [
        view
        for view in panel.window().findChildren(QTableView)
        if hasattr(view.model(), "sourceModel")
    ]
    model = table.model().sourceModel()

    def selected():
        return {i.row() for i in table.selectionModel().selectedRows()}

    index = work.next()
    assert viewer.dims.current_step[0] == index
    assert selected() == {index}
    [row] = table.selectionModel().selectedRows()
    assert table.viewport().rect().intersects(table.visualRect(row))
    label = LAUE if work.session.label(index) != LAUE else ZONE
    work.decide(label)
    column = list(model.df.columns).index("label")
    assert model.df.iat[index, column] == label
    assert viewer.layers["run42 - classes"].features["label"][index] == label
    table.selectRow(12)
    assert work.current == 12
    assert viewer.dims.current_step[0] == 12
    viewer.dims.set_current_step(0, 20)
    assert selected() == {20}


def test_a_saved_review_is_offered_in_the_panel(reviewing):
    viewer, panel, work = reviewing()
    work.next()
    press(panel, Qt.Key.Key_2)
    here = work.current
    viewer.close()
    viewer, panel, work = reviewing(classified=False)
    # Until there is something to review, the keys are napari's own.
    viewer.layers.selection.active = labels = viewer.add_labels(np.zeros((N, 64, 64), int))
    press(panel, Qt.Key.Key_2)
    assert labels.mode == "paint"
    assert panel.classify_button.isVisible()
    assert not panel.body.isVisible()

    assert panel.question.isVisible()
    assert "1 decision." in panel.question.text.text()
    QTest.mouseClick(panel.question.continue_button, Qt.MouseButton.LeftButton)
    assert work.current == here
    assert work.session.counts().reviewed == 1
    assert not panel.question.isVisible()
    assert panel.body.isVisible()


def test_exports(reviewing, qtbot, tmp_path, monkeypatch):
    _, panel, work = reviewing()
    work.decide(ZONE)
    box = panel.export
    members = work.session.patterns_of(ZONE)
    for kind, name in enumerate(("out.csv", "out.h5", "out.tif", "out.lst")):
        box.kind.setCurrentIndex(kind)
        assert box.label.isVisible() == (kind > 0)
        box.label.setCurrentText(ZONE)
        with qtbot.waitSignal(box.bar.finished, timeout=30_000):
            box.export(tmp_path / name)
    assert len(pd.read_csv(tmp_path / "out.csv")) == N
    with h5py.File(tmp_path / "out.h5") as file:
        assert file["entry/labels/stack_index"][:].tolist() == members.tolist()
    assert len(tifffile.imread(tmp_path / "out.tif")) == len(members)
    assert len((tmp_path / "out.lst").read_text().splitlines()) == len(members)
    assert json.loads((tmp_path / "out.csv.json").read_text())["model"] == "zones"

    seen = []
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar.show_error", seen.append)
    with qtbot.waitSignal(box.bar.finished, timeout=30_000):
        box.export(tmp_path / "nowhere" / "out.lst")
    assert len(seen) == 1
    assert "the folder does not exist" in seen[0]


@pytest.mark.parametrize(
    ("kind", "typed", "written"),
    [(1, "zones.v2", "zones.v2.h5"), (1, "zones.nxs", "zones.nxs"), (2, "a.TIFF", "a.TIFF")],
)
def test_a_typed_name_gets_a_suffix_of_its_kind(
    reviewing, tmp_path, monkeypatch, kind, typed, written
):
    _, panel, _ = reviewing()
    box, paths = panel.export, []
    box.kind.setCurrentIndex(kind)
    monkeypatch.setattr(
        "napari_diffraction.ui.widgets.save_dialog.QFileDialog.getSaveFileName",
        lambda *_: (str(tmp_path / typed), ""),
    )
    monkeypatch.setattr(box, "export", paths.append)
    box.export_button.click()
    assert paths == [tmp_path / written]


def test_a_class_may_have_any_name(reviewing):
    _, panel, work = reviewing(n=4, classified=False)
    names = ("<110>", "Ni & Al")
    work.begin(names, {"model": "mine"})
    rows = pd.DataFrame({"index": [0, 1], "source": "", "label": names, "confidence": 0.9})
    work.add_rows(rows.assign(**{f"p_{name}": 0.5 for name in names}))
    work.show(0)
    work.decide("<110>")
    work.show(0)

    def seen(label):
        document = QTextDocument()
        document.setHtml(label.text())
        return document.toPlainText()

    assert seen(panel.pattern).startswith("No. 0: <110>, decided by")
    assert seen(panel.learn.about).startswith("1 label: 1 <110>.")
    assert panel.labels.buttons["Ni & Al"].text().endswith("Ni && Al")  # Qt shows it as one
