"""What the classification and the review panel share: one coordinator for each viewer.

It knows napari's layers but no Qt, so that it works with a `ViewerModel` alone.  Panels call its
methods and listen to its signals; they never talk to one another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Layer
from napari.utils.notifications import show_error
from numpy.typing import NDArray
from psygnal import Signal

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.selection import choose
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.review.store import SavedReview, SessionStore, saved_review
from napari_diffraction.ui.class_points import ClassPoints
from napari_diffraction.ui.layers import StackView, bare_viewer, can_be_stack, stack_of
from napari_diffraction.ui.preferences import preference

_coordinators: WeakKeyDictionary[ViewerModel, Coordinator] = WeakKeyDictionary()


class _ClassView:
    """The patterns of one class as a layer of their own."""

    def __init__(self, view: StackView, points: ClassPoints, members: NDArray[np.int64]) -> None:
        self.view, self.points, self.members = view, points, members


class Coordinator:
    """The stack at work in a viewer, its review, and the layers that show it.

    Signals
    -------
    stack_changed()
        Another stack is at work, or a saved review was found or answered.
    results_changed()
        Patterns were classified or decided on, or the threshold or the filter changed.
    moved()
        Another pattern is on view.
    row_changed(Points, int)
        One row of a long features table has changed.
    """

    stack_changed = Signal()
    results_changed = Signal()
    moved = Signal()
    row_changed = Signal(object, int)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = ref(viewer)
        self.threshold = float(preference("threshold", 0.95))
        self._forget()
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.layers.events.removed.connect(self._on_removed)

    @classmethod
    def of(cls, viewer: Any) -> Coordinator:
        """Return the coordinator of a viewer, the same one every time."""
        bare = bare_viewer(viewer)
        if bare not in _coordinators:
            _coordinators[bare] = cls(bare)
        return _coordinators[bare]

    def _forget(self) -> None:
        self.layer: Image | None = None
        self.stack: PatternStack | None = None
        self.session: ReviewSession | None = None
        self.saved: SavedReview | None = None
        self.range: tuple[float, float] | None = None
        self._view: StackView | None = None
        self._points: ClassPoints | None = None
        self._classes: dict[str, _ClassView] = {}
        self._save_failed = False
        self._queue_at: int | None = None

    @property
    def viewer(self) -> ViewerModel:
        """The viewer that this coordinator belongs to."""
        viewer = self._viewer()
        assert viewer is not None  # the coordinator does not outlive its viewer
        return viewer

    # -- the stack ------------------------------------------------------------------------------
    def set_layer(self, layer: Image | None) -> None:
        """Work on the patterns of a layer; the review of another stays saved.

        Raises
        ------
        InputError
            The layer is no stack of patterns.
        """
        if layer is self.layer:
            return
        stack = None if layer is None else stack_of(layer)
        self._forget()
        if layer is not None and stack is not None:
            self.layer, self.stack = layer, stack
            self._view = StackView(self.viewer, layer)
            self.saved = saved_review(stack_key(stack))
        self.stack_changed.emit()
        self.results_changed.emit()

    def begin(self, classes: Sequence[str], about: Mapping[str, Any]) -> None:
        """Begin with an empty table, as a classification does; decisions made before count.

        Parameters
        ----------
        classes
            The classes of the model.
        about
            The model, its hash and settings, the software and its version.
        """
        stack = self._need_stack()
        key = stack_key(stack)
        facts = {"stack": stack.name, "sources": stack.sources[:1], **about}
        session = ReviewSession(key=key, folder=SessionStore.of(key).folder, classes=classes,
                                about=facts)  # fmt: skip
        self._guard(session.save)
        session.take_up()
        saved = self.saved
        self._use(session)
        # Whether earlier decisions count is still to be answered; until then they do.
        self.saved = saved if saved is not None and saved.decisions else None
        self.stack_changed.emit()

    def add_rows(self, rows: pd.DataFrame) -> None:
        """Add patterns that have just been classified."""
        session = self._need_session()
        self._guard(session.extend, rows)
        for points in self._all_points():
            points.refresh(rows["index"].to_numpy(np.int64))
        self.results_changed.emit()

    def resume(self) -> None:
        """Take up the saved review of this stack."""
        if self.saved is None:
            return
        saved, here = self.saved, self.session
        if here is not None and len(here):  # classified again meanwhile: it has the decisions
            self.saved = None
        else:
            self._use(ReviewSession.restore(saved.key, saved.folder))
        self.stack_changed.emit()
        self.next()

    def start_anew(self) -> None:
        """Leave the decisions saved for this stack aside; a saved classification is kept."""
        if self.saved is None:
            return
        saved = self.saved
        session = self.session or ReviewSession.restore(saved.key, saved.folder)
        self._guard(session.start_anew)
        self._use(session)
        self.stack_changed.emit()

    def _use(self, session: ReviewSession) -> None:
        session.threshold = self.threshold
        self.session, self.saved, self.range = session, None, None
        self._queue_at = None
        self._drop_points()
        self._make_points()
        # The labels stand in a corner, which a panel opened meanwhile may have pushed out of view.
        self.viewer.reset_view()
        self._on_step()
        self.stack_changed.emit()
        self.results_changed.emit()

    # -- one pattern ----------------------------------------------------------------------------
    @property
    def current(self) -> int | None:
        """Flat number of the pattern on view, also where it is shown in the stack of a class."""
        if self.layer is None or self._view is None:
            return None
        shown = self._class_on_view()
        if shown is None:
            return self._view.index()
        place = shown.view.index()
        return None if place is None else int(shown.members[place])

    def show(self, index: int) -> None:
        """Show a pattern in the whole stack."""
        if self._view is None or self.layer is None:
            return
        self.show_all()
        self._make_points()
        if index == self.current:
            self._on_step()
        else:
            self._view.show(index)  # which leads to _on_step

    def next(self) -> int | None:
        """Show the next least certain pattern that waits for a decision; return its number.

        After a look elsewhere this is the pattern from which one went away, if it still waits.
        """
        if self.session is None:
            return None
        at, within = self._queue_at, self._within()
        if at is None or at == self.current or self.session.reviewed(at):
            found = self.session.next_doubtful(at, within)
        else:
            found = at
        if found is not None:
            self.show(found)
        self._queue_at = found
        return found

    def decide(self, label: str) -> None:
        """Give the pattern on view a class and go on to the next."""
        index = self.current
        if self.session is None or index is None:
            return
        self._guard(self.session.decide, index, label)
        for points in self._all_points():
            points.refresh(np.array([index]), redraw=False)
        shown = self._class_on_view()
        if shown is None:
            self.next()
        else:
            place = shown.view.index() or 0
            shown.view.show(min(place + 1, len(shown.members) - 1))
        if index == self.current:
            for points in self._all_points():
                points.redraw()
        self.results_changed.emit()

    def undo(self) -> None:
        """Take back the last decision and show its pattern."""
        if self.session is None or self.session.last is None:
            return
        indices = self.session.last
        self._guard(self.session.undo)
        self._refresh(indices)
        if len(indices) == 1:
            self.show(int(indices[0]))
        self.results_changed.emit()

    def accept(self) -> int:
        """Accept the model's class wherever it is sure; return the number of patterns."""
        if self.session is None:
            return 0
        number = self.session.counts().acceptable
        self._guard(self.session.accept)
        if number and self.session.last is not None:
            self._refresh(self.session.last)
        self.results_changed.emit()
        return number

    # -- what is looked at ----------------------------------------------------------------------
    def set_threshold(self, threshold: float) -> None:
        """Set the confidence below which a pattern is doubtful."""
        if threshold == self.threshold:
            return
        self.threshold, self._queue_at = threshold, None
        if self.session is not None:
            self.session.threshold = threshold
        self.results_changed.emit()

    def set_filter(self, between: tuple[float, float] | None) -> None:
        """Look only at patterns with a confidence in a range (upper end not included, save 1)."""
        self.range, self._queue_at = between, None
        if self._points is not None:
            self._points.filter(self._within())
        self.results_changed.emit()
        if between is not None:
            self.next()

    def queue(self) -> tuple[int, int]:
        """Return how many patterns of the queue wait for a decision, and how many it has."""
        if self.session is None:
            return 0, 0
        counts, within = self.session.counts(), self._within()
        if within is None:
            return counts.left, counts.doubtful
        return int((within & ~self.session.decided).sum()), int(within.sum())

    @property
    def class_on_view(self) -> str | None:
        """The class whose patterns are shown as a layer of their own, if one is."""
        shown = self._class_on_view()
        return next((name for name, other in self._classes.items() if other is shown), None)

    def _within(self) -> NDArray[np.bool_] | None:
        if self.session is None or self.range is None:
            return None
        low, high = self.range
        confidence = self.session.confidence
        return (confidence >= low) & ((confidence < high) | (high >= 1)) & self.session.readable

    def open_class(self, label: str) -> Image | None:
        """Show the patterns of a class as a layer of their own, the most probable first."""
        session, stack = self._need_session(), self._need_stack()
        members = session.patterns_of(label)
        if not len(members) or self.layer is None:
            return None
        old = self._classes.pop(label, None)
        for layer in () if old is None else (old.points.layer, old.view.layer):
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        chosen = choose(stack, members, f"{self.layer.name} - {label}")
        image = self._add_chosen(chosen, label)
        points = self._points_of(image, chosen, members)
        shown = _ClassView(StackView(self.viewer, image), points, members)
        self._classes[label] = shown
        self._set_visible(shown)
        shown.view.fit_sliders()
        shown.view.show(0)
        self.viewer.layers.selection.active = image
        self._on_step()
        return image

    def _add_chosen(self, chosen: PatternStack, label: str) -> Image:
        like = self.layer
        assert like is not None
        return self.viewer.add_image(
            chosen.data,
            name=chosen.name,
            colormap=like.colormap,
            contrast_limits=like.contrast_limits,
            gamma=like.gamma,
            scale=(1, *like.scale[-2:]),
            translate=(0, *like.translate[-2:]),
            metadata={
                "pattern_stack": chosen,
                "chosen_from": like.name,
                "class": label,
                **self._need_session().about,
            },
        )

    def show_all(self) -> None:
        """Go back from the patterns of one class to the whole stack."""
        if self._class_on_view() is not None and self._view is not None:
            index = self.current
            self._set_visible(None)
            self._view.fit_sliders()
            if index is not None:
                self._view.show(index)
            self._on_step()

    def _class_on_view(self) -> _ClassView | None:
        if self.layer is None or self.layer.visible:
            return None
        layers = self.viewer.layers
        on_view = (c for c in self._classes.values() if c.view.layer in layers)
        return next((shown for shown in on_view if shown.view.layer.visible), None)

    def _set_visible(self, shown: _ClassView | None) -> None:
        for other in self._classes.values():
            other.view.layer.visible = other.points.layer.visible = other is shown
        if self.layer is not None:
            self.layer.visible = shown is None
        if self._points is not None:
            self._points.layer.visible = shown is None

    # -- inside ---------------------------------------------------------------------------------
    def _need_stack(self) -> PatternStack:
        if self.stack is None:
            raise InputError("There is no stack of patterns: open a file or a folder first.")
        return self.stack

    def _need_session(self) -> ReviewSession:
        if self.session is None:
            raise InputError("Nothing is classified yet: run a classification first.")
        return self.session

    def _guard(self, action: Callable[..., Any], *arguments: Any) -> None:
        """Do something that is also saved; say once if it cannot be, and go on."""
        try:
            action(*arguments)
        except InputError as error:
            if not self._save_failed:
                show_error(f"{error} Results stay in this window until it can be written.")
            self._save_failed = True
        else:
            self._save_failed = False

    def _make_points(self) -> None:
        if self.layer is None or self.stack is None or self.session is None:
            return
        if self._points is None or self._points.layer not in self.viewer.layers:
            active = self.viewer.layers.selection.active
            self._points = self._points_of(self.layer, self.stack)
            self._points.filter(self._within())
            self.viewer.layers.selection.active = active

    def _points_of(
        self, image: Image, stack: PatternStack, members: NDArray[np.int64] | None = None
    ) -> ClassPoints:
        session, tell = self._need_session(), self.row_changed.emit
        return ClassPoints(self.viewer, image, stack, session, members, self._on_select, tell)

    def _drop_points(self) -> None:
        for points in self._all_points():
            self.viewer.layers.remove(points.layer)
        for shown in self._classes.values():
            if shown.view.layer in self.viewer.layers:
                self.viewer.layers.remove(shown.view.layer)
        self._points, self._classes = None, {}
        if self.layer is not None:
            self.layer.visible = True

    def _all_points(self) -> list[ClassPoints]:
        found = [self._points, *(shown.points for shown in self._classes.values())]
        return [points for points in found if points and points.layer in self.viewer.layers]

    @property
    def points_layer(self) -> Layer | None:
        """The layer with the results of the whole stack."""
        return None if self._points is None else self._points.layer

    def _refresh(self, indices: NDArray[np.int64] | None = None) -> None:
        for points in self._all_points():
            points.refresh(indices)

    def _on_select(self, index: int) -> None:
        if index != self.current:
            self.show(index)

    def _on_step(self, event: Any = None) -> None:
        for points in self._all_points():
            points.select(self.current if points.layer.visible else None)
        self.moved.emit()

    def _on_removed(self, event: Any) -> None:
        if event.value is self.layer:
            self._forget()
            self.stack_changed.emit()
            self.results_changed.emit()
        self._classes = {
            label: shown
            for label, shown in self._classes.items()
            if shown.view.layer in self.viewer.layers
        }


def first_stack(viewer: ViewerModel) -> Image | None:
    """Return the layer that a person most probably means: the active one, else the first."""
    active = viewer.layers.selection.active
    if active is not None and can_be_stack(active):
        return active
    return next((layer for layer in viewer.layers if can_be_stack(layer)), None)
