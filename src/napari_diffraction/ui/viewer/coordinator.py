"""What the classification and the review panel share: one coordinator for each viewer.

It knows napari's layers but no Qt, so that it works with a `ViewerModel` alone.  Panels call its
methods and listen to its signals; they never talk to one another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import pandas as pd
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray
from psygnal import Signal

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.review.store import SavedReview
from napari_diffraction.ui.viewer.layers import bare_viewer, can_be_stack, first_stack, was_opened
from napari_diffraction.ui.viewer.stacks.reviews import Reviews
from napari_diffraction.ui.viewer.stacks.saving import Saving
from napari_diffraction.ui.viewer.stacks.stack_review import StackReview
from napari_diffraction.ui.viewer.vertex_arrays import guard
from napari_diffraction.ui.widgets.preferences import preference

_coordinators: WeakKeyDictionary[ViewerModel, Coordinator] = WeakKeyDictionary()


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
        self._reviews = Reviews(viewer, self.row_changed.emit, self._on_input)
        self._at: StackReview | None = None
        self._guard = Saving()
        viewer.dims.events.current_step.connect(self._on_step)
        viewer.layers.events.removed.connect(self._on_removed)

    @classmethod
    def of(cls, viewer: Any) -> Coordinator:
        """Return the coordinator of a viewer, the same one every time."""
        bare = bare_viewer(viewer)
        if bare not in _coordinators:
            _coordinators[bare] = cls(bare)
            guard(bare)
        return _coordinators[bare]

    @property
    def viewer(self) -> ViewerModel:
        """The viewer that this coordinator belongs to."""
        viewer = self._viewer()
        assert viewer is not None  # the coordinator does not outlive its viewer
        return viewer

    # -- what is at work ------------------------------------------------------------------------
    @property
    def layer(self) -> Image | None:
        """The layer with the patterns."""
        return None if self._at is None else self._at.layers.image

    @property
    def stack(self) -> PatternStack | None:
        """The patterns."""
        return None if self._at is None else self._at.stack

    @property
    def session(self) -> ReviewSession | None:
        """What is known of the patterns; ``None`` until they are classified or taken up."""
        return None if self._at is None else self._at.session

    @property
    def saved(self) -> SavedReview | None:
        """A saved review of which nobody has said yet whether it is to be taken up."""
        return None if self._at is None else self._at.saved

    @property
    def range(self) -> tuple[float, float] | None:
        """The confidences that are looked at; ``None``: all."""
        return None if self._at is None else self._at.range

    def at_hand(self) -> Image | None:
        """Return the stack that a person most probably means for a new panel.

        The active layer if it was opened as a stack, else the one at work, else the topmost.
        """
        active = self.viewer.layers.selection.active
        if active is not None and was_opened(active):
            return active
        return self.layer or first_stack(self.viewer)

    @property
    def points_layer(self) -> Points | None:
        """The layer with the results of the whole stack."""
        points = None if self._at is None else self._at.layers.points
        return None if points is None else points.layer

    def set_layer(self, layer: Image | None) -> None:
        """Work on the patterns of a layer; what is known of another is kept.

        Raises
        ------
        InputError
            The layer is no stack of patterns.
        """
        known = self._reviews.get(layer)
        if known is not None and not known.renew(layer):
            self._forget(layer)
        if layer is self.layer:
            return
        self._at = None if layer is None else self._reviews.take(layer)
        self.show_alone(layer)
        self.set_threshold(self.threshold)
        self.stack_changed.emit()
        self.results_changed.emit()

    def show_alone(self, layer: Layer | None) -> None:
        """Show a stack that was opened, and no other; it need not be the one at work."""
        if layer is not None:
            self._reviews.show_alone(layer)

    def review_in(self, layer: Layer | None) -> StackReview | None:
        """Return what is known of the patterns of a layer, whatever is at work."""
        return self._reviews.get(layer)

    def begin(
        self, classes: Sequence[str], about: Mapping[str, Any], layer: Layer | None = None
    ) -> None:
        """Begin with an empty table, see `StackReview.new_session`; decisions made before count.

        Without a layer, this is of the stack at work.

        Raises
        ------
        InputError
            The layer is not there any more.
        """
        review = self._review_of(layer)
        session = review.new_session(classes, about)
        self._guard(session.save)
        session.take_up()
        # Whether earlier decisions count is still to be answered; until then they do.
        saved = review.saved if review.saved is not None and review.saved.decisions else None
        self._use(review, session, saved)

    def add_rows(self, rows: pd.DataFrame, layer: Layer | None = None) -> None:
        """Add patterns that have just been classified.

        Raises
        ------
        InputError
            The layer is not there any more.
        """
        review = self._review_of(layer)
        if review.session is None:
            raise InputError("Nothing is classified yet: run a classification first.")
        self._guard(review.session.extend, rows)
        review.layers.refresh(rows["index"].to_numpy(np.int64))
        if review.range is not None:
            review.layers.filter(review.within())
        self.results_changed.emit()

    def grow(
        self, layer: Layer, stack: PatternStack, key: str, moved: NDArray[np.int64] | None = None
    ) -> None:
        """Show the longer stack that the input of a layer has grown to, see `StackReview.grow`.

        Raises
        ------
        InputError
            The layer is not there any more.
        """
        self._guard(self._review_of(layer).grow, stack, key, moved)
        self.stack_changed.emit()

    def tell(self, sentence: str, layer: Layer | None = None, **facts: Any) -> None:
        """Keep what was found out about the whole stack with its results."""
        session = self._review_of(layer).session
        if session is not None:
            self._guard(session.tell, sentence, **facts)

    def resume(self) -> None:
        """Take up the saved review of this stack."""
        review = self._at
        if review is None or review.saved is None:
            return
        if review.session is not None and len(review.session):
            review.saved = None  # classified again meanwhile, and the decisions are in it
            self.stack_changed.emit()
        else:
            self._use(review, ReviewSession.restore(review.saved.key, review.saved.folder))
        self.next()

    def start_anew(self) -> None:
        """Leave the decisions saved for this stack aside; a saved classification is kept."""
        review = self._at
        if review is None or review.saved is None:
            return
        saved = review.saved
        session = review.session or ReviewSession.restore(saved.key, saved.folder)
        self._guard(session.start_anew)
        self._use(review, session)

    def _use(
        self, review: StackReview, session: ReviewSession, saved: SavedReview | None = None
    ) -> None:
        session.threshold = self.threshold
        review.use(session, saved)
        if review is self._at:
            # The labels stand in a corner, which a panel opened since may have pushed out of view.
            self.viewer.reset_view()
            self._on_step()
        self.stack_changed.emit()
        self.results_changed.emit()

    # -- one pattern ----------------------------------------------------------------------------
    @property
    def current(self) -> int | None:
        """Flat number of the pattern on view, also where it is shown among those of a class."""
        return None if self._at is None else self._at.layers.current()

    def show(self, index: int) -> None:
        """Show a pattern in the whole stack."""
        if self._at is not None:
            self.show_alone(self._at.layers.image)
            before = self.current
            self._at.layers.show(index)
            if index == before:  # else moving the sliders has led there
                self._on_step()

    def next(self) -> int | None:
        """Show the next least certain pattern that waits for a decision; return its number.

        After a look elsewhere this is the pattern from which one went away, if it still waits.
        """
        review = self._at
        if review is None:
            return None
        found = review.next(self.current)
        if found is not None:
            self.show(found)
        return found

    def decide(self, label: str) -> None:
        """Give the pattern on view a class and go on to the next."""
        review, index = self._at, self.current
        if review is None or review.session is None or index is None:
            return
        self._guard(review.session.decide, index, label)
        review.layers.refresh(np.array([index]), redraw=False)
        if not review.layers.next_of_class():
            self.next()
        if index == self.current:
            review.layers.redraw()
        self.results_changed.emit()

    def undo(self) -> None:
        """Take back the last decision and show its pattern."""
        review = self._at
        if review is None or review.session is None or review.session.last is None:
            return
        indices = review.session.last
        self._guard(review.session.undo)
        review.layers.refresh(indices)
        if len(indices) == 1:
            self.show(int(indices[0]))
        self.results_changed.emit()

    def accept(self) -> int:
        """Accept the model's class wherever it is sure; return the number of patterns."""
        review = self._at
        if review is None or review.session is None:
            return 0
        number = review.session.counts().acceptable
        self._guard(review.session.accept)
        if number and review.session.last is not None:
            review.layers.refresh(review.session.last)
        self.results_changed.emit()
        return number

    def note_lesson(self, card: Mapping[str, Any]) -> None:
        """Keep with the review that a model has learned from its labels."""
        if self.session is not None:
            self._guard(self.session.note_lesson, card)

    # -- what is looked at ----------------------------------------------------------------------
    def set_threshold(self, threshold: float) -> None:
        """Set the confidence below which a pattern is doubtful."""
        self.threshold = threshold
        if self._at is not None:
            self._at.queue_at = None
            if self._at.session is not None:
                self._at.session.threshold = threshold
        self.results_changed.emit()

    def set_filter(self, between: tuple[float, float] | None) -> None:
        """Look only at patterns with a confidence in a range (upper end not included, save 1)."""
        if self._at is None:
            return
        self._at.filter(between)
        self.results_changed.emit()
        if between is not None:
            self.next()

    def offer(self, indices: NDArray[np.int64]) -> None:
        """Ask about some patterns before all others, in their order."""
        if self._at is not None:
            self._at.offered = np.asarray(indices, np.int64)
            self.results_changed.emit()

    @property
    def offered(self) -> NDArray[np.int64]:
        """The patterns that were put forward and wait for a decision."""
        return np.empty(0, np.int64) if self._at is None else self._at.offered_and_waiting()

    def queue(self) -> tuple[int, int]:
        """Return how many patterns of the queue wait for a decision, and how many it has."""
        return (0, 0) if self._at is None else self._at.queue()

    def filtered(self) -> NDArray[np.int64] | None:
        """Return the numbers of the patterns that are looked at; ``None``: all."""
        return None if self._at is None else self._at.filtered()

    def open_class(self, label: str) -> Image | None:
        """Show the patterns of a class as a layer of their own, the most probable first."""
        image = None if self._at is None else self._at.layers.open_class(label)
        self._on_step()
        return image

    def show_all(self) -> None:
        """Go back from the patterns of one class to the whole stack."""
        if self._at is not None:
            self._at.layers.show_all()
        self._on_step()

    @property
    def class_on_view(self) -> str | None:
        """The class whose patterns are shown by themselves, if one is."""
        return None if self._at is None else self._at.layers.class_on_view

    # -- inside ---------------------------------------------------------------------------------
    def _review_of(self, layer: Layer | None) -> StackReview:
        review = self._at if layer is None else self._reviews.get(layer)
        if review is None:
            raise InputError("The stack of patterns is not open any more: open it again.")
        return review

    def _on_step(self, event: Any = None) -> None:
        if self._at is not None:
            self._at.layers.select_current()
        self.moved.emit()

    def _on_removed(self, event: Any) -> None:
        self._reviews.removed(event.value, self._at)
        self._forget(event.value)

    def _on_input(self, event: Any) -> None:
        """Begin anew where a layer shows other patterns: what is known says nothing of them."""
        layer, at_work = event.source, event.source is self.layer
        known = self._reviews.get(layer)
        if known is not None and not known.is_of(layer):
            self._forget(layer)
            if at_work and can_be_stack(layer):
                self.set_layer(layer)

    def _forget(self, layer: Layer) -> None:
        gone = self._reviews.pop(layer)
        if gone is None:
            return
        at_work = gone is self._at
        if at_work:
            self._at = None
        gone.layers.clear()
        if at_work:
            self.stack_changed.emit()
            self.results_changed.emit()
