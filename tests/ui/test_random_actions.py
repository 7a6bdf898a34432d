"""Random actions over all panels raise nothing and leave no thread at work.

`benchmarks/random_actions.py` does the same for as long as one likes.
"""

from __future__ import annotations

import gc
import threading

import pytest
from napari.qt.threading import create_worker
from qtpy.QtCore import QThreadPool, QTimer

from napari_diffraction.ui.widgets.worker_bar import report
from random_actions import Session, let_events_happen

pytestmark = pytest.mark.gui
ACTIONS = 60


@pytest.fixture
def play(make_napari_viewer, tmp_path):
    """Return a function that begins a session."""

    def window():
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        return viewer

    return lambda seed: Session(seed, tmp_path, window)


def fail(*_):
    raise ZeroDivisionError("somewhere")


def in_a_thread():
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def in_a_worker():
    create_worker(fail, _start_thread=True)
    QThreadPool.globalInstance().waitForDone(30_000)


FAILURES = {
    "an action": fail,
    "a slot": lambda: QTimer.singleShot(0, fail),
    "a thread": in_a_thread,
    "a worker": in_a_worker,
    "a bar": lambda: report("The work", ZeroDivisionError("somewhere")),
}


def test_the_session_hears_of_every_error(play):
    session = play(0)
    with session.watched():
        for name, failure in FAILURES.items():
            session._wait = failure
            session.errors.clear()
            session.act("wait")
            let_events_happen(0.1)
            assert session.errors, name
            assert all("ZeroDivisionError: somewhere" in told for told in session.errors), name
        session.end()


@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", [0, 4])
def test_random_actions_raise_nothing_and_end(play, seed):
    gc.collect()  # what earlier tests left is not this session's
    earlier = set(threading.enumerate())
    session = play(seed)
    session.run(ACTIONS)
    assert session.errors == []
    assert sum(session.counts.values()) == ACTIONS
    left = [t.name for t in threading.enumerate() if t not in earlier]
    assert not [name for name in left if name.startswith(("view", "peaks"))]
