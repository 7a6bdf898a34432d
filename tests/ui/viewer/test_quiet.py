"""Layers that come without halts that can be avoided."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Points, Vectors

from napari_diffraction.ui.viewer.quiet import choice_kept, remove_layers, set_data

_LAYERS = {
    "image": lambda: (Image(np.zeros((4, 4))), np.ones((4, 4))),
    "labels": lambda: (Labels(np.zeros((4, 4), int)), np.ones((4, 4), int)),
    "points": lambda: (Points(np.zeros((3, 2))), np.ones((3, 2))),
    "vectors": lambda: (Vectors(np.zeros((3, 2, 2))), np.ones((3, 2, 2))),
}


@pytest.mark.parametrize("kind", _LAYERS)
@pytest.mark.parametrize("thumbnail", [True, False])
def test_other_data_are_drawn_once_and_the_thumbnail_where_wanted(
    kind: str, thumbnail: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    layer, data = _LAYERS[kind]()
    said, drawn, small = [], [], []
    layer.events.data.connect(said.append)
    layer.events.set_data.connect(drawn.append)
    monkeypatch.setattr(layer, "_update_thumbnail", lambda: small.append(layer))
    assert isinstance(layer, Layer)
    set_data(layer, data, thumbnail=thumbnail)
    np.testing.assert_array_equal(layer.data, data)
    assert (len(said), len(drawn), len(small)) == (0, 1, int(thumbnail))


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


@pytest.mark.gui
def test_layers_that_go_together_cost_one_search_for_garbage(
    make_napari_viewer, monkeypatch
) -> None:
    viewer = make_napari_viewer()
    layers = [viewer.add_points(np.zeros((1, 2))) for _ in range(4)]
    viewer.layers.remove(layers[0])
    searched = []
    monkeypatch.setattr("gc.collect", lambda *_: searched.append(True))
    remove_layers(viewer.layers, [*layers[:3], None])
    assert list(viewer.layers) == layers[3:]
    assert len(searched) == 1
    remove_layers(viewer.layers, layers[:3])
    assert len(searched) == 1
