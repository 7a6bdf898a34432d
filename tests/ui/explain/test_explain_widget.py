import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import dask.array as da
import numpy as np
import pytest
from mouse import click
from napari.layers._layer_actions import _duplicate_layer
from qtpy.QtWidgets import QApplication, QScrollArea

from napari_diffraction.learning.classes import LAUE, ZONE
from napari_diffraction.learning.explain import heatmaps
from napari_diffraction.learning.explain.heatmaps import Explanation
from napari_diffraction.learning.models import registry
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, finish
from napari_diffraction.review.provenance import file_hash
from napari_diffraction.simulation.samples import serial_experiment
from napari_diffraction.ui.explain.heat_layer import Question
from napari_diffraction.ui.explain.heat_maps import HeatMaps
from napari_diffraction.ui.explain.tasks import Explainers
from napari_diffraction.ui.viewer.coordinator import Coordinator
from napari_diffraction.ui.viewer.layers import can_be_stack
from napari_diffraction.ui.widgets.model_list import MODELS

pytestmark = pytest.mark.gui
N = 12


@pytest.fixture(scope="module")
def patterns():
    return finish(serial_experiment(seed=2, n=N)).images


@pytest.fixture
def opened(make_napari_viewer, patterns):
    """Return a function that opens a window with patterns and the panel."""

    def open_window(data=patterns, **options):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        chunks = (1,) * (data.ndim - 2) + data.shape[-2:]
        stack = PatternStack(da.from_array(data, chunks=chunks), "run42")
        viewer.add_image(stack.data, name="run42", metadata={"pattern_stack": stack}, **options)
        _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Explain")
        viewer.dims.set_current_step(0, 0)
        QApplication.processEvents()
        return viewer, panel

    return open_window


def explained(qtbot, panel, index, label=None):
    """Wait until a pattern is explained."""
    question = panel.question
    qtbot.waitUntil(lambda: (question, index) in panel.shown.maps, timeout=60_000)
    qtbot.waitUntil(lambda: not panel._latest.running, timeout=60_000)
    return panel.shown.maps.get(question, index)


def orange(viewer):
    """Share of the canvas on which a map is laid; the patterns are grey."""
    QApplication.processEvents()
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    return float(((picture.max(axis=-1) - picture.min(axis=-1)) > 30).mean())


def test_one_click_lays_the_map_over_the_pattern_and_it_follows_the_slider(opened, qtbot):
    viewer, panel = opened()
    assert panel.layer.currentText() == "run42"
    assert panel.model.currentData().name == "zones"
    assert panel.label.currentText() == "predicted"
    assert orange(viewer) == 0
    assert len(viewer.layers) == 1  # nothing is computed before it is asked for
    viewer.dims.set_current_step(0, 1)
    click(panel.button)
    made = explained(qtbot, panel, 1)
    layer = viewer.layers["run42 - Grad-CAM++ (predicted)"]
    assert viewer.layers.index(layer) == 1
    assert np.asarray(layer.data[1]).max() == 1
    assert not np.asarray(layer.data[2]).any()
    assert (layer.colormap.name, layer.blending, layer.opacity) == ("inferno", "additive", 0.5)
    assert layer.metadata["model"] == "zones"
    assert not can_be_stack(layer)
    assert made.predicted in panel.note.text()
    assert orange(viewer) > 0.01
    layer.visible = False
    assert orange(viewer) == 0
    layer.visible = True

    viewer.dims.set_current_step(0, 3)
    explained(qtbot, panel, 3)
    assert np.asarray(layer.data[3]).max() == 1
    assert np.allclose(layer._slice.image.raw, layer.data[3])
    assert orange(viewer) > 0.01

    panel.follow.setChecked(False)
    viewer.dims.set_current_step(0, 4)
    qtbot.wait(300)
    assert (panel.question, 4) not in panel.shown.maps
    assert orange(viewer) == 0


def test_the_map_lies_where_the_heat_is(opened, qtbot):
    viewer, panel = opened(scale=(1, 0.5, 0.5), translate=(0, 30, -20))
    click(panel.button)
    made = explained(qtbot, panel, 0)
    layer = panel.shown.layer
    y, x = np.unravel_index(np.argmax(made.heat), made.heat.shape)
    world = layer.data_to_world((0, y, x))
    assert np.allclose(world, viewer.layers["run42"].data_to_world((0, y, x)))
    assert layer.get_value(world, world=True) == pytest.approx(1, abs=0.01)
    viewer.layers["run42"].opacity = 0
    QApplication.processEvents()
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(float).sum(-1)
    colours = layer.colormap.map(made.heat.ravel())[:, :3].sum(axis=1).reshape(made.heat.shape)
    wanted = layer.opacity * 255 * colours

    def hottest(brightness):
        """Where the brightest pixels lie within what is not black."""
        bright = np.argwhere(brightness > 0.9 * brightness.max()).mean(axis=0)
        rows, columns = np.nonzero(brightness > 12)
        return (bright - [rows.min(), columns.min()]) / [np.ptp(rows), np.ptp(columns)]

    assert np.allclose(hottest(picture), hottest(wanted), atol=0.08)


def test_another_class_and_another_method_are_other_maps_in_the_same_layer(opened, qtbot):
    viewer, panel = opened()
    panel.method.setCurrentText("HiResCAM")
    click(panel.button)
    maps = {}
    for label in (ZONE, LAUE):
        panel.label.setCurrentText(label)
        explained(qtbot, panel, 0)
        maps[label] = np.asarray(viewer.layers[f"run42 - HiResCAM ({label})"].data[0])
        assert label in panel.note.text()
    assert np.corrcoef(maps[ZONE].ravel(), maps[LAUE].ravel())[0, 1] < 0.95
    panel.method.setCurrentText("Grad-CAM")
    explained(qtbot, panel, 0)
    assert [layer.name for layer in viewer.layers] == ["run42", f"run42 - Grad-CAM ({LAUE})"]
    # What is known is not computed again.
    panel.method.setCurrentText("HiResCAM")
    assert not panel._latest.running
    assert np.array_equal(panel.shown.layer._slice.image.raw, maps[LAUE])


def test_a_drag_of_the_slider_never_waits_and_ends_at_the_last_pattern(opened, qtbot):
    viewer, panel = opened()
    click(panel.button)
    explained(qtbot, panel, 0)
    for index in range(1, N):
        viewer.dims.set_current_step(0, index)
    explained(qtbot, panel, N - 1)
    made = [i for i in range(N) if (panel.question, i) in panel.shown.maps]
    assert len(made) < N  # those that were passed by are left out
    assert f"Pattern {N - 1}:" in panel.note.text()


def test_several_patterns_are_computed_behind_a_bar_and_cancel_keeps_them(opened, qtbot):
    viewer, panel = opened()
    panel.first.setValue(2)
    panel.last.setValue(5)
    assert panel.several_button.text() == "Compute 4 maps"
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        click(panel.several_button)
        assert panel.bar.isVisible()
    layer = panel.shown.layer
    done = [bool(np.asarray(layer.data[i]).any()) for i in range(N)]
    assert done == [2 <= i <= 5 for i in range(N)]
    viewer.dims.set_current_step(0, 4)
    assert orange(viewer) > 0.01

    panel.first.setValue(0)
    panel.last.setValue(N - 1)
    panel.bar.stepped.connect(lambda steps: panel.bar.cancel())
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        click(panel.several_button)
    assert panel.several_button.isVisible()
    assert all(np.asarray(layer.data[i]).any() for i in range(2, 6))


def test_a_scan_and_a_single_pattern_have_maps_too(opened, qtbot, patterns):
    viewer, panel = opened(patterns.reshape(3, 4, *patterns.shape[1:]))
    viewer.dims.set_current_step((0, 1), (1, 2))
    click(panel.button)
    made = explained(qtbot, panel, 6)
    layer = panel.shown.layer
    assert layer.data.shape == (3, 4, 256, 256)
    assert np.allclose(layer.data[1, 2], made.heat, atol=1e-3)
    assert np.asarray(layer.data).shape == layer.data.shape
    assert orange(viewer) > 0.01
    viewer.layers.clear()
    viewer.add_image(patterns[0], name="one")
    QApplication.processEvents()
    click(panel.button)
    explained(qtbot, panel, 0)
    assert np.asarray(viewer.layers["one - Grad-CAM++ (predicted)"].data).max() == 1


def test_without_the_patterns_there_is_no_map_and_no_hidden_patterns_are_covered(opened, qtbot):
    viewer, panel = opened()
    click(panel.button)
    explained(qtbot, panel, 0)
    viewer.layers["run42"].visible = False
    assert not panel.shown.layer.visible
    viewer.layers["run42"].visible = True
    assert panel.shown.layer.visible
    viewer.layers.remove("run42")
    assert len(viewer.layers) == 0
    assert not panel.button.isEnabled()
    assert "Open a stack first" in panel.note.text()


def test_a_map_that_was_deleted_is_not_made_again_until_asked(opened, qtbot):
    viewer, panel = opened()
    click(panel.button)
    explained(qtbot, panel, 0)
    viewer.layers.remove(panel.shown.layer)
    viewer.dims.set_current_step(0, 5)
    assert len(viewer.layers) == 1
    click(panel.button)
    explained(qtbot, panel, 5)
    assert len(viewer.layers) == 2


def test_maps_stay_and_follow_when_the_input_grows(make_napari_viewer, patterns, qtbot, tmp_path):
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    path = tmp_path / "run42.npy"
    np.save(path, patterns[:4])
    (layer,) = viewer.open(path, plugin="napari-diffraction")
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Explain")
    viewer.dims.set_current_step(0, 0)
    QApplication.processEvents()
    work = Coordinator.of(viewer)
    work.set_layer(layer)
    click(panel.button)
    made = explained(qtbot, panel, 0)
    heat = panel.shown.layer
    # following begins with another look at what is there, before anything is added
    work.grow(layer, open_stack(path), "the same")
    panel._refresh()
    np.save(path, patterns[:6])
    work.grow(layer, open_stack(path), "more")
    viewer.dims.set_current_step(0, 5)
    explained(qtbot, panel, 5)
    assert panel.shown.layer is heat
    assert heat in viewer.layers
    assert panel.shown.maps.get(panel.question, 0) is made
    assert np.asarray(heat.data[5]).max() == 1
    assert panel.last.maximum() == 5
    # other patterns have no maps in common with these
    np.save(tmp_path / "other.npy", patterns[:3])
    work.grow(layer, open_stack(tmp_path / "other.npy"), "another")
    panel._refresh()
    assert (panel.question, 0) not in panel.shown.maps
    assert heat not in viewer.layers


def test_the_maps_of_several_end_with_the_patterns_they_are_of(
    opened, qtbot, patterns, monkeypatch
):
    def endless(self, shown, question, indices, device):
        while True:
            yield Progress(0, len(indices), "Explaining patterns")

    monkeypatch.setattr(Explainers, "several", endless)
    viewer, panel = opened()
    viewer.add_image(patterns, name="run43")
    panel.layer.choose(viewer.layers["run42"])
    click(panel.several_button)
    assert not panel.several_button.isVisible()
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        viewer.layers.remove("run42")
    assert panel.layer.currentText() == "run43"
    assert panel.several_button.isVisible()


def test_an_error_is_one_sentence(opened, qtbot, monkeypatch):
    seen = []
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar.show_error", seen.append)
    _, panel = opened()

    def damaged(name):
        from napari_diffraction.errors import InputError

        raise InputError("The model is damaged: fetch it anew.")

    monkeypatch.setattr("napari_diffraction.learning.models.registry.load_model", damaged)
    click(panel.button)
    qtbot.waitUntil(lambda: not panel._latest.running, timeout=60_000)
    assert seen == ["The model is damaged: fetch it anew."]


def test_nothing_is_cut_off_on_a_laptop(opened, qtbot):
    _, panel = opened()
    area = panel.findChild(QScrollArea)
    assert panel.width() < 420
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()


def test_maps_can_be_made_where_a_window_was_opened_before_torch_is_loaded():
    # Triton, which torch's compiler imports, crashes a process with an open window.
    code = """
import sys
import napari
import numpy as np

viewer = napari.Viewer(show=True)
viewer.add_image(np.random.default_rng(0).random((64, 64)))
viewer.screenshot(flash=False)
from napari_diffraction.learning.explain import gradcam
import torch
class Network(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.explain_layer = torch.nn.Conv2d(1, 2, 3)
    def forward(self, picture):
        return {"class": self.explain_layer(picture).mean(dim=(2, 3))}
for method in gradcam._METHODS:
    network = gradcam.OneInput(Network(), "class")
    heat, cells = network.class_map((torch.rand(1, 1, 9, 9),), 0, method)
    assert cells == 7
viewer.screenshot(flash=False)
assert "triton" not in sys.modules
viewer.close()
print("done")
"""
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=250, check=False
    )
    assert made.returncode == 0, made.stderr[-2000:]
    assert "done" in made.stdout


def test_the_layer_of_the_maps_can_be_duplicated(opened, qtbot):
    viewer, panel = opened()
    click(panel.button)
    made = explained(qtbot, panel, 0)
    viewer.layers.selection = {panel.shown.layer}
    _duplicate_layer(viewer.layers)
    copy = viewer.layers[f"{panel.shown.layer.name} copy"]
    assert np.array_equal(copy.data[0], made.heat.astype(np.float32))


def test_a_model_in_the_place_of_another_is_loaded_anew(monkeypatch, patterns):
    loaded = []

    class Explainer:
        def __init__(self, classifier, stack, device):
            self.said = classifier

        def explain(self, frame, label, method):
            return Explanation(np.ones(frame.shape), self.said, self.said, {self.said: 1.0})

    def load(path):
        loaded.append(f"lesson {len(loaded) + 1}")
        return loaded[-1]

    monkeypatch.setattr(registry, "load_model", load)
    monkeypatch.setattr(heatmaps, "Explainer", Explainer)
    stack = PatternStack(da.from_array(patterns, chunks=(1, 256, 256)), "run42")
    shown, explainers = SimpleNamespace(stack=stack, maps=HeatMaps()), Explainers()
    # a lesson of the same name takes the file of the one before
    for digest, said in (("a", "lesson 1"), ("a", "lesson 1"), ("b", "lesson 2")):
        question = Question("mine.safetensors", None, "gradcam++", digest)
        answer = explainers.answer(shown, question, 0, "cpu")
        assert answer.made.predicted == said
        assert shown.maps.get(question, 0).predicted == said
    # more patterns, as of a stack that grows, are looked at with the model that is there
    shown.stack = PatternStack(da.from_array(patterns, chunks=(1, 256, 256)), "run42")
    explainers.answer(shown, question, 1, "cpu")
    assert loaded == ["lesson 1", "lesson 2"]


def test_what_is_asked_tells_what_the_file_of_the_model_holds(opened):
    _, panel = opened()
    assert panel.question.digest == file_hash(Path(panel.question.model))


def test_a_model_of_the_same_card_in_the_place_of_another_is_another(opened, tmp_path, monkeypatch):
    _, panel = opened()
    file = tmp_path / "mine.safetensors"
    card = replace(panel.model.currentData(), path=file)
    monkeypatch.setattr(panel.model, "currentData", lambda: card)
    questions = []
    for content in (b"one", b"another"):
        file.write_bytes(content)
        MODELS.changed.emit()  # the list is the same as before
        questions.append(panel.question)
    assert questions[0] != questions[1]
