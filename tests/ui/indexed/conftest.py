"""A window with a scan whose solution is made up, and a hand that uses the panel."""

import time
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.indexing import scan
from napari_diffraction.indexing.solution import (
    Candidate,
    IndexedMap,
    IndexedPhase,
    Reflector,
    SecondBest,
)
from napari_diffraction.learning.models import registry
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

ROWS, COLUMNS, SIDE = 8, 12, 60


def found_phase(name, material, hkl, candidates=(), **known):
    structure = load_structure(material)
    cell = structure.cell
    reflectors = tuple(
        Reflector(one, 1, 9, 9, 1 - 0.1 * place, 1.0) for place, one in enumerate(hkl)
    )
    return IndexedPhase(
        name, structure.lattice, {structure.lattice: 0.97}, cell, (0.06, 0.06, 0.06, 0, 0, 0), cell,
        grains=1, share=0.5, misfit_deg=0.4, candidates=candidates, reflectors=reflectors, **known,
    )  # fmt: skip


def made_up(stack):
    """cF left and hP right, the corner not indexed, the last row with a worse misfit."""
    rows, columns = np.indices((ROWS, COLUMNS))
    phase = np.where(columns < COLUMNS // 2, 0, 1).astype(np.int16)
    phase[0, 0] = -1
    cos, sin = np.cos(0.4), np.sin(0.4)
    turns = np.array([np.eye(3), [[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]]])
    rotation = turns[np.maximum(phase, 0)].astype(np.float32)
    rotation[phase < 0] = np.nan
    flat = lambda values, kind: np.ascontiguousarray(values).reshape(-1).astype(kind)  # noqa: E731
    nickel = (Candidate("Ni", 0.9, 0.01, 0.1), Candidate("Cu", 0.7, 0.03, 0.1))
    return IndexedMap(
        stack.name,
        (ROWS, COLUMNS),
        (
            found_phase("phase 1", "Ni", [(1, 1, 1), (2, 0, 0), (2, 2, 0)], nickel),
            found_phase("phase 2", "Ti", [(1, 0, 0), (0, 0, 2), (1, 0, 1)], doubt="c/a 1.59"),
        ),
        flat(phase, np.int16),
        rotation.reshape(-1, 3, 3),
        flat(np.where(phase < 0, np.nan, np.where(rows == ROWS - 1, 1.2, 0.4)), np.float32),
        flat(np.where(phase < 0, 0, 11), np.int16),
        np.full(ROWS * COLUMNS, 16, np.int16),
        flat(np.where(phase == 0, 0.6, np.where(phase == 1, 0.3, 0)), np.float32),
        flat(rows / ROWS, np.float32),
        flat(phase, np.int32),
        np.ones(ROWS * COLUMNS, bool),
        (0.509, 0.341, 0.627),
        (0.002, 0.002, 0.003),
        voltage=15.0,
        voltage_from="file",
        step=stack.step,
        notes=("Nobody knows.",),
        frame_shape=stack.frame_shape,
        second=SecondBest(
            flat(np.where(phase < 0, -1, 1 - phase), np.int16),
            turns[np.where(phase == 0, 1, 0)].reshape(-1, 3, 3).astype(np.float32),
            np.full(ROWS * COLUMNS, 0.62, np.float32),
        ),
    )


def so_far(stack, done):
    """The solution of the first points."""
    whole = made_up(stack)
    here = np.arange(len(whole)) < done
    return replace(
        whole,
        phase=np.where(here, whole.phase, -1).astype(np.int16),
        rotation=np.where(here[:, None, None], whole.rotation, np.nan).astype(np.float32),
        done=here,
        finished=False,
    )


CARD = SimpleNamespace(
    name="bravais", title="", summary="", path="", classes=tuple(BRAVAIS_LATTICES)
)


class Indexing:
    """Stands in for `index_scan`; keeps what it was asked and whether it was closed.

    In its last stage it tells with every step the solution of a fifth more of the patterns, and
    waits before a step that has a gate until this is opened.
    """

    def __init__(self):
        self.settings, self.delay, self.error, self.closed = None, 0.0, None, False
        self.gates = {}

    def index(self, stack, settings=None, steps=None):
        self.settings, self.steps, self.closed = settings, steps, False
        try:
            for stage, message in enumerate(("Looking for grains", "Refining", "Indexing")):
                for done in range(1, 6):
                    time.sleep(self.delay)
                    if stage == 2 and done in self.gates:
                        self.gates[done].wait(60)
                    points = (done - 1) * ROWS * COLUMNS // 5
                    tell = partial(so_far, stack, points) if stage == 2 else None
                    yield scan.IndexProgress(done, 5, message, stage, tell)
                steps.grains = steps.grains or "found"
                if self.error:
                    raise self.error
            return made_up(stack)
        finally:
            self.closed = True


@pytest.fixture
def indexing(monkeypatch):
    fake = Indexing()
    monkeypatch.setattr(scan, "index_scan", fake.index)
    monkeypatch.setattr(registry, "list_models", lambda: [CARD])
    return fake


def frames():
    """Return patterns with broad bands and noise."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:SIDE, :SIDE]
    data = np.empty((ROWS, COLUMNS, SIDE, SIDE), np.uint8)
    for column in range(COLUMNS):
        wave = np.sin(x / 4) if column < COLUMNS // 2 else np.sin((x + 2 * y) / 7)
        light = 110 + 40 * wave + rng.normal(0, 15, (ROWS, SIDE, SIDE)) + y / 2
        data[:, column] = np.clip(light, 0, 255)
    return data


@pytest.fixture
def opened(make_napari_viewer, indexing):
    """Return a window with a scan and the panel."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    stack = PatternStack(
        da.from_array(frames(), chunks=(1, 1, SIDE, SIDE)),
        "alloy",
        geometry=KikuchiGeometry(voltage=15.0),
        step=(0.5, 0.5),
    )
    viewer.add_image(stack.data, name="alloy", metadata={"pattern_stack": stack})
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Phase map")
    QApplication.processEvents()
    return viewer, panel


class Hand:
    """Uses the panel as a person would, and looks at the window."""

    def __init__(self, qtbot):
        self._qtbot = qtbot

    def run(self, panel):
        with self._qtbot.waitSignal(panel.bar.finished, timeout=30_000):
            QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
        self.wait(panel)

    def wait(self, panel):
        """Wait until all layers of the solution are there."""
        self._qtbot.waitUntil(lambda: not panel.indexed.arriving, timeout=30_000)

    def show(self, panel, key):
        panel.indexed.show_combo.setCurrentIndex(panel.indexed.show_combo.findData(key))

    def seen(self, viewer, colour, tolerance=12):
        """Count the pixels of the canvas near a colour, 0 to 1 or ``#RRGGBB``."""
        if isinstance(colour, str):
            colour = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        QApplication.processEvents()
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
        distance = np.abs(picture - np.rint(255 * np.asarray(colour[:3])))
        return int((distance.max(axis=-1) < tolerance).sum())


@pytest.fixture
def hand(qtbot):
    return Hand(qtbot)
