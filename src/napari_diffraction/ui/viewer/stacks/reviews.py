"""The stacks of a window that were worked on, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import ref

from napari.components import ViewerModel
from napari.layers import Image, Layer, Points

from napari_diffraction.ui.viewer.layers import was_opened
from napari_diffraction.ui.viewer.stacks.stack_review import StackReview, show_alone


class Reviews:
    """What is known of the stacks of a viewer, by their layers.

    Parameters
    ----------
    viewer
        Where the layers are.
    on_row
        As for `ClassPoints`.
    on_input
        Called with an event when a layer is given other data or another stack.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        on_row: Callable[[Points, int], None],
        on_input: Callable[[Any], None],
    ) -> None:
        self._viewer = ref(viewer)  # the viewer must be free to go
        self._on_row, self._on_input = on_row, on_input
        self._of: dict[Layer, StackReview] = {}
        viewer.layers.events.inserted.connect(self._on_inserted)

    def get(self, layer: Layer | None) -> StackReview | None:
        """Return what is known of the patterns of a layer."""
        return None if layer is None else self._of.get(layer)

    def take(self, layer: Image) -> StackReview:
        """Return what is known of the patterns of a layer, or begin with it.

        Raises
        ------
        InputError
            The layer is no stack of patterns.
        """
        viewer = self._viewer()
        assert viewer is not None
        if layer not in self._of:
            self._of[layer] = StackReview.of(viewer, layer, self._on_row)
            layer.events.data.connect(self._on_input)
            layer.events.metadata.connect(self._on_input)  # where the stack is kept
        return self._of[layer]

    def pop(self, layer: Layer) -> StackReview | None:
        """Forget what is known of the patterns of a layer, and return it."""
        return self._of.pop(layer, None)

    def removed(self, layer: Layer, at_work: StackReview | None) -> None:
        """Tidy up after a layer was removed that may belong to a stack."""
        for image, review in self._of.items():
            if image is not layer:
                review.layers.removed(layer, at_work=review is at_work)

    def show_alone(self, layer: Layer) -> None:
        """Show a stack that was opened, and no other."""
        viewer = self._viewer()
        assert viewer is not None
        show_alone(viewer, layer, self._of)
        active = viewer.layers.selection.active
        if layer.visible and active is not None and was_opened(active) and not active.visible:
            viewer.layers.selection.active = layer  # else the next panel begins with another

    def _on_inserted(self, event: Any) -> None:
        """Show a stack that was just opened, and not another one or its classes with it."""
        viewer = self._viewer()
        if viewer is not None and was_opened(event.value):  # napari chooses it in its turn
            show_alone(viewer, event.value, self._of)
