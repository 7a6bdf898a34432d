"""Layers that come without halts that can be avoided."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_diffraction.ui.viewer.quiet import choice_kept


@pytest.mark.parametrize("chosen", [0, 1, None])
def test_layers_come_without_another_being_chosen_meanwhile(chosen: int | None) -> None:
    viewer = ViewerModel()
    for _ in range(2):
        viewer.add_image(np.zeros((4, 4)))
    layers = viewer.layers
    layers.selection.active = None if chosen is None else layers[chosen]
    active = layers.selection.active
    changes: list[object] = []
    layers.selection.events.active.connect(changes.append)
    with choice_kept(viewer):
        viewer.add_image(np.zeros((4, 4)))
    assert layers.selection.active is active
    assert changes == []
    assert viewer.add_image(np.zeros((4, 4))) is layers.selection.active


def test_a_choice_that_somebody_makes_meanwhile_is_taken_back() -> None:
    viewer = ViewerModel()
    first, second = (viewer.add_image(np.zeros((4, 4))) for _ in range(2))
    with choice_kept(viewer):
        viewer.layers.selection.active = first
    assert viewer.layers.selection.active is second
