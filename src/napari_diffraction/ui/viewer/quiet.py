"""Layers without halts of the window that can be avoided."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from napari.components import LayerList, ViewerModel
from napari.layers import Image, Labels, Layer, Points


def set_data(layer: Layer, data: Any, thumbnail: bool = True) -> None:
    """Give a layer other data that lie in the same place.

    Whenever a layer says that its data changed, napari takes stock of the places and sizes of all
    layers and lays out its sliders again, which takes longer than to draw the data.

    Parameters
    ----------
    layer
        The layer.
    data
        Within the same bounds as the data before, or within those of another layer.
    thumbnail
        Draw the small picture in the list of layers anew; of vectors, napari draws it stroke by
        stroke, which takes longer than all the rest.
    """
    with layer.events.data.blocker(), layer._block_refresh():
        layer.data = data
    layer.refresh(thumbnail=thumbnail)


def remove_layers(present: LayerList, layers: Iterable[Layer | None]) -> None:
    """Remove layers, as far as they are there.

    After each removal napari looks for garbage in all of Python, which takes a fifth of a second;
    of layers that go together, only once.

    Parameters
    ----------
    present
        The layers of the viewer.
    layers
        What is to go; None is a layer that never came.
    """
    gone = [layer for layer in layers if layer is not None and layer in present]
    if not gone:
        return
    with present.batched_update():
        for layer in gone:
            if layer in present:  # another may have taken it along
                present.remove(layer)


@contextmanager
def choice_kept(viewer: ViewerModel) -> Iterator[None]:
    """Let layers come without being chosen.

    napari chooses every layer that comes, which exchanges its controls and keys; to choose the one
    before again exchanges them once more.

    Parameters
    ----------
    viewer
        Where the layers come.
    """
    layers = viewer.layers
    active, usual = layers.selection.active, layers._activate_on_insert
    layers._activate_on_insert = False
    try:
        yield
    finally:
        layers._activate_on_insert = usual
        if layers.selection.active is not active:
            layers.selection.active = active


def prepare_layers() -> None:
    """Have napari, in another thread, import what it needs for its first picture and points."""
    Image(np.zeros((1, 1)))
    Points(np.zeros((1, 2)))


def prepare_labels() -> None:
    """Have napari, in another thread, import and compile what it needs for a layer of labels.

    The first such layer would halt the window for it, some seconds the first time ever.
    """
    from napari.utils.colormaps import DirectLabelColormap
    from vispy.visuals.line.dash_atlas import DashAtlas

    DashAtlas()  # of the polygon tool, which every layer of labels has; vispy keeps it
    for kind in (np.uint8, np.int32):
        Labels(np.zeros((1, 1), kind))
    DirectLabelColormap(color_dict={1: "white", None: "black"}).map(np.zeros(1, np.uint8))
