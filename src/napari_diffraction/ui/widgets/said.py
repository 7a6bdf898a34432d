"""What a person has said of each stack, for when the stack is looked at again."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from napari.layers import Layer

from napari_diffraction.patterns.growing import same_input
from napari_diffraction.patterns.stack import PatternStack

T = TypeVar("T")


class Said(Generic[T]):
    """Keeps what was said of the patterns of a layer, as long as they are those of one input.

    Attributes
    ----------
    stack
        The patterns on view.
    """

    def __init__(self) -> None:
        self.stack: PatternStack | None = None
        self._layer: Layer | None = None
        self._kept: WeakKeyDictionary[Layer, tuple[PatternStack, T]] = WeakKeyDictionary()

    def turn_to(self, stack: PatternStack | None, layer: Layer | None, said: T) -> bool:
        """Take other patterns on view; return whether they are others, not more of the same.

        Parameters
        ----------
        stack, layer
            The patterns, and what shows them.
        said
            What is said of those that were on view before, which is kept; of none nothing can be.
        """
        before, self.stack = self.stack, stack
        if layer is self._layer and same_input(stack, before):
            return False
        if self._layer is not None and before is not None:
            self._kept[self._layer] = before, said
        self._layer = layer
        return True

    def again(self) -> T | None:
        """Return what was said of these patterns, or of fewer of the same input, before."""
        if self._layer is None or self._layer not in self._kept:
            return None
        before, said = self._kept[self._layer]
        return said if same_input(self.stack, before) else None
