"""The Evaluate panel, driven as a person would, in a real window."""

import gc
import json
import weakref
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from mouse import click
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollArea

from napari_diffraction.learning.classes import LAUE, ZONE, ZONE_CLASSES
from napari_diffraction.ui.viewer.coordinator import Coordinator

pytestmark = pytest.mark.gui
N = 40


@pytest.fixture
def labels(learning, make_stack):
    """Return the truth: what the fake model says, but for the first ten patterns: all zones."""
    table = learning.table(make_stack(N), range(N))
    truth = table["label"].to_numpy(str).astype(object)
    truth[:10] = ZONE
    return pd.DataFrame({"index": range(N), "label": truth, "cell": np.arange(N) // 2})


@pytest.fixture
def opened(make_napari_viewer, learning, make_stack, labels):
    """Return a function that opens a window with labelled patterns and the panel."""

    def open_window(table=labels):
        viewer = make_napari_viewer(show=True)
        viewer.window.resize(1280, 800)
        stack = make_stack(N)
        metadata = {"pattern_stack": stack}
        if table is not None:
            metadata["labels"] = table
        viewer.add_image(stack.data, name="run42", contrast_limits=(0, 255), metadata=metadata)
        _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Evaluate")
        QApplication.processEvents()
        return viewer, panel

    return open_window


def evaluate(qtbot, panel):
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        click(panel.run_button)
    assert panel.results.isVisible()
    return panel.results.evaluation


def cell(panel, truth, label):
    """Return the place and the size of a cell of the matrix in its table."""
    table = panel.results.matrix.table
    names = [str(name) for name in panel.results.evaluation.confusion.index]
    return table, table.item(names.index(truth), names.index(label))


def click_cell(panel, truth, label):
    table, item = cell(panel, truth, label)
    panel.findChild(QScrollArea).ensureWidgetVisible(table)
    QApplication.processEvents()
    place = table.visualItemRect(item).center()
    QTest.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=place)
    QApplication.processEvents()


def canvas(viewer):
    QApplication.processEvents()
    return viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)


def test_a_click_on_a_cell_opens_its_patterns_and_all_leads_back(opened, qtbot, labels):
    viewer, panel = opened()
    assert panel.labels.currentText() == "those that came with the patterns"
    made = evaluate(qtbot, panel)
    wrong = made.table[~made.table["correct"]]
    called = wrong["label"].value_counts().index[0]
    wanted = made.cell(ZONE, called)
    viewer.dims.set_current_step(0, 5)
    before = canvas(viewer)
    click_cell(panel, ZONE, called)
    layer = viewer.layers[f"run42 - {ZONE} called {called}"]
    assert layer.data.shape[0] == len(wanted)
    confidence = made.table.set_index("index").loc[wanted, "confidence"]
    assert confidence.is_monotonic_decreasing
    whole = viewer.layers["run42"]
    assert not whole.visible
    for place, index in enumerate(wanted):
        assert np.array_equal(np.asarray(layer.data[place]), np.asarray(whole.data[index]))
    assert viewer.dims.range[0].stop == len(wanted) - 1
    points = viewer.layers[f"{layer.name} - classes"]
    shown = points.text.values[0]
    assert shown == f"truly {ZONE}\ncalled {called} {confidence.iloc[0]:.2f}"
    picture = canvas(viewer)
    assert (picture != before).any()
    orange = (picture[..., 0] - picture[..., 2]) > 80  # the colour of zones, in the corner
    assert orange.sum() > 50
    half = np.argwhere(orange).mean(axis=0) / picture.shape[:2]
    assert half[0] < 0.5
    assert half[1] < 0.6

    viewer.dims.set_current_step(0, 1)
    click(panel.results.all_button)
    assert [one.name for one in viewer.layers] == ["run42"]
    assert whole.visible
    assert viewer.dims.current_step[0] == wanted[min(1, len(wanted) - 1)]
    assert viewer.dims.range[0].stop == N - 1
    assert not ((canvas(viewer)[..., 0] - canvas(viewer)[..., 2]) > 80).any()


def test_figures_and_colours_are_those_of_the_evaluation(opened, qtbot, labels):
    _, panel = opened()
    made = evaluate(qtbot, panel)
    assert f"<b>{made.summary['accuracy']:.3f}</b>" in panel.results.figures.text()
    assert "by unit cell (20 of them)." in panel.results.notes.text()
    assert "could not be checked" in panel.results.notes.text()
    right, wrong = cell(panel, LAUE, LAUE), None
    off = made.confusion.loc[ZONE].drop(ZONE)
    wrong = cell(panel, ZONE, str(off.idxmax()))
    panel.findChild(QScrollArea).ensureWidgetVisible(right[0])
    QApplication.processEvents()
    picture = right[0].viewport().grab().toImage()

    def colour(item):
        box = right[0].visualItemRect(item)
        return picture.pixelColor(box.left() + 4, box.top() + 4)

    assert colour(right[1]).blue() > colour(right[1]).red() + 30
    assert colour(wrong[1]).red() > colour(wrong[1]).blue() + 30
    assert right[1].text() == str(made.confusion.loc[LAUE, LAUE])
    panel.results.matrix.shown.setCurrentIndex(1)
    share = off.max() / made.confusion.loc[ZONE].sum()
    assert cell(panel, ZONE, str(off.idxmax()))[1].text() == f"{share:.0%}"
    f1 = panel.results.classes.item(list(made.classes).index(ZONE), 2)
    assert f1.text() == f"{made.per_class.loc[ZONE, 'f1']:.3f}"
    assert f"{made.per_class.loc[ZONE, 'f1_low']:.3f}" in f1.toolTip()


def test_wrong_and_least_certain_patterns_are_stacks_of_their_own(opened, qtbot):
    viewer, panel = opened()
    made = evaluate(qtbot, panel)
    wrong = made.worst()
    assert panel.results.worst_button.text() == f"Wrong ones ({len(wrong)})"
    click(panel.results.worst_button)
    assert viewer.layers["run42 - wrong ones"].data.shape[0] == len(wrong)
    click(panel.results.least_button)
    names = [layer.name for layer in viewer.layers]
    assert names == ["run42", "run42 - least certain", "run42 - least certain - classes"]
    least = made.table.set_index("index")["confidence"].idxmin()
    points = viewer.layers[-1]
    assert points.features["index"].iloc[0] == least
    # whoever makes the stack visible again goes back to it, and so does who deletes the layer
    viewer.layers["run42"].visible = True
    assert [layer.name for layer in viewer.layers] == ["run42"]
    click(panel.results.worst_button)
    viewer.layers.remove("run42 - wrong ones")
    assert [layer.name for layer in viewer.layers] == ["run42"]
    assert viewer.layers["run42"].visible


def test_no_decision_is_made_on_a_pattern_that_is_not_on_view(opened, qtbot, learning, make_stack):
    viewer, panel = opened()
    work = Coordinator.of(viewer)
    work.set_layer(viewer.layers["run42"])
    work.begin(ZONE_CLASSES, {})
    work.add_rows(learning.table(make_stack(N), range(N)))
    evaluate(qtbot, panel)
    click(panel.results.worst_button)
    assert work.current is None
    work.decide(LAUE)
    assert not work.session.decided.any()
    work.show(7)
    assert viewer.layers["run42"].visible
    assert viewer.dims.current_step[0] == 7
    assert "run42 - wrong ones" not in viewer.layers
    work.decide(LAUE)
    assert work.session.decided.sum() == 1
    # and what was decided can be the truth
    titles = [panel.labels.itemText(i) for i in range(panel.labels.count())]
    assert titles[1] == "my review (1 pattern)"
    panel.labels.setCurrentIndex(1)
    made = evaluate(qtbot, panel)
    assert made.summary["judged"] == 1
    assert f"{N - 1} of {N} patterns bear no label" in panel.results.notes.text()


def test_a_click_on_the_chart_tries_a_threshold_and_it_can_be_used(opened, qtbot):
    viewer, panel = opened()
    made = evaluate(qtbot, panel)
    chart = panel.results.chart
    panel.findChild(QScrollArea).ensureWidgetVisible(chart)
    QApplication.processEvents()
    place = chart.point_of(0.6, 0.5).toPoint()
    QTest.mouseClick(chart, Qt.MouseButton.LeftButton, pos=place)
    threshold = panel.results.threshold.value()
    assert threshold == pytest.approx(0.6, abs=0.01)
    kept = made.table["confidence"] >= threshold
    assert f"Keeps {kept.sum()} of {N} patterns" in panel.results.kept.text()
    right = made.table.loc[kept, "correct"].mean()
    assert f"{right:.1%} are right" in panel.results.kept.text()
    click(panel.results.use_button)
    assert Coordinator.of(viewer).threshold == threshold

    picture = chart.grab().toImage()
    where = chart.point_of(0.3, 0.5)
    column = [picture.pixelColor(int(where.x()), y) for y in range(picture.height())]
    blue = [y for y, c in enumerate(column) if c.blue() > c.red() + 60 and c.blue() > 150]
    share = (made.table["confidence"] >= 0.3).mean()
    assert blue
    assert np.mean(blue) == pytest.approx(chart.point_of(0.3, share).y(), abs=4)

    panel.results.chart_kind.setCurrentIndex(1)
    assert chart.marked is None
    assert [curve.name for curve in chart.curves] == ["perfect", "share that is right"]


def test_two_models_are_compared_and_the_report_is_written(opened, qtbot, tmp_path):
    _, panel = opened()
    panel.compare.setChecked(True)
    evaluate(qtbot, panel)
    assert panel.results.comparison.isVisible()
    assert "difference 0.000 (0.000 to 0.000)" in panel.results.comparison.text()
    assert panel.results.model.count() == 2
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        panel.save_report(tmp_path / "report")
    assert "Comparison" in (tmp_path / "report" / "report.html").read_text()
    summary = json.loads((tmp_path / "report" / "summary.json").read_text())
    assert summary["accuracy"] == panel.results.evaluation.summary["accuracy"]
    assert (tmp_path / "report" / "worst.png").exists()


def test_without_labels_the_panel_says_what_to_do(opened, qtbot, monkeypatch):
    seen = []
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar.show_error", seen.append)
    viewer, panel = opened(None)
    assert panel.labels.currentText() == "those in the file or beside it"
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        click(panel.run_button)
    assert len(seen) == 1
    assert not panel.results.isVisible()
    viewer.layers.clear()
    viewer.add_image(np.zeros((3, 8, 8)), name="bare")
    assert not panel.run_button.isEnabled()
    assert "Nothing is known of what these patterns truly are" in panel.note.text()
    viewer.layers.clear()
    assert "Open a stack first" in panel.note.text()


def test_labels_of_other_classes_are_one_sentence(opened, qtbot, monkeypatch, labels):
    seen = []
    monkeypatch.setattr("napari_diffraction.ui.widgets.worker_bar.show_error", seen.append)
    _, panel = opened(labels.assign(label="cF"))
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        click(panel.run_button)
    (text,) = seen
    assert text.startswith("The labels name cF, of which the model knows none")


def test_cancel_and_nothing_is_cut_off_on_a_laptop(opened, qtbot, learning, monkeypatch):
    _, panel = opened()
    learning.delay = 0.3
    monkeypatch.setattr(
        "napari_diffraction.ui.evaluate.widget.preference",
        lambda name, default: 4 if name == "batch_size" else default,
    )
    panel.bar.stepped.connect(lambda steps: panel.bar.cancel())
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        click(panel.run_button)
    assert not panel.results.isVisible()
    assert panel.run_button.isVisible()
    panel.bar.stepped.disconnect()
    learning.delay = 0
    evaluate(qtbot, panel)
    area = panel.findChild(QScrollArea)
    assert panel.width() < 420
    assert area.widget().minimumSizeHint().width() <= area.viewport().width()


def test_patterns_that_are_removed_leave_the_memory(opened, qtbot):
    viewer, panel = opened()
    evaluate(qtbot, panel)
    panel.results.worst_button.click()
    panel.results.all_button.click()
    layer = weakref.ref(viewer.layers["run42"])
    viewer.layers.clear()
    QApplication.processEvents()
    gc.collect()
    assert layer() is None


def test_an_evaluation_says_nothing_of_other_patterns(opened, qtbot):
    viewer, panel = opened()
    evaluate(qtbot, panel)
    layer = viewer.layers["run42"]
    stack = layer.metadata["pattern_stack"]
    others = replace(stack, data=255 - stack.data, name="others")
    layer.metadata = {**layer.metadata, "pattern_stack": others}
    layer.data = others.data
    assert not panel.results.isVisible()
    evaluate(qtbot, panel)
    panel.results.worst_button.click()
    chosen = viewer.layers["run42 - wrong ones"]
    first = int(panel.results.evaluation.worst()[0])
    assert np.array_equal(np.asarray(chosen.data[0]), np.asarray(others.data[first]))
