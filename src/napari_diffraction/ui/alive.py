"""Work that a call of napari has to wait for, while the window stays alive."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
#: Milliseconds between two looks whether the work is done.
_POLL_MS = 5


def apart(work: Callable[[], T]) -> T:
    """Do work in another thread and return what it returns.

    The window is drawn and other work goes on meanwhile; clicks and keys wait.  Where there is no
    window, and in a thread that is not that of the window, the work is done at once.

    Parameters
    ----------
    work
        Makes no part of a window; what it raises is raised here.
    """
    try:
        from qtpy.QtCore import QCoreApplication, QEventLoop, QThread
    except ImportError:  # napari without a window
        return work()
    app = QCoreApplication.instance()
    if app is None or QThread.currentThread() is not app.thread():
        return work()
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(work)
        wait_for(future, QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents)
        return future.result()


def wait_for(
    future: Future[Any],
    events: Any = None,
    tick: Callable[[], None] | None = None,
    every: int = _POLL_MS,
) -> None:
    """Let the windows live until the work in another thread is done.

    Parameters
    ----------
    future
        The work.
    events
        Which events are taken, as of Qt; ``None``: all.
    tick
        Called now and then.
    every
        Milliseconds between two looks.
    """
    from qtpy.QtCore import QEventLoop, QTimer

    loop, timer = QEventLoop(), QTimer()

    def look() -> None:
        if tick is not None:
            tick()
        if future.done():
            loop.quit()

    timer.timeout.connect(look)
    timer.start(every)
    loop.exec(QEventLoop.ProcessEventsFlag.AllEvents if events is None else events)
    timer.stop()
