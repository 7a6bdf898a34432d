"""The layers that belong to one stack: its results, and the patterns of a class by themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from weakref import ref

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.review.selection import choose
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.ui.viewer.layers import StackView, add_chosen
from napari_diffraction.ui.viewer.quiet import choice_kept, remove_layers
from napari_diffraction.ui.viewer.stacks.class_points import ClassPoints

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class _ClassLayers:
    """The patterns of one class as a layer of their own, with their results."""

    view: StackView
    points: ClassPoints
    members: Indices


class StackLayers:
    """Keeps the layers of one stack in step with its session and with the sliders.

    Parameters
    ----------
    viewer
        Where the layers are.
    image
        The layer with the patterns.
    stack
        The patterns.
    on_row
        As for `ClassPoints`.
    """

    def __init__(
        self,
        viewer: ViewerModel,
        image: Image,
        stack: PatternStack,
        on_row: Callable[[Points, int], None],
    ) -> None:
        self._viewer = ref(viewer)  # the viewer must be free to go
        self.image, self.stack = image, stack
        self.points: ClassPoints | None = None
        self._on_row = on_row
        self._view = StackView(viewer, image)
        self._classes: dict[str, _ClassLayers] = {}
        self._session: ReviewSession | None = None
        self._within: NDArray[np.bool_] | None = None

    @property
    def _layers(self) -> list[Layer]:
        viewer = self._viewer()
        return [] if viewer is None else viewer.layers

    # -- results --------------------------------------------------------------------------------
    def use(self, session: ReviewSession) -> None:
        """Show another session, with layers made for it; a stack that is hidden stays so."""
        shown = self.image.visible or self._shown() is not None
        self.clear()
        self._session = session
        self.image.visible = shown
        self.make_points()
        if self.points is not None:
            self.points.layer.visible = shown

    def clear(self) -> None:
        """Remove the layers made for the stack, which without it say nothing."""
        layers = self._made()
        self.points, self._classes, self._within = None, {}, None
        remove_layers(self._layers, layers)

    def _made(self) -> list[Layer]:
        points = [points.layer for points in self._all_points()]
        return points + [shown.view.layer for shown in self._classes.values()]

    def make_points(self) -> None:
        """Make the layer with the results, if somebody deleted it."""
        viewer = self._viewer()
        if viewer is None or self._session is None:
            return
        if self.points is None or self.points.layer not in viewer.layers:
            with choice_kept(viewer):
                self.points = self._points_of(viewer, self.image, self.stack, self._session)
            self.points.filter(self._within)

    def grow(self, stack: PatternStack, moved: Indices | None = None) -> None:
        """Show a longer stack in the same layer; the pattern on view stays on view.

        Parameters
        ----------
        stack
            All there is now.
        moved : ndarray of int, (n,)
            The number now of each pattern that was there before; ``None``: the same.
        """
        current = self.current()
        self.stack = stack
        with self.image.events.metadata.blocker():  # until the data are those of the stack
            self.image.metadata = {**self.image.metadata, "pattern_stack": stack}
        self.image.data = stack.data
        if self.points is not None and self.points.layer in self._layers:
            self.points.grow(self.image, stack, moved)
        if moved is not None:
            for name, shown in self._classes.items():
                shown.points.renumber(moved)
                self._classes[name] = replace(shown, members=moved[shown.members])
        on_view = self._shown()
        if on_view is not None:
            on_view.view.fit_sliders()
        elif moved is not None and current is not None:
            self._view.show(int(moved[current]))
        self.select_current()

    def _points_of(
        self,
        viewer: ViewerModel,
        image: Image,
        stack: PatternStack,
        session: ReviewSession,
        members: Indices | None = None,
    ) -> ClassPoints:
        return ClassPoints(viewer, image, stack, session, members, self._on_select, self._on_row)

    def _all_points(self) -> list[ClassPoints]:
        found = [self.points, *(shown.points for shown in self._classes.values())]
        return [points for points in found if points and points.layer in self._layers]

    def refresh(self, indices: Indices | None = None, *, redraw: bool = True) -> None:
        """Show what the session says of some patterns, or of all."""
        for points in self._all_points():
            points.refresh(indices, redraw=redraw)

    def redraw(self) -> None:
        """Draw the point on view anew."""
        for points in self._all_points():
            points.redraw()

    def filter(self, within: NDArray[np.bool_] | None) -> None:
        """Show the points of some rows of the session only, or of all."""
        self._within = within
        if self.points is not None:
            self.points.filter(within)

    # -- the pattern on view --------------------------------------------------------------------
    def current(self) -> int | None:
        """Return the flat number of the pattern on view, ``None`` where there is none."""
        shown = self._shown()
        if shown is None:
            # Where something else is shown instead of the stack, no pattern of it is on view.
            return self._view.index() if self.image.visible else None
        place = shown.view.index()
        return None if place is None else int(shown.members[place])

    def show(self, index: int) -> None:
        """Show a pattern in the whole stack."""
        self.show_all()
        self.make_points()
        if not self.image.visible:
            self.image.visible = True
            if self.points is not None:
                self.points.layer.visible = True
        self._view.show(index)

    def select_current(self) -> None:
        """Select the point of the pattern on view, so that the features table shows its row."""
        current = self.current()
        for points in self._all_points():
            points.select(current if points.layer.visible else None)

    def _on_select(self, index: int) -> None:
        shown = self._shown()
        if index == self.current():
            return
        if shown is not None and index in shown.members:
            shown.view.show(int(np.flatnonzero(shown.members == index)[0]))
        else:
            self.show(index)

    # -- the patterns of a class ----------------------------------------------------------------
    def open_class(self, label: str) -> Image | None:
        """Show the patterns of a class as a layer of their own, the most probable first."""
        viewer, session = self._viewer(), self._session
        members = np.empty(0, np.int64) if session is None else session.patterns_of(label)
        if viewer is None or session is None or not len(members):
            return None
        old = self._classes.pop(label, None)
        if old is not None:
            remove_layers(viewer.layers, (old.points.layer, old.view.layer))
        chosen = choose(self.stack, members, f"{self.image.name} - {label}")
        image = add_chosen(viewer, self.image, chosen, {"class": label, **session.about})
        with choice_kept(viewer):
            points = self._points_of(viewer, image, chosen, session, members)
        shown = _ClassLayers(StackView(viewer, image), points, members)
        self._classes[label] = shown
        self._set_visible(shown)
        shown.view.fit_sliders()
        shown.view.show(0)
        viewer.layers.selection.active = image
        return image

    @property
    def class_on_view(self) -> str | None:
        """The class whose patterns are shown by themselves, if one is."""
        shown = self._shown()
        return next((name for name, other in self._classes.items() if other is shown), None)

    def next_of_class(self) -> bool:
        """Go on among the patterns of a class; return whether these are on view."""
        shown = self._shown()
        if shown is None:
            return False
        place = shown.view.index() or 0
        shown.view.show(min(place + 1, len(shown.members) - 1))
        return True

    def hide(self) -> None:
        """Hide the stack and all that belongs to it."""
        for layer in (self.image, *self._made()):
            if layer.visible:  # else napari forgets in which mode it was
                layer.visible = False

    def bring(self) -> None:
        """Show the stack with its results, unless it or one of its classes is shown already."""
        if not self.image.visible and self._shown() is None:
            self._set_visible(None)

    def show_all(self) -> None:
        """Go back from the patterns of one class to the whole stack."""
        if self._shown() is None:
            return
        index = self.current()
        self._set_visible(None)
        self._view.fit_sliders()
        if index is not None:
            self._view.show(index)

    def _shown(self) -> _ClassLayers | None:
        if self.image.visible:
            return None
        on_view = (shown for shown in self._classes.values() if shown.view.layer in self._layers)
        return next((shown for shown in on_view if shown.view.layer.visible), None)

    def _set_visible(self, shown: _ClassLayers | None) -> None:
        for other in self._classes.values():
            other.view.layer.visible = other.points.layer.visible = other is shown
        self.image.visible = shown is None
        if self.points is not None:
            self.points.layer.visible = shown is None

    def removed(self, layer: Layer, *, at_work: bool) -> None:
        """Tidy up after somebody removed a layer: no results without their patterns.

        Parameters
        ----------
        layer
            The one that was removed.
        at_work
            Whether this is the stack at work, which comes back when nothing of it is left on view.
        """
        gone = [name for name, shown in self._classes.items() if shown.view.layer is layer]
        for name in gone:
            shown = self._classes.pop(name)
            if shown.points.layer in self._layers:
                self._layers.remove(shown.points.layer)
            if at_work and layer.visible and not self.image.visible:  # it was on view
                self._set_visible(None)
                self._view.fit_sliders()
