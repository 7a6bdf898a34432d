"""Other data for a layer without napari looking at every layer anew."""

from __future__ import annotations

from typing import Any

from napari.layers import Layer


def set_data(layer: Layer, data: Any) -> None:
    """Give a layer other data that lie in the same place.

    Whenever a layer says that its data changed, napari takes stock of the places and sizes of all
    layers and lays out its sliders again, which takes longer than to draw the data.

    Parameters
    ----------
    layer
        The layer.
    data
        Within the same bounds as the data before, or within those of another layer.
    """
    with layer.events.data.blocker():
        layer.data = data
