"""Long work behind a bar: a generator of `Progress` in another thread, with a rate and Cancel."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from threading import Event
from typing import Any

from napari.qt.threading import GeneratorWorker, create_worker
from napari.utils.notifications import show_error
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_diffraction.errors import InputError
from napari_diffraction.progress import Progress

_log = logging.getLogger(__name__)
#: Seconds between two messages to the window, so that quick work does not drown it.
_INTERVAL = 0.1

Make = Callable[[], Generator[Progress, None, Any]]


@dataclass(frozen=True)
class _End:
    """How the work ended: by itself, by Cancel, or by an error."""

    result: Any = None
    error: Exception | None = None
    cancelled: bool = False


def _gathered(make: Make, cancelled: Event) -> Iterator[list[Progress | _End]]:
    """Run work and hand over its steps in bundles, the last of which ends with `_End`."""
    steps: list[Progress | _End] = []
    end = _End(cancelled=True)
    sent = time.monotonic()
    work = None
    try:
        work = make()
        while not cancelled.is_set():
            try:
                steps.append(next(work))
            except StopIteration as stop:
                end = _End(result=stop.value)
                break
            if time.monotonic() - sent >= _INTERVAL:
                yield steps
                steps, sent = [], time.monotonic()
    except Exception as error:
        end = _End(error=error)
    finally:
        if work is not None:
            work.close()
    yield [*steps, end]


class _ClosingWorker(GeneratorWorker):
    """Closes the work where it was done, also when napari leaves off because its window closes.

    Left open, the work would keep its files and threads until the program ends.
    """

    def work(self) -> Any:
        """Do the work."""
        try:
            return super().work()
        finally:
            self._gen.close()


class WorkBar(QWidget):
    """A progress bar with a rate, the time left and Cancel; hidden while nothing is done.

    Signals
    -------
    stepped(list)
        Steps that have been made since the last signal.
    returned(object)
        The result of work that came to its end.
    finished()
        The work is over, for whatever reason; always the last signal.
    """

    stepped = Signal(list)
    returned = Signal(object)
    finished = Signal()

    def __init__(self, unit: str, cancel_tip: str = "", parent: QWidget | None = None) -> None:
        """Make the bar.

        Parameters
        ----------
        unit
            What is counted, in the plural ("patterns"), by steps without a ``unit`` of their own.
        cancel_tip
            Tooltip of Cancel: what becomes of the work done so far.
        """
        super().__init__(parent)
        self._unit = unit
        self._cancelled = Event()
        self._running = False
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setAccessibleName("Progress")
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip(cancel_tip)
        self.cancel_button.clicked.connect(self.cancel)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.text)
        self.setVisible(False)
        self.destroyed.connect(self._cancelled.set)

    @property
    def running(self) -> bool:
        """Whether work is being done."""
        return self._running

    def start(self, make: Make, what: str) -> None:
        """Begin work in another thread.

        Parameters
        ----------
        make
            Called in the other thread; returns the generator.
        what
            Names the work in messages ("Classification").
        """
        if self._running:
            return
        self._what, self._running = what, True
        self._began: tuple[float, int, int] | None = None
        self._cancelled.clear()
        self.cancel_button.setEnabled(True)
        self.bar.setRange(0, 0)
        self.text.setText(f"{what} is being prepared")
        self.setVisible(True)
        create_worker(
            _gathered,
            make,
            self._cancelled,
            _connect={"yielded": self._on_steps},
            _worker_class=_ClosingWorker,
        )

    def cancel(self) -> None:
        """Ask the work to stop, which it does within one step."""
        if self._running:
            self._cancelled.set()
            self.cancel_button.setEnabled(False)
            self.text.setText("Stopping after the step at work")

    def _on_steps(self, steps: list[Progress | _End]) -> None:
        end = steps.pop() if isinstance(steps[-1], _End) else None
        if steps:
            if not self._cancelled.is_set():
                self._show(steps[-1])
            self.stepped.emit(steps)
        if end is not None:
            self._finish(end)

    def _finish(self, end: _End) -> None:
        self._running = False
        self.setVisible(False)
        if end.error is not None:
            report(self._what, end.error)
        elif not end.cancelled:
            self.returned.emit(end.result)
        self.finished.emit()

    def _show(self, step: Progress) -> None:
        # else Qt paints the bar at once, and with it the window, besides painting it in its turn
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, max(step.total, 1) if step.done else 0)
        self.bar.setValue(step.done)
        self.bar.setUpdatesEnabled(True)
        parts = [step.message] if step.message else []
        if step.done:
            now = time.monotonic()
            # Work of several parts begins to count anew with each of them.
            if self._began is None or self._began[2] != step.total or step.done < self._began[1]:
                self._began = now, step.done, step.total
            began, first, _ = self._began
            unit = getattr(step, "unit", self._unit)
            parts.append(f"{step.done:,} of {step.total:,} {unit}")
            if step.done > first:
                rate = (step.done - first) / (now - began)
                parts.append(f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s")
                parts.append(f"{duration((step.total - step.done) / rate)} left")
        self.text.setText(" · ".join(parts))


def report(what: str, error: Exception) -> None:
    """Say in one sentence that some work failed.

    Parameters
    ----------
    what
        Names the work ("Classification").
    error
        An `InputError` speaks for itself; any other is logged, too.
    """
    if isinstance(error, InputError):
        show_error(str(error))
    else:
        _log.error("%s failed", what, exc_info=error)
        show_error(f"{what} stopped by an unexpected error ({type(error).__name__}: {error}).")


def duration(seconds: float) -> str:
    """Return a time as a person says it: "6 s", "2 min", "1 h 5 min"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
