from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.cli.simulation.settings import kikuchi_settings
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.simulation.files import load_labels
from napari_diffraction.simulation.kikuchi.effects import COLUMNS


def settings(*pairs: str, realistic: bool = False, **given: float | None) -> tuple:
    return kikuchi_settings(realistic=realistic, given=given, pairs=pairs, patterns=7, seed=1)


def test_only_what_is_given_differs() -> None:
    conditions, effects = settings("blur=0.01", "reflectors=50", voltage=15.0, pc_x=None)
    assert (conditions.voltage, conditions.pc_x, conditions.reflectors) == (15.0, 0.5, 50)
    assert (effects.blur, effects.noise) == (0.01, 0.0)


def test_realistic_patterns_have_each_its_own_effects() -> None:
    _, rows = settings("overlap=0.25", realistic=True)
    assert rows.shape == (7, len(COLUMNS))
    assert np.all(rows[:, COLUMNS.index("overlap")] == 0.25)
    assert len(np.unique(rows[:, COLUMNS.index("noise")])) == 7


@pytest.mark.parametrize("pair", ["colour=3", "blur", "reflectors=2.5", "voltage=high"])
def test_settings_that_cannot_be_are_explained(pair: str) -> None:
    with pytest.raises(InputError, match="--set"):
        settings(pair)


def test_patterns_of_a_material_and_of_a_file(tmp_path, capsys) -> None:
    cif = tmp_path / "iron.cif"
    cif.write_text(
        "data_iron\n_symmetry_space_group_name_H-M 'I m -3 m'\n"
        "_cell_length_a 2.8665\n_cell_length_b 2.8665\n_cell_length_c 2.8665\n"
        "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma 90\n"
        "loop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n"
        "_atom_site_fract_y\n_atom_site_fract_z\nFe1 Fe 0 0 0\n"
    )
    out = tmp_path / "bands.h5"
    chosen = ["--structure", "Ni", "--structure", str(cif), "--pc", "0.5", "0.2", "0.7"]
    chosen += ["--sample-tilt", "65", "--camera-tilt", "8"]
    status = run(
        ["simulate", "kikuchi", *chosen, "--patterns", "4", "--size", "40", "--output", str(out)]
    )
    assert status == 0
    assert "8 patterns of 40 x 40 pixels" in capsys.readouterr().out
    assert load_labels(out)["label"].tolist() == ["cF"] * 4 + ["cI"] * 4
    opened = open_stack(out)
    assert opened.geometry.numbers()["pc_y"] == 0.2
    assert (opened.geometry.sample_tilt, opened.geometry.camera_tilt) == (65, 8)
    assert opened.data.shape == (8, 40, 40)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--structure", "Unobtainium", "--output", "x.h5"], "Unobtainium"),
        (["--structure", "Ni", "--output", "x.jpg"], "must end in"),
        (["--structure", "Ni", "--voltage", "900", "--output", "x.h5"], "voltage"),
    ],
)
def test_wrong_requests_are_one_sentence(arguments, words, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["simulate", "kikuchi", *arguments]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1
