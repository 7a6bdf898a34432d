"""Work that always answers the newest request and never keeps the window waiting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from napari.qt.threading import create_worker
from qtpy.QtCore import QObject, Signal

from napari_diffraction.ui.widgets.worker_bar import report


class Latest(QObject):
    """Does one piece of work at a time in another thread; of those waiting, only the newest.

    Parameters
    ----------
    what
        Names the work in messages ("The explanation").

    Signals
    -------
    done(object)
        The result of a piece of work.
    finished()
        Nothing is being done any more.
    """

    done = Signal(object)
    finished = Signal()

    def __init__(self, what: str, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._what = what
        self._running = False
        self._next: Callable[[], Any] | None = None

    @property
    def running(self) -> bool:
        """Whether work is being done."""
        return self._running

    def ask(self, work: Callable[[], Any]) -> None:
        """Have work done, at once or after what is being done now."""
        self._next = work
        if not self._running:
            self._begin()

    def _begin(self) -> None:
        work, self._next, self._running = self._next, None, True
        assert work is not None
        # napari keeps a worker with its arguments as long as the window, but not what was in a list
        create_worker(_answer, [work], _connect={"returned": self._end})

    def _end(self, answer: tuple[Any, Exception | None]) -> None:
        result, error = answer
        self._running = False
        if error is not None:
            report(self._what, error)
        else:
            self.done.emit(result)
        if self._next is not None:
            self._begin()
        else:
            self.finished.emit()


def _answer(waiting: list[Callable[[], Any]]) -> tuple[Any, Exception | None]:
    try:
        return waiting.pop()(), None
    except Exception as error:
        return None, error
