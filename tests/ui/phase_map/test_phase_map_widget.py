import sys
import threading
import time
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

import dask.array as da
import h5py
import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollArea

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.phase_map.centre_box import CentreBox
from napari_diffraction.ui.phase_map.layers import NOT_YET
from napari_diffraction.ui.phase_map.tilt_box import TiltBox
from napari_diffraction.ui.widgets.colours import rgba

pytestmark = pytest.mark.gui
CLASSES = (*BRAVAIS_LATTICES, "NoPattern")
ROWS, COLUMNS, SIDE = 8, 12, 32


@dataclass(frozen=True)
class _Batch(Progress):
    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    note: str = ""


def card(name, classes):
    return SimpleNamespace(
        name=name, title=name.title(), summary=f"Knows {name}.", classes=classes, path=""
    )


@dataclass
class Bravais:
    """Names the left half cF with confidence 0.9, the right half hP with 0.7, one odd point tI."""

    delay: float = 0.0
    skipped: int = 0
    note: str = ""
    stack: PatternStack | None = None

    def classify(self, stack, classifier, *, device="auto", batch_size=64, shares=None, skip=()):
        self.skipped, self.stack = len(skip), stack
        if self.note:
            yield _Batch(0, len(stack), self.note, note=self.note)
        todo = [i for i in range(len(stack)) if i not in skip]
        for start in range(0, len(todo), 8):
            time.sleep(self.delay)
            part = todo[start : start + 8]
            p = np.zeros((len(part), len(CLASSES)))
            for place, index in enumerate(part):
                row, column = divmod(index, COLUMNS)
                name, sure = ("cF", 0.9) if column < COLUMNS // 2 else ("hP", 0.7)
                name = "tI" if (row, column) == (3, 2) else name
                p[place] = (1 - sure) / (len(CLASSES) - 1)
                p[place, CLASSES.index(name)] = sure
            rows = pd.DataFrame({"index": part, "label": "", "confidence": p.max(axis=1)})
            for column, name in enumerate(CLASSES):
                rows[f"p_{name}"] = p[:, column]
            yield _Batch(start + len(part), len(todo), "Classifying", rows)


@pytest.fixture
def bravais(monkeypatch):
    fake = Bravais()
    cards = [
        card("zones", ZONE_CLASSES),
        card("quartz", ("quartz", "rutile")),
        card("bravais", CLASSES),
    ]
    registry = ModuleType("napari_diffraction.learning.models.registry")
    registry.list_models = lambda: cards
    registry.load_model = lambda name: next(one for one in cards if one.name == name)
    inference = ModuleType("napari_diffraction.learning.classification.inference")
    inference.classify = fake.classify
    learning = sys.modules["napari_diffraction.learning"]
    for module in (registry, inference):
        monkeypatch.setitem(sys.modules, module.__name__, module)
        name = module.__name__.rpartition(".")[2]
        monkeypatch.setattr(learning, name, module, raising=False)
    return fake


@pytest.fixture
def errors(monkeypatch):
    """Collect the sentences shown as errors."""
    seen = []
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar.show_error", seen.append)
    return seen


@pytest.fixture
def vendor(monkeypatch):
    """Stand in for the reader of other programs' maps: cF in the left third, hP elsewhere."""
    phase = np.where(np.arange(COLUMNS) < COLUMNS // 3, 1, 2) * np.ones((ROWS, 1), int)
    theirs = SimpleNamespace(
        phase=phase,
        names=("not indexed", "Ni", "Ti"),
        lattices=(None, "cF", "hP"),
        step=None,
        cells=(),
    )

    def read_map(path):
        assert threading.current_thread() is not threading.main_thread()
        if "missing" in str(path):
            raise InputError(f"{path}: there is no such map.")
        return theirs

    module = ModuleType("napari_diffraction.patterns.maps.files")
    module.read_map = read_map
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return theirs


def scan_frames():
    """Return patterns of two crystals with noise: stripes that run differently left and right."""
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:SIDE, :SIDE]
    data = np.empty((ROWS, COLUMNS, SIDE, SIDE), np.uint8)
    for column in range(COLUMNS):
        wave = np.sin(x / 2) if column < COLUMNS // 2 else np.sin((x + 2 * y) / 3)
        data[:, column] = np.clip(120 + 40 * wave + rng.normal(0, 15, (ROWS, SIDE, SIDE)), 0, 255)
    return data


@pytest.fixture
def opened(make_napari_viewer, bravais):
    """Return a window with a scan and the panel."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    stack = PatternStack(
        da.from_array(scan_frames(), chunks=(1, 1, SIDE, SIDE)), "alloy", step=(0.5, 0.5)
    )
    viewer.add_image(stack.data, name="alloy", metadata={"pattern_stack": stack})
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Phase map")
    panel.model.choose("bravais")
    QApplication.processEvents()
    return viewer, panel


def run(qtbot, panel):
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)


def test_the_pattern_centre_is_searched_or_given(opened, bravais, qtbot):
    _, panel = opened
    assert [panel.centre.source.itemText(i) for i in range(2)] == [
        "found by the program",
        "as I say",
    ]
    assert not panel.centre.numbers[0].isVisible()
    bravais.note = "The pattern centre is not in the file: (0.49, 0.34, 0.62) was found."
    run(qtbot, panel)
    assert panel.centre.found.text() == bravais.note
    assert not isinstance(bravais.stack.geometry, KikuchiGeometry)
    assert panel.network.work.single.about["pattern_centre"] is None

    bravais.note = ""
    panel.centre.source.setCurrentIndex(1)
    assert not panel.centre.found.isVisible()
    for box, value in zip(panel.centre.numbers, (0.49, 0.34, 0.62), strict=True):
        assert box.isVisible()
        box.setValue(value)
    assert panel.run_button.text() == "Run"
    run(qtbot, panel)
    assert bravais.stack.geometry.pc == (0.49, 0.34, 0.62)
    assert panel.network.work.single.about["pattern_centre"] == [0.49, 0.34, 0.62]
    assert panel.network.work.single.geometry.pc == (0.49, 0.34, 0.62)  # for files
    assert panel.width() < 420


def test_the_centre_of_the_file_is_shown(qtbot):
    box = CentreBox()
    qtbot.addWidget(box)
    stack = PatternStack(da.from_array(scan_frames()), "alloy").with_centre((0.4, 0.2, 0.7))
    box.show_stack(stack)
    assert box.source.currentText() == "of the file: 0.400, 0.200, 0.700"
    assert box.applied(stack) is stack
    box.source.setCurrentIndex(1)
    assert box.given == (0.4, 0.2, 0.7)


@pytest.mark.parametrize(
    ("geometry", "said", "told"),
    [
        (KikuchiGeometry(), "not known: 70°, 0° assumed", (None, None)),
        (
            KikuchiGeometry(sample_tilt=60.0),
            "60° of the file, 0° assumed",
            (60, None),
        ),
        (
            KikuchiGeometry(sample_tilt=60.0, camera_tilt=8.0),
            "of the file: 60°, 8°",
            (60, 8),
        ),
    ],
)
def test_the_tilts_of_the_file_are_shown_and_those_by_hand_count(qtbot, geometry, said, told):
    box = TiltBox()
    qtbot.addWidget(box)
    box.show_stack(PatternStack(da.from_array(scan_frames()), "alloy", geometry=geometry))
    assert box.source.currentText() == said
    assert (box.given, box.told) == ((None, None), told)
    box.source.setCurrentIndex(1)
    assert box.given[0] == (told[0] or 70)
    box.numbers[1].setValue(-3)
    assert box.of(KikuchiGeometry(voltage=15.0)).numbers() == {
        "sample_tilt": told[0] or 70, "camera_tilt": -3, "voltage": 15,
    }  # fmt: skip


def test_tilts_that_are_said_stand_in_the_files(opened, qtbot, tmp_path):
    _, panel = opened
    run(qtbot, panel)
    panel.choice.tilts.source.setCurrentIndex(1)
    panel.choice.tilts.numbers[0].setValue(55)
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "map.ctf")
    assert "TiltAngle\t55" in (tmp_path / "map.ctf").read_text(encoding="utf-8")


def map_layer(viewer):
    return viewer.layers["alloy - phase map (bravais)"]


def pixels_like(picture, colour, tolerance=12):
    """Count the pixels of a picture near a colour, 0 to 1."""
    distance = np.abs(picture[..., :3].astype(int) - np.rint(255 * np.asarray(colour[:3])))
    return int((distance.max(axis=-1) < tolerance).sum())


def seen(viewer, label):
    """Count the pixels of the canvas in the colour of a phase."""
    QApplication.processEvents()
    picture = viewer.screenshot(canvas_only=True, flash=False)
    return pixels_like(picture, rgba([label], CLASSES)[0])


def test_a_network_maps_the_scan_that_is_chosen_already(opened, qtbot):
    viewer, panel = opened
    assert panel.scan.currentText() == "alloy"
    assert [panel.model.itemText(i) for i in range(panel.model.count())] == [
        "Find the phases (nothing given)",
        "My phases, by indexing",
        "No phase list: name the Bravais lattice",
        "Quartz",
    ]
    assert panel.choice.summary.text() == "Knows bravais."
    assert not panel.network.isVisible()
    run(qtbot, panel)
    layer = map_layer(viewer)
    values = {name: value for value, name in enumerate(CLASSES, start=1)}
    assert (layer.data[:, 6:] == values["hP"]).all()
    assert layer.data[3, 2] == values["tI"]
    assert layer.features["phase"][values["cF"]] == "cF  face-centred cubic"
    assert layer.metadata["model"] == "bravais"
    assert {"model_sha256", "settings", "version", "threshold"} <= set(layer.metadata)
    assert viewer.layers["alloy - confidence"].data[0, 11] == pytest.approx(0.7)
    assert [row.title for row in panel.network.legend.rows][:2] == [
        "hP  primitive hexagonal",
        "cF  face-centred cubic",
    ]
    assert [row.share for row in panel.network.legend.rows] == pytest.approx(
        [48 / 96, 47 / 96, 1 / 96]
    )
    # What is seen: both halves of the map, alike in area, and the legend in its colours.
    left, right = seen(viewer, "cF"), seen(viewer, "hP")
    assert left > 500
    assert left == pytest.approx(right, rel=0.2)
    picture = panel.network.legend.grab().toImage()
    colours = {
        picture.pixelColor(x, y).name()
        for x in range(picture.width())
        for y in range(picture.height())
    }
    assert {row.colour.lower() for row in panel.network.legend.rows} <= colours


def test_the_threshold_recolours_at_once_without_computing(opened, qtbot, bravais):
    viewer, panel = opened
    run(qtbot, panel)
    bravais.skipped = -1
    before = seen(viewer, "hP")
    began = time.monotonic()
    panel.network.threshold.setValue(0.8)
    assert time.monotonic() - began < 0.5
    assert seen(viewer, "hP") < before / 10
    assert seen(viewer, "cF") > 500
    assert panel.network.legend.rows[-1].title == "not indexed"
    assert panel.network.legend.rows[-1].share == pytest.approx(48 / 96)
    assert map_layer(viewer).metadata["threshold"] == pytest.approx(0.8)
    panel.network.threshold.setValue(0.5)
    assert seen(viewer, "hP") == pytest.approx(before, rel=0.05)
    assert bravais.skipped == -1


def test_cancel_keeps_the_rows_that_are_done_and_goes_on(opened, qtbot, bravais):
    viewer, panel = opened
    bravais.delay = 0.15
    QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(
        lambda: (map_layer(viewer).data != NOT_YET).any() if len(viewer.layers) > 4 else False,
        timeout=30_000,
    )
    assert (map_layer(viewer).data[-1] == NOT_YET).all()  # it fills from the top
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        QTest.mouseClick(panel.bar.cancel_button, Qt.MouseButton.LeftButton)
    done = int((map_layer(viewer).data != NOT_YET).sum())
    assert 8 <= done < 96
    assert f"{done} of 96" in panel.note.text()
    assert panel.run_button.text() == "Continue"
    bravais.delay = 0
    run(qtbot, panel)
    assert bravais.skipped == done
    assert (map_layer(viewer).data != NOT_YET).all()
    assert panel.run_button.text() == "Run"
    run(qtbot, panel)  # anew: one map, not two
    assert bravais.skipped == 0
    assert sum("phase map" in layer.name for layer in viewer.layers) == 1


def test_regions_vote_and_both_maps_are_kept(opened, qtbot):
    viewer, panel = opened
    run(qtbot, panel)
    values = {name: value for value, name in enumerate(CLASSES, start=1)}
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        panel.network.votes.setCurrentIndex(1)
    assert map_layer(viewer).data[3, 2] == values["cF"]
    assert map_layer(viewer).metadata["voted by regions"]
    panel.network.votes.setCurrentIndex(0)
    assert map_layer(viewer).data[3, 2] == values["tI"]
    panel.network.votes.setCurrentIndex(1)
    assert not panel.bar.running
    assert map_layer(viewer).data[3, 2] == values["cF"]


def test_the_point_on_view_tells_its_probabilities(opened, qtbot):
    viewer, panel = opened
    run(qtbot, panel)
    viewer.dims.set_point([0, 1], [3, 2])
    assert panel.network.point_text.text() == "Row 3, column 2: tI  body-centred tetragonal."
    assert len(panel.network.bars.rows) == 15
    assert (
        panel.network.bars.rows[0].title == "tI  body-centred tetragonal"
    )  # the most probable first
    assert panel.network.bars.rows[0].share == pytest.approx(0.9)
    viewer.dims.set_point([0, 1], [0, 11])
    assert "Row 0, column 11: hP" in panel.network.point_text.text()
    panel.network.threshold.setValue(0.8)
    assert "Row 0, column 11: not indexed" in panel.network.point_text.text()


def compared(qtbot, panel):
    """Wait until the map on view is compared."""
    qtbot.waitUntil(lambda: not panel.network.comparing.running, timeout=60_000)


def test_another_map_is_compared_and_the_difference_is_seen(opened, qtbot, vendor, errors):
    viewer, panel = opened
    run(qtbot, panel)
    panel.compare_with("theirs.ctf")
    compared(qtbot, panel)
    assert panel.network.comparison.isVisible()
    # Two of the twelve columns differ, and the odd point: 79 of 96 points agree.
    assert "Agreement 82.3% of 96 points" in panel.network.comparison.text.text()
    assert "kappa" in panel.network.comparison.text.text()
    difference = viewer.layers["alloy - difference"]
    assert (difference.data[:, 4:6] == 2).all()
    assert difference.metadata["compared with"] == "theirs.ctf"
    cells = panel.network.comparison.table
    assert cells.rowCount() == 2
    assert cells.horizontalHeaderItem(0).text() == "tI"
    panel.network.threshold.setValue(0.8)
    compared(qtbot, panel)
    assert (viewer.layers["alloy - difference"].data[:, 6:] == 0).all()
    panel.compare_with("missing.ctf")
    compared(qtbot, panel)
    assert errors == ["missing.ctf: there is no such map."]
    vendor.phase = vendor.phase[1:]
    panel.compare_with("other.ctf")
    compared(qtbot, panel)
    assert "7 x 12 points, alloy has 8 x 12" in errors[-1]
    assert "96" not in errors[0]
    assert panel.network.comparison.isVisible()  # the one before is still there


def test_the_map_on_view_is_written(opened, qtbot, tmp_path, errors):
    _, panel = opened
    run(qtbot, panel)
    panel.network.threshold.setValue(0.8)
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "map.h5")
    with h5py.File(tmp_path / "map.h5") as file:
        assert (file["crystal_map/data/phase_id"][()].reshape(ROWS, COLUMNS)[:, 6:] == -1).all()
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "nowhere" / "map.png")
    assert "the folder does not exist" in errors[0]


def test_removing_the_scan_stops_the_run_and_clears_the_panel(opened, qtbot, bravais, errors):
    viewer, panel = opened
    bravais.delay = 0.2
    QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        viewer.layers.remove("alloy")
    assert errors == []
    assert not panel.run_button.isEnabled()
    assert not panel.network.isVisible()
    assert "Open a scan first" in panel.note.text()


def test_a_map_goes_with_its_scan(opened, qtbot):
    viewer, panel = opened
    run(qtbot, panel)
    viewer.layers.remove("alloy")
    assert len(viewer.layers) == 0
    assert not panel.network._works
    assert not panel.network.isVisible()


def test_nothing_is_cut_off_on_a_laptop(opened, qtbot, vendor):
    _, panel = opened
    run(qtbot, panel)
    panel.compare_with("theirs.ctf")
    compared(qtbot, panel)
    QApplication.processEvents()
    area = panel.findChild(QScrollArea)
    assert panel.width() < 420
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()

    def can_be_scrolled_to() -> bool:
        area.ensureWidgetVisible(panel.network.bars, 50, 0)
        return not panel.network.bars.visibleRegion().isEmpty()

    qtbot.waitUntil(can_be_scrolled_to, timeout=60_000)
