import gc
import weakref

import pytest

from napari_diffraction.ui.widgets.latest_request import Latest

pytestmark = pytest.mark.gui


class Held:
    """What a piece of work holds: a stack, a panel."""


def test_what_work_held_is_let_go_while_the_window_is_open(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    latest, answers = Latest("The work", viewer.window._qt_window), []
    latest.done.connect(answers.append)
    held = Held()
    gone = weakref.ref(held)
    with qtbot.waitSignal(latest.finished, timeout=30_000):
        latest.ask(lambda held=held: type(held).__name__)
    assert answers == ["Held"]
    del held
    gc.collect()
    assert gone() is None


def test_of_what_waits_only_the_newest_is_done(make_napari_viewer, qtbot):
    viewer = make_napari_viewer()
    latest, answers = Latest("The work", viewer.window._qt_window), []
    latest.done.connect(answers.append)
    with qtbot.waitSignal(latest.finished, timeout=30_000):
        for number in range(5):
            latest.ask(lambda number=number: number)
    assert answers == [0, 4]
