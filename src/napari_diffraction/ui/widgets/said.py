"""What a person has said of each stack, for when the stack is looked at again."""

from __future__ import annotations

from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary

from napari.layers import Layer

from napari_diffraction.patterns.growing import same_input
from napari_diffraction.patterns.stack import PatternStack

T = TypeVar("T")
#: What was said, by what it is about: it outlives the panel in which it was said.
_KEPT: dict[str, WeakKeyDictionary[Layer, Any]] = {}


class Said(Generic[T]):
    """Keeps what was said of the patterns of a layer, as long as they are those of one input.

    Parameters
    ----------
    what
        What it is about ("voltage"); what was said of it in a panel that was closed counts.

    Attributes
    ----------
    stack
        The patterns on view.
    """

    def __init__(self, what: str) -> None:
        self.stack: PatternStack | None = None
        self._layer: Layer | None = None
        self._kept: WeakKeyDictionary[Layer, tuple[PatternStack, T]] = _KEPT.setdefault(
            what, WeakKeyDictionary()
        )

    def turn_to(self, stack: PatternStack | None, layer: Layer | None) -> bool:
        """Take other patterns on view; return whether they are others, not more of the same.

        Parameters
        ----------
        stack, layer
            The patterns, and what shows them.
        """
        before, self.stack = self.stack, stack
        if layer is self._layer and same_input(stack, before):
            return False
        self._layer = layer
        return True

    def keep(self, said: T) -> None:
        """Keep what is said of the patterns on view; of none nothing can be."""
        if self._layer is not None and self.stack is not None:
            self._kept[self._layer] = self.stack, said

    def again(self) -> T | None:
        """Return what was said of these patterns, or of fewer of the same input, before."""
        if self._layer is None or self._layer not in self._kept:
            return None
        before, said = self._kept[self._layer]
        return said if same_input(self.stack, before) else None
