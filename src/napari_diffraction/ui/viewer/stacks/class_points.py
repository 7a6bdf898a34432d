"""The results beside a stack: a Points layer with one labelled, coloured point per pattern."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Points
from napari.layers.utils.color_encoding import ManualColorEncoding
from napari.layers.utils.string_encoding import ManualStringEncoding
from numpy.typing import NDArray

from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.ui.viewer.quiet import set_data
from napari_diffraction.ui.widgets.colours import rgba

_TEXT_WIDTH = "<U48"
#: Rows from which on a table is too long to be read again at every step.
_LONG = 2000


class _Texts(ManualStringEncoding):
    """Texts that are changed in place: napari would copy all of them at every step."""

    def _apply(self, features: Any) -> None:
        if len(self.array) != len(features):
            super()._apply(features)


class _Colours(ManualColorEncoding):
    """Colours that are changed in place, as `_Texts`."""

    def _apply(self, features: Any) -> None:
        if len(self.array) != len(features):
            super()._apply(features)


class ClassPoints:
    """One point per pattern, with text, colour and features, kept in step with a session.

    The layer holds all points from the beginning; those of patterns that are not classified yet
    are hidden.  A change of some patterns costs no more than these patterns.

    Parameters
    ----------
    viewer
        Gets the layer.
    image
        The patterns, whose place in space the points share.
    stack
        The patterns of ``image``, for their sources.
    session
        What is known of the patterns.
    members : (n,) int
        Number in the session of each pattern of ``image``; ``None``: the patterns in order.
    on_select
        Called with the number of the pattern whose point or row a person selects.
    on_row
        Called with the layer and the row when a single row of a long table has changed, since
        napari's own event makes listeners read all of them.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        stack: PatternStack,
        session: ReviewSession,
        members: NDArray[np.int64] | None = None,
        on_select: Callable[[int], None] | None = None,
        on_row: Callable[[Points, int], None] | None = None,
    ) -> None:
        self._session, self._stack = session, stack
        self._number(np.arange(len(stack)) if members is None else np.asarray(members))
        self._on_select, self._on_row = on_select, on_row
        self._selecting = self._mending = False
        self._within: NDArray[np.bool_] | None = None
        n = len(self._members)
        frame = image.data.shape[-2:]
        size = max(1.0, 0.025 * min(frame))
        self._margin = 2 * size
        self._positions = self._corners(image, self._margin)
        self.layer: Points = viewer.add_points(
            self._positions,
            features=self._empty_features(),
            name=f"{image.name} - classes",
            face_color=np.ones((n, 4), np.float32),
            border_color="black",
            border_width=0.1,
            size=size,
            text={
                "string": _Texts(array=np.full(n, "", _TEXT_WIDTH), default=""),
                "color": _Colours(array=np.ones((n, 4), np.float32), default="white"),
                "anchor": "upper_left",
                "translation": [0] * (image.ndim - 2) + [size / 2, size],
                "size": 14,
            },
            **_place_of(image),
            metadata={"made_from": image.name, **session.about},
        )
        self.layer.shown[:] = False
        self.layer.editable = False
        self.layer.events.data.connect(self._mend)
        self.layer.selected_data.events.items_changed.connect(self._on_selected)
        self.refresh()

    def _number(self, members: NDArray[np.int64]) -> None:
        self._members = members
        self._place = np.full(int(members.max(initial=-1)) + 1, -1)
        self._place[members] = np.arange(len(members))

    def grow(
        self, image: Image, stack: PatternStack, moved: NDArray[np.int64] | None = None
    ) -> None:
        """Take in patterns that came to the whole stack.

        Parameters
        ----------
        image, stack
            As they are now.
        moved : ndarray of int, (n,)
            The number now of each pattern that was there before; ``None``: the same.
        """
        before, self._stack = len(self._members), stack
        if len(stack) == before and moved is None:
            return
        self._number(np.arange(len(stack)))
        if self._within is not None:
            within = np.zeros(len(stack), bool)
            within[np.arange(before) if moved is None else moved] = self._within
            self._within = within
        self._positions = self._corners(image, self._margin)
        if moved is None:
            self._append(before)
        else:
            self._lay_out()

    def _append(self, before: int) -> None:
        """Add the points from a number on, which costs less than to lay out all of them."""
        self._mending = True
        try:
            known = self.layer.features
            set_data(self.layer, self._positions)
            self.layer.shown[before:] = False
            fresh = self._empty_features()
            features = pd.concat([known, fresh.iloc[before:]], ignore_index=True)
            self.layer.features = features.assign(source=fresh["source"])
        finally:
            self._mending = False

    def renumber(self, moved: NDArray[np.int64]) -> None:
        """Give the patterns, some of a stack, the numbers that they have in the longer one."""
        self._number(moved[self._members])
        self.layer.features["index"] = self._members
        self.layer.events.features()

    def _corners(self, image: Image, margin: float) -> NDArray[np.float64]:
        shape = image.data.shape[:-2]
        n = len(self._members)
        places = np.unravel_index(np.arange(n), shape) if shape else ()
        corners = np.column_stack([*places, np.full(n, margin), np.full(n, margin)])
        # napari takes the extent of the columns at every step: quicker where each is in one piece.
        return np.asfortranarray(corners, dtype=float)

    def _empty_features(self) -> pd.DataFrame:
        members, stack, session = self._members, self._stack, self._session
        n = len(members)
        sources = [stack.source(i) for i in range(n)] if len(stack.sources) > 1 else None
        labels = pd.CategoricalDtype([*session.classes, UNREADABLE])
        columns: dict[str, Any] = {
            "index": members,
            "source": pd.Categorical(sources or [stack.source(0) if n else ""] * n),
            "label": pd.Categorical([None] * n, dtype=labels),
            "confidence": np.full(n, np.nan),
        }
        columns |= {f"p_{name}": np.full(n, np.nan) for name in session.classes}
        return pd.DataFrame(columns | {"reviewed": np.zeros(n, bool)})

    # -- session to layer -----------------------------------------------------------------------
    def refresh(self, indices: NDArray[np.int64] | None = None, *, redraw: bool = True) -> None:
        """Show what the session says of some patterns, or of all.

        Parameters
        ----------
        indices : (m,) int
            The patterns; ``None``: all.
        redraw
            Not needed where another pattern is shown next.
        """
        indices = self._session.index if indices is None else np.asarray(indices, np.int64)
        indices = indices[indices < len(self._place)]
        # A person may decide on a pattern before the run has come to it.
        indices = indices[self._session.classified(indices)]
        places = self._place[indices]
        indices, places = indices[places >= 0], places[places >= 0]
        if not len(indices):
            return
        rows = self._session.rows(indices)
        labels = rows["label"].to_numpy(str)
        features = self.layer.features
        for name in ("label", "confidence", *(f"p_{c}" for c in self._session.classes)):
            if name in rows:
                column = features.columns.get_loc(name)
                features.iloc[places, column] = self._values(features, name, rows[name])
        features.iloc[places, features.columns.get_loc("reviewed")] = rows["reviewed"].to_numpy()
        colours = rgba(labels, self._session.classes)
        self.layer.face_color[places] = colours
        self.layer.text.color.array[places] = colours
        self.layer.text.string.array[places] = _texts(labels, rows)
        self._show(places)
        if redraw:
            self.redraw()
        if self._on_row is not None and len(places) == 1 and len(features) > _LONG:
            self._on_row(self.layer, int(places[0]))
        else:
            self.layer.events.features()

    @staticmethod
    def _values(features: pd.DataFrame, name: str, values: pd.Series) -> Any:
        if name != "label":
            return values.to_numpy()
        return pd.Categorical(values, dtype=features["label"].dtype)

    def redraw(self) -> None:
        """Draw the point on view anew; the places of the points are the same as before."""
        self.layer.refresh(extent=False, thumbnail=False)

    def filter(self, rows: NDArray[np.bool_] | None) -> None:
        """Show the points of some rows of the session only, or of all.

        Parameters
        ----------
        rows : (n,) bool
            As in the session; ``None``: all.
        """
        self._within = None
        if rows is not None:
            self._within = np.zeros(len(self._place), bool)
            self._within[self._session.index[rows]] = True
        known = self._session.index[self._session.index < len(self._place)]
        places = self._place[known]
        self._show(places[places >= 0])
        self.redraw()

    def _show(self, places: NDArray[np.int64]) -> None:
        shown = True if self._within is None else self._within[self._members[places]]
        self.layer.shown[places] = shown

    def select(self, index: int | None) -> None:
        """Select the point of a pattern, so that the features table shows its row."""
        place = -1 if index is None or index >= len(self._place) else self._place[index]
        wanted = {int(place)} if place >= 0 else set()
        if set(self.layer.selected_data) != wanted:
            self._selecting = True
            try:
                self.layer.selected_data = wanted
            finally:
                self._selecting = False

    # -- layer to session -----------------------------------------------------------------------
    def _on_selected(self, added: Any = (), removed: Any = ()) -> None:
        selected = self.layer.selected_data
        if self._on_select is not None and not self._selecting and len(selected) == 1:
            self._on_select(int(self._members[next(iter(selected))]))

    def _mend(self, event: Any = None) -> None:
        """Put back points that were deleted or moved: a pattern keeps its result."""
        if not self._mending and not np.array_equal(self.layer.data, self._positions):
            self._lay_out()

    def _lay_out(self) -> None:
        """Give the layer all points anew, with what the session says of them."""
        self._mending = True
        try:
            self.layer.selected_data = set()
            self.layer.data = self._positions
            self.layer.features = self._empty_features()
            n = len(self._members)
            self.layer.face_color = np.ones((n, 4), np.float32)
            self.layer.text.string.array = np.full(n, "", _TEXT_WIDTH)
            self.layer.text.color.array = np.ones((n, 4), np.float32)
            self.layer.shown = np.zeros(n, bool)
            self.refresh()
        finally:
            self._mending = False


def _texts(labels: NDArray[np.str_], rows: pd.DataFrame) -> NDArray[np.str_]:
    """Return "2DZone 0.98", or "2DZone (reviewed)" where a person decided."""
    hundredths = np.array([f" {number / 100:.2f}" for number in range(101)])
    confidence = np.nan_to_num(rows["confidence"].to_numpy(float))
    numbers = hundredths[np.clip(np.rint(confidence * 100), 0, 100).astype(int)]
    notes = np.where(rows["reviewed"], " (reviewed)", np.where(labels == UNREADABLE, "", numbers))
    return np.char.add(labels.astype(str), notes)


def _place_of(image: Image) -> dict[str, Any]:
    """Return what puts a layer where an image lies."""
    return {"scale": image.scale, "translate": image.translate, "affine": image.affine,
            "units": image.units, "axis_labels": image.axis_labels}  # fmt: skip
