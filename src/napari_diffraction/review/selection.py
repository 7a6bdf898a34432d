"""Some patterns of a stack as a stack of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry, PatternStack

#: Metadata of chosen patterns: each has a file of its own, or so many columns the scan has in its
#: file.
ALONE, COLUMNS = "a file for each pattern", "columns of the scan"


class ChosenPatterns:
    """An array of chosen patterns, each of which is read when it is asked for.

    A dask selection of 30,000 patterns takes seconds to set up; this takes none.
    """

    def __init__(self, stack: PatternStack, indices: Sequence[int] | NDArray[np.int64]) -> None:
        self._stack = stack
        self.indices = np.asarray(indices, dtype=np.int64)
        self.shape = (len(self.indices), *stack.frame_shape)
        self.dtype = stack.data.dtype
        self.ndim = 3

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        first, *rest = key if isinstance(key, tuple) else (key,)
        if first is Ellipsis:
            first, rest = slice(None), ([Ellipsis, *rest] if rest else [])
        chosen = self.indices[first]
        if np.ndim(chosen) == 0:
            return np.asarray(self._frame(int(chosen))[tuple(rest)])
        frames = [self._frame(int(index))[tuple(rest)] for index in chosen]
        return np.stack(frames) if frames else np.empty((0, *self.shape[1:]), self.dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return np.asarray(self[:], dtype=dtype)

    def _frame(self, index: int) -> NDArray[Any]:
        try:
            return self._stack.frame(index)
        except InputError:  # an unreadable pattern is shown as zeros, as in the stack
            return np.zeros(self.shape[1:], self.dtype)


def choose(
    stack: PatternStack, indices: Sequence[int] | NDArray[np.int64], name: str
) -> PatternStack:
    """Make a stack of chosen patterns, in the order given, without reading or copying any.

    Parameters
    ----------
    stack
        Where the patterns come from.
    indices : (m,) int
        Flat numbers of the patterns.
    name
        Name of the new stack.

    Returns
    -------
    PatternStack
        (m, h, w); every pattern keeps its source file and its number therein.
    """
    chosen = ChosenPatterns(stack, indices)
    numbers = [int(index) for index in chosen.indices]
    return PatternStack(
        data=da.from_array(chosen, chunks=(1, *stack.frame_shape), asarray=False, name=False),
        name=name,
        sources=tuple(stack.source(index) for index in numbers) if stack.sources else (),
        events=tuple(stack.event(index) for index in numbers) if stack.sources else (),
        dataset=stack.dataset,
        geometry=_without_map(stack.geometry),
        metadata=stack.metadata | _places_of(stack),
        read=lambda number: stack.frame(numbers[number]),
    )


def _places_of(stack: PatternStack) -> dict[str, int]:
    """How the patterns of a stack stand in its files, as CrystFEL needs it to name them."""
    if stack.events:
        return {}
    if len(stack.sources) > 1:
        return {ALONE: 1}
    return {COLUMNS: stack.data.shape[1]} if stack.is_scan else {}


def _without_map(geometry: Geometry) -> Geometry:
    # chosen patterns no longer lie on the grid of the scan
    return replace(geometry, pc_map=None) if isinstance(geometry, KikuchiGeometry) else geometry
