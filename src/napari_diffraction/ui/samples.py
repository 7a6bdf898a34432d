"""File > Open Sample: simulated on first use, in another thread, and kept in the user's cache."""

from __future__ import annotations

from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pandas as pd
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import Qt, QThread
from qtpy.QtWidgets import QApplication, QMainWindow, QProgressDialog

from napari_diffraction.errors import InputError
from napari_diffraction.files import cache_folder
from napari_diffraction.learning.palette import class_colour
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, finish
from napari_diffraction.simulation import samples
from napari_diffraction.simulation.classes import NO_PATTERN
from napari_diffraction.simulation.files import load_labels, save_simulated
from napari_diffraction.simulation.kikuchi import scan as simulated_scan
from napari_diffraction.ui.alive import wait_for
from napari_diffraction.ui.reader import LayerTuple, as_layer
from napari_diffraction.ui.simulate.layers import pattern_stack, truth_layer
from napari_diffraction.ui.simulate.preview import in_turn
from napari_diffraction.ui.viewer.scan_navigation import link_when_added

Work = Generator[Progress, None, Any]
_POLL_MS = 50
#: Between the map of a scan and its patterns, in parts of a pattern's width.
_GAP = 0.05


def serial_experiment() -> list[LayerTuple]:
    """Return a simulated serial experiment of 300 patterns and, hidden, its truth."""
    return _sample("Serial experiment", samples.serial_experiment)


def hybrids() -> list[LayerTuple]:
    """Return 60 clean patterns between a zone and a Laue pattern, and, hidden, their truth."""
    return _sample("Hybrid patterns", samples.hybrids)


def rutilated_quartz() -> list[LayerTuple]:
    """Return a simulated EBSD scan of rutile in quartz and, hidden, the map of its truth."""
    title = "Rutilated quartz"
    scan = _with_bar(lambda: in_turn(simulated_scan.rutilated_quartz()), title)
    stack = scan.stack(title)
    link_when_added(stack)
    data, options, kind = as_layer(stack)
    options["metadata"]["labels"] = scan.truth
    return [(data, options, kind), _truth_map(scan, title)]


def _truth_map(scan: simulated_scan.SimulatedScan, title: str) -> LayerTuple:
    """Return the layer of the true phases, in the place where maps of the scan lie."""
    names = (*simulated_scan.PHASES, NO_PATTERN)
    phases = pd.Categorical(scan.truth["phase"], names).codes + 1
    rows, columns = scan.images.shape[:2]
    height, width = scan.images.shape[2:]
    side = min(height / rows, 1.5 * width / columns)
    colours = {k: class_colour(name, names) for k, name in enumerate(names, 1)}
    options = {
        "name": f"{title} - truth",
        "visible": False,
        "colormap": DirectLabelColormap(color_dict={**colours, None: "transparent"}),
        "features": pd.DataFrame({"index": list(colours), "phase": names}),
        "scale": (side, side),
        "translate": ((side - 1) / 2, (side - 1) / 2 - side * columns - _GAP * width),
        "metadata": {"labels": scan.truth},
    }
    return phases.reshape(rows, columns).astype(np.uint8), options, "labels"


def _sample(title: str, simulate: Callable[[], Work]) -> list[LayerTuple]:
    name = f"{title.lower().replace(' ', '_')}.h5"
    path = cache_folder() / "samples" / name
    with suppress(InputError):  # not made yet, or damaged
        return _kept(path, title)
    simulated = _with_bar(lambda: in_turn(_make(simulate, path)), title)
    with suppress(InputError):  # nowhere to keep it
        return _kept(path, title)
    return _layers(pattern_stack(simulated, title), simulated.labels)


def _make(simulate: Callable[[], Work], path: Path) -> Work:
    simulated = yield from simulate()
    yield Progress(len(simulated), len(simulated), "Keeping the sample for the next time")
    with suppress(InputError, OSError):  # else it is made anew the next time
        path.parent.mkdir(parents=True, exist_ok=True)
        save_simulated(simulated, path)
    return simulated


def _kept(path: Path, title: str) -> list[LayerTuple]:
    """Open a sample that was made before; nothing is read before it is looked at."""
    stack = replace(open_stack(path), name=title)
    labels = load_labels(path)
    if labels is None or len(labels) != len(stack):
        raise InputError(f"{path} is damaged; it is made anew.")
    return _layers(stack, labels)


def _layers(stack: PatternStack, labels: pd.DataFrame) -> list[LayerTuple]:
    data, options, kind = as_layer(stack)
    options["metadata"]["labels"] = labels
    truth = truth_layer(labels, stack.frame_shape, stack.name)
    truth.visible = False
    return [(data, options, kind), truth.as_layer_data_tuple()]


def _with_bar(make: Callable[[], Work], title: str) -> Any:
    """Run work to its end while the windows stay alive, with a bar and Cancel."""
    app = QApplication.instance()
    if app is None or QThread.currentThread() is not app.thread():
        return finish(make())
    cancelled = Event()
    steps: list[Progress] = []

    def run() -> Any:
        work = make()
        while not cancelled.is_set():
            try:
                steps.append(next(work))
            except StopIteration as stop:
                return stop.value
        return None

    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(run)
        dialog = QProgressDialog("", "Cancel", 0, 0, _main_window())
        dialog.setWindowTitle(title)
        dialog.setWindowModality(Qt.WindowModality.WindowModal)
        dialog.setMinimumDuration(0)
        dialog.canceled.connect(cancelled.set)
        dialog.setLabelText("This sample is made the first time that it is opened.")
        dialog.show()
        wait_for(future, tick=lambda: _show(dialog, steps), every=_POLL_MS)
        dialog.close()
        dialog.deleteLater()
        result = future.result()
    if result is None:
        raise InputError(f"The sample '{title}' was not made: open it again to have it made.")
    return result


def _main_window() -> QMainWindow | None:
    windows = QApplication.topLevelWidgets()
    return next((w for w in windows if isinstance(w, QMainWindow) and w.isVisible()), None)


def _show(dialog: QProgressDialog, steps: list[Progress]) -> None:
    if steps and not dialog.wasCanceled():
        step = steps[-1]
        dialog.setMaximum(step.total)
        # One short of the end, since a full bar closes the dialog.
        dialog.setValue(min(step.done, step.total - 1))
        dialog.setLabelText(f"{step.message}: {step.done:,} of {step.total:,}")
