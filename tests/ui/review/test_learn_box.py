"""Learning from labels in a real window: with a lesson that takes no time, and with a true one."""

import dataclasses
import json
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import LAUE, ZONE, ZONE_CLASSES
from napari_diffraction.learning.models import registry
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, finish
from napari_diffraction.ui.review import learn_box
from napari_diffraction.ui.review.tasks import Learned
from napari_diffraction.ui.viewer.coordinator import Coordinator

pytestmark = pytest.mark.gui
N = 40


def table(stack, label, confidence):
    rows = pd.DataFrame(
        {
            "index": np.arange(len(stack)),
            "source": [stack.source(i) for i in range(len(stack))],
            "label": label,
            "confidence": confidence,
        }
    )
    for name in ZONE_CLASSES:
        rows[f"p_{name}"] = np.where(rows["label"] == name, confidence, (1 - confidence) / 3)
    return rows


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Keep models in a folder of this test."""
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def reviewing(make_napari_viewer, models):
    """Return a function that opens a window with a stack that the model calls all Laue."""

    def open_window(stack, rows=None):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 900)
        layer = viewer.add_image(stack.data, name="run42", metadata={"pattern_stack": stack})
        work = Coordinator.of(viewer)
        work.set_layer(layer)
        work.begin(ZONE_CLASSES, {"model": "zones", "settings": {"shares": "usual: 3 % zones"}})
        doubts = np.linspace(0.5, 0.99, len(stack))
        work.add_rows(table(stack, LAUE, doubts) if rows is None else rows)
        _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Review patterns")
        panel.window().activateWindow()
        QApplication.setActiveWindow(panel.window())
        QApplication.processEvents()
        return viewer, panel, work

    return open_window


class FakeLesson:
    """A lesson that takes no time, after which all patterns are zones."""

    def __init__(self, error=None, endless=False):
        self.asked, self.error, self.endless = [], error, endless

    def __call__(self, asked):
        self.asked.append(asked)
        yield Progress(1, 3, "Learning")
        if self.error:
            raise self.error
        while self.endless:
            yield Progress(1, 3, "Learning")
        asked.output.write_bytes(b"")
        card = SimpleNamespace(
            name=asked.name,
            path=str(asked.output),
            classes=ZONE_CLASSES,
            recipe={"labels": len(asked.labels), "person": asked.person, "parent": asked.model},
        )
        rows = table(asked.stack, ZONE, np.full(len(asked.stack), 0.99))
        return Learned(card, rows, np.array([3, 30, 11, 25]), "90% of the labels are right")


def press(panel, key):
    QTest.keyClick(panel.window()._qt_viewer.canvas.native, key)
    QApplication.processEvents()


def label_eight(panel):
    press(panel, Qt.Key.Key_N)
    for key in (Qt.Key.Key_1, Qt.Key.Key_2) * 4:
        press(panel, key)


def test_labels_by_the_keys_make_a_model_and_the_most_useful_patterns_come_next(
    reviewing, make_stack, monkeypatch, qtbot, models
):
    lesson = FakeLesson()
    monkeypatch.setattr(learn_box, "lesson", lesson)
    _, panel, work = reviewing(make_stack(N))
    box = panel.learn
    assert not box.learn_button.isEnabled()
    label_eight(panel)
    given = {i: work.session.label(i) for i in range(8)}
    assert box.about.text().startswith(f"<b>8 labels</b>: 4 {ZONE}, 4 {LAUE}.")
    assert work.accept() > 0  # what was accepted among many is no label to learn from
    with qtbot.waitSignal(box.bar.finished, timeout=60_000):
        QTest.mouseClick(box.learn_button, Qt.MouseButton.LeftButton)
    (asked,) = lesson.asked
    assert dict(zip(asked.indices.tolist(), asked.labels.tolist(), strict=True)) == given
    assert (asked.model, asked.name) == ("zones", "zones-run42")
    assert asked.output == models / "zones-run42.safetensors"
    assert asked.settings["shares"] == "usual: 3 % zones"

    # The stack is sorted anew, and every decision still counts.
    assert work.session.about["model"] == "zones-run42"
    assert {i: work.session.label(i) for i in range(8)} == given
    assert (work.session.label(20), work.session.label(39)) == (ZONE, LAUE)
    assert work.session.disagreements() == {"zones": 4}
    assert "90% of the labels are right" in box.result.text()

    # Those that teach most come one after the other, the one decided on already left out.
    assert work.current == 30
    assert "<b>3 of 4</b> that teach most left" in panel.left.text()
    seen = []
    for _ in range(3):
        seen.append(work.current)
        press(panel, Qt.Key.Key_1)
    assert seen == [30, 11, 25]
    assert "doubtful" in panel.left.text()
    assert box.name.placeholderText() == "zones-run42"

    kept = [json.loads(x) for x in (work.session.store.folder / "journal.jsonl").open()]
    (noted,) = [record for record in kept if record["do"] == "learn"]
    assert noted["card"]["model"] == "zones-run42"
    assert noted["card"]["labels"] == 8
    assert kept[-1]["model"] == "zones-run42"


def test_a_lesson_that_is_cancelled_or_fails_changes_nothing(
    reviewing, make_stack, monkeypatch, qtbot, models
):
    _, panel, work = reviewing(make_stack(N))
    box = panel.learn
    label_eight(panel)
    before = work.session
    monkeypatch.setattr(learn_box, "lesson", FakeLesson(endless=True))
    with qtbot.waitSignal(box.bar.finished, timeout=60_000):
        box.run()
        qtbot.waitUntil(lambda: box.bar.bar.value() > 0)
        assert not box.learn_button.isVisible()
        QTest.mouseClick(box.bar.cancel_button, Qt.MouseButton.LeftButton)
    said = []
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar.show_error", said.append)
    monkeypatch.setattr(learn_box, "lesson", FakeLesson(InputError("There are too few labels.")))
    with qtbot.waitSignal(box.bar.finished, timeout=60_000):
        box.run()
    assert said == ["There are too few labels."]
    assert work.session is before
    assert work.session.about["model"] == "zones"
    assert box.learn_button.isVisible()
    assert not list(models.iterdir())


def test_a_lesson_about_patterns_that_have_other_numbers_by_now_makes_a_model_only(
    reviewing, make_stack, monkeypatch, qtbot, models
):
    """As where the folder is followed, and a picture comes before those that were labelled."""
    viewer, panel, work = reviewing(make_stack(N))
    box, said = panel.learn, []
    monkeypatch.setattr(learn_box, "show_info", said.append)
    label_eight(panel)
    given = {i + 1: work.session.label(i) for i in range(8)}
    lesson = FakeLesson(endless=True)
    monkeypatch.setattr(learn_box, "lesson", lesson)
    with qtbot.waitSignal(box.bar.finished, timeout=60_000):
        box.run()
        work.grow(viewer.layers["run42"], make_stack(N + 1), "key", np.arange(1, N + 1))
        lesson.endless = False
    assert (models / "zones-run42.safetensors").exists()
    assert work.session.about["model"] == "zones"
    assert {i: work.session.label(i) for i in range(1, 9)} == given
    assert len(work.session) == N
    assert "run42 has changed since" in said[0]


def test_a_name_that_cannot_be_used_is_told_at_once(reviewing, make_stack, monkeypatch):
    _, panel, _ = reviewing(make_stack(N))
    said = []
    monkeypatch.setattr(learn_box, "show_error", said.append)
    for name in ("../mine", "zones"):
        panel.learn.name.setText(name)
        panel.learn.run()
        assert not panel.learn.bar.running
    assert "no name for a model" in said[0]
    assert "already" in said[1]


@pytest.mark.timeout(900)
def test_a_true_lesson_from_keys_to_a_model_in_the_list(reviewing, qtbot, models):
    from napari_diffraction.simulation.samples import serial_experiment

    made = finish(serial_experiment(5, 60))
    stack = PatternStack(da.from_array(made.images, chunks=(1, 256, 256)), "run42")
    truth = made.labels["label"].to_numpy(str)
    _, panel, work = reviewing(stack)
    for name in ZONE_CLASSES:
        for index in np.flatnonzero(truth == name)[:4]:
            work.show(int(index))
            work.decide(name)
    with qtbot.waitSignal(panel.learn.bar.finished, timeout=800_000):
        QTest.mouseClick(panel.learn.learn_button, Qt.MouseButton.LeftButton)
    assert "of the labels are right" in panel.learn.result.text()
    [card] = [card for card in registry.list_models() if card.name == "zones-run42"]
    assert card.recipe["labels"] == 16
    assert card.recipe["person"] == work.session.person
    assert len(work.session) == len(stack)
    found = work.session.table()["model_label"].to_numpy(str)
    assert (found == truth).mean() > 0.85
    assert 0 < len(work.offered) <= 20
    assert not set(work.offered) & set(work.session.given()[0])
    assert dataclasses.is_dataclass(card)
