import logging
import threading
import time

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from superqt.utils import WorkerBase

from napari_diffraction.errors import InputError
from napari_diffraction.progress import Progress
from napari_diffraction.ui.widgets.histogram import BINS, ConfidenceHistogram
from napari_diffraction.ui.widgets.worker_bar import WorkBar, duration

pytestmark = pytest.mark.gui


@pytest.fixture
def bar(qtbot):
    made = WorkBar("patterns")
    qtbot.addWidget(made)
    return made


def count(total, delay=0.0, end=None):
    def make():
        for done in range(total):
            time.sleep(delay)
            yield Progress(done + 1, total, "Counting")
        if end is not None:
            raise end
        return "result"

    return make


def test_every_step_and_the_result_arrive(bar, qtbot):
    steps, results = [], []
    bar.stepped.connect(steps.extend)
    bar.returned.connect(results.append)
    with qtbot.waitSignal(bar.finished, timeout=30_000):
        bar.start(count(2000), "Counting")
        assert bar.running
    assert [step.done for step in steps] == list(range(1, 2001))
    assert results == ["result"]
    assert not bar.running


def test_rate_and_time_left_are_told(bar, qtbot):
    texts = []
    bar.stepped.connect(lambda steps: texts.append(bar.text.text()))
    with qtbot.waitSignal(bar.finished, timeout=30_000):
        bar.start(count(30, 0.02), "Counting")
    assert any("of 30 patterns" in t and "/s" in t and t.endswith("s left") for t in texts)


def test_cancel_stops_within_one_step_and_closes_the_work(bar, qtbot):
    closed = threading.Event()
    made, results = [], []

    def make():
        try:
            for done in range(10_000):
                time.sleep(0.02)
                made.append(done)
                yield Progress(done, 10_000)
        finally:
            closed.set()

    bar.returned.connect(results.append)
    with qtbot.waitSignal(bar.stepped, timeout=30_000):
        bar.start(make, "Counting")
    with qtbot.waitSignal(bar.finished, timeout=30_000):
        QTest.mouseClick(bar.cancel_button, Qt.MouseButton.LeftButton)
        asked = len(made)
    assert len(made) <= asked + 1
    assert closed.is_set()
    assert results == []


def test_work_is_closed_when_napari_stops_it_with_its_window(bar, qtbot):
    closed = []

    def work():
        try:
            while True:
                time.sleep(0.01)
                yield Progress(1, 2)
        finally:
            closed.append(threading.current_thread())

    with qtbot.waitSignal(bar.stepped, timeout=30_000):
        bar.start(work, "Counting")
    kept = set(WorkerBase._worker_set)  # as by the signals of a window
    WorkerBase.await_workers(30_000)
    assert len(kept) == 1
    assert len(closed) == 1
    assert closed[0] is not threading.main_thread()


def test_an_error_for_people_is_shown_as_it_is_after_the_steps(bar, qtbot, errors):
    steps = []
    bar.stepped.connect(steps.extend)
    with qtbot.waitSignal(bar.finished, timeout=30_000):
        bar.start(count(3, end=InputError("The disk is full.")), "Counting")
    assert errors == ["The disk is full."]
    assert len(steps) == 3


def test_an_unexpected_error_is_one_sentence_with_a_log(bar, qtbot, errors, caplog):
    with caplog.at_level(logging.ERROR), qtbot.waitSignal(bar.finished, timeout=30_000):
        bar.start(count(1, end=ZeroDivisionError("no spots")), "Counting")
    assert errors == ["Counting stopped by an unexpected error (ZeroDivisionError: no spots)."]
    assert "Traceback" in caplog.text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89, "89 s"), (100, "2 min"), (7500, "2 h 5 min")]
)
def test_durations_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_the_histogram_counts_and_draws_in_the_colours_of_the_classes(qtbot):
    histogram = ConfidenceHistogram()
    qtbot.addWidget(histogram)
    confidence = np.array([0.0, 0.32, 0.32, 0.95, 1.0])
    histogram.set_values(confidence, np.array([2, 0, 1, 0, 0]), ("2DZone", "NoHit", "Unreadable"))
    assert histogram.numbers.sum(axis=1).tolist() == [3, 1, 1]
    assert np.flatnonzero(histogram.numbers.sum(axis=0)).tolist() == [0, 6, BINS - 1]
    histogram.resize(260, 120)
    image = histogram.grab().toImage()
    found = {
        image.pixelColor(x, y).name()
        for x in range(0, image.width(), 2)
        for y in range(0, image.height(), 2)
    }
    assert {"#e69f00", "#999999", "#d55e00"} <= found
    chosen = []
    histogram.chosen.connect(chosen.append)
    for bar in (6, 10):  # the second is empty
        where = histogram.bar_centre(bar).toPoint()
        QTest.mouseClick(histogram, Qt.MouseButton.LeftButton, pos=where)
    assert chosen == [(0.3, 0.35)]


def test_the_time_left_of_a_second_part_is_reckoned_from_its_own_steps(bar, qtbot):
    """The steps of the first part, quick or slow, say nothing of the second."""

    def make():
        for done in range(1, 1001):
            yield Progress(done, 1000, "Making pictures")
        for done in range(1, 21):
            time.sleep(0.02)
            yield Progress(done, 20, "Learning")

    texts = []
    bar.stepped.connect(lambda steps: texts.append(bar.text.text()))
    with qtbot.waitSignal(bar.finished, timeout=30_000):
        bar.start(make, "Training")
    rates = [float(text.split(" · ")[2].rstrip("/s")) for text in texts if "/s" in text]
    assert rates
    assert 5 < rates[-1] < 60
