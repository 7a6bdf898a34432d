"""What the card of a picture network says of its classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_diffraction.learning.labels.labelled import LabelledSource
from napari_diffraction.learning.models.classifier import read_card
from napari_diffraction.learning.networks.picture_networks import build
from napari_diffraction.learning.pictures.data import Pictures
from napari_diffraction.learning.pictures.model import write_model
from napari_diffraction.learning.pictures.recipe import PicturesRecipe


def test_a_class_that_was_not_judged_has_the_share_of_one_pattern(tmp_path: Path) -> None:
    names: Any = np.array(["a", "b", "c"])
    pictures = Pictures(np.zeros((3, 32, 32), np.uint8), names, names, names, "file", (*"abc",))
    rng = np.random.default_rng(0)
    label = np.repeat([0, 1], 50)
    logits = np.eye(3)[label] * 2 + rng.normal(size=(100, 3))
    recipe = PicturesRecipe(labelled=(LabelledSource("x"),))
    output = tmp_path / "x.safetensors"
    write_model(recipe, pictures, build(3, "compact"), (logits, label), {}, output)
    card = read_card(output)
    assert card.shares["c"] == pytest.approx(1 / 101)
    assert sum(card.shares.values()) == pytest.approx(1)
    # at even shares none is preferred
    even = np.array(card.bias) - np.log([card.shares[name] for name in card.classes])
    assert even[2] == pytest.approx(even[:2].mean())
