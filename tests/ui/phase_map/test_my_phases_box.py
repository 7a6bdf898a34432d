"""Naming phases and training a model for them, with a training that takes no time."""

from types import SimpleNamespace

import dask.array as da
import pytest
from qtpy.QtCore import Qt

from napari_diffraction.errors import InputError
from napari_diffraction.learning.models import registry
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.phase_map import my_phases_box
from napari_diffraction.ui.phase_map.my_phases_box import MyPhasesBox

pytestmark = pytest.mark.gui
CIF = """data_x
_cell_length_a 4.2
_cell_length_b 4.2
_cell_length_c 4.2
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
Mg1 Mg 0 0 0
O1 O 0.5 0.5 0.5
"""


def scan(geometry):
    return PatternStack(da.zeros((3, 4, 48, 60), chunks=(1, 4, 48, 60)), "s", geometry=geometry)


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Keep models in a folder of this test; return the recipes that were trained."""
    recipes = []

    def work(make, recipe, output):
        recipes.append(recipe)
        yield Progress(1, 2, "Training")
        output.write_bytes(b"")
        yield Progress(2, 2, "98.0% of fresh simulated patterns are right")
        return output

    monkeypatch.setattr(my_phases_box, "in_own_process", work)
    monkeypatch.setattr(registry, "user_folder", lambda: tmp_path / "models")
    shipped = SimpleNamespace(name="bravais", path="/somewhere/bravais.safetensors")
    monkeypatch.setattr(registry, "list_models", lambda: [shipped])
    return recipes


@pytest.fixture
def errors(monkeypatch):
    seen = []
    monkeypatch.setattr(my_phases_box, "show_error", seen.append)
    return seen


@pytest.fixture
def box(qtbot):
    made = MyPhasesBox()
    qtbot.addWidget(made)
    made.show()
    made.open_button.click()
    made.show_scan(scan(KikuchiGeometry(pc=(0.5, 0.3, 0.6))), 15)
    return made


def test_the_scan_gives_the_geometry_and_two_phases_are_enough(box, trained, qtbot, tmp_path):
    assert not box.train_button.isEnabled()
    box.choose("rutile")
    assert not box.train_button.isEnabled()
    box.choose("SiO2")  # another name of quartz
    assert box.train_button.isEnabled()
    names = []
    box.trained.connect(names.append)
    with qtbot.waitSignal(box.bar.finished, timeout=60_000):
        box.train_button.click()
    (recipe,) = trained
    assert recipe.phases == ("quartz", "rutile")
    assert (recipe.voltage, recipe.pc, recipe.shape) == (15, (0.5, 0.3, 0.6), (48, 60))
    assert names == ["my-quartz-rutile"]
    assert (tmp_path / "models" / "my-quartz-rutile.safetensors").exists()
    assert "98.0%" in box.result.text()


def test_what_the_scan_does_not_tell_is_not_assumed(box, trained):
    box.show_scan(scan(KikuchiGeometry()), 0)
    box.choose("Ni", "Fe")
    recipe = box.recipe()
    assert (recipe.voltage, recipe.pc) == (0, ())
    assert "not known" in box.about.text()
    box.show_scan(None, 0)
    assert not box.train_button.isEnabled()


def test_a_search_finds_parts_of_names_and_other_names(box):
    def shown():
        items = [box.list.item(k) for k in range(box.list.count())]
        return {item.text() for item in items if not item.isHidden()}

    box.search.setText("ruti")
    assert shown() == {"rutile"}
    box.search.setText("ferrite")
    assert shown() == {"Fe"}
    box.choose("quartz")
    box.search.setText("anat")
    assert shown() == {"anatase", "quartz"}  # what is ticked stays in view
    box.search.clear()
    assert len(shown()) == box.list.count() > 41


def test_a_crystal_of_ones_own_is_added_ticked(box, trained, errors, tmp_path):
    path = tmp_path / "periclase.cif"
    path.write_text(CIF)
    box.add_cif(path)
    box.choose("Ni")
    assert box.recipe().phase_names == ("Ni", "periclase")
    broken = tmp_path / "broken.cif"
    broken.write_text("data_x\n")
    box.add_cif(broken)
    assert len(errors) == 1
    assert len(box.phases) == 2


def test_axes_that_are_changed_are_told(box, monkeypatch, tmp_path):
    told = []
    monkeypatch.setattr(my_phases_box, "show_info", told.append)
    path = tmp_path / "usual.cif"
    path.write_text(CIF)
    box.add_cif(path)
    assert told == []
    path = tmp_path / "other.cif"
    atoms = CIF[CIF.index("loop_") :]
    axes = [
        f"_cell_length_{name} {length}"
        for name, length in zip("abc", (4.8, 10.2, 6.0), strict=True)
    ]
    group = "_space_group_name_H-M_alt 'P b n m'"
    angles = [f"_cell_angle_{name} 90" for name in ("alpha", "beta", "gamma")]
    path.write_text("\n".join(["data_x", *axes, *angles, group, atoms]))
    box.add_cif(path)
    assert len(told) == 1
    assert "other.cif has the axes 4.8 10.2 6 A" in told[0]


def test_a_crystal_that_is_added_counts_at_once_and_once(box, qtbot, tmp_path):
    path = tmp_path / "periclase.cif"
    path.write_text(CIF)
    with qtbot.waitSignal(box.changed):  # what runs with these phases can be run now
        box.add_cif(path)
    box.list.item(box.list.count() - 1).setCheckState(Qt.CheckState.Unchecked)
    box.search.setText("quartz")
    with qtbot.waitSignal(box.changed):
        box.add_cif(path)
    assert box.phases == (str(path),)
    assert not box.list.item(box.list.count() - 1).isHidden()


def test_names_that_are_taken_or_no_names_are_refused(box, trained, errors):
    box.choose("Ni", "Fe")
    for name in ("bravais", "../other"):
        box.name.setText(name)
        with pytest.raises(InputError):
            box.recipe()
        box.train_button.click()
    assert len(errors) == 2
    assert not trained
