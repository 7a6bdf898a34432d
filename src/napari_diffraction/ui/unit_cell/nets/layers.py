"""The layers of the nets of one stack: nodes, the two vectors, and handles to correct them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import ref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points, Vectors
from napari.layers.base import ActionType
from napari.utils.colormaps.standardize_color import transform_color
from numpy.typing import NDArray

from napari_diffraction.indexing.zones.net_fit import NetFit
from napari_diffraction.indexing.zones.overlay import nodes
from napari_diffraction.ui.unit_cell.nets.zone_nets import ZoneNets
from napari_diffraction.ui.viewer.layers import StackView
from napari_diffraction.ui.viewer.quiet import choice_kept, remove_layers, set_data

FloatArray = NDArray[np.float64]

#: Orange for nets that count, grey for those struck out.
NET_COLOUR, STRUCK_COLOUR = "#e69f00", "#8a8a8a"
#: Width of a node's ring and of a handle, in parts of a frame; of the ring's line in its own.
_RING, _HANDLE, _LINE = 0.026, 0.035, 0.12
#: A ring is at most so wide, as a share of the net's shorter vector.
_APART = 0.75
#: A vector's handle stands at its multiple that comes nearest to this share of the net's reach:
#: far from the beam a hand is more exact.
_FAR = 0.5
_DONE = (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED)


class NetLayers:
    """Draws nets over the patterns of a layer, and tells when a person moves a vector.

    Parameters
    ----------
    viewer
        Where the layers are.
    image
        The patterns.
    nets
        What is drawn.
    on_edit
        Called with the number of a pattern, the origin (2,) and the basis (2, 2) that a person
        has set by the handles, in pixels.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        nets: ZoneNets,
        on_edit: Callable[[int, FloatArray, FloatArray], None],
    ) -> None:
        self._viewer, self.image, self._nets = ref(viewer), image, nets
        self._view = StackView(viewer, image)
        self._on_edit = on_edit
        self.nodes: Points | None = None
        self.vectors: Vectors | None = None
        self.handles: Points | None = None
        self._patterns: NDArray[np.int64] = np.empty(0, np.int64)
        self._own = False
        image.events.visible.connect(self._on_visible)

    @property
    def layers(self) -> list[Layer]:
        """Those of the layers that are there."""
        viewer = self._viewer()
        return [
            layer
            for layer in (self.nodes, self.vectors, self.handles)
            if viewer is not None and layer is not None and layer in viewer.layers
        ]

    # -- showing --------------------------------------------------------------------------------
    def show(self, about: Mapping[str, Any]) -> None:
        """Draw all nets anew."""
        viewer = self._viewer()
        if viewer is None:
            return
        numbers = np.asarray(self._nets.patterns, np.int64)
        drawn = [nodes(self._nets.fits[pattern])[0] for pattern in numbers.tolist()]
        self._patterns = np.repeat(numbers, np.array([len(one) for one in drawn], np.int64))
        places = np.concatenate(drawn) if drawn else np.empty((0, 2))
        if len(self.layers) < 3:
            self._remove_layers()
            with choice_kept(viewer):
                self._make(viewer)
        assert self.nodes is not None
        assert self.vectors is not None
        set_data(self.nodes, self._world(self._patterns, places))
        if len(places):
            rings = [self._ring(self._nets.fits[pattern]) for pattern in numbers.tolist()]
            self.nodes.size = np.repeat(rings, [len(one) for one in drawn])
        self._show_vectors()
        self.colour()
        for layer in self.layers:
            layer.metadata = {"made_from": self.image.name, **about}

    def colour(self) -> None:
        """Show which nets count."""
        if len(self.layers) < 3 or self.nodes is None or self.vectors is None:
            return
        struck = list(self._nets.struck)
        if len(self._patterns):
            self.nodes.border_color = _colours(np.isin(self._patterns, struck))
        if self._nets.patterns:
            self.vectors.edge_color = _colours(np.isin(np.repeat(self._nets.patterns, 2), struck))

    def _make(self, viewer: ViewerModel) -> None:
        image, side = self.image, float(min(self.image.data.shape[-2:]))
        common: dict[str, Any] = {
            "ndim": image.ndim, "scale": image.scale, "translate": image.translate,
            "visible": image.visible,
        }  # fmt: skip
        self.nodes = Points(
            np.empty((0, image.ndim)),
            name=f"{image.name} - nets",
            symbol="disc",
            face_color="transparent",
            border_color=NET_COLOUR,
            border_width=_LINE,
            **common,
        )
        self.vectors = Vectors(
            np.empty((0, 2, image.ndim)),
            name=f"{image.name} - net vectors",
            edge_color=NET_COLOUR,
            edge_width=max(1.0, 0.005 * side),
            vector_style="arrow",
            **common,
        )
        self.handles = Points(
            np.empty((0, image.ndim)),
            name=f"{image.name} - net handles",
            size=max(7.0, _HANDLE * side),
            symbol="square",
            face_color="white",
            border_color="black",
            **{**common, "visible": False},
        )
        self.nodes.editable = self.vectors.editable = False
        self.handles.events.data.connect(self._on_data)
        above = viewer.layers.index(image) + 1
        for layer in (self.handles, self.vectors, self.nodes):
            viewer.layers.insert(above, layer)

    def _show_vectors(self) -> None:
        patterns = self._nets.patterns
        starts = np.repeat([self._nets.fits[p].origin for p in patterns], 2, axis=0)
        steps = [m[:, None] * self._nets.fits[p].basis for p in patterns for m in [self._times(p)]]
        starts = starts.reshape(-1, 2)
        ends = np.concatenate(steps) if steps else np.empty((0, 2))
        numbers = np.repeat(np.asarray(patterns, np.int64), 2)
        data = np.stack([self._world(numbers, starts), self._world(numbers, starts + ends)], axis=1)
        data[:, 1] -= data[:, 0]
        assert self.vectors is not None
        set_data(self.vectors, data, thumbnail=False)
        self._show_handles()

    def _show_handles(self) -> None:
        """Put the handles where the net has them, with those that somebody deleted."""
        patterns = self._nets.patterns
        places = [
            np.vstack([fit.origin, fit.origin + self._times(p)[:, None] * fit.basis])
            for p in patterns
            for fit in [self._nets.fits[p]]
        ]
        flat = np.concatenate(places) if places else np.empty((0, 2))
        self._own = True
        try:
            assert self.handles is not None
            self.handles.selected_data = set()
            # napari takes stock of the places of all layers once, with the last of the three
            self.handles.data = self._world(np.repeat(np.asarray(patterns, np.int64), 3), flat)
        finally:
            self._own = False

    def _times(self, pattern: int) -> NDArray[np.int64]:
        """Which multiples of the two vectors have the handles."""
        return _multiples(self._nets.fits[pattern])

    def _ring(self, fit: NetFit) -> float:
        """Diameter of a ring, narrow enough not to touch the next one."""
        widest = max(5.0, _RING * min(self.image.data.shape[-2:]))
        return float(min(widest, _APART * np.hypot(*fit.basis[0])))

    def _world(self, numbers: NDArray[np.int64], xy: FloatArray) -> FloatArray:
        """Places of x and y in patterns, as napari has them: (n, ndim), in pixels."""
        shape = self._view.shape
        yx = xy[:, ::-1]
        if not shape:
            return np.asarray(yx, float)
        return np.column_stack([*np.unravel_index(numbers, shape), yx]).astype(float)

    # -- what a person does ---------------------------------------------------------------------
    def let_correct(self, wanted: bool) -> None:
        """Show the handles, ready to be dragged, or hide them."""
        viewer = self._viewer()
        if self.handles is None or viewer is None or self.handles not in viewer.layers:
            return
        self.handles.visible = wanted and self.image.visible
        if wanted:
            viewer.layers.selection.active = self.handles
            self.handles.mode = "select"
        elif viewer.layers.selection.active is self.handles:
            viewer.layers.selection.active = self.image

    def _on_data(self, event: Any) -> None:
        if self._own or event.action not in _DONE or self.handles is None:
            return
        patterns = self._nets.patterns
        here = self._view.index()
        set_by_hand = None
        if len(self.handles.data) == 3 * len(patterns) and here in patterns:
            first = 3 * patterns.index(here)
            origin, *tips = self.handles.data[first : first + 3, -2:][:, ::-1]
            basis = (np.array(tips) - origin) / self._times(here)[:, None]
            set_by_hand = here, np.array(origin), basis
        if set_by_hand is None:
            self._show_handles()
        else:
            self._on_edit(*set_by_hand)

    def _on_visible(self, event: Any = None) -> None:
        # Over other patterns than its own a net says nothing.
        wanted = self.image.visible
        for layer in self.layers:
            follows = layer is not self.handles or not wanted
            if follows and layer.visible != wanted:  # to say it again would draw it again
                layer.visible = wanted

    # -- going ----------------------------------------------------------------------------------
    def _remove_layers(self) -> None:
        viewer = self._viewer()
        if viewer is not None:
            remove_layers(viewer.layers, self.layers)

    def remove(self) -> None:
        """Take the layers away for good."""
        self.image.events.visible.disconnect(self._on_visible)
        self._remove_layers()


def _multiples(fit: NetFit) -> NDArray[np.int64]:
    lengths = np.hypot(*fit.basis.T)
    return np.maximum(np.rint(_FAR * fit.reach / lengths), 1).astype(np.int64)


def _colours(struck: NDArray[np.bool_]) -> NDArray[np.float32]:
    table = transform_color([NET_COLOUR, STRUCK_COLOUR])
    return table[struck.astype(int)]
