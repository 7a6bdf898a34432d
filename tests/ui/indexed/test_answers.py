"""What a person does with a solution in the panel: watch it come, doubt it, name it, compare it."""

import hashlib
from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.overlay import solution_drawing
from napari_diffraction.learning.explain import heatmaps as explain
from napari_diffraction.learning.models import registry
from napari_diffraction.learning.palette import OKABE_ITO
from napari_diffraction.patterns.geometry import electron_wavelength
from napari_diffraction.patterns.stack import KikuchiGeometry
from napari_diffraction.ui.indexed import tasks as work
from napari_diffraction.ui.indexed.point_box import second_solution

pytestmark = pytest.mark.gui
ROWS, COLUMNS, SIDE = 8, 12, 60
CIF = """data_mine
_cell_length_a 3.52
_cell_length_b 3.52
_cell_length_c 3.52
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ni Ni 0 0 0
"""


def test_the_map_fills_and_cancel_keeps_what_is_done(
    opened, indexing, qtbot, hand, tmp_path, monkeypatch
):
    viewer, panel = opened
    indexing.delay = 0.35  # the bar holds steps back that follow one another more quickly
    # every step makes a solution, however long the last one took
    monkeypatch.setattr(work, "_INTERVAL", 0.0)
    monkeypatch.setattr(work, "_SHARE", 1e9)
    indexing.gates = {1: Event(), 2: Event(), 3: Event(), 5: Event()}
    QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    indexing.gates[1].set()
    # centre and phases are told before any point is there
    qtbot.waitUntil(lambda: panel.indexed.isVisible(), timeout=60_000)
    assert panel.indexed.list.centre.text().startswith("Centre found: 0.509(2)")
    assert len(panel.indexed.list.rows) == 2
    assert not panel.indexed.list.rows[0].isEnabled()  # names would be lost with the next points
    layer = viewer.layers["alloy - phase map (indexed)"]
    assert (layer.data == 0).all()
    hand.show(panel, "phases")
    assert hand.seen(viewer, OKABE_ITO[0]) < 100
    indexing.gates[2].set()
    qtbot.waitUntil(lambda: (layer.data > 0).any(), timeout=60_000)
    assert (layer.data[3:] == 0).all()  # it fills from the top
    panel.indexed.point.draw.click()  # its bands have the colour of the first phase
    pixels = hand.seen(viewer, OKABE_ITO[0])
    assert pixels > 100
    indexing.gates[3].set()
    qtbot.waitUntil(lambda: (layer.data > 0).sum() == 57, timeout=60_000)
    assert hand.seen(viewer, OKABE_ITO[0]) > 1.5 * pixels
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        QTest.mouseClick(panel.bar.cancel_button, Qt.MouseButton.LeftButton)
        indexing.gates[5].set()
    kept = panel.indexed.indexed
    done = int(kept.done.sum())
    assert done == 76
    assert not kept.finished
    assert panel.note.text() == "76 of 96 patterns are indexed."
    assert panel.run_button.text() == "Continue"
    first = indexing.steps
    np.testing.assert_array_equal(layer.data.ravel() > 0, kept.done)
    assert panel.indexed.list.rows[0].isEnabled()
    viewer.dims.set_point([0, 1], [ROWS - 1, 3])
    assert "not indexed yet" in panel.indexed.point.text.text()
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "map.csv")
    assert len(pd.read_csv(tmp_path / "map.csv")) == done
    indexing.delay, indexing.gates = 0, {}
    hand.run(panel)
    assert indexing.steps is first
    assert panel.run_button.text() == "Run"
    assert (layer.data > 0).all()
    assert panel.note.text() == ""
    assert sum("phase map" in one.name for one in viewer.layers) == 1


def test_grains_are_kept_where_something_else_is_told(opened, indexing, qtbot, hand):
    _, panel = opened
    indexing.delay, indexing.gates = 0.15, {2: Event()}
    QTest.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: panel.indexed.isVisible(), timeout=60_000)
    with qtbot.waitSignal(panel.bar.finished, timeout=60_000):
        QTest.mouseClick(panel.bar.cancel_button, Qt.MouseButton.LeftButton)
        indexing.gates[2].set()
    assert panel.run_button.text() == "Continue"
    panel.model.choose("my phases by indexing")
    assert panel.run_button.text() == "Run"
    panel.model.choose("find the phases")
    assert panel.run_button.text() == "Continue"
    first = indexing.steps
    indexing.delay, indexing.gates = 0, {}
    hand.run(panel)
    assert indexing.steps is first
    hand.run(panel)  # what is complete is begun anew
    assert indexing.steps is not first


def test_the_second_best_answer_is_told_and_drawn_instead(opened, hand):
    viewer, panel = opened
    hand.run(panel)
    viewer.dims.set_point([0, 1], [3, 2])
    point = panel.indexed.point
    assert "Second-best" in point.text.text()
    assert "phase 2 (hP)" in point.text.text()
    assert "explains 62% of what the solution does" in point.text.text()
    bands = viewer.layers["alloy - bands of the solution"]
    solution = bands.data.copy()
    point.other.click()
    assert not point.draw.isChecked()
    indexed = panel.indexed.indexed
    drawn = solution_drawing(second_solution(indexed), 3 * COLUMNS + 2, 12, 7)
    ends = bands.data[: len(drawn.ends)].cumsum(axis=1)
    np.testing.assert_allclose(ends, drawn.ends, atol=1e-4)
    assert hand.seen(viewer, "#E69F00", 60) > 100
    point.other.click()
    assert not bands.visible
    point.draw.click()
    assert bands.visible
    np.testing.assert_allclose(bands.data, solution, atol=1e-4)
    viewer.dims.set_point([0, 1], [0, 0])  # where nothing matches there is no other answer either
    assert not point.other.isEnabled()


def test_a_voltage_rescales_cells_and_ranks_materials_anew(opened, indexing, qtbot, hand):
    _, panel = opened
    assert panel.voltage.source.currentText() == "of the file: 15 kV"
    assert panel.voltage.note.isHidden()
    hand.run(panel)
    before = panel.indexed.indexed.phases[0]
    with qtbot.waitSignal(panel.indexed.ranking.finished, timeout=60_000):
        panel.voltage.source.setCurrentIndex(1)
        panel.voltage.number.setValue(20)
    after = panel.indexed.indexed
    factor = electron_wavelength(20) / electron_wavelength(15)
    assert after.phases[0].cell.a == pytest.approx(factor * before.cell.a)
    assert panel.indexed.list.centre.text().endswith("(Bruker), 20 kV")
    assert "a = 3.04(5) A" in panel.indexed.list.rows[0].text()
    assert "Ni" not in {one.name for one in after.phases[0].candidates}  # a is 3.52 A
    with qtbot.waitSignal(panel.indexed.ranking.finished, timeout=60_000):
        panel.voltage.source.setCurrentIndex(0)
    assert panel.indexed.indexed.phases[0].cell.a == pytest.approx(before.cell.a)
    assert "Ni" in {one.name for one in panel.indexed.indexed.phases[0].candidates}
    panel.voltage.source.setCurrentIndex(1)
    hand.run(panel)
    assert indexing.settings.voltage == 20


def test_tilts_turn_the_orientations_at_once(opened, indexing, hand):
    viewer, panel = opened
    hand.run(panel)
    layer, tilts = viewer.layers["alloy - orientations (IPF Z)"], panel.choice.tilts
    before = np.array(layer.data)
    assert "The tilt of the camera is not known" in panel.indexed.list.notes.text()
    tilts.source.setCurrentIndex(1)
    assert "tilt" not in panel.indexed.list.notes.text()
    np.testing.assert_array_equal(layer.data, before)  # the usual ones, that were assumed
    tilts.numbers[1].setValue(25)
    assert panel.indexed.indexed.geometry.camera_tilt == 25
    assert np.abs(layer.data - before).max() > 0.1
    panel.indexed.show_combo.setCurrentIndex(1)
    tilts.source.setCurrentIndex(0)
    panel.indexed.show_combo.setCurrentIndex(0)
    np.testing.assert_array_equal(layer.data, before)
    assert panel.indexed.indexed.geometry.camera_tilt is None


def test_what_was_said_of_a_scan_holds_when_it_is_looked_at_again(opened, indexing, qtbot, hand):
    viewer, panel = opened
    panel.voltage.source.setCurrentIndex(1)
    panel.voltage.number.setValue(12)
    panel.centre.source.setCurrentIndex(1)
    for box, value in zip(panel.centre.numbers, (0.49, 0.34, 0.62), strict=True):
        box.setValue(value)
    panel.choice.tilts.source.setCurrentIndex(1)
    panel.choice.tilts.numbers[1].setValue(8)
    hand.run(panel)
    cells = [phase.cell for phase in panel.indexed.indexed.phases]
    other = replace(panel._stack(), name="other", geometry=KikuchiGeometry())
    layer = viewer.add_image(other.data, name="other", metadata={"pattern_stack": other})
    panel.scan.choose(layer)
    assert panel.voltage.source.currentText() == "not known: 20 kV are assumed"
    assert panel.voltage.given is None
    assert panel.centre.given is None
    assert panel.choice.tilts.given == (None, None)
    panel.scan.choose(viewer.layers["alloy"])
    assert panel.voltage.given == 12
    assert panel.centre.given == (0.49, 0.34, 0.62)
    assert panel.choice.tilts.given == (70, 8)
    assert panel.indexed.indexed.geometry.camera_tilt == 8
    assert [phase.cell for phase in panel.indexed.indexed.phases] == cells
    assert panel.indexed.indexed.voltage == 12
    # of the other one, nobody has said anything
    panel.scan.choose(layer)
    assert panel.voltage.given is None


def test_what_was_said_of_a_scan_holds_in_a_panel_that_is_opened_again(opened, hand, close):
    viewer, panel = opened
    hand.run(panel)
    panel.voltage.source.setCurrentIndex(1)
    panel.voltage.number.setValue(12)
    panel.choice.tilts.source.setCurrentIndex(1)
    panel.choice.tilts.numbers[1].setValue(8)
    cells = [phase.cell for phase in panel.indexed.indexed.phases]
    close(panel)
    _, panel = viewer.window.add_plugin_dock_widget("napari-diffraction", "Phase map")
    assert panel.voltage.given == 12
    assert panel.choice.tilts.given == (70, 8)
    assert [phase.cell for phase in panel.indexed.indexed.phases] == cells
    assert panel.indexed.indexed.geometry.camera_tilt == 8


def test_ones_own_crystals_name_a_phase_everywhere(opened, indexing, qtbot, hand, tmp_path, errors):
    _, panel = opened
    hand.run(panel)
    folder = tmp_path / "cifs"
    folder.mkdir()
    (folder / "my nickel.cif").write_text(CIF)
    (folder / "broken.cif").write_text("no cif")
    box = panel.indexed.candidates
    with qtbot.waitSignal(panel.indexed.ranking.finished, timeout=60_000):
        box.read(folder)
    assert box.note.text() == "Ranked: 1 crystal of cifs, and the built-in materials."
    row = panel.indexed.list.rows[0]
    assert 'href="my nickel"' in row.text()
    row.linkActivated.emit("my nickel")
    assert "<b>my nickel</b>: cF" in row.text()
    assert panel.indexed.indexed.phases[0].structure.space_group == 225
    for suffix in (".csv", ".ang"):
        with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
            panel.export(tmp_path / f"map{suffix}")
    assert "my nickel" in set(pd.read_csv(tmp_path / "map.csv")["phase"])
    assert "my nickel" in (tmp_path / "map.ang").read_text()
    hand.run(panel)  # the next run ranks them, too
    assert list(indexing.settings.candidates) == ["my nickel"]
    with qtbot.waitSignal(box.reading.finished, timeout=30_000):
        box.read(tmp_path / "nowhere")
    assert "no such folder" in errors[-1]


def test_a_centre_that_is_known_can_be_refined(opened, indexing, hand):
    _, panel = opened
    assert panel.centre.refine.isHidden()  # nothing is known to be refined
    panel.centre.refine.setChecked(True)
    hand.run(panel)
    assert not indexing.settings.refine_centre
    panel.centre.source.setCurrentIndex(1)
    assert not panel.centre.refine.isHidden()
    hand.run(panel)
    assert indexing.settings.refine_centre
    panel.model.choose("bravais")
    assert panel.centre.refine.isHidden()  # networks do not


def test_a_map_of_another_program_is_compared_with_orientations(
    opened, qtbot, hand, tmp_path, errors
):
    viewer, panel = opened
    hand.run(panel)
    with qtbot.waitSignal(panel.bar.finished, timeout=30_000):
        panel.export(tmp_path / "theirs.ctf")
    comparing = panel.indexed._now().comparing
    with qtbot.waitSignal(comparing.latest.finished, timeout=60_000):
        panel.compare_with(tmp_path / "theirs.ctf")
    box = panel.indexed.comparison
    assert box.isVisible()
    assert "Agreement 100.0% of 95 points" in box.text.text()
    assert "100.0% within 5 deg" in box.text.text()
    layer = viewer.layers["alloy - difference"]
    assert (layer.data.ravel()[1:] == 1).all()
    panel.indexed.point.draw.click()  # its bands have the colour of the first phase
    hand.show(panel, "phases")
    assert hand.seen(viewer, OKABE_ITO[0]) < 100  # the difference lies above the map
    with qtbot.waitSignal(comparing.latest.finished, timeout=60_000):
        panel.indexed.confidence.setValue(0.5)
    assert (layer.data[:, COLUMNS // 2 :] == 0).all()
    assert "of 47 points" in box.text.text()
    with qtbot.waitSignal(comparing.latest.finished, timeout=60_000):
        panel.compare_with(tmp_path / "missing.ctf")
    assert "missing.ctf" in errors[-1]
    assert "of 47 points" in box.text.text()  # the one before is still there


@pytest.fixture
def network(monkeypatch):
    """Stand in for a network that is sure of cF left and of hP right."""
    card = SimpleNamespace(
        name="bravais", title="", summary="", path="", classes=("cF", "hP"), network="bands"
    )
    asked, centres = [], []

    class Explainer:
        def __init__(self, model, stack, device):
            centres.append(stack.geometry.pc)

        def explain(self, frame, label=None, method=None):
            asked.append(method)
            heat = np.zeros(frame.shape, np.float32)
            heat[:20, :20] = 1
            return explain.Explanation(heat, "cF", "cF", {"cF": 0.9, "hP": 0.095, "aP": 0.005})

    monkeypatch.setattr(registry, "list_models", lambda: [card])
    monkeypatch.setattr(registry, "load_model", lambda name: None)
    monkeypatch.setattr(explain, "Explainer", Explainer)
    return asked, centres


def test_a_network_is_asked_when_it_is_wanted_and_says_why(opened, network, qtbot, hand):
    viewer, panel = opened
    asked, centres = network
    hand.run(panel)
    opinion = panel.indexed.point.opinion
    viewer.dims.set_point([0, 1], [3, 2])
    assert asked == []  # nobody did
    with qtbot.waitSignal(opinion.latest.finished, timeout=60_000):
        opinion.ask.click()
    assert opinion.text.text() == "bravais: cF 0.90, hP 0.10"
    assert asked == ["gradcam"]
    assert centres == [(0.509, 0.341, 0.627)]  # found: the network need not search
    opinion.why.click()
    assert viewer.layers["alloy - why?"].visible
    assert np.asarray(viewer.layers["alloy - why?"].data[3, 2]).max() == 1
    with qtbot.waitSignal(opinion.latest.finished, timeout=60_000):
        viewer.dims.set_point([0, 1], [4, 2])
    assert len(asked) == 2
    viewer.dims.set_point([0, 1], [3, 2])
    assert opinion.text.text() == "bravais: cF 0.90, hP 0.10"
    assert len(asked) == 2  # what was asked is known
    opinion.ask.click()
    assert "alloy - why?" not in viewer.layers
    assert opinion.text.isHidden()


def test_a_network_in_the_place_of_another_is_asked_anew(
    opened, network, qtbot, hand, monkeypatch, tmp_path
):
    viewer, panel = opened
    asked, _ = network
    file = tmp_path / "bravais.safetensors"
    file.write_bytes(b"one")
    card = SimpleNamespace(**{**vars(registry.list_models()[0]), "path": str(file)})
    monkeypatch.setattr(registry, "list_models", lambda: [card])
    hand.run(panel)
    opinion = panel.indexed.point.opinion
    opinion.ask.click()
    opinion.why.click()
    for place, content in enumerate((b"one", b"another")):
        file.write_bytes(content)
        viewer.dims.set_point([0, 1], [3, 3])
        qtbot.waitUntil(lambda: not opinion.latest.running, timeout=60_000)
        viewer.dims.set_point([0, 1], [3, 2])
        qtbot.waitUntil(lambda: not opinion.latest.running, timeout=60_000)
        about = viewer.layers["alloy - why?"].metadata
        assert about["model_sha256"] == hashlib.sha256(content).hexdigest()
        assert len(asked) == 3 + 2 * place


def test_the_panel_in_light_on_a_laptop(opened, hand):
    viewer, panel = opened
    viewer.theme = "light"
    hand.run(panel)
    QApplication.processEvents()
    # links are dark on light, and everything fits
    assert "#0072b2" in panel.indexed.list.rows[0].text()
    assert panel.width() < 420


def test_bands_asked_for_while_their_layer_comes_are_drawn_once(opened, indexing, hand):
    viewer, panel = opened
    viewer.layers.events.inserted.connect(lambda event: panel.indexed._show_here())
    hand.run(panel)
    names = [layer.name for layer in viewer.layers]
    assert sum("bands of the solution" in name for name in names) == 1


def test_given_phases_that_are_called_alike_are_told_apart(tmp_path):
    paths = []
    for name, a in (("one", "3.52"), ("two", "3.60")):
        paths.append(tmp_path / f"{name}.cif")
        paths[-1].write_text(f"{CIF.replace('3.52', a)}_chemical_name_mineral Metal\n")
    wishes = work.Wishes(phases=(*map(str, paths), "nickel"))
    names = [phase.name for phase in work.settings_of(wishes).phases]
    assert names == ["one", "two", load_structure("nickel").name]
    with pytest.raises(InputError, match="called"):
        work.settings_of(work.Wishes(phases=("nickel", "Ni")))
