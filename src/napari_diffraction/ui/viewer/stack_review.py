"""One stack in a window: its layers, its review, and the queue of patterns to decide on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.review.store import SavedReview, SessionStore, saved_review
from napari_diffraction.ui.viewer.layers import StackView, stack_of, was_opened
from napari_diffraction.ui.viewer.stack_layers import StackLayers


@dataclass
class StackReview:
    """What is known of one stack in this window.

    Attributes
    ----------
    saved
        A review on the disk of which nobody has said yet whether it is to be taken up.
    range
        Confidences that are looked at.
    queue_at
        The pattern that the queue showed last.
    offered : ndarray of int, (n,)
        Patterns that are asked about before all others, in their order.
    """

    stack: PatternStack
    layers: StackLayers
    session: ReviewSession | None = None
    saved: SavedReview | None = None
    range: tuple[float, float] | None = None
    queue_at: int | None = None
    offered: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    @classmethod
    def of(
        cls, viewer: ViewerModel, layer: Image, on_row: Callable[[Points, int], None]
    ) -> StackReview:
        """Take the stack of a layer, and look whether a review of it was saved.

        Raises
        ------
        InputError
            The layer is no stack of patterns.
        """
        stack = stack_of(layer)
        layers = StackLayers(viewer, layer, stack, on_row)
        return cls(stack, layers, saved=saved_review(stack_key(stack)))

    def new_session(self, classes: Sequence[str], about: Mapping[str, Any]) -> ReviewSession:
        """Return a session with an empty table, see `Coordinator.begin`."""
        key = stack_key(self.stack)
        return ReviewSession(
            key=key,
            folder=SessionStore.of(key).folder,
            classes=classes,
            about={"stack": self.stack.name, "sources": self.stack.sources[:1], **about},
        )

    def use(self, session: ReviewSession, saved: SavedReview | None) -> None:
        """Show another session, with nothing filtered or offered."""
        self.session, self.saved, self.range, self.queue_at = session, saved, None, None
        self.offered = np.empty(0, np.int64)
        self.layers.use(session)

    def grow(self, stack: PatternStack, key: str, moved: NDArray[np.int64] | None) -> None:
        """Go on with the longer stack that the input has grown to, see `Coordinator.grow`.

        Raises
        ------
        InputError
            As of `ReviewSession.grow`; all that is in the window has grown all the same.
        """
        self.stack = stack
        if moved is not None:
            self.queue_at = None if self.queue_at is None else int(moved[self.queue_at])
            self.offered = moved[self.offered]
        try:
            if self.session is not None:
                self.session.grow(key, SessionStore.of(key).folder, moved)
        finally:
            self.layers.grow(stack, moved)

    # -- the queue ------------------------------------------------------------------------------
    def next(self, current: int | None) -> int | None:
        """Return the pattern to decide on next, and go on to it in the queue.

        Parameters
        ----------
        current
            The pattern on view.
        """
        if self.session is None:
            return None
        waiting = self.offered_and_waiting()
        if len(waiting):
            return self._next_offered(waiting, current)
        at = self.queue_at
        if at is None or at == current or self.session.reviewed(at):
            at = self.session.next_doubtful(at, self.within())
        self.queue_at = at
        return at

    def _next_offered(self, waiting: NDArray[np.int64], current: int | None) -> int:
        """Return the next pattern that was put forward, beginning again at the end."""
        before = np.flatnonzero(self.offered == current)
        behind = self.offered[before[0] + 1 :] if len(before) else waiting
        behind = behind[np.isin(behind, waiting)]
        return int((behind if len(behind) else waiting)[0])

    def offered_and_waiting(self) -> NDArray[np.int64]:
        """Return the patterns that were put forward and wait for a decision."""
        if self.session is None:
            return np.empty(0, np.int64)
        reviewed = self.session.reviewed
        return self.offered[[not reviewed(i) for i in self.offered.tolist()]]

    def queue(self) -> tuple[int, int]:
        """Return how many patterns of the queue wait for a decision, and how many it has."""
        if self.session is None:
            return 0, 0
        waiting = self.offered_and_waiting()
        if len(waiting):
            return len(waiting), len(self.offered)
        counts, within = self.session.counts(), self.within()
        if within is None:
            return counts.left, counts.doubtful
        return int((within & ~self.session.decided).sum()), int(within.sum())

    # -- what is looked at ----------------------------------------------------------------------
    def filter(self, between: tuple[float, float] | None) -> None:
        """Look only at patterns with a confidence in a range, see `Coordinator.set_filter`."""
        self.range, self.queue_at = between, None
        self.offered = np.empty(0, np.int64)
        self.layers.filter(self.within())

    def within(self) -> NDArray[np.bool_] | None:
        """Return which rows of the table are looked at, (n,); ``None``: all."""
        if self.session is None or self.range is None:
            return None
        low, high = self.range
        confidence = self.session.confidence
        return (confidence >= low) & ((confidence < high) | (high >= 1)) & self.session.readable

    def filtered(self) -> NDArray[np.int64] | None:
        """Return the numbers of the patterns that are looked at; ``None``: all."""
        within = self.within()
        return None if within is None or self.session is None else self.session.index[within]


def show_alone(viewer: ViewerModel, layer: Layer, reviews: Mapping[Layer, StackReview]) -> None:
    """Hide the other stacks: the class of a pattern of one would be read as that of another.

    Parameters
    ----------
    viewer
        Where the layers are.
    layer
        The one to show; nothing is done unless it is a stack of its own.
    reviews
        The stacks that were worked on, by their layers.
    """
    if not was_opened(layer):
        return
    for other in viewer.layers:
        if other is layer or not was_opened(other) or not other.visible:
            continue
        review = reviews.get(other)
        if review is None:
            other.visible = False
        else:
            review.layers.hide()
    if layer in reviews:
        reviews[layer].layers.bring()
    view = StackView(viewer, layer)
    if view.index() is None:
        view.show(0)
