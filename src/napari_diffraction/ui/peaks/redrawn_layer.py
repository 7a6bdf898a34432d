"""The layer of redrawn patterns, beside those from which they are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import count
from typing import Any
from weakref import ref

import dask.array as da
import numpy as np
from napari.components import ViewerModel
from napari.layers import Image
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.simulation.spots.redraw import SIZE, redraw, redraw_frame, redrawn_stack

#: Between the patterns and the redrawn ones, in parts of a pattern's width.
_GAP = 0.05

#: Numbers of what was redrawn, each used once.
_versions = count()

Drawn = tuple[NDArray[np.float64], tuple[float, float]]


class RedrawnLayer:
    """Shows the patterns of a layer redrawn from peaks that a person may have corrected.

    Nothing is drawn before it is looked at.  Patterns in which no peaks have been looked for are
    searched then.

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
        self._viewer = ref(viewer)
        self._image, self._stack = image, stack
        self.layer: Image | None = None
        image.events.visible.connect(self._on_visible)

    @property
    def is_shown(self) -> bool:
        """Whether the layer is there."""
        viewer = self._viewer()
        return viewer is not None and self.layer is not None and self.layer in viewer.layers

    def show(self, known: Mapping[int, Drawn], threshold: float, about: Mapping[str, Any]) -> None:
        """Draw from these peaks; the layer is made where it is not there.

        Parameters
        ----------
        known
            Spots and direct beam by the number of the pattern.
        threshold
            For the patterns that are not known.
        about
            Where the peaks come from, for the layer's metadata.
        """
        viewer, image = self._viewer(), self._image
        if viewer is None:
            return
        stack = self._redrawn(dict(known), threshold, dict(about))
        data = stack.data if image.ndim > 2 else stack.data[0]
        if self.is_shown and self.layer is not None:
            self.layer.data = data
        else:
            height, width = image.data.shape[-2:]
            scale = np.array(image.scale, dtype=float)
            scale[-2:] *= height / SIZE
            translate = np.array(image.translate, dtype=float)
            translate[-2:] += image.scale[-2:] * (height / SIZE - 1) / 2
            translate[-1] += image.scale[-1] * width * (1 + _GAP)
            active = viewer.layers.selection.active
            self.layer = viewer.add_image(
                data,
                name=f"{image.name} - redrawn",
                contrast_limits=(0, 255),
                scale=scale,
                translate=translate,
            )
            viewer.layers.selection.active = active
            viewer.reset_view()
        self.layer.metadata = {"pattern_stack": stack, "chosen_from": image.name, **about}

    def _redrawn(
        self, known: dict[int, Drawn], threshold: float, about: dict[str, Any]
    ) -> PatternStack:
        stack, longer = self._stack, max(self._stack.frame_shape)

        def draw(index: int) -> NDArray[np.uint8]:
            if index in known:
                return redraw(*known[index], longer)
            return redraw_frame(stack.frame(index), threshold)

        shape = stack.data.shape[:-2]
        numbers = da.from_array(
            np.arange(len(stack)).reshape(*shape, 1, 1), chunks=(*(1 for _ in shape), 1, 1)
        )

        def block(places: NDArray[np.int64]) -> NDArray[np.uint8]:
            try:
                image = draw(int(places.flat[0]))
            except InputError:  # cannot be read
                image = np.zeros((SIZE, SIZE), np.uint8)
            return image.reshape(*places.shape[:-2], SIZE, SIZE)

        chunks = (*numbers.chunks[:-2], (SIZE,), (SIZE,))
        # Every time another name, lest napari shows what it kept of the last.
        data = da.map_blocks(
            block, numbers, chunks=chunks, dtype=np.uint8, name=f"redrawn-{next(_versions)}"
        )
        return replace(
            redrawn_stack(stack),
            data=data,
            name=f"{self._image.name} - redrawn",
            metadata={**stack.metadata, **about},
            read=draw,
        )

    def _on_visible(self, event: Any = None) -> None:
        if self.is_shown and self.layer is not None:
            self.layer.visible = self._image.visible

    def remove(self) -> None:
        """Take the layer away."""
        viewer = self._viewer()
        self._image.events.visible.disconnect(self._on_visible)
        if viewer is not None and self.is_shown:
            viewer.layers.remove(self.layer)
