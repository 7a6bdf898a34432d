"""Some neighbouring patterns of a stack as a stack of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.stack import Geometry, KikuchiGeometry, PatternStack, ReadsRuns


def part_of(stack: PatternStack, start: int, stop: int) -> PatternStack:
    """Return the patterns ``start`` to ``stop - 1``, without reading any.

    Parameters
    ----------
    stack
        A scan or a list.
    start, stop
        Flat numbers; of a scan, at the beginnings of rows.

    Returns
    -------
    PatternStack
        A scan where `stack` is one; every pattern keeps its source file and its number therein.
        The pattern centre of the file is the mean of the rows that are left.
    """
    if (start, stop) == (0, len(stack)):
        return stack
    columns = int(stack.data.shape[1]) if stack.is_scan else 1
    rows = slice(start // columns, stop // columns)
    return replace(
        stack,
        data=stack.data[rows],
        sources=stack.sources[start:stop] if len(stack.sources) > 1 else stack.sources,
        events=tuple(stack.event(index) for index in range(start, stop)),
        geometry=_of_rows(stack.geometry, rows),
        read=None if stack.read is None else _Later(stack.read, start),
        reopen=None,
    )


def _of_rows(geometry: Geometry, rows: slice) -> Geometry:
    if not isinstance(geometry, KikuchiGeometry) or geometry.pc_map is None:
        return geometry
    pc_map = geometry.pc_map[rows]
    if not len(pc_map):
        return replace(geometry, pc_map=None)
    centres = pc_map.reshape(-1, 3)
    # files leave the centres of some points out
    there = centres[np.isfinite(centres).all(axis=1)]
    if not len(there):
        return replace(geometry, pc_map=pc_map)
    x, y, z = there.mean(axis=0).tolist()
    return replace(geometry, pc=(x, y, z), pc_map=pc_map)


@dataclass(frozen=True)
class _Later:
    """Reads patterns that are numbered from a later one on."""

    read: Any
    start: int

    def __call__(self, index: int) -> NDArray[Any]:
        frame: NDArray[Any] = self.read(self.start + index)
        return frame

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """Read the patterns ``start`` to ``stop - 1``."""
        first, last = self.start + start, self.start + stop
        if isinstance(self.read, ReadsRuns):
            return self.read.between(first, last)
        return np.stack([self.read(index) for index in range(first, last)])
