import gc
import sys
import weakref
from dataclasses import replace
from threading import Event

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QScrollArea

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import ZONE
from napari_diffraction.learning.classification.adaptation import Border
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.review.store import SessionStore
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.widgets.colours import rgba

pytestmark = pytest.mark.gui
N = 40


@pytest.fixture
def opened(make_napari_viewer, make_stack, learning):
    """Return a function that opens a window with a stack and the classification panel."""

    def open_window(n=N):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        stack = make_stack(n)
        viewer.add_image(stack.data, name="run42", metadata={"pattern_stack": stack})
        _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Classify patterns")
        panel.batch_size.setValue(8)
        QApplication.processEvents()
        return viewer, panel

    return open_window


def run(qtbot, panel):
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)


def pixels_like(picture, colour, tolerance=30):
    """Count the pixels of a picture near a colour, 0 to 1."""
    distance = np.abs(picture[..., :3].astype(int) - np.rint(255 * np.asarray(colour[:3])))
    return int((distance.max(axis=-1) < tolerance).sum())


def test_a_newcomer_finds_stack_and_model_chosen_and_runs(opened, qtbot):
    viewer, panel = opened()
    assert panel.layer.currentText() == "run42"
    assert panel.model.currentText() == "Zones"
    assert "trained on" in panel.summary.text()
    assert panel.threshold.value() == 0.95
    assert not panel.results.isVisible()
    run(qtbot, panel)
    points = viewer.layers["run42 - classes"]
    assert len(points.data) == N
    assert points.shown.all()
    counts = Coordinator.of(viewer).session.counts()
    assert panel.results.isVisible()
    assert panel.counts.buttons[ZONE].isEnabled()
    assert panel.review_button.text() == f"Review {counts.left} doubtful"
    assert panel.histogram.numbers.sum() == N
    about = points.metadata
    assert about["model"] == "zones"
    assert about["settings"]["batch_size"] == 8
    assert about["version"]

    # What is seen: the label of the pattern on view, in the colour of its class.
    QApplication.processEvents()
    index = int(viewer.dims.current_step[0])
    label = str(points.features["label"][index])
    canvas = viewer.screenshot(canvas_only=True, flash=False)
    assert canvas[..., :3].std() > 10
    assert pixels_like(canvas, rgba([label], ())[0]) > 60
    points.visible = False
    assert pixels_like(viewer.screenshot(flash=False), rgba([label], ())[0]) < 20


def test_cancel_acts_within_a_batch_keeps_results_and_goes_on(opened, qtbot, learning):
    n = 400
    viewer, panel = opened(n)
    learning.delay = 0.1
    QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "run42 - classes" in viewer.layers, timeout=30_000)
    assert panel.bar.isVisible()
    assert not panel.run_button.isVisible()
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        QTest.mouseClick(panel.bar.cancel_button, Qt.MouseButton.LeftButton)
    done = len(Coordinator.of(viewer).session)
    assert 8 <= done < n
    assert viewer.layers["run42 - classes"].shown.sum() == done
    assert f"{done} of {n}" in panel.note.text()

    assert panel.run_button.text() == "Continue"
    learning.delay = 0
    run(qtbot, panel)
    assert learning.skipped == done
    assert len(Coordinator.of(viewer).session) == n
    assert panel.run_button.text() == "Run"


def test_an_error_is_one_sentence_and_loses_nothing(opened, qtbot, learning, errors, monkeypatch):
    viewer, panel = opened()
    learning.fail_at = 16
    run(qtbot, panel)
    assert errors == ["No graphics card was found: choose device 'cpu'."]
    assert len(Coordinator.of(viewer).session) == 16
    assert panel.run_button.text() == "Continue"

    def damaged(name):
        raise InputError(f"{name} is damaged: choose another model.")

    monkeypatch.setattr("napari_diffraction.learning.models.registry.load_model", damaged)
    run(qtbot, panel)
    assert errors[1:] == ["zones is damaged: choose another model."]
    assert len(Coordinator.of(viewer).session) == 16


def test_removing_the_stack_stops_the_run(opened, qtbot, learning, errors):
    viewer, panel = opened(400)
    learning.delay = 0.2
    QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "run42 - classes" in viewer.layers, timeout=30_000)
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        viewer.layers.remove("run42")
    assert errors == []
    assert not panel.run_button.isEnabled()


def test_after_continue_the_model_that_made_the_results_is_chosen(
    opened, learning, make_stack, monkeypatch
):
    stack = make_stack(N)
    key = stack_key(stack)
    about = {"model": "ours", "model_sha256": ""}
    earlier = ReviewSession(key=key, folder=SessionStore.of(key).folder, about=about)
    earlier.save()
    earlier.extend(learning.table(stack, range(N)))

    registry = sys.modules["napari_diffraction.learning.models.registry"]
    (zones,) = registry.list_models()
    monkeypatch.setattr(registry, "list_models", lambda: [zones, replace(zones, name="ours")])

    _, panel = opened()
    assert panel.model.currentData().name == "zones"
    QTest.mouseClick(panel.question.continue_button, Qt.MouseButton.LeftButton)
    assert panel.model.currentData().name == "ours"


def test_a_run_that_was_killed_goes_on_after_a_restart(opened, qtbot, learning, make_stack):
    stack = make_stack(N)
    about = {"model": "zones", "model_sha256": "", "settings": {"shares": "usual: 3 % zones"}}
    key = stack_key(stack)
    killed = ReviewSession(key=key, folder=SessionStore.of(key).folder, about=about)
    killed.save()
    killed.extend(learning.table(stack, range(10)))

    viewer, panel = opened()
    assert panel.question.isVisible()
    QTest.mouseClick(panel.question.continue_button, Qt.MouseButton.LeftButton)
    assert viewer.layers["run42 - classes"].shown.sum() == 10
    assert panel.run_button.text() == "Continue"
    run(qtbot, panel)
    assert learning.skipped == 10
    assert len(Coordinator.of(viewer).session) == N


def test_clicks_on_a_class_and_on_a_bar_choose_patterns_and_a_second_one_ends_it(opened, qtbot):
    viewer, panel = opened()
    run(qtbot, panel)
    QTest.mouseClick(panel.counts.buttons[ZONE], Qt.MouseButton.LeftButton)
    image = viewer.layers["run42 - 2DZone"]
    assert image.data.shape[0] == Coordinator.of(viewer).session.counts().classes[ZONE]
    assert not viewer.layers["run42"].visible
    QTest.mouseClick(panel.counts.buttons[""], Qt.MouseButton.LeftButton)
    assert viewer.layers["run42"].visible
    assert not image.visible

    numbers = panel.histogram.numbers.sum(axis=0)
    bar = int(numbers.argmax())
    where = panel.histogram.bar_centre(bar).toPoint()
    QTest.mouseClick(panel.histogram, Qt.MouseButton.LeftButton, pos=where)
    points = viewer.layers["run42 - classes"]
    assert points.shown.sum() == numbers[bar]
    assert panel.clear_button.isVisible()
    assert f"{bar / 20:.2f}" in panel.filter_text.text()
    QTest.mouseClick(panel.histogram, Qt.MouseButton.LeftButton, pos=where)
    assert points.shown.all()
    assert not panel.clear_button.isVisible()


def test_nothing_is_cut_off_on_a_laptop(opened, qtbot):
    _, panel = opened()
    run(qtbot, panel)
    area = panel.findChild(QScrollArea)
    assert panel.width() < 420
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()
    dock = panel.parentWidget()
    while not isinstance(dock, QDockWidget):
        dock = dock.parentWidget()
    dock.setFloating(True)
    dock.resize(340, 300)
    QApplication.processEvents()
    assert area.verticalScrollBar().maximum() > 0

    def can_be_scrolled_to() -> bool:
        # The window manager may resize the floating dock once more: the layout settles in its time.
        area.ensureWidgetVisible(panel.review_button)
        return not panel.review_button.visibleRegion().isEmpty()

    qtbot.waitUntil(can_be_scrolled_to, timeout=60_000)


def test_without_a_stack_the_panel_says_what_is_missing(make_napari_viewer, learning):
    viewer = make_napari_viewer(show=True)
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Classify patterns")
    assert not panel.run_button.isEnabled()
    assert "Open a stack first" in panel.note.text()
    viewer.add_image(np.zeros((3, 16, 16)), name="later")
    assert panel.layer.currentText() == "later"
    assert panel.run_button.isEnabled()
    viewer.layers["later"].name = "renamed"
    assert panel.layer.currentText() == "renamed"
    viewer.layers.clear()
    assert not panel.run_button.isEnabled()


@pytest.fixture
def held_up(learning, monkeypatch):
    """Let runs stop after their first batch, which is shown at once, until this is set."""
    gate = Event()

    def classify(stack, classifier, **options):
        work = learning.classify(stack, classifier, **options)
        yield next(work)
        gate.wait(60)
        return (yield from work)

    inference = sys.modules["napari_diffraction.learning.classification.inference"]
    monkeypatch.setattr(inference, "classify", classify)
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar._INTERVAL", 0)
    yield gate
    gate.set()


def classified(work):
    return 0 if work.session is None else len(work.session)


@pytest.mark.parametrize("first", [8, N], ids=["rows", "border"])
def test_a_run_adds_nothing_to_the_results_of_a_lesson_that_ended_first(
    opened, qtbot, learning, errors, held_up, monkeypatch, first
):
    """Neither more rows nor, after the last, those in which the border lies elsewhere."""
    adaptation = "napari_diffraction.learning.classification.adaptation"
    monkeypatch.setattr(f"{adaptation}.suited", lambda table, _: (table, Border(2.0, 7.0)))
    viewer, panel = opened()
    panel.batch_size.setValue(first)
    work = Coordinator.of(viewer)
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: classified(work) > 0, timeout=30_000)
        learned = learning.table(work.stack, range(4)).assign(label=ZONE, confidence=0.75)
        work.begin(work.session.classes, {"model": "learned"})
        work.add_rows(learned)
        held_up.set()
    assert work.session.about["model"] == "learned"
    assert work.session.index.tolist() == list(range(4))
    assert set(work.session.confidence) == {0.75}
    assert "told" not in work.session.about
    assert errors == []


def test_a_run_adds_nothing_to_other_patterns_in_its_layer(
    opened, qtbot, make_stack, errors, held_up
):
    viewer, panel = opened()
    work = Coordinator.of(viewer)
    layer, other = viewer.layers["run42"], make_stack(12)
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
        qtbot.waitUntil(lambda: classified(work) > 0, timeout=30_000)
        layer.data = other.data
        layer.metadata = {"pattern_stack": other}
        held_up.set()
    assert work.stack is other
    assert work.session is None
    assert "run42 - classes" not in viewer.layers
    assert errors == []
    run(qtbot, panel)
    assert len(work.session) == 12


def test_the_border_of_the_zones_is_put_where_it_suits_the_stack(opened, qtbot, monkeypatch):
    def suited(table, wanted):
        asked.append((len(table), wanted))
        return table.assign(label=ZONE, confidence=0.9), Border(shift=2.0, zones=7.0)

    asked = []
    monkeypatch.setattr("napari_diffraction.learning.classification.adaptation.suited", suited)
    _, panel = opened()
    assert panel.shares.currentText() == "suited to the stack"
    run(qtbot, panel)
    assert asked == [(N, "stack")]
    session = Coordinator.of(panel._coordinator.viewer).session
    assert set(session.labels) == {ZONE}
    assert "about 7 zones stand apart" in panel.note.text()
    again = ReviewSession.restore(session.key, session.store.folder)
    assert set(again.labels) == {ZONE}
    assert again.about["told"] == panel.note.text()


def test_results_are_those_of_the_model_that_ran(opened, qtbot, learning, monkeypatch):
    viewer, panel = opened()
    cards = [panel.model.currentData()]
    other = replace(cards[0], name="other", title="Other", classes=("x", "y"))
    registry = sys.modules["napari_diffraction.learning.models.registry"]
    monkeypatch.setattr(registry, "list_models", lambda: [*cards, other])
    panel.model.fill()
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.run()
        panel.model.choose("other")  # as "Classify with it" does after a training
    session = Coordinator.of(viewer).session
    assert session.about["model"] == "zones"
    assert session.classes == cards[0].classes
    assert session.about["settings"]["model"] == "zones"


def test_patterns_that_are_removed_leave_the_memory(opened, qtbot):
    viewer, panel = opened()
    run(qtbot, panel)
    layer = weakref.ref(viewer.layers["run42"])
    viewer.layers.clear()
    QApplication.processEvents()
    gc.collect()
    assert layer() is None


def test_a_class_may_have_any_name(opened):
    viewer, panel = opened()
    work, names = Coordinator.of(viewer), ("Ni & Al", "<110>")
    work.begin(names, {"model": "mine"})
    rows = pd.DataFrame({"index": [0, 1], "source": "", "label": names, "confidence": 0.9})
    work.add_rows(rows.assign(**{f"p_{name}": 0.5 for name in names}))
    assert [made.text() for made in panel.counts.buttons.values()] == [
        "All patterns",
        "Ni && Al",  # in Qt's way: a single one marks a key
        "<110>",
    ]


def test_results_are_not_added_to_those_of_a_model_that_was_replaced(
    opened, qtbot, learning, monkeypatch, tmp_path
):
    _, panel = opened()
    file = tmp_path / "zones.safetensors"
    file.write_bytes(b"one")
    card = replace(panel.model.currentData(), path=str(file))
    registry = sys.modules["napari_diffraction.learning.models.registry"]
    monkeypatch.setattr(registry, "list_models", lambda: [card])
    panel.model.fill()
    run(qtbot, panel)
    assert panel._alike(card)
    file.write_bytes(b"another")  # by a training of the same name
    assert not panel._alike(card)
