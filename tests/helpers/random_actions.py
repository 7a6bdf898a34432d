"""A hand that does whatever can be done in a napari window, at random, and watches for errors.

`Session` opens windows, panels, stacks and scans, and uses every button, list and field that a
panel shows, also while work is being done; the same seed gives the same choices.  Networks,
indexing, simulation and explanation are real; trainings are stood in for, and sorting is slowed
down, so that there is a time in which something else can happen.
"""

from __future__ import annotations

import gc
import logging
import random
import shutil
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from qtpy.QtCore import QEvent, Qt, QThreadPool
from qtpy.QtTest import QTest
from qtpy.QtWidgets import (
    QAbstractButton,
    QAbstractSpinBox,
    QApplication,
    QComboBox,
    QDoubleSpinBox,
    QFileDialog,
    QInputDialog,
    QLineEdit,
    QListWidget,
    QScrollBar,
    QSlider,
    QSpinBox,
    QTableWidget,
    QTabWidget,
    QWidget,
)
from superqt.utils import WorkerBase

from napari_diffraction.progress import Progress, finish

PLUGIN = "napari-diffraction"
PANELS = (
    "Simulate patterns", "Classify patterns", "Review patterns", "Unit cell", "Phase map",
    "Explain", "Peaks", "Train", "Evaluate",
)  # fmt: skip
#: How often each action is chosen, in parts of all.
WEIGHTS = {
    "open_stack": 5, "open_scan": 3, "add_other_layer": 2, "open_panel": 14, "close_panel": 2,
    "click": 22, "change_field": 16, "run": 8, "cancel": 4, "move_slider": 8, "press_key": 8,
    "remove_layer": 4, "rename_layer": 4, "select_layer": 3, "show_layer": 3, "move_layer": 1,
    "clear_layers": 1, "wait": 8, "close_viewer": 1, "disturb": 10,
}  # fmt: skip
#: What happens while work is being done.
DISTURBANCES = (
    "remove_layer", "rename_layer", "clear_layers", "close_panel", "close_viewer", "cancel",
    "open_stack", "open_scan", "move_slider", "change_field", "press_key",
)  # fmt: skip
_KEYS = "1234NJKXA"
_MOST_LAYERS, _MOST_PANELS = 9, 5
#: Seconds in which work must end once it is cancelled, or its window closed.
_END_SECONDS = 90


def write_samples(folder: Path) -> tuple[Path, Path]:
    """Write a small stack of spot patterns and a small scan; return their files."""
    from napari_diffraction.simulation.files import save_simulated
    from napari_diffraction.simulation.kikuchi.scan import rutilated_quartz, save_scan
    from napari_diffraction.simulation.samples import serial_experiment

    stack = save_simulated(finish(serial_experiment(seed=2, n=40)), folder / "stack.h5")
    return stack, save_scan(finish(rutilated_quartz(0, (4, 6), 60)), folder / "scan.h5")


def let_events_happen(seconds: float = 0.0) -> None:
    """Have the window work for some time, as if the person looked on."""
    end = time.monotonic() + seconds
    while True:
        QApplication.processEvents()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        if time.monotonic() >= end:
            return
        time.sleep(0.005)


class Session:
    """Random actions in napari's windows.

    Parameters
    ----------
    seed
        The same seed makes the same choices.
    folder
        Where samples and exports are written.
    make_viewer
        Opens a window.
    tell
        Gets a line for each action before it is done, and for each error.
    """

    def __init__(
        self,
        seed: int,
        folder: Path,
        make_viewer: Callable[[], Any],
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:
        self._random = random.Random(seed)
        self._folder, self._make_viewer, self._tell = folder, make_viewer, tell
        self._stack, self._scan = write_samples(folder)
        self.errors: list[str] = []
        self.counts: Counter[str] = Counter()
        self.viewer = make_viewer()
        self.docks: list[tuple[Any, QWidget]] = []

    def run(self, actions: int, between: Callable[[int], None] = lambda done: None) -> None:
        """Do some actions, then wait for the work that is still being done, and close the window.

        Parameters
        ----------
        actions
            How many.
        between
            Called after each with their number so far.
        """
        with self.watched():
            for done in range(1, actions + 1):
                self.act(self._random.choices(list(WEIGHTS), list(WEIGHTS.values()))[0])
                between(done)
            self.end()

    def act(self, name: str) -> None:
        """Do one action; what it raises is kept, as are the errors of the events that follow."""
        self.counts[name] += 1
        self._tell(f"{sum(self.counts.values())} {name}")
        try:
            getattr(self, f"_{name}")()
            let_events_happen(self._random.choice((0, 0, 0.02, 0.1)))
        except Exception as error:
            self._note(name, error)

    def end(self) -> None:
        """Cancel all work, see that it ends, and close the window."""
        from napari_diffraction.ui.widgets.worker_bar import WorkBar

        bars = [bar for _, panel in self._panels() for bar in panel.findChildren(WorkBar)]
        for bar in bars:
            bar.cancel()
        if not _within(_END_SECONDS, lambda: not any(bar.running for bar in bars)):
            self.errors.append("Work did not end after Cancel.")
        self.viewer.close()
        let_events_happen(0.1)
        if not _within(_END_SECONDS, lambda: not QThreadPool.globalInstance().activeThreadCount()):
            self.errors.append("A thread did not end after its window was closed.")
        self.docks, self.viewer = [], None
        let_events_happen(0.1)
        gc.collect()

    # -- errors ---------------------------------------------------------------------------------
    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep whatever is raised anywhere, and never wait for a person's answer."""
        from napari.utils.notifications import ErrorNotification, notification_manager

        def from_thread(args: Any) -> None:
            self._note("thread", args.exc_value)

        def notified(event: Any) -> None:
            if isinstance(event, ErrorNotification):
                self._note("notification", event.exception)

        start = WorkerBase.start

        def watched_start(worker: WorkerBase) -> None:
            worker.errored.connect(lambda error: self._note("worker", error))
            start(worker)

        handler = _Errors(self._note)
        loggers = [logging.getLogger(name) for name in ("napari_diffraction", "napari")]
        with ExitStack() as stack:
            for owner, name, stand_in in (
                (sys, "excepthook", lambda _, error, __: self._note("slot", error)),
                (threading, "excepthook", from_thread),
                (WorkerBase, "start", watched_start),
                (sys, "unraisablehook", lambda args: self._note("destructor", args.exc_value)),
                (QFileDialog, "getSaveFileName", self._save_name),
                (QFileDialog, "getOpenFileName", self._open_name),
                (QFileDialog, "getExistingDirectory", lambda *_, **__: self._folder_name()),
                (QInputDialog, "getItem", lambda *_, **__: ("", False)),
            ):
                stack.enter_context(patch.object(owner, name, stand_in))
            stack.enter_context(_slow_sorting())
            stack.enter_context(_no_training())
            notification_manager.notification_ready.connect(notified)
            for logger in loggers:
                logger.addHandler(handler)
            try:
                yield
            finally:
                notification_manager.notification_ready.disconnect(notified)
                for logger in loggers:
                    logger.removeHandler(handler)

    def _note(self, where: str, error: BaseException | None) -> None:
        told = "".join(traceback.format_exception(error)) if error is not None else "unknown"
        self.errors.append(f"after {sum(self.counts.values())} actions, {where}: {told}")
        self._tell(self.errors[-1])

    def _save_name(self, *_: Any, **__: Any) -> tuple[str, str]:
        end = self._random.choice((".csv", ".h5", ".tif", ".png", ".ang", ""))
        return self._random.choice(("", str(self._folder / f"out{end}"))), ""

    def _open_name(self, *_: Any, **__: Any) -> tuple[str, str]:
        return self._random.choice(("", str(self._stack), str(self._scan))), ""

    def _folder_name(self) -> str:
        return self._random.choice(("", str(self._folder)))

    # -- layers ---------------------------------------------------------------------------------
    def _open_stack(self) -> None:
        self._open(self._stack)

    def _open_scan(self) -> None:
        self._open(self._scan)

    def _open(self, path: Path) -> None:
        if len(self.viewer.layers) >= _MOST_LAYERS:
            self._remove_layer()
        self.viewer.open(str(path), plugin=PLUGIN)

    def _add_other_layer(self) -> None:
        shape = self._random.choice(((64, 64), (5, 64, 64), (2, 3, 32, 32), (2, 2, 2, 32, 32)))
        kind = self._random.choice(("add_image", "add_labels", "add_points"))
        data = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape) % 200
        getattr(self.viewer, kind)(data if kind != "add_points" else data[..., 0].reshape(-1, 2))

    def _layer(self) -> Any:
        return self._random.choice(list(self.viewer.layers)) if self.viewer.layers else None

    def _remove_layer(self) -> None:
        if (layer := self._layer()) is not None:
            self.viewer.layers.remove(layer)

    def _rename_layer(self) -> None:
        if (layer := self._layer()) is not None:
            layer.name = self._random.choice(("run", "a/b: c", "é" * 60, "stack"))

    def _select_layer(self) -> None:
        self.viewer.layers.selection.active = self._layer()

    def _show_layer(self) -> None:
        if (layer := self._layer()) is not None:
            layer.visible = not layer.visible

    def _move_layer(self) -> None:
        n = len(self.viewer.layers)
        if n > 1:
            self.viewer.layers.move(self._random.randrange(n), self._random.randrange(n))

    def _clear_layers(self) -> None:
        self.viewer.layers.clear()

    def _move_slider(self) -> None:
        dims = self.viewer.dims
        axis = self._random.randrange(dims.ndim)
        dims.set_current_step(axis, self._random.randrange(max(1, int(dims.nsteps[axis]))))

    def _press_key(self) -> None:
        canvas = self.viewer.window._qt_viewer.canvas.native
        if self._random.random() < 0.15:
            QTest.keyClick(canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
        else:
            QTest.keyClick(canvas, self._random.choice(_KEYS))

    # -- panels ---------------------------------------------------------------------------------
    def _panels(self) -> list[tuple[Any, QWidget]]:
        self.docks = [(dock, panel) for dock, panel in self.docks if _alive(dock, panel)]
        return self.docks

    def _open_panel(self) -> None:
        if len(self._panels()) >= _MOST_PANELS:
            self._close_panel()
        name = self._random.choice(PANELS)
        dock, panel = self.viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
        dock.show()
        dock.raise_()
        if all(panel is not other for _, other in self.docks):
            self.docks.append((dock, panel))

    def _close_panel(self) -> None:
        if self._panels():
            dock, _ = self.docks.pop(self._random.randrange(len(self.docks)))
            dock.destroyOnClose()

    def _some_panel(self) -> QWidget | None:
        panels = self._panels()
        if not panels:
            return None
        dock, panel = self._random.choice(panels)
        dock.show()
        dock.raise_()
        QApplication.processEvents()
        return panel

    def _widgets(self, *kinds: type[QWidget]) -> list[QWidget]:
        """Find what a person could use of some panel now, in the order in which it was made."""
        panel = self._some_panel()
        found = [] if panel is None else panel.findChildren(QWidget)
        return [
            one for one in found
            if isinstance(one, kinds) and not isinstance(one, QScrollBar)
            and one.isVisibleTo(panel) and one.isEnabled()
            and not isinstance(one.parent(), QComboBox | QAbstractSpinBox)
        ]  # fmt: skip

    def _click(self) -> None:
        buttons = self._widgets(QAbstractButton)
        if buttons:
            chosen = self._random.choice(buttons)
            self._tell(f"  {chosen.text()!r} of {_panel_of(chosen)}")
            chosen.click()

    def _run(self) -> None:
        """Begin what a panel is for."""
        names = ("run_button", "start_button", "several_button", "fit_button")
        panel = self._some_panel()
        found = [getattr(panel, name) for name in names if hasattr(panel, name)]
        usable = [one for one in found if one.isVisibleTo(panel) and one.isEnabled()]
        if usable:
            self._tell(f"  {usable[0].text()!r} of {type(panel).__name__}")
            usable[0].click()

    def _cancel(self) -> None:
        from napari_diffraction.ui.widgets.worker_bar import WorkBar

        bars = [bar for _, panel in self._panels() for bar in panel.findChildren(WorkBar)]
        running = [bar for bar in bars if bar.running]
        if running:
            self._random.choice(running).cancel_button.click()

    def _disturb(self) -> None:
        """Do something else soon after some work was begun."""
        self._run()
        let_events_happen(self._random.choice((0, 0.1, 0.3, 0.6)))
        name = self._random.choice(DISTURBANCES)
        self._tell(f"  {name}")
        getattr(self, f"_{name}")()

    def _change_field(self) -> None:
        kinds = (QComboBox, QSpinBox, QDoubleSpinBox, QSlider, QTabWidget, QListWidget,
                 QTableWidget, QLineEdit)  # fmt: skip
        fields = self._widgets(*kinds)
        if not fields:
            return
        field, pick = self._random.choice(fields), self._random.randrange
        self._tell(f"  {type(field).__name__} {field.accessibleName()!r} of {_panel_of(field)}")
        if isinstance(field, QComboBox | QTabWidget) and field.count():
            field.setCurrentIndex(pick(field.count()))
        elif isinstance(field, QSpinBox):
            # no stacks that take minutes and gigabytes
            field.setValue(field.minimum() + pick(min(field.maximum() - field.minimum(), 60) + 1))
        elif isinstance(field, QDoubleSpinBox):
            field.stepBy(pick(-5, 6))
        elif isinstance(field, QSlider):
            field.setValue(pick(field.minimum(), field.maximum() + 1))
        elif isinstance(field, QListWidget) and field.count():
            item = field.item(pick(field.count()))
            field.setCurrentItem(item)
            if item.flags() & Qt.ItemFlag.ItemIsUserCheckable:
                other = item.checkState() != Qt.CheckState.Checked
                item.setCheckState(Qt.CheckState.Checked if other else Qt.CheckState.Unchecked)
        elif isinstance(field, QTableWidget) and field.rowCount() and field.columnCount():
            field.setCurrentCell(pick(field.rowCount()), pick(field.columnCount()))
        elif isinstance(field, QLineEdit):
            field.setText(self._random.choice(("", "a", "Ti", "my model", "../x", "0")))
            field.editingFinished.emit()

    # -- the window -----------------------------------------------------------------------------
    def _wait(self) -> None:
        let_events_happen(self._random.choice((0.2, 0.5, 1.0)))

    def _close_viewer(self) -> None:
        self.docks = []
        self.viewer.close()
        self.viewer = None
        let_events_happen(0.05)
        gc.collect()
        self.viewer = self._make_viewer()


class _Errors(logging.Handler):
    """Hands on what is logged as an error."""

    def __init__(self, note: Callable[[str, BaseException | None], None]) -> None:
        super().__init__(logging.ERROR)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._note(f"log: {record.getMessage()}", error)


def _within(seconds: float, done: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        let_events_happen(0.02)
        if done():
            return True
    return False


def _alive(*widgets: QWidget) -> bool:
    try:
        for widget in widgets:
            widget.objectName()
    except RuntimeError:  # Qt's object is gone
        return False
    return True


def _panel_of(widget: QWidget) -> str:
    while widget is not None and not type(widget).__name__.endswith("Widget"):
        widget = widget.parentWidget()
    return type(widget).__name__


@contextmanager
def _slow_sorting() -> Iterator[None]:
    """Sort eight patterns at a time, with a pause before the next."""
    from napari_diffraction.learning.classification import inference

    real = inference.classify

    def slow(*args: Any, **options: Any) -> Generator[Progress, None, Any]:
        work = real(*args, **{**options, "batch_size": min(8, options.get("batch_size", 8))})
        while True:
            try:
                yield next(work)
            except StopIteration as stop:
                return stop.value
            time.sleep(0.05)

    with patch.object(inference, "classify", slow):
        yield


@contextmanager
def _no_training() -> Iterator[None]:
    """Stand in for trainings, which take minutes: epochs pass, and a model is copied."""
    from napari_diffraction.learning.models.registry import list_models
    from napari_diffraction.learning.runs.epochs import Epoch
    from napari_diffraction.ui.phase_map import my_phases_box
    from napari_diffraction.ui.train import tasks as train_work

    def train(make: Any, recipe: Any, output: Path) -> Generator[Progress, None, Path]:
        yield Progress(0, 6, "Making pictures")
        for k in range(1, 7):
            time.sleep(0.05)
            if k == 3:
                output.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(list_models()[0].path, output)
            yield Epoch(k, 6, f"Epoch {k}", k, 0, 1 / k, 1.2 / k, 1 - 0.5 / k, k)
        return output

    with (
        patch.object(train_work, "in_own_process", train),
        patch.object(my_phases_box, "in_own_process", train),
    ):
        yield
