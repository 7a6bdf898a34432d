"""The layer of redrawn patterns, beside those from which they are made."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
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
from napari_diffraction.patterns.spots.measure import THRESHOLD, find_spots
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.simulation.spots.redraw import SIZE, redraw, redraw_frame, redrawn_stack
from napari_diffraction.ui.viewer.layers import draw_anew

#: Between the patterns and the redrawn ones, in parts of a pattern's width.
_GAP = 0.05

#: Numbers of what was redrawn, each used once.
_versions = count()

Drawn = tuple[NDArray[np.float64], tuple[float, float]]

#: What `RedrawnLayer.search` found: whose, in which pattern, at which threshold.
Searched = tuple["RedrawnLayer", int, float, Drawn | None]


class RedrawnLayer:
    """Shows the patterns of a layer redrawn from peaks that a person may have corrected.

    Nothing is drawn before it is looked at.  A pattern in which no peaks have been looked for is
    black until they have been, see `search`; whoever reads it from the stack gets it drawn.  It is
    another stack only where a pattern becomes another, so that what is known of them stays.

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
        self._redrawn: PatternStack | None = None
        self._numbers: da.Array | None = None
        self._known: dict[int, Drawn] = {}
        self._by_hand: dict[int, Drawn] = {}
        self._searched: dict[int, Drawn] = {}
        self._threshold, self._about = THRESHOLD, dict[str, Any]()
        image.events.visible.connect(self._on_visible)

    @property
    def is_shown(self) -> bool:
        """Whether the layer is there."""
        viewer = self._viewer()
        return viewer is not None and self.layer is not None and self.layer in viewer.layers

    def show(
        self,
        known: Mapping[int, Drawn],
        edited: Collection[int],
        threshold: float,
        about: Mapping[str, Any],
    ) -> None:
        """Draw from these peaks; the layer is made where it is not there.

        Parameters
        ----------
        known
            Spots and direct beam by the number of the pattern.
        edited
            The patterns that a person has corrected; the others are as they were found.
        threshold
            For the patterns that are not known.
        about
            Where the peaks come from, for the layer's metadata.
        """
        by_hand = {index: drawn for index, drawn in known.items() if index in edited}
        if threshold != self._threshold:
            self._threshold, self._searched, self._redrawn = threshold, {}, None
        if not _same(by_hand, self._by_hand):
            self._by_hand, self._redrawn = by_hand, None
        self._known, self._about = dict(known), dict(about)
        self._draw()

    def grow(self, stack: PatternStack) -> None:
        """Go on with what the input has grown to, from the next drawing on."""
        self._stack, self._redrawn, self._numbers = stack, None, None

    def lacks(self, index: int) -> bool:
        """Whether a pattern is black because nobody has looked for its peaks."""
        return self.is_shown and index not in self._known and index not in self._searched

    def search(self, index: int) -> Callable[[], Searched]:
        """Return what looks for the peaks of a pattern, in any thread, for `take`."""
        stack, threshold = self._stack, self._threshold

        def work() -> Searched:
            try:
                spots = find_spots(stack.frame(index), threshold)
            except InputError:  # cannot be read
                return self, index, threshold, None
            return self, index, threshold, (spots.position, spots.centre)

        return work

    def take(self, index: int, threshold: float, drawn: Drawn | None) -> None:
        """Draw a pattern from what `search` found in it; ``None``: nothing."""
        if drawn is not None and self.is_shown and threshold == self._threshold:
            self._searched[index] = drawn
            self._draw()

    def _draw(self) -> None:
        viewer, image = self._viewer(), self._image
        if viewer is None:
            return
        stack = self._redrawn = self._redrawn or self._make()
        data = self._blocks(self._seen)
        data = data if image.ndim > 2 else data[0]
        if self.is_shown and self.layer is not None:
            draw_anew(self.layer, data)
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
        self.layer.metadata = {"pattern_stack": stack, "chosen_from": image.name, **self._about}

    def _make(self) -> PatternStack:
        stack, threshold, longer = self._stack, self._threshold, max(self._stack.frame_shape)
        known = {**self._searched, **self._known}

        def draw(index: int) -> NDArray[np.uint8]:
            if index in known:
                return redraw(*known[index], longer)
            return redraw_frame(stack.frame(index), threshold)

        def draw_or_black(index: int) -> NDArray[np.uint8]:
            try:
                return draw(index)
            except InputError:  # cannot be read
                return np.zeros((SIZE, SIZE), np.uint8)

        return replace(
            redrawn_stack(stack),
            data=self._blocks(draw_or_black),
            name=f"{self._image.name} - redrawn",
            metadata={**stack.metadata, **self._about},
            read=draw,
        )

    def _seen(self, index: int) -> NDArray[np.uint8]:
        """Draw for napari, in the window's thread, which cannot wait for peaks to be found."""
        drawn = self._known.get(index) or self._searched.get(index)
        if drawn is None:
            return np.zeros((SIZE, SIZE), np.uint8)
        return redraw(*drawn, max(self._stack.frame_shape))

    def _blocks(self, draw: Callable[[int], NDArray[np.uint8]]) -> da.Array:
        """Return all patterns, drawn one by one when they are asked for."""
        shape = self._stack.data.shape[:-2]
        if self._numbers is None:  # takes long for many patterns
            numbers = np.arange(len(self._stack)).reshape(*shape, 1, 1)
            self._numbers = da.from_array(numbers, chunks=(*(1 for _ in shape), 1, 1))
        numbers = self._numbers

        def block(places: NDArray[np.int64]) -> NDArray[np.uint8]:
            return draw(int(places.flat[0])).reshape(*places.shape[:-2], SIZE, SIZE)

        chunks = (*numbers.chunks[:-2], (SIZE,), (SIZE,))
        # Every time another name, lest napari shows what it kept of the last.
        return da.map_blocks(
            block, numbers, chunks=chunks, dtype=np.uint8, name=f"redrawn-{next(_versions)}"
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


def _same(one: dict[int, Drawn], other: dict[int, Drawn]) -> bool:
    """Whether the same is drawn in the same patterns."""
    return one.keys() == other.keys() and all(
        np.array_equal(one[index][0], other[index][0]) and one[index][1] == other[index][1]
        for index in one
    )
