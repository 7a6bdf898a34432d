"""The layers of the peaks of one stack: spots and direct beams, both to be corrected by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from weakref import ref

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Points
from napari.layers.base import ActionType
from numpy.typing import NDArray

from napari_diffraction.learning.classes import LAUE, ZONE
from napari_diffraction.learning.zones.peak_tables import Found
from napari_diffraction.patterns.growing import only_grew
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.ui.viewer.layers import StackView
from napari_diffraction.ui.viewer.quiet import choice_kept, remove_layers, set_data
from napari_diffraction.ui.widgets.colours import rgba

FEATURES = ("intensity", "snr", "zonal", "h", "k", "by_hand")
_DONE = (ActionType.ADDED, ActionType.REMOVED, ActionType.CHANGED)
#: A ring is this many times as wide as the frame; and its line, over its width.
_RING, _LINE = 0.022, 0.14


class PeakLayers:
    """Keeps the peaks of the patterns of a layer, and tells when a person changes them.

    Parameters
    ----------
    viewer
        Where the layers are.
    image
        The layer with the patterns.
    stack
        The patterns.
    on_edit
        Called with these layers and the number of the pattern in which a person changed something.

    Attributes
    ----------
    about
        How peaks were looked for: that of the last `show`.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        stack: PatternStack,
        on_edit: Callable[[PeakLayers, int], None],
    ) -> None:
        self._viewer = ref(viewer)  # the viewer must be free to go
        self.image, self.stack = image, stack
        self.view = StackView(viewer, image)
        self.points: Points | None = None
        self.beams: Points | None = None
        self.looked = np.zeros(len(stack), bool)
        self.edited: set[int] = set()
        self.about: dict[str, Any] = {}
        self._kept: dict[int, NDArray[np.float64]] = {}
        self._on_edit = on_edit
        self._own = False
        image.events.visible.connect(self._on_visible)

    @property
    def is_shown(self) -> bool:
        """Whether both layers are there."""
        viewer = self._viewer()
        return viewer is not None and all(
            layer is not None and layer in viewer.layers for layer in (self.points, self.beams)
        )

    def grow(self, stack: PatternStack) -> bool:
        """Go on with what the input has grown to; peaks and corrections stay.

        Returns
        -------
        bool
            Whether that can be done: it is the same input, and no pattern has another number.
        """
        if not only_grew(stack, self.stack):
            return False
        more = len(stack) - len(self.stack)
        self.stack, self.looked = stack, np.append(self.looked, np.zeros(more, bool))
        return True

    # -- showing --------------------------------------------------------------------------------
    def show(self, about: Mapping[str, Any]) -> None:
        """Make the layers if they are not there; peaks of deleted layers are forgotten.

        So are those that were looked for in another way, save in patterns that were corrected.

        Parameters
        ----------
        about
            How peaks are looked for, for the layers' metadata and for files.
        """
        viewer = self._viewer()
        if viewer is None:
            return
        if not self.is_shown:
            self.remove_layers()
            self.looked[:] = False
            self.edited.clear()
            with choice_kept(viewer):
                self.beams = self._make(viewer, "beam centre", "cross", ())
            self.points = self._make(viewer, "peaks", "disc", FEATURES)
            viewer.layers.selection.active = self.points
        elif about != self.about:
            self._forget_found()
        self.about = dict(about)
        for layer in (self.points, self.beams):
            layer.metadata = {"made_from": self.image.name, **about}

    def _forget_found(self) -> None:
        points, beams, edited = self.points, self.beams, list(self.edited)
        assert points is not None
        assert beams is not None
        stay = np.isin(self.numbers(points), edited)
        data, features = points.data[stay], points.features[stay].reset_index(drop=True)
        self._own = True
        try:
            self._set_points(data, features)
            beams.selected_data = set()
            set_data(beams, beams.data[np.isin(self.numbers(beams), edited)])
        finally:
            self._own = False
        self.looked[:] = np.isin(np.arange(len(self.looked)), edited)

    def _set_points(self, data: NDArray[np.float64], features: pd.DataFrame) -> None:
        assert self.points is not None
        self.points.selected_data = set()
        set_data(self.points, data)
        self.points.features = _features(features)
        self._colour(self.points)

    def _make(
        self, viewer: ViewerModel, what: str, symbol: str, features: tuple[str, ...]
    ) -> Points:
        image = self.image
        layer = Points(
            np.empty((0, image.ndim)),
            ndim=image.ndim,
            name=f"{image.name} - {what}",
            features=_features(pd.DataFrame(columns=list(features))) if features else None,
            size=max(5.0, _RING * min(image.data.shape[-2:])),
            symbol=symbol,
            face_color="transparent" if features else "white",
            border_color="white",
            border_width=_LINE if features else 0,
            scale=image.scale,
            translate=image.translate,
            visible=image.visible,
        )
        layer.events.data.connect(self._on_data)
        viewer.layers.insert(viewer.layers.index(image) + 1, layer)
        return layer

    def put(self, found: Mapping[int, Found]) -> None:
        """Take the peaks of some patterns, by their numbers, in the place of those there are."""
        if not self.is_shown or not found:
            return
        points, beams = self.points, self.beams
        assert points is not None
        assert beams is not None
        table = pd.concat([one.table for one in found.values()], ignore_index=True)
        table["by_hand"] = False
        indices = np.fromiter(found, np.int64)
        stay = ~np.isin(self.numbers(points), indices)
        data = [points.data[stay], self._places(table["index"], table[["y", "x"]])]
        features = pd.concat(
            [piece for piece in (points.features[stay], table[list(FEATURES)]) if len(piece)]
            or [points.features[stay]],
            ignore_index=True,
        )
        centres = np.array([one.centre[::-1] for one in found.values()])
        others = ~np.isin(self.numbers(beams), indices)
        self._own = True
        try:
            self._set_points(np.concatenate(data), features)
            beams.selected_data = set()
            set_data(beams, np.concatenate([beams.data[others], self._places(indices, centres)]))
        finally:
            self._own = False
        self.looked[indices] = True
        ends = np.cumsum([len(one.table) for one in found.values()])
        pieces = np.split(table[["x", "y"]].to_numpy(float), ends[:-1])
        self._kept.update(zip(found, pieces, strict=True))

    def mark(self, index: int, found: Found, by_hand: NDArray[np.bool_]) -> None:
        """Write what was measured at the spots of a pattern, which stay in their place.

        Parameters
        ----------
        index
            Number of the pattern.
        found
            Its spots, in their order.
        by_hand : ndarray of bool, (n,)
            Which of them a person has set.
        """
        points = self.points
        if points is None or not np.array_equal(self.position(index), found.table[["x", "y"]]):
            return  # changed again, or gone
        features, rows = points.features.copy(), self.numbers(points) == index
        table = found.table.assign(by_hand=by_hand)
        for name in FEATURES:
            column = features[name].astype(object)
            column[rows] = table[name].to_numpy()
            features[name] = column
        points.features = _features(features)
        self._colour(points)
        self._kept[index] = found.table[["x", "y"]].to_numpy(float)
        self.looked[index] = True

    @staticmethod
    def _colour(points: Points) -> None:
        if len(points.data):
            zonal = points.features["zonal"].to_numpy(bool)
            points.border_color = rgba(np.where(zonal, ZONE, LAUE), (ZONE, LAUE))

    # -- asking ---------------------------------------------------------------------------------
    def numbers(self, layer: Points) -> NDArray[np.int64]:
        """Return the flat number of the pattern of each point."""
        shape = self.view.shape
        if not shape:
            return np.zeros(len(layer.data), np.int64)
        if not len(layer.data):
            return np.empty(0, np.int64)
        place = np.rint(layer.data[:, : len(shape)]).astype(int)
        place = np.clip(place, 0, np.subtract(shape, 1))
        return np.ravel_multi_index(tuple(place.T), shape).astype(np.int64)

    def position(self, index: int) -> NDArray[np.float64]:
        """Return x and y of the spots of a pattern, (n, 2)."""
        assert self.points is not None
        return self.points.data[self.numbers(self.points) == index][:, [-1, -2]].astype(float)

    def centre(self, index: int) -> tuple[float, float] | None:
        """Return x and y of the direct beam of a pattern, if it is there."""
        assert self.beams is not None
        mine = self.beams.data[self.numbers(self.beams) == index]
        return (float(mine[-1, -1]), float(mine[-1, -2])) if len(mine) else None

    def moved(self, index: int) -> NDArray[np.bool_]:
        """Return which spots of a pattern a person has set: those, and what was moved or added."""
        position = self.position(index)
        before = self._kept.get(index, np.empty((0, 2)))
        same = (position[:, None] == before[None]).all(axis=-1).any(axis=1)
        return np.asarray(self.features(index)["by_hand"].to_numpy(bool) | ~same)

    def drawn(self) -> dict[int, tuple[NDArray[np.float64], tuple[float, float]]]:
        """Return spots and direct beam of every pattern in which peaks have been looked for."""
        if not self.is_shown:
            return {}
        assert self.points is not None
        assert self.beams is not None
        numbers = self.numbers(self.points)
        order = np.argsort(numbers, kind="stable")
        numbers, xy = numbers[order], self.points.data[order][:, [-1, -2]]
        beams = dict(zip(self.numbers(self.beams).tolist(), self.beams.data[:, [-1, -2]].tolist(),
                         strict=True))  # fmt: skip
        out = {}
        for index in np.flatnonzero(self.looked).tolist():
            first, last = np.searchsorted(numbers, (index, index + 1))
            if index in beams:
                x, y = beams[index]
                out[index] = (xy[first:last], (float(x), float(y)))
        return out

    def features(self, index: int) -> pd.DataFrame:
        """Return the features of the spots of a pattern."""
        assert self.points is not None
        return self.points.features[self.numbers(self.points) == index]

    def table(self) -> pd.DataFrame:
        """Return the spots of all patterns, one row each, ordered by pattern."""
        assert self.points is not None
        table = self.points.features.reset_index(drop=True)
        table.insert(0, "index", self.numbers(self.points))
        table.insert(1, "x", self.points.data[:, -1])
        table.insert(2, "y", self.points.data[:, -2])
        return table.sort_values("index", kind="stable", ignore_index=True)

    def _places(self, indices: Any, yx: Any) -> NDArray[np.float64]:
        shape = self.view.shape
        rows = np.asarray(yx, dtype=float).reshape(-1, 2)
        if not shape:
            return rows
        steps = np.unravel_index(np.asarray(indices, dtype=np.int64), shape)
        return np.column_stack([*steps, rows]).astype(float)

    # -- what a person does ---------------------------------------------------------------------
    def _on_data(self, event: Any) -> None:
        if self._own or event.action not in _DONE or not self.is_shown:
            return
        index = self.view.index()
        if index is not None:
            self.edited.add(index)
            self._on_edit(self, index)

    def _on_visible(self, event: Any = None) -> None:
        # Over other patterns than its own a peak says nothing.
        if self.is_shown:
            for layer in (self.points, self.beams):
                assert layer is not None
                layer.visible = self.image.visible

    def remove_layers(self) -> None:
        """Take the layers away."""
        viewer = self._viewer()
        if viewer is not None:
            remove_layers(viewer.layers, (self.points, self.beams))

    def remove(self) -> None:
        """Take the layers away for good."""
        self.image.events.visible.disconnect(self._on_visible)
        self.remove_layers()


def _features(table: pd.DataFrame) -> pd.DataFrame:
    """Give the columns their types; a point set by hand has no values yet."""
    numbers = {name: table[name].astype(float) for name in ("intensity", "snr")}
    whole = {name: table[name].fillna(0).astype(int) for name in ("h", "k")}
    truths = {name: table[name].astype("boolean").fillna(False).astype(bool)
              for name in ("zonal", "by_hand")}  # fmt: skip
    return pd.DataFrame({**numbers, **whole, **truths})[list(FEATURES)]
