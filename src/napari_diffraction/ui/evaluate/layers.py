"""Patterns that an evaluation points at, as a layer of their own."""

from __future__ import annotations

from typing import Any
from weakref import ref

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_diffraction.learning.evaluation.result import Evaluation
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.review.selection import choose
from napari_diffraction.ui.viewer.layers import StackView, add_chosen
from napari_diffraction.ui.viewer.quiet import remove_layers
from napari_diffraction.ui.widgets.colours import rgba


class ChosenLayers:
    """Shows chosen patterns of a stack with their true and assigned class, and the stack again.

    Parameters
    ----------
    viewer
        Where the layers are.
    image
        The layer with all patterns.
    stack
        The patterns.
    """

    def __init__(self, viewer: ViewerModel, image: Image, stack: PatternStack) -> None:
        self._viewer = ref(viewer)  # the viewer must be free to go
        self.image, self.stack = image, stack
        self.shown: Image | None = None
        self._points: Points | None = None
        self._hidden: list[Layer] = []
        viewer.layers.events.removed.connect(self._on_removed)
        image.events.visible.connect(self._on_visible)

    def open(self, evaluation: Evaluation, indices: NDArray[np.int64], title: str) -> Image | None:
        """Show chosen patterns only.

        Parameters
        ----------
        evaluation
            Knows what they are and what the model said.
        indices
            Their numbers in the stack, in the order in which they are shown.
        title
            What they are, for the name of the layer.
        """
        viewer = self._viewer()
        if viewer is None or not len(indices):
            return None
        self.show_all()
        chosen = choose(self.stack, indices, f"{self.image.name} - {title}")
        rows = evaluation.table.set_index("index").loc[indices].reset_index()
        self._hidden = [layer for layer in viewer.layers if layer.visible]
        for layer in self._hidden:
            layer.visible = False
        self.shown = add_chosen(viewer, self.image, chosen, {"model": evaluation.name})
        self._points = self._add_points(viewer, chosen, rows, evaluation.classes)
        view = StackView(viewer, self.shown)
        view.fit_sliders()
        view.show(0)
        viewer.layers.selection.active = self.shown
        return self.shown

    def _add_points(
        self,
        viewer: ViewerModel,
        chosen: PatternStack,
        rows: pd.DataFrame,
        classes: tuple[str, ...],
    ) -> Points:
        """Write into a corner of each pattern what it is and what the model called it."""
        assert self.shown is not None
        n, size = len(rows), max(1.0, 0.025 * min(chosen.frame_shape))
        texts = [
            f"truly {row.truth}\ncalled {row.label} {row.confidence:.2f}"
            for row in rows.itertuples()
        ]
        colours = rgba(rows["truth"].to_numpy(str), classes)
        points = viewer.add_points(
            np.column_stack([np.arange(n), np.full((n, 2), 2 * size)]),
            features=rows[["index", "truth", "label", "confidence"]],
            name=f"{chosen.name} - classes",
            face_color=colours,
            border_color="black",
            border_width=0.1,
            size=size,
            text={
                "string": {"array": texts, "default": ""},
                "color": {"array": colours, "default": "white"},
                "anchor": "upper_left",
                "translation": [0, size / 2, size],
                "size": 14,
            },
            scale=self.shown.scale,
            translate=self.shown.translate,
            metadata={"made_from": chosen.name},
        )
        points.editable = False
        return points

    def current(self) -> int | None:
        """Return the number in the stack of the chosen pattern on view, if one is."""
        viewer = self._viewer()
        if viewer is None or self.shown is None or self._points is None:
            return None
        place = StackView(viewer, self.shown).index()
        return None if place is None else int(self._points.features["index"].iloc[place])

    def show_all(self) -> None:
        """Remove the chosen patterns and show the stack, at the pattern that was on view."""
        viewer, index = self._viewer(), self.current()
        if viewer is None or self.shown is None:
            return
        gone, self.shown, self._points = (self._points, self.shown), None, None
        remove_layers(viewer.layers, gone)
        hidden, self._hidden = self._hidden, []
        for layer in hidden:
            if layer in viewer.layers:
                layer.visible = True
        if self.image in viewer.layers:
            view = StackView(viewer, self.image)
            view.fit_sliders()
            if index is not None:
                view.show(index)
            viewer.layers.selection.active = self.image

    def _on_removed(self, event: Any) -> None:
        if event.value in (self.shown, self.image):
            self.show_all()

    def _on_visible(self, event: Any = None) -> None:
        if self.image.visible:  # somebody goes back to the stack by another way
            self.show_all()
