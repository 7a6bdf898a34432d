"""One stack in a window: its layers, its review, and the queue of patterns to decide on."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
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
from napari_diffraction.ui.viewer.layers import StackView, can_be_stack, stack_of, was_opened
from napari_diffraction.ui.viewer.stacks.stack_layers import StackLayers


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

    def is_of(self, layer: Image) -> bool:
        """Return whether a layer still shows these patterns, not others given to it since."""
        return can_be_stack(layer) and same_patterns(stack_of(layer), self.stack)

    def renew(self, layer: Image) -> bool:
        """Take the patterns as they are drawn in a layer now; return whether they are these."""
        same = self.is_of(layer)
        if same:
            self.stack = self.layers.stack = stack_of(layer)
        return same

    def new_session(self, classes: Sequence[str], about: Mapping[str, Any]) -> ReviewSession:
        """Return a session with an empty table, as a classification begins with.

        Parameters
        ----------
        classes
            The classes of the model.
        about
            The model, its hash and settings, the software and its version.
        """
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
        """Go on with the longer stack that the input has grown to, with all that is known.

        Parameters
        ----------
        stack
            All there is now.
        key
            Its fingerprint.
        moved : ndarray of int64, (n,)
            The number now of each pattern that was there before; ``None``: the same.

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
    opened = [other for other in viewer.layers if other is not layer and was_opened(other)]
    others = [other for other in opened if not _beside(layer, other)]
    for other in others:
        if other in reviews:
            reviews[other].layers.hide()  # also where a class is shown instead of the stack
        elif other.visible:
            other.visible = False
    _hide_chosen(viewer, {other.name for other in others})
    if layer in reviews:
        reviews[layer].layers.bring()
    elif not layer.visible:
        layer.visible = True
    view = StackView(viewer, layer)
    if layer.visible:
        view.widen_sliders()  # which may be those of a class that was on view
    if view.index() is None:
        view.show(0)


def same_patterns(one: PatternStack, other: PatternStack) -> bool:
    """Return whether two stacks are of the same patterns, perhaps drawn in another way.

    Patterns that are redrawn from their peaks get a stack for each peak that is found or corrected.
    """

    def facts(stack: PatternStack) -> tuple[Any, ...]:
        form, about = (stack.data.shape, stack.data.dtype), repr(stack.metadata)
        return stack.sources, stack.dataset, stack.events, stack.name, form, about

    return one is other or facts(one) == facts(other)


def _beside(one: Image, other: Image) -> bool:
    """Return whether one of two stacks has the averages of the grains of the other, a scan.

    These lie beside its patterns, and are looked at together with them.
    """
    stacks = stack_of(one), stack_of(other)
    averages = any("grain" in stack.metadata for stack in stacks)
    return averages and stacks[0].sources[:1] == stacks[1].sources[:1]


def _hide_chosen(viewer: ViewerModel, stacks: Collection[str]) -> None:
    """Hide what another panel has chosen from stacks of these names, and what is said of it."""
    chosen = [layer for layer in viewer.layers if layer.metadata.get("chosen_from") in stacks]
    names = {layer.name for layer in chosen}
    said = [layer for layer in viewer.layers if layer.metadata.get("made_from") in names]
    for layer in (*chosen, *said):
        if layer.visible:
            layer.visible = False
