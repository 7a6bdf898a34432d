"""Indexing in the phase map panel, with a solution that is made up."""

import time
from types import SimpleNamespace

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import QPoint, Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollArea

from napari_diffraction.analysis.ipf import ipf_colours
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.errors import InputError
from napari_diffraction.indexing import scan
from napari_diffraction.indexing.overlay import solution_drawing
from napari_diffraction.indexing.solution import Candidate, IndexedMap, IndexedPhase, Reflector
from napari_diffraction.learning import registry
from napari_diffraction.learning.palette import NOT_INDEXED_COLOUR, OKABE_ITO
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

pytestmark = pytest.mark.gui
ROWS, COLUMNS, SIDE = 8, 12, 60
LEFT = "#E69F00"


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
    )


CARD = SimpleNamespace(
    name="bravais", title="", summary="", path="", classes=tuple(BRAVAIS_LATTICES)
)


class Indexing:
    """Stands in for `index_scan`; keeps what it was asked and whether it was closed."""

    def __init__(self):
        self.settings, self.delay, self.error, self.closed = None, 0.0, None, False

    def index(self, stack, settings=None):
        self.settings, self.closed = settings, False
        try:
            for stage, message in enumerate(("Looking for grains", "Refining", "Indexing")):
                for done in range(1, 6):
                    time.sleep(self.delay)
                    yield scan.IndexProgress(done, 5, message, stage)
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


@pytest.fixture
def errors(monkeypatch):
    seen = []
    monkeypatch.setattr("napari_diffraction.ui.work.show_error", seen.append)
    return seen


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


def run(qtbot, panel):
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)


def seen(viewer, colour, tolerance=12):
    """Count the pixels of the canvas near a colour, 0 to 1."""
    QApplication.processEvents()
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    distance = np.abs(picture - np.rint(255 * np.asarray(colour[:3])))
    return int((distance.max(axis=-1) < tolerance).sum())


def rgb(code):
    return [int(code[place : place + 2], 16) / 255 for place in (1, 3, 5)]


def show(panel, key):
    panel.indexed.show_combo.setCurrentIndex(panel.indexed.show_combo.findData(key))


def test_nothing_is_given_and_all_is_told(opened, indexing, qtbot):
    viewer, panel = opened
    assert panel.model.currentText() == "Find the phases (nothing given)"
    assert not panel.indexed.isVisible()
    indexing.delay = 0.1
    said = []
    panel.bar.stepped.connect(lambda steps: said.append(panel.bar.text.text()))
    run(qtbot, panel)
    assert any(text.startswith("1 of 3, grains: Looking for grains") for text in said)
    assert any("steps" in text for text in said)
    assert any("patterns" in text and "left" in text for text in said)
    assert indexing.settings.pc is None
    assert indexing.settings.voltage is None
    assert indexing.settings.phases == ()

    box = panel.indexed
    assert box.isVisible()
    assert not panel.network.isVisible()
    assert box.list.centre.text() == (
        "Centre found: 0.509(2) 0.341(2) 0.627(3) (Bruker), 15 kV"
    )
    first, second = (row.text() for row in box.list.rows)
    assert "cF (p = 0.97), a = 3.52(6) A" in first
    assert "50.0% of the points, 1 grain, misfit 0.40 deg" in first
    assert "Looks like" in first
    assert "In doubt: c/a 1.59" in second
    assert "1.0% not indexed" in box.list.rest.text()
    assert "Nobody knows." in box.list.notes.text()
    assert box.key.groups == ["m-3m", "6/mmm"]

    # What is seen: the map in the colours of the orientations, then in those of the phases.
    indexed = made_up(panel._stack())
    colours = ipf_colours(indexed, "z")
    layer = viewer.layers["alloy - orientations (IPF Z)"]
    np.testing.assert_allclose(layer.data[3, 2, :3], colours[3 * COLUMNS + 2], atol=1e-6)
    left = seen(viewer, colours[3 * COLUMNS + 2])
    assert left > 500
    show(panel, "x")
    assert viewer.layers["alloy - orientations (IPF X)"].visible
    assert not box.key.isHidden()
    show(panel, "phases")
    assert box.key.isHidden()
    one, two = seen(viewer, rgb(OKABE_ITO[0])), seen(viewer, rgb(OKABE_ITO[1]))
    assert one == pytest.approx(two, rel=0.25)
    assert one == pytest.approx(left, rel=0.25)
    for key, name in (("misfit", "misfit"), ("quality", "pattern quality"), ("grains", "grains")):
        show(panel, key)
        shown = [one.name for one in viewer.layers if one.visible]
        assert f"alloy - {name}" in shown
        assert "alloy - phase map (indexed)" not in shown
    assert viewer.layers["alloy - grains"].data[3, 11] == 2
    np.testing.assert_array_equal(
        viewer.layers["alloy - grains"].scale, viewer.layers["alloy - navigation"].scale
    )
    assert viewer.layers.selection.active.name == "alloy"


def test_one_click_names_a_phase_everywhere(opened, qtbot, tmp_path):
    viewer, panel = opened
    run(qtbot, panel)
    row = panel.indexed.list.rows[0]
    assert 'href="Cu"' in row.text()
    row.linkActivated.emit("Ni")
    assert "<b>Ni</b>: cF" in row.text()
    assert 'href="Ni"' not in row.text()
    layer = viewer.layers["alloy - phase map (indexed)"]
    assert list(layer.features["phase"]) == ["", "not indexed", "Ni", "phase 2"]
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "map.csv")
    table = pd.read_csv(tmp_path / "map.csv")
    assert set(table["phase"]) == {"Ni", "phase 2", "not indexed"}
    assert table["phi1"].notna().sum() == ROWS * COLUMNS - 1
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "map.h5")
    with h5py.File(tmp_path / "map.h5") as file:
        assert "solution" in str(list(file.keys())) or file["crystal_map"]
    # the atoms come with the name, where the cell is that of the material
    phases = panel.indexed.indexed.phases
    assert phases[0].structure.space_group == 225
    panel.indexed.name_phase(1, "what I think it is")
    assert panel.indexed.indexed.phases[1].structure is None


def test_limits_recolour_at_once_and_count_for_files(opened, indexing, qtbot, tmp_path):
    viewer, panel = opened
    run(qtbot, panel)
    show(panel, "phases")
    indexing.settings = None
    before = seen(viewer, rgb(OKABE_ITO[1]))
    began = time.monotonic()
    panel.indexed.confidence.setValue(0.5)
    assert time.monotonic() - began < 0.5
    assert seen(viewer, rgb(OKABE_ITO[1])) < before / 10
    assert seen(viewer, rgb(NOT_INDEXED_COLOUR), 4) > before / 2
    assert "51.0% not indexed" in panel.indexed.list.rest.text()
    assert "0.0% of the points" in panel.indexed.list.rows[1].text()
    panel.indexed.confidence.setValue(0)
    panel.indexed.misfit.setValue(1.0)
    layer = viewer.layers["alloy - phase map (indexed)"]
    assert (layer.data[-1] == 1).all()
    assert (layer.data[1:-1] > 1).all()
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "map.csv")
    table = pd.read_csv(tmp_path / "map.csv")
    assert (table["phase"] == "not indexed").sum() == COLUMNS + 1
    panel.indexed.misfit.setValue(3.0)
    assert (layer.data[-1] > 1).all()
    assert indexing.settings is None  # nothing was computed again


def test_a_point_shows_its_solution_over_the_pattern(opened, qtbot):
    viewer, panel = opened
    run(qtbot, panel)
    viewer.dims.set_point([0, 1], [3, 2])
    text = panel.indexed.point.text.text()
    assert panel.indexed.point.place.text() == "Row 3, column 2"
    for said in ("phase 1 (cF)", "0.40 deg", "11 matched of 16 found", "0.60", "Bunge angles"):
        assert said in text
    bands = viewer.layers["alloy - bands of the solution"]
    names = viewer.layers["alloy - planes and zone axes"]
    drawn = solution_drawing(panel.indexed.indexed, 3 * COLUMNS + 2, 12, 7)
    np.testing.assert_allclose(bands.data.cumsum(axis=1), drawn.ends, atol=1e-4)
    assert "[001]" in set(names.features["name"])
    assert {"(200)", "(111)"} & set(names.features["name"])
    # What is seen: orange lines, which another point has elsewhere, and none where nothing matches.
    lines = seen(viewer, rgb(LEFT), 60)
    assert lines > 100
    first = np.array(bands.data)
    place = panel._navigation.image.data_to_world((3, 10))
    canvas, camera = viewer.window._qt_viewer.canvas.native, viewer.scene.camera
    right = (place[1] - camera.center[-1]) * camera.zoom + canvas.width() / 2
    down = (place[0] - camera.center[-2]) * camera.zoom + canvas.height() / 2
    QTest.mouseMove(canvas, QPoint(round(right), round(down)))
    QApplication.processEvents()
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=QPoint(round(right), round(down)))
    QApplication.processEvents()
    assert panel.indexed.point.place.text() == "Row 3, column 10"
    assert "phase 2 (hP)" in panel.indexed.point.text.text()
    assert np.array(bands.data).shape != first.shape or not np.allclose(bands.data, first)
    viewer.dims.set_point([0, 1], [0, 0])
    assert "not indexed" in panel.indexed.point.text.text()
    assert not bands.visible
    viewer.dims.set_point([0, 1], [3, 2])
    assert bands.visible
    panel.indexed.point.draw.click()
    assert not bands.visible
    assert not names.visible


def test_cancel_acts_and_the_earlier_solution_stays(opened, indexing, qtbot, errors):
    viewer, panel = opened
    run(qtbot, panel)
    before = panel.indexed.indexed
    indexing.delay = 0.2
    QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.bar.bar.value() > 0, timeout=10_000)
    assert not panel.indexed.export_button.isEnabled()
    began = time.monotonic()
    with qtbot.waitSignal(panel.bar.finished, timeout=10_000):
        QTest.mouseClick(panel.bar.cancel_button, Qt.MouseButton.LeftButton)
    assert time.monotonic() - began < 1.5
    assert indexing.closed
    assert panel.indexed.indexed is before
    assert panel.indexed.isVisible()
    indexing.delay = 0
    run(qtbot, panel)
    assert sum("phase map" in layer.name for layer in viewer.layers) == 1
    indexing.error = InputError("No pattern can be read.")
    run(qtbot, panel)
    assert errors == ["No pattern can be read."]


def test_my_phases_and_my_centre_are_used_without_training(opened, indexing, qtbot):
    _, panel = opened
    panel.model.choose("my phases by indexing")
    assert panel.phases.content.isVisible()
    assert not panel.run_button.isEnabled()
    assert "Tick the phases" in panel.note.text()
    panel.phases.choose("Ni", "TiC")
    assert panel.run_button.isEnabled()
    assert panel.note.text() == ""
    panel.centre.source.setCurrentIndex(1)
    panel.voltage.source.setCurrentIndex(1)
    panel.voltage.number.setValue(12)
    run(qtbot, panel)
    assert [one.name for one in indexing.settings.phases] == ["Ni", "TiC"]
    assert indexing.settings.pc == (0.5, 0.3, 0.6)
    assert indexing.settings.voltage == 12
    assert panel.indexed.isVisible()


def test_the_choice_of_the_model_says_which_result_is_shown(opened, qtbot):
    viewer, panel = opened
    run(qtbot, panel)
    viewer.dims.set_point([0, 1], [3, 2])
    assert viewer.layers["alloy - bands of the solution"].visible
    panel.model.choose("bravais")
    assert not panel.indexed.isVisible()
    assert not viewer.layers["alloy - bands of the solution"].visible
    panel.model.setCurrentIndex(0)
    assert panel.indexed.isVisible()
    assert viewer.layers["alloy - bands of the solution"].visible


def test_the_pattern_is_flattened_by_one_click(opened, qtbot):
    viewer, panel = opened
    QTest.mouseClick(panel.pattern.buttons["flattened"], Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: "alloy - flattened" in viewer.layers, timeout=60_000)
    layer = viewer.layers["alloy - flattened"]
    assert viewer.layers.index(layer) == viewer.layers.index(viewer.layers["alloy"]) + 1
    assert abs(float(layer.data.mean())) < 0.1
    before = layer.data.copy()
    viewer.dims.set_point([0, 1], [2, 11])
    qtbot.waitUntil(lambda: not np.allclose(layer.data, before), timeout=10_000)
    panel.pattern.buttons["static corrected"].click()
    qtbot.waitUntil(lambda: layer.name == "alloy - static corrected", timeout=10_000)
    panel.pattern.buttons["raw"].click()
    assert not layer.visible


def test_averages_of_grains_are_a_stack_of_their_own(opened, qtbot):
    viewer, panel = opened
    run(qtbot, panel)
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        panel.indexed.averages_button.click()
    layer = viewer.layers["alloy - grain averages"]
    assert layer.data.shape == (2, SIDE, SIDE)
    assert layer.metadata["pattern_stack"].metadata["patterns"] == [48, 47]
    # an average of 48 patterns has far less noise than one of them
    inner = slice(8, -8)
    mean, single = (np.asarray(one, float)[inner, inner] for one in (layer.data[0], frames()[0, 0]))
    rough = [np.std(np.diff(one, axis=0)) / np.std(one) for one in (mean, single)]
    assert rough[0] < 0.6 * rough[1]
    assert panel.scan.currentText() == "alloy"


def test_what_was_drawn_goes_with_the_scan(opened, qtbot):
    viewer, panel = opened
    run(qtbot, panel)
    viewer.layers.remove("alloy")
    QApplication.processEvents()
    assert [layer.name for layer in viewer.layers] == []
    assert not panel.indexed.isVisible()


def test_nothing_is_cut_off_on_a_laptop(opened, qtbot):
    _, panel = opened
    run(qtbot, panel)
    QApplication.processEvents()
    area = panel.findChild(QScrollArea)
    assert panel.width() < 420
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()
