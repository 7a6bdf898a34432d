"""Files that a recipe of pictures names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.models.classifier import save_classifier
from napari_diffraction.learning.networks.picture_networks import build
from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
from napari_diffraction.learning.networks.picture_view import on_card
from napari_diffraction.learning.pictures.data import _patterns
from napari_diffraction.learning.pictures.model import check_network
from napari_diffraction.learning.pictures.recipe import KikuchiSource, PicturesRecipe

NICKEL = """data_nickel
_cell_length_a 3.52
_cell_length_b 3.52
_cell_length_c 3.52
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Ni1 Ni 0 0 0
"""


def test_they_are_found_beside_the_recipe(tmp_path: Path, untrained: Any) -> None:
    card = replace(
        untrained.card,
        network="pictures",
        options={"name": "compact"},
        preprocessing=on_card(Preprocessing()),
    )
    save_classifier(build(len(card.classes), "compact"), card, tmp_path / "mine.safetensors")
    (tmp_path / "mine.cif").write_text(NICKEL)
    source = KikuchiSource(structures=("mine.cif", "silicon"), patterns=1, size=32)
    recipe = PicturesRecipe(kikuchi=(source,), start="mine.safetensors")
    with pytest.raises(InputError, match="no such model"):
        check_network(recipe)
    recipe = replace(recipe, folder=str(tmp_path))
    check_network(recipe)
    made: Any = SimpleNamespace(grouped_by=[])
    assert len(list(_patterns(recipe, made, None))) == 2
