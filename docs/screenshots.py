"""Make the pictures of the documentation by doing in a real window what a person would do.

Run it with a display, or under one that is made for it::

    xvfb-run -a -s "-screen 0 1600x1000x24 -dpi 96" python docs/screenshots.py

The pictures are written to ``docs/images``; names of parts after it, such as ``review``, make only
theirs.  Nobody's settings or saved reviews are touched.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tutorial_steps import take_tutorial
from unit_cell_steps import take_unit_cell
from window import PLUGIN, classified, rest, scroll_area_type, take, wait

#: A small laptop, the least that the panels are made for.
WIDTH, HEIGHT = 1280, 800


def main() -> None:
    """Make all pictures, or those whose parts are named on the command line."""
    chosen = sys.argv[1:] or list(PARTS)
    unknown = set(chosen) - set(PARTS)
    if unknown:
        sys.exit(f"There is no part {unknown.pop()}: name some of {', '.join(PARTS)}.")
    with tempfile.TemporaryDirectory() as home:
        for kind in ("CACHE", "CONFIG", "DATA", "STATE"):
            os.environ[f"XDG_{kind}_HOME"] = home
        import napari
        from napari.settings import get_settings

        get_settings().application.confirm_close_window = False
        for name in chosen:
            viewer = napari.Viewer(show=True)
            viewer.window.resize(WIDTH, HEIGHT)
            PARTS[name](viewer)
            viewer.close()


def take_simulation(viewer: object) -> None:
    """Simulate spot patterns, then Kikuchi patterns, with the preview that is there at once."""
    _, simulate = viewer.window.add_plugin_dock_widget(PLUGIN, "Simulate patterns")
    wait(lambda: len(viewer.layers) > 0)
    take(viewer, "simulate")
    simulate.tabs.setCurrentIndex(1)
    rest(15)  # the first pattern compiles what draws it
    viewer.reset_view()
    take(viewer, "simulate_kikuchi")


def take_review(viewer: object) -> None:
    """Classify a simulated experiment and review what came out."""
    from qtpy.QtWidgets import QTableView

    from napari_diffraction.learning.classes import ZONE
    from napari_diffraction.ui.viewer.coordinator import Coordinator

    viewer.open_sample(PLUGIN, "serial_experiment")
    _, classify = viewer.window.add_plugin_dock_widget(PLUGIN, "Classify patterns")
    if classify.model.currentData() is None:
        sys.exit("No model is installed, so there is nothing to take pictures of.")
    viewer.reset_view()
    take(viewer, "open")
    classify.run()
    wait(lambda: not classify.bar.running)
    work = Coordinator.of(viewer)
    work.show(int(work.session.patterns_of(ZONE)[0]))
    take(viewer, "classify")
    classify.review_button.click()
    labels = work.session.classes
    for key in (1, 0, 1, 3, 1):  # as a person would press 2, 1, 2, 4, 2
        work.decide(labels[key])
    take(viewer, "review")
    viewer.theme = "light"
    take(viewer, "review_light")
    viewer.theme = "dark"
    work.open_class(ZONE)
    take(viewer, "zones")
    work.show_all()
    _, review = viewer.window.add_plugin_dock_widget(PLUGIN, "Review patterns")
    review.table_button.click()
    work.next()
    for table in viewer.window._qt_window.findChildren(QTableView):
        table.hideColumn(2)  # a path on this computer
    take(viewer, "features_table")


def take_live(viewer: object) -> None:
    """Follow a folder into which a camera writes."""
    import tifffile

    (sample, *_) = viewer.open_sample(PLUGIN, "serial_experiment")
    frames = sample.metadata["pattern_stack"].frames(range(240))
    viewer.layers.clear()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "camera"
        folder.mkdir()
        for number, frame in enumerate(frames[:40]):
            tifffile.imwrite(folder / f"{number}.tif", frame)
        viewer.open(folder, plugin=PLUGIN)
        _, classify = viewer.window.add_plugin_dock_widget(PLUGIN, "Classify patterns")
        classify.follow.switch.click()
        classify.follow.newest.click()
        wait(lambda: classify.histogram.numbers.sum() == 40)
        for number, frame in enumerate(frames[40:], 40):
            tifffile.imwrite(folder / f"{number}.tif", frame)
        wait(lambda: classify.histogram.numbers.sum() == len(frames))
        viewer.reset_view()
        take(viewer, "live")
        classify.follow.switch.click()
        wait(lambda: not classify.bar.running)


def take_phase_map(viewer: object) -> None:
    """Map the sample scan, point by point, with the phases that are known to be in it."""
    (layer, *_) = viewer.open_sample(PLUGIN, "rutilated_quartz")
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Phase map")
    panel.scan.choose(layer)
    panel.model.choose("quartz-rutile")
    panel.run()
    wait(lambda: not panel.bar.running)
    viewer.reset_view()
    panel.findChild(scroll_area_type()).ensureWidgetVisible(panel.network.legend)
    take(viewer, "phase_map_panel")


def take_live_scan(viewer: object) -> None:
    """Map a measured scan whose rows come while one looks, by indexing and by a network."""
    import h5py

    from napari_diffraction.patterns.readers import open_stack

    folder = os.environ.get("NAPARI_DIFFRACTION_REAL")
    if not folder:
        print("live_scan: set NAPARI_DIFFRACTION_REAL to the folder of measured patterns")
        return
    stack = open_stack(Path(folder) / "ebsd" / "ni_superalloy_64x80x120x120.h5")
    frames = stack.data[:60].compute()
    with tempfile.TemporaryDirectory() as place:

        def record(rows: int) -> None:
            with h5py.File(f"{place}/new", "w") as file:
                file["patterns"] = frames[:rows]
            os.replace(f"{place}/new", f"{place}/superalloy.h5")

        record(24)
        viewer.open(f"{place}/superalloy.h5", plugin=PLUGIN)
        wait(lambda: len(viewer.layers) == 3)
        _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Phase map")
        panel.model.choose("my phases by indexing")
        panel.phases.choose("Ni")
        panel.phases.open_button.click()
        panel.follow.switch.click()
        panel.follow.newest.click()
        box = panel.indexed
        wait(lambda: box.indexed is not None and box.indexed.shape[0] == 24, 900)
        record(44)
        wait(lambda: box.indexed.shape[0] == 44 and not box.arriving, 900)
        viewer.reset_view()
        take(viewer, "live_scan")
        panel.follow.switch.click()
        wait(lambda: not panel.bar.running)
        panel.model.choose("bravais")
        panel.follow.switch.click()
        network = panel.network
        wait(lambda: network.work is not None and network.work.complete, 900)
        record(60)
        wait(lambda: network.shown.shape[0] == 60 and network.work.complete, 900)
        take(viewer, "live_map")
        panel.follow.switch.click()
        wait(lambda: not panel.bar.running)


def take_indexed_scan(viewer: object) -> None:
    """Find the phases of a measured scan with nothing given, and do with them what one does."""
    folder = os.environ.get("NAPARI_DIFFRACTION_REAL")
    if not folder:
        print("indexed_scan: set NAPARI_DIFFRACTION_REAL to the folder of measured patterns")
        return
    scan = Path(folder) / "ebsd" / "ni_superalloy_64x80x120x120.h5"
    viewer.open(scan, plugin=PLUGIN)
    wait(lambda: len(viewer.layers) == 3)
    _, panel = viewer.window.add_plugin_dock_widget(PLUGIN, "Phase map")
    panel.run()
    wait(lambda: not (panel.bar.running or panel.indexed.arriving), 900)
    panel.pattern.buttons["flattened"].click()
    viewer.dims.set_point([0, 1], [44, 30])
    wait(lambda: not panel.pattern.busy)  # the first pattern compiles what flattens it
    viewer.reset_view()
    area = panel.findChild(scroll_area_type())
    take(viewer, "indexed_scan")
    box = panel.indexed
    box.point.opinion.ask.click()
    wait(lambda: not box.point.opinion.latest.running)
    area.ensureWidgetVisible(box.point.opinion)
    take(viewer, "indexed_point")
    with tempfile.TemporaryDirectory() as place:
        theirs = Path(place) / "vendor.ctf"
        panel.export(theirs)
        wait(lambda: not panel.bar.running)
        panel.compare_with(theirs)
        wait(lambda: box.comparison.isVisible())
    area.ensureWidgetVisible(box.comparison)
    viewer.theme = "light"
    take(viewer, "indexed_compared")


def take_lesson(viewer: object) -> None:
    """Label patterns of a simulated experiment as they are, and let the model learn from it."""
    from napari_diffraction.ui.viewer.coordinator import Coordinator

    (layer, *_) = viewer.open_sample(PLUGIN, "serial_experiment")
    truth = layer.metadata["labels"]["label"]
    work = Coordinator.of(viewer)
    viewer.window.remove_dock_widget(classified(viewer, layer, "zones"))
    _, review = viewer.window.add_plugin_dock_widget(PLUGIN, "Review patterns")
    for name in work.session.classes:
        for index in truth[truth == name].index[:10]:
            work.show(int(index))
            work.decide(name)
    review.learn.run()
    wait(lambda: not review.learn.bar.running)
    viewer.reset_view()
    review.findChild(scroll_area_type()).ensureWidgetVisible(review.learn.result)
    take(viewer, "learn")


def take_explanation(viewer: object) -> None:
    """Ask of a pattern of several crystals what counted for its class."""
    from napari_diffraction.learning.classes import MULTIPLE

    (layer, *_) = viewer.open_sample(PLUGIN, "serial_experiment")
    _, explain = viewer.window.add_plugin_dock_widget(PLUGIN, "Explain")
    explain.layer.choose(layer)
    labels = layer.metadata["labels"]["label"]
    viewer.dims.set_current_step(0, int(labels[labels == MULTIPLE].index[0]))
    explain.explain()
    wait(lambda: (explain.question, explain.shown.view.index()) in explain.shown.maps)
    viewer.reset_view()
    take(viewer, "explain")


def take_evaluation(viewer: object) -> None:
    """Judge the model by a simulated experiment, and look at what it got wrong."""
    (layer, *_) = viewer.open_sample(PLUGIN, "serial_experiment")
    _, evaluate = viewer.window.add_plugin_dock_widget(PLUGIN, "Evaluate")
    evaluate.layer.choose(layer)
    evaluate.run()
    wait(lambda: not evaluate.bar.running)
    confusion = evaluate.results.evaluation.confusion
    wrong = confusion.where(confusion.index.to_numpy()[:, None] != confusion.columns.to_numpy())
    truth, label = wrong.stack().idxmax()
    evaluate.results.matrix.opened.emit(truth, label)
    viewer.reset_view()
    evaluate.findChild(scroll_area_type()).ensureWidgetVisible(evaluate.results.worst_button)
    take(viewer, "evaluate")


def take_peaks(viewer: object) -> None:
    """Find the peaks of a pattern between a zone and a Laue pattern, and redraw it."""
    (layer, *_) = viewer.open_sample(PLUGIN, "serial_experiment")
    _, peaks = viewer.window.add_plugin_dock_widget(PLUGIN, "Peaks")
    peaks.layer.choose(layer)
    labels = layer.metadata["labels"]
    hybrid = labels[labels["zone_fraction"].between(0.6, 0.9) & (labels["n_spots"] > 40)]
    viewer.dims.set_current_step(0, int(hybrid.index[0]))
    peaks.find()
    wait(lambda: bool(peaks.shown.looked[hybrid.index[0]]) and not peaks._latest.running)
    peaks.redraw()
    viewer.reset_view()
    take(viewer, "peaks")


def take_training(viewer: object) -> None:
    """Train the compact network on simulated spot patterns."""
    viewer.open_sample(PLUGIN, "serial_experiment")
    _, train = viewer.window.add_plugin_dock_widget(PLUGIN, "Train")
    train.sources.opened.setChecked(False)
    train.sources.simulated.setChecked(True)
    train.sources.patterns.setValue(1200)
    train.size_box.setValue(64)
    train.epochs.setValue(20)
    train.minutes.setValue(15)
    train.name.setText("our camera")
    train.run()
    wait(lambda: not train.bar.running, 1500)
    viewer.reset_view()
    train.findChild(scroll_area_type()).ensureWidgetVisible(train.save_button)
    take(viewer, "train")


PARTS = {
    "simulate": take_simulation,
    "review": take_review,
    "live": take_live,
    "live_scan": take_live_scan,
    "learn": take_lesson,
    "explain": take_explanation,
    "evaluate": take_evaluation,
    "train": take_training,
    "tutorial": take_tutorial,
    "peaks": take_peaks,
    "phase_map": take_phase_map,
    "indexed_scan": take_indexed_scan,
    "unit_cell": take_unit_cell,
}

if __name__ == "__main__":
    main()
