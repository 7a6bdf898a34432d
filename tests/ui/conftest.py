"""A stack of patterns and a quick classifier that knows the answers."""

from __future__ import annotations

import gc
import importlib
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QApplication

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import UNREADABLE, ZONE_CLASSES
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

WRITER = Path(__file__).parents[1] / "helpers" / "swmr_writer.py"


@dataclass(frozen=True)
class _Batch(Progress):
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    note: str = ""


@dataclass
class FakeCard:
    name: str = "zones"
    title: str = "Zones"
    summary: str = "Knows zones from Laue patterns; trained on nothing at all."
    classes: tuple[str, ...] = ZONE_CLASSES
    figures: dict = field(default_factory=dict)
    path: str = ""

    @property
    def card(self):
        """The card is its own classifier."""
        return self

    @property
    def kind(self):
        """Patterns are judged one by one."""
        return SimpleNamespace(complete=None)


@dataclass
class FakeLearning:
    """How the fake classifier behaves, and what it was asked."""

    delay: float = 0.0
    fail_at: int | None = None
    error: Exception | None = None
    skipped: int = 0
    unreadable: tuple[int, ...] = ()

    def table(self, stack, indices):
        rng = np.random.default_rng(7)
        n = len(stack)
        p = rng.dirichlet([0.4] * 4, n)
        confidence = p.max(axis=1)
        labels = np.array(ZONE_CLASSES)[p.argmax(axis=1)]
        rows = pd.DataFrame(
            {
                "index": np.arange(n),
                "source": [stack.source(i) for i in range(n)],
                "label": labels,
                "confidence": confidence,
            }
        )
        for place, name in enumerate(ZONE_CLASSES):
            rows[f"p_{name}"] = p[:, place]
        for index in self.unreadable:
            rows.loc[index, "label"] = UNREADABLE
            rows.loc[index, "confidence"] = 0.0
            rows.loc[index, [f"p_{name}" for name in ZONE_CLASSES]] = np.nan
        return rows.iloc[list(indices)]

    def classify(self, stack, classifier, *, device="auto", batch_size=64, shares=None, skip=()):
        self.skipped, self.shares = len(skip), shares
        todo = [i for i in range(len(stack)) if i not in skip]
        done = len(stack) - len(todo)
        for start in range(0, len(todo), batch_size):
            if self.fail_at is not None and done >= self.fail_at:
                raise self.error or InputError("No graphics card was found: choose device 'cpu'.")
            time.sleep(self.delay)
            part = todo[start : start + batch_size]
            done += len(part)
            yield _Batch(done, len(stack), "Classifying", self.table(stack, part))
        return self.table(stack, range(len(stack)))


@pytest.fixture
def learning(monkeypatch):
    """Replace the learning modules that the panels import by a fake; return the fake."""
    fake = FakeLearning()
    registry = ModuleType("napari_diffraction.learning.models.registry")
    registry.list_models = lambda: [FakeCard()]
    registry.load_model = lambda name: FakeCard()
    inference = ModuleType("napari_diffraction.learning.classification.inference")
    inference.classify, inference.BatchDone = fake.classify, _Batch
    for module in (registry, inference):
        monkeypatch.setitem(sys.modules, module.__name__, module)
        room, _, name = module.__name__.rpartition(".")
        monkeypatch.setattr(importlib.import_module(room), name, module, raising=False)
    return fake


@pytest.fixture(scope="module", autouse=True)
def _libraries_are_no_garbage():
    """Spare the objects of libraries: napari looks for garbage whenever a layer is removed.

    Half a million objects take it a fifth of a second, two fifths of the time of all GUI tests.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _own_sessions(tmp_path, monkeypatch):
    """Keep every test's saved reviews apart."""
    monkeypatch.setattr(
        "napari_diffraction.review.store.sessions_folder", lambda: tmp_path / "sessions"
    )


def spot_frames(n, size=64):
    """Return dark patterns with a few bright spots, (n, size, size) uint8."""
    rng = np.random.default_rng(3)
    frames = rng.integers(0, 20, (n, size, size), dtype=np.uint8)
    for frame in frames:
        for y, x in rng.integers(4, size - 4, (25, 2)):
            frame[y - 1 : y + 2, x - 1 : x + 2] = 230
    return frames


@pytest.fixture
def make_stack(tmp_path):
    """Make a `PatternStack` of n patterns that claims to come from one HDF5 file."""

    def make(n=40, size=64):
        source = tmp_path / "run42.h5"
        if not source.exists():
            source.touch()
        frames = spot_frames(n, size)
        return PatternStack(
            da.from_array(frames, chunks=(1, size, size)), "run42", sources=(str(source),)
        )

    return make


@pytest.fixture
def errors(monkeypatch):
    """Collect the sentences that a panel's bar shows as errors."""
    seen = []
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar.show_error", seen.append)
    return seen


@pytest.fixture
def recording(tmp_path):
    """Return a function that lets another process write an HDF5 file, and tells it what to do.

    It takes the name of the file and the patterns, if not those of the writer, and returns the
    path and the function for orders; see `tests/helpers/swmr_writer.py`.
    """
    with ExitStack() as running:

        def begin(name, frames=None):
            command = [sys.executable, str(WRITER), str(tmp_path / name)]
            if frames is not None:
                np.save(tmp_path / "frames.npy", frames)
                command.append(str(tmp_path / "frames.npy"))
            pipe = subprocess.PIPE
            process = running.enter_context(
                subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
            )
            running.callback(process.kill)
            assert process.stdout.readline() == "open\n"

            def do(action):
                process.stdin.write(f"{action}\n")
                process.stdin.flush()
                assert process.stdout.readline() in ("done\n", "closed\n")

            return tmp_path / name, do

        yield begin


@pytest.fixture
def close():
    """Return what closes the dock of a panel as its button does, while the window lives on."""

    def close_dock(panel):
        dock = panel.parent()
        while not hasattr(dock, "destroyOnClose"):
            dock = dock.parent()
        dock.destroyOnClose()
        QApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        QApplication.processEvents()

    return close_dock
