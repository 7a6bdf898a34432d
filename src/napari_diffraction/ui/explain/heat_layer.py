"""The layer of the maps over one stack of patterns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from weakref import ref

from napari.components import ViewerModel
from napari.layers import Image

from napari_diffraction.patterns.growing import only_grew
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.explain.heat_maps import HeatArray, HeatMaps
from napari_diffraction.ui.viewer.layers import StackView


@dataclass(frozen=True)
class Question:
    """What is asked of a model.

    Attributes
    ----------
    model
        Its file.
    label
        The class; ``None``: the one that the model gives.
    method
        One of `napari_diffraction.learning.explain.heatmaps.METHODS`.
    digest
        Of the file, in whose place another model may come.
    """

    model: str
    label: str | None
    method: str
    digest: str = ""


class HeatLayer:
    """Shows over the patterns of a layer the maps that there are.

    Parameters
    ----------
    viewer
        Where the layers are.
    image
        The layer with the patterns.
    stack
        The patterns.
    """

    def __init__(self, viewer: ViewerModel, image: Image, stack: PatternStack) -> None:
        self._viewer = ref(viewer)  # the viewer must be free to go
        self.image, self.stack = image, stack
        self.view = StackView(viewer, image)
        self.maps = HeatMaps()
        self.layer: Image | None = None
        self._question: Question | None = None
        image.events.visible.connect(self._on_visible)

    @property
    def is_shown(self) -> bool:
        """Whether the layer of the maps is there."""
        viewer = self._viewer()
        return viewer is not None and self.layer is not None and self.layer in viewer.layers

    def grow(self, stack: PatternStack) -> bool:
        """Go on with what the input has grown to; the maps stay.

        Returns
        -------
        bool
            Whether that can be done: it is the same input, and no pattern has another number.
        """
        if not only_grew(stack, self.stack):
            return False
        self.stack = stack
        if self.is_shown and self.layer is not None:
            self.layer.data = HeatArray(self.maps, self._question, self._shape)
        return True

    def ask(self, question: Question, name: str, about: Mapping[str, Any]) -> None:
        """Show the maps that answer a question; the layer is made where it is not there.

        Parameters
        ----------
        question
            The question.
        name
            Of the layer.
        about
            Where the maps come from, for the layer's metadata.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        if not self.is_shown:
            self._question = None
            active = viewer.layers.selection.active
            self.layer = self._make(viewer, HeatArray(self.maps, question, self._shape))
            viewer.layers.selection.active = active  # the keys stay where they were
        layer = self.layer
        assert layer is not None
        if question != self._question:
            self._question = question
            layer.data = HeatArray(self.maps, question, self._shape)
        layer.name = name
        layer.metadata = {"map_of": self.image.name, **about}

    def refresh(self) -> None:
        """Draw the map on view anew."""
        if self.is_shown and self.layer is not None:
            self.layer.refresh(extent=False)

    @property
    def _shape(self) -> tuple[int, ...]:
        return tuple(int(size) for size in self.image.data.shape)

    def _make(self, viewer: ViewerModel, data: HeatArray) -> Image:
        image = self.image
        layer = Image(
            data,
            colormap="inferno",
            blending="additive",
            opacity=0.5,
            contrast_limits=(0, 1),
            scale=image.scale,
            translate=image.translate,
            visible=image.visible,
            interpolation2d="linear",
        )
        viewer.layers.insert(viewer.layers.index(image) + 1, layer)
        return layer

    def _on_visible(self, event: Any = None) -> None:
        # Over other patterns than its own a map says nothing.
        if self.is_shown and self.layer is not None:
            self.layer.visible = self.image.visible

    def remove(self) -> None:
        """Take the layer away."""
        viewer = self._viewer()
        self.image.events.visible.disconnect(self._on_visible)
        if viewer is not None and self.layer is not None and self.is_shown:
            viewer.layers.remove(self.layer)
