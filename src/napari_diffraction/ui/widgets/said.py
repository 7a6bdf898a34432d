"""What a person has said of each scan, for when the scan is looked at again."""

from __future__ import annotations

from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

from napari.layers import Layer

from napari_diffraction.patterns.growing import same_input
from napari_diffraction.patterns.stack import PatternStack

T = TypeVar("T")


class Said(Generic[T]):
    """Keeps what was said of the patterns of a layer, as long as they are those of one input."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Layer, tuple[PatternStack, T]] = WeakKeyDictionary()

    def keep(self, layer: Layer | None, stack: PatternStack | None, said: T) -> None:
        """Keep what was said of the patterns of a layer; of no patterns nothing can be said."""
        if layer is not None and stack is not None:
            self._kept[layer] = stack, said

    def of(self, layer: Layer | None, stack: PatternStack | None) -> T | None:
        """Return what was said of these patterns, or of fewer of the same input."""
        if layer is None or layer not in self._kept:
            return None
        before, said = self._kept[layer]
        return said if same_input(stack, before) else None
