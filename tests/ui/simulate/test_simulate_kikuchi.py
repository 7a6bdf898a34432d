"""The tab of Kikuchi patterns, driven as a person drives it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import KikuchiGeometry
from napari_diffraction.simulation.files import load_labels
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions
from napari_diffraction.ui.simulate.kikuchi import KikuchiTab
from napari_diffraction.ui.simulate.kikuchi_form import CLEAN
from napari_diffraction.ui.simulate.kikuchi_layers import AXES, BANDS, KIKUCHI
from napari_diffraction.ui.simulate.preview import LAYER_NAME, PreviewLayer
from napari_diffraction.ui.viewer.layers import stack_of


@pytest.fixture
def tab(qtbot):
    viewer = ViewerModel()
    widget = KikuchiTab(viewer, PreviewLayer(viewer))
    qtbot.addWidget(widget)
    widget.size.setValue(48)
    widget.patterns.setValue(5)
    widget.show()
    settle(qtbot, widget)
    return widget


def settle(qtbot, widget):
    qtbot.waitUntil(lambda: not widget.preview.busy, timeout=60_000)


def preview(widget):
    return widget.preview_layer.layer.data.copy()


def test_every_setting_has_a_field_with_its_range(tab):
    settings = [*dataclasses.fields(KikuchiConditions), *dataclasses.fields(KikuchiEffects)]
    assert sorted(tab.settings.fields) == sorted(item.name for item in settings)
    for item in settings:
        box = tab.settings.fields[item.name].box
        assert box.toolTip() == item.metadata["tip"]
        assert (box.minimum(), box.maximum()) == item.metadata["range"]
    assert tab.settings.values() == (KikuchiConditions(), CLEAN)


def test_the_preview_follows_crystal_orientation_and_settings(qtbot, tab):
    assert tab.preview_layer.layer.name == LAYER_NAME
    pictures = [preview(tab)]
    for change in (
        lambda: tab.orientation.setValue(3),
        lambda: tab.crystal.materials.setCurrentText("Fe"),
        lambda: tab.settings.fields["pc_z"].box.setValue(0.9),
        lambda: tab.settings.fields["noise"].box.setValue(0.3),
        tab.realistic_button.click,
    ):
        change()
        settle(qtbot, tab)
        pictures.append(preview(tab))
        assert np.any(pictures[-1] != pictures[-2])
    assert "Fe (cI)" in tab.status.text()


def test_bands_and_axes_are_layers_that_follow_the_slider(qtbot, tab):
    viewer = tab._viewer
    with qtbot.waitSignal(tab.work.finished, timeout=60_000):
        tab.run_button.click()
    image = tab.layer()
    assert image.data.shape == (5, 48, 48)
    assert isinstance(stack_of(image).geometry, KikuchiGeometry)
    tab.bands.setChecked(True)
    tab.axes.setChecked(True)
    first = np.array(viewer.layers[AXES].data)
    lines = len(viewer.layers[BANDS].data)
    assert lines >= 3
    assert len(viewer.layers[BANDS].features["hkl"]) == lines
    viewer.dims.set_current_step(0, 4)
    second = np.array(viewer.layers[AXES].data)
    assert first.shape != second.shape or np.abs(first - second).max() > 1
    assert viewer.layers[AXES].features["uvw"].str.match(r"\[-?\d -?\d -?\d\]").all()
    tab.orientation.setValue(2)
    settle(qtbot, tab)
    assert [layer.name for layer in viewer.layers][-3:] == [LAYER_NAME, BANDS, AXES]
    tab.axes.setChecked(False)
    assert not viewer.layers[AXES].visible
    viewer.layers.remove(viewer.layers[BANDS])
    tab.orientation.setValue(1)
    settle(qtbot, tab)
    assert len(viewer.layers[BANDS].data) >= 3


def test_the_stack_is_saved_with_its_labels(qtbot, tab, tmp_path):
    with qtbot.waitSignal(tab.work.finished, timeout=60_000):
        tab.run_button.click()
    with qtbot.waitSignal(tab.work.finished, timeout=60_000):
        tab.save(tmp_path / "ni.h5")
    simulated = tab.layer().metadata[KIKUCHI]
    np.testing.assert_array_equal(open_stack(tmp_path / "ni.h5").frame(2), simulated.images[2])
    assert set(load_labels(tmp_path / "ni.h5")["label"]) == {"cF"}


def test_a_crystal_from_a_file_and_what_is_wrong_is_said(qtbot, tab, tmp_path):
    cif = tmp_path / "cube.cif"
    cif.write_text(
        "data_cube\n_symmetry_space_group_name_H-M 'P m -3 m'\n"
        "_cell_length_a 3.1\n_cell_length_b 3.1\n_cell_length_c 3.1\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n"
        "_atom_site_fract_y\n_atom_site_fract_z\nPo1 Po 0 0 0\n"
    )
    tab.crystal.read(str(cif))
    settle(qtbot, tab)
    assert "(cP)" in tab.status.text()
    assert " 3.1 " in tab.crystal.text.text()
    cif.write_text(cif.read_text().replace("3.1", "4.2"))
    tab.crystal.read(str(cif))  # called alike, and another crystal
    assert " 4.2 " in tab.crystal.text.text()
    tab.patterns.setValue(1_000_000)
    tab.size.setValue(2048)
    tab.run_button.click()
    assert "memory" in tab.error.text()
    assert not tab.work.running


@pytest.fixture
def drawn(qtbot, tab):
    """Return the tab with bands and zone axes over a simulated stack."""
    with qtbot.waitSignal(tab.work.finished, timeout=60_000):
        tab.run_button.click()
    tab.bands.setChecked(True)
    tab.axes.setChecked(True)
    return tab


def shown(tab):
    return [layer.name for layer in tab._viewer.layers if layer.visible]


def test_nothing_is_drawn_over_other_patterns(qtbot, drawn):
    image = drawn.layer()
    assert shown(drawn) == [image.name, BANDS, AXES]
    image.visible = False  # as when another stack is opened
    assert shown(drawn) == []
    image.visible = True
    assert shown(drawn) == [image.name, BANDS, AXES]
    drawn.hide()  # as when the tab of spot patterns is chosen, which has the same preview
    assert shown(drawn) == [image.name]


def test_the_preview_of_another_tab_gets_no_bands(qtbot, tab):
    tab.bands.setChecked(True)
    assert shown(tab) == [LAYER_NAME, BANDS]
    tab.hide()
    tab.live.setChecked(False)
    tab.preview_layer.show(np.zeros((48, 48), np.uint8))  # a spot pattern
    tab.show()
    assert shown(tab) == [LAYER_NAME]


@pytest.mark.gui
def test_all_layers_can_be_removed_and_others_opened_while_bands_are_drawn(
    make_napari_viewer, qtbot
):
    viewer = make_napari_viewer()
    tab = KikuchiTab(viewer, PreviewLayer(viewer))
    qtbot.addWidget(tab)
    tab.size.setValue(48)
    tab.show()
    settle(qtbot, tab)
    tab.bands.setChecked(True)
    # the sliders move while napari takes the layer into its list
    viewer.add_image(np.zeros((5, 48, 48), np.uint8), name="run42")
    qtbot.waitUntil(lambda: viewer.layers[-1].name == BANDS)
    rows = viewer.window._qt_viewer.layers.model()
    named = [rows.index(row, 0).data() for row in range(rows.rowCount())]
    assert named == [BANDS, "run42", LAYER_NAME]
    viewer.layers.clear()  # which did not end
    assert not viewer.layers
