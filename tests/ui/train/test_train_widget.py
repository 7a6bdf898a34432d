"""Training in the window: what is chosen, what is drawn, and what becomes of the model."""

import dataclasses
import subprocess
import sys
import threading
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QImage
from qtpy.QtWidgets import QScrollArea

from napari_diffraction.errors import InputError
from napari_diffraction.learning.labels.labelled import open_labelled
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models import registry
from napari_diffraction.learning.palette import OKABE_ITO
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.progress import Progress, finish
from napari_diffraction.ui.evaluate.tasks import Labels
from napari_diffraction.ui.reader import as_layer
from napari_diffraction.ui.train import tasks as train_work
from napari_diffraction.ui.train import widget as train_widget
from napari_diffraction.ui.train.curves import TrainCurves
from napari_diffraction.ui.train.tasks import Opened, training
from napari_diffraction.ui.widgets import save_dialog

pytestmark = pytest.mark.gui
PLUGIN = "napari-diffraction"
NAMES = np.array(["bright", "dark"])
CARD = ModelCard(
    "x", "X", "Tells bright from dark.", "pictures", ("bright", "dark"), {}, 1.0, (), {}, {}
)


def epochs(losses, best):
    return [
        Epoch(k, len(losses), f"Epoch {k}", k, 0, loss, 1.2 * loss, 1 - loss / 2, best)
        for k, loss in enumerate(losses, 1)
    ]


@pytest.fixture
def own(monkeypatch, tmp_path):
    """Folders of models of this test alone."""
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(registry, "_SHIPPED", tmp_path / "shipped")
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "own")
    return tmp_path / "own"


@pytest.fixture
def trained(monkeypatch, own):
    """A training that takes no time; returns what was trained, by recipe."""
    recipes = []

    def work(make, recipe, output):
        data = open_labelled(recipe.labelled, (), Path(recipe.folder)) if recipe.labelled else None
        recipes.append((recipe, data and data.counts()))
        output.with_name(f"{output.name}.work").mkdir()
        yield Progress(0, 8, "Making pictures")
        yield dataclasses.replace(Epoch(0, 8, "Epoch 1"), note="All come from one file.")
        for step in epochs([1.0, 0.5, 0.4, 0.6], best=3):
            output.write_bytes(b"model")
            yield step
        return output

    monkeypatch.setattr(train_work, "in_own_process", work)
    monkeypatch.setattr(
        "napari_diffraction.learning.models.classifier.read_card",
        lambda path: dataclasses.replace(
            CARD, name=path.stem, path=str(path), figures={"balanced accuracy": 0.8}
        ),
    )
    monkeypatch.setattr(registry, "read_card", lambda p: dataclasses.replace(CARD, name=p.stem))
    return recipes


@pytest.fixture
def opened(make_napari_viewer, make_stack):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    stack = make_stack(40)
    data, options, _ = as_layer(stack)
    options["metadata"]["labels"] = pd.DataFrame({"label": NAMES[np.arange(40) % 2]})
    layer = viewer.add_image(data, **options)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Train")
    return viewer, layer, panel


@pytest.fixture
def errors(monkeypatch):
    seen = []
    monkeypatch.setattr(train_widget, "show_error", seen.append)
    return seen


def pixels(widget) -> np.ndarray:
    """What a widget shows, (h, w, 3)."""
    image = widget.grab().toImage().convertToFormat(QImage.Format.Format_RGB32)
    data = image.constBits()
    data.setsize(image.sizeInBytes())
    values = np.frombuffer(data, np.uint8).reshape(image.height(), image.width(), 4)
    return values[..., 2::-1].astype(int)


def places(widget, colour: str) -> np.ndarray:
    """Rows and columns of the pixels of a colour."""
    c = QColor(colour)
    off = np.abs(pixels(widget) - [c.red(), c.green(), c.blue()]).max(axis=2)
    return np.argwhere(off < 12)


def test_a_labelled_stack_becomes_a_model_that_is_offered(opened, trained, own, qtbot):
    _, _, panel = opened
    assert panel.sources.opened.isChecked()
    assert panel.sources.labels.currentText() == "those that came with the patterns"
    assert panel.start_button.isEnabled()
    panel.name.setText("our camera")
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        panel.start_button.click()
    ((recipe, counts),) = trained
    assert (recipe.name, recipe.network, recipe.epochs) == ("our camera", "compact", 30)
    assert counts == {"bright": 20, "dark": 20}
    assert recipe.labelled[0].path == "run42.npy"  # no path of this computer is told
    assert not Path(recipe.folder).exists()
    assert [path.name for path in own.iterdir()] == ["our camera.safetensors"]
    assert "'our camera' is offered" in panel.result.text()
    assert "balanced accuracy 0.8" in panel.result.text()
    assert panel.note.text() == "All come from one file."
    assert panel.curves.best.epoch == 3
    assert panel.classify_button.isVisible()
    assert not panel.bar.isVisible()
    # The next one gets a name of its own.
    assert panel.recipe().name == "my model"
    panel.name.setText("our camera")
    with pytest.raises(InputError, match="another name"):
        panel.recipe()


def test_an_epoch_that_was_not_told_leaves_its_place_free(qtbot):
    curves = TrainCurves()
    qtbot.addWidget(curves)
    curves.add([Epoch(1, 4, "", 2, loss=1.0, best_epoch=1)])
    assert curves.best is None  # nothing is known of the first
    curves.add([Epoch(1, 4, "", 4, loss=0.5, best_epoch=4)])
    assert curves.best is not None
    assert curves.best.loss == 0.5
    left, middle, right = (curves.point_of(0, number, 0).x() for number in (1, 2, 4))
    assert (middle - left) / (right - left) == pytest.approx(1 / 3)


def test_the_curves_are_where_the_figures_are(qtbot):
    curves = TrainCurves()
    qtbot.addWidget(curves)
    curves.resize(300, 240)
    curves.show()
    assert len(places(curves, OKABE_ITO[2])) == 0
    for step in epochs([1.0, 0.5, 0.4, 0.6], best=3):
        curves.add([step, step, Progress(1, 2)])  # a figure is told many times
    assert [e.epoch for e in curves.epochs] == [1, 2, 3, 4]
    found = places(curves, OKABE_ITO[2])  # the accuracy: 0.5, 0.75, 0.8, 0.7
    for number, value in enumerate((0.5, 0.75, 0.8, 0.7), 1):
        point = curves.point_of(1, number, value)
        there = found[np.abs(found[:, 1] - point.x()) < 3][:, 0]
        assert abs(there.mean() - point.y()) < 4
    assert len(places(curves, OKABE_ITO[1])) > 50
    curves.clear()
    assert curves.best is None
    assert len(places(curves, OKABE_ITO[1])) < 50  # the legend alone


def test_what_is_missing_is_said_and_sources_are_joined(opened, trained, errors, tmp_path):
    _, _, panel = opened
    sources = panel.sources
    sources.opened.setChecked(False)
    assert not panel.start_button.isEnabled()
    assert "Tick where" in panel.note.text()
    sources.files.setChecked(True)
    assert "Add a folder" in panel.note.text()
    sources.add_path(str(tmp_path / "sorted"))
    sources.add_path(str(tmp_path / "sorted"))
    sources.simulated.setChecked(True)
    sources.patterns.setValue(1000)
    panel.network.setCurrentIndex(panel.network.findData("resnet18"))
    panel.pretrained.setChecked(True)
    assert panel.start_button.isEnabled()
    recipe = panel.recipe()
    assert [one.path for one in recipe.labelled] == [str(tmp_path / "sorted")]
    assert [one.crystals for one in recipe.spots] == [1, 2, 0]
    total = sum(one.cells * one.orientations for one in recipe.spots)
    assert abs(total - 1000) < 50
    assert (recipe.network, recipe.pretrained) == ("resnet18", True)
    assert recipe.preprocessing.grey == "log"
    sources.kind.setCurrentIndex(1)
    assert sources.structures.isEnabled()
    panel.run()
    assert errors == ["Name two or more crystals to simulate, such as: Ni, Al, Fe."]
    sources.structures.setText("Ni, Al")
    (bands,) = panel.recipe().kikuchi
    assert (bands.structures, bands.patterns) == (("Ni", "Al"), 500)
    assert panel.recipe().preprocessing.flatten > 0
    panel.name.setText("../evil")
    panel.run()
    assert "no name for a model" in errors[1]
    assert trained == []


def test_stop_keeps_the_best_model_and_says_where_there_is_none(
    opened, trained, own, qtbot, monkeypatch
):
    _, _, panel = opened
    kept = []

    def endless(make, recipe, output):
        while True:
            if kept:
                output.write_bytes(b"model")
                yield epochs([0.5], best=1)[0]
            yield Progress(0, 8, "Making pictures")

    monkeypatch.setattr(train_work, "in_own_process", endless)
    panel.run()
    qtbot.waitUntil(lambda: "Making" in panel.bar.text.text(), timeout=60_000)
    assert panel.bar.cancel_button.text() == "Stop"
    assert not panel.sources.isEnabled()
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        panel.bar.cancel_button.click()
    assert "there is no model" in panel.result.text()
    assert panel.sources.isEnabled()
    kept.append(True)
    panel.run()
    qtbot.waitUntil(
        lambda: "Best epoch so far, with the lowest loss: 1" in panel.result.text(), timeout=60_000
    )
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        panel.bar.cancel_button.click()
    assert "'my model' is offered" in panel.result.text()
    assert (own / "my model.safetensors").exists()


def test_a_copy_is_saved_beside_the_window(opened, trained, own, qtbot, monkeypatch, tmp_path):
    said, failed, threads = [], [], []

    def export(name, path):
        threads.append(threading.current_thread())
        if path.parent.name == "nowhere":
            raise InputError(f"{path}: the folder does not exist.")
        path.write_bytes(Path(name).read_bytes())

    monkeypatch.setattr("napari_diffraction.learning.models.files.export_model", export)
    monkeypatch.setattr(train_widget, "show_info", said.append)
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar.show_error", failed.append)
    _, _, panel = opened
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        panel.run()
    for path in (tmp_path / "copy.safetensors", tmp_path / "nowhere" / "copy.safetensors"):
        panel.save_copy(path)
        assert not panel.save_button.isEnabled()
        qtbot.waitUntil(panel.save_button.isEnabled, timeout=60_000)
    assert (tmp_path / "copy.safetensors").read_bytes() == b"model"
    assert len(said) == len(failed) == 1
    assert "copy.safetensors" in said[0]
    assert "the folder does not exist" in failed[0]
    assert threading.main_thread() not in threads


def test_nothing_is_cut_off_on_a_laptop(opened, trained, qtbot):
    viewer, _, panel = opened
    panel.sources.files.setChecked(True)
    panel.sources.simulated.setChecked(True)
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        panel.run()
    qtbot.wait(200)
    area = panel.findChild(QScrollArea)
    assert panel.width() < 420
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()
    assert viewer.window._qt_window.width() <= 1280
    for part in (panel.curves, panel.classify_button, panel.save_button):
        assert part.isVisible()
    assert len(places(panel.curves, OKABE_ITO[0])) > 50  # drawn in the dock, too
    assert panel.start_button.focusPolicy() == Qt.FocusPolicy.TabFocus


def test_labels_without_any_are_one_sentence(make_stack, tmp_path, own):
    stack = make_stack(4)
    recipe = train_widget.PicturesRecipe(labelled=(train_work.LabelledSource("run42.npy"),))
    nothing = Opened(stack, Labels("none", lambda: None))
    with pytest.raises(InputError, match="bears no labels"):
        finish(training(recipe, tmp_path / "m.safetensors", nothing))


def test_the_networks_are_those_that_there_are():
    from napari_diffraction.learning.networks.picture_networks import PICTURE_NETWORKS

    assert set(train_widget.NETWORKS) == set(PICTURE_NETWORKS)


def test_the_panel_does_not_import_pytorch():
    # Beside an open window its compiler would crash the process.
    code = (
        "import sys, napari_diffraction.ui.train.widget, napari_diffraction.learning.training.run;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=240).returncode == 0


@pytest.mark.timeout(900)
def test_a_real_training_in_its_own_process(opened, own, qtbot):
    viewer, layer, panel = opened
    frames = np.asarray(layer.data).copy()
    frames[::2, 20:44, 20:44] = 255  # what tells the classes apart
    layer.metadata["pattern_stack"] = dataclasses.replace(
        layer.metadata["pattern_stack"], data=da.from_array(frames), sources=()
    )
    panel.size_box.setValue(32)
    panel.epochs.setValue(6)
    panel.grey.setCurrentIndex(2)
    with qtbot.waitSignal(panel.bar.finished, timeout=600_000):
        panel.run()
    card = registry.list_models()[0]
    assert card.name == "my model"
    assert card.classes == ("bright", "dark")
    assert len(panel.curves.epochs) >= 1
    assert panel.curves.best is not None
    assert str(card.figures["balanced accuracy"]) in panel.result.text()
    assert [path.suffix for path in own.iterdir()] == [".safetensors"]
    assert "one by one" in panel.note.text()  # one file cannot be split by file
    panel.classify_button.click()
    _, classify = viewer.window.add_plugin_dock_widget(PLUGIN, "Classify patterns")
    assert classify.model.currentData().name == "my model"


@pytest.mark.parametrize(
    ("typed", "written"),
    [
        ("zones.v2", "zones.v2.safetensors"),
        ("a.SafeTensors", "a.SafeTensors"),
        ("a", "a.safetensors"),
    ],
)
def test_a_copy_has_the_name_that_was_typed(opened, trained, monkeypatch, tmp_path, typed, written):
    panel = opened[-1]
    panel._output, asked = tmp_path / "mine.safetensors", []
    name = (str(tmp_path / typed), "")
    monkeypatch.setattr(save_dialog.QFileDialog, "getSaveFileName", lambda *_: name)
    monkeypatch.setattr(panel, "save_copy", asked.append)
    panel._ask_save()
    assert asked == [tmp_path / written]
