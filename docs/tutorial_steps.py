"""Do in a window what the tutorial says, and take its pictures."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from window import PLUGIN, classified, scroll_area_type, take, wait


def take_tutorial(viewer: object) -> None:
    """Simulate, label, train, evaluate, classify."""
    with tempfile.TemporaryDirectory() as folder:
        practice = simulated(Path(folder) / "practice.h5", cells=8, orientations=150, seed=11)
        exam = simulated(Path(folder) / "exam.h5", cells=4, orientations=100, seed=12)
        label(viewer, practice)
        train(viewer)
        judge(viewer, exam)
        classify(viewer)


def simulated(path: Path, *, cells: int, orientations: int, seed: int) -> Path:
    """Simulate a stack by the command of the tutorial."""
    words = f"simulate spots --random-cell 1000 --cells {cells} --orientations {orientations}"
    words += f" --seed {seed} --output {path}"
    subprocess.run([sys.executable, "-m", "napari_diffraction.cli", *words.split()], check=True)
    return path


def label(viewer: object, path: Path) -> None:
    """Let a model propose classes, accept the sure ones, and decide on the others."""
    from napari_diffraction.learning.classes import ZONE
    from napari_diffraction.simulation.files import load_labels
    from napari_diffraction.ui.viewer.coordinator import Coordinator

    (layer,) = viewer.open(str(path), plugin=PLUGIN)
    work = Coordinator.of(viewer)
    viewer.window.remove_dock_widget(classified(viewer, layer, "zones"))
    _, review = viewer.window.add_plugin_dock_widget(PLUGIN, "Review patterns")
    review.accept_button.click()
    truth = load_labels(str(path))["label"]
    while work.session.counts().left:
        index = work.next()
        work.decide(truth[index])
    viewer.reset_view()
    work.show(int(truth[truth == ZONE].index[0]))
    take(viewer, "tutorial_label")
    viewer.window.remove_dock_widget(review)


def train(viewer: object) -> None:
    """Train the compact network on the review."""
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Train")
    panel.sources.opened.setChecked(True)
    mine = [place for place in range(panel.sources.labels.count()) if _is_mine(panel, place)]
    panel.sources.labels.setCurrentIndex(mine[0])
    panel.size_box.setValue(96)
    panel.epochs.setValue(8)
    panel.name.setText("practice")
    panel.run()
    wait(lambda: not panel.bar.running, 1500)
    panel.findChild(scroll_area_type()).ensureWidgetVisible(panel.save_button)
    take(viewer, "tutorial_train")
    viewer.window.remove_dock_widget(panel)


def _is_mine(panel: object, place: int) -> bool:
    return panel.sources.labels.itemText(place).startswith("my review")


def judge(viewer: object, path: Path) -> None:
    """Ask the new model about crystals that it never saw, and look at what it got wrong."""
    (layer,) = viewer.open(str(path), plugin=PLUGIN)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Evaluate")
    assert panel.layer.layer() is layer
    panel.model.choose("practice")
    panel.run()
    wait(lambda: not panel.bar.running)
    if panel.results.worst_button.isEnabled():
        panel.results.worst_button.click()
    viewer.reset_view()
    panel.findChild(scroll_area_type()).ensureWidgetVisible(panel.results.worst_button)
    take(viewer, "tutorial_evaluate")
    viewer.window.remove_dock_widget(panel)


def classify(viewer: object) -> None:
    """Sort patterns with the new model, and look at the zones."""
    from napari_diffraction.learning.classes import ZONE
    from napari_diffraction.ui.viewer.coordinator import Coordinator

    classified(viewer, viewer.layers["exam"], "practice")
    Coordinator.of(viewer).open_class(ZONE)
    viewer.reset_view()
    take(viewer, "tutorial_classify")
