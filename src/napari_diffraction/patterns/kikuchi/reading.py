"""Reading a stack from one end to the other, block by block, while others work on the last one."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.at_once import at_once
from napari_diffraction.patterns.stack import PatternStack

Frames = NDArray[Any]
Readable = NDArray[np.bool_]

#: Patterns read at a time: at least so many, but not more than so many bytes.
_AT_A_TIME, _BYTES = 512, 2**26
#: All of a block is read where more than this part of it is wanted.
_DENSE = 0.2


def blocks(
    stack: PatternStack, wanted: Callable[[slice], bool] = lambda part: True
) -> Iterator[tuple[slice, Frames, Readable]]:
    """Read all patterns in order.

    Parameters
    ----------
    stack
        A scan or a list.
    wanted
        Says of flat numbers whether these patterns are to be read; all by default.

    Yields
    ------
    which
        Flat numbers of some patterns.
    frames : ndarray, (m, H, W)
        In the dtype of the file; zeros where a pattern cannot be read.
    readable : ndarray of bool, (m,)
    """
    parts = [part for part in block_parts(stack) if wanted(part)]
    if not parts:
        return
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(read_block, stack, parts[0])
        for number, part in enumerate(parts):
            frames, readable = coming.result()
            if number + 1 < len(parts):
                coming = pool.submit(read_block, stack, parts[number + 1])
            yield part, frames, readable


def chosen(stack: PatternStack, indices: NDArray[np.int64]) -> Iterator[tuple[slice, Frames]]:
    """Read some patterns, given by rising flat numbers, block by block.

    Yields
    ------
    which : slice
        Places within `indices`.
    frames : ndarray, (m, H, W)
    """
    for part in block_parts(stack):
        start, stop = np.searchsorted(indices, [part.start, part.stop])
        some = indices[start:stop]
        if len(some) > _DENSE * (part.stop - part.start):
            yield slice(start, stop), read_block(stack, part)[0][some - part.start]
        elif len(some):
            yield slice(start, stop), _stacked(stack, stack.frames(some.tolist()))[0]


def block_parts(stack: PatternStack) -> list[slice]:
    """Ranges of flat numbers that are stored together."""
    size = math.prod(stack.frame_shape) * stack.data.dtype.itemsize
    most = max(1, min(_AT_A_TIME, _BYTES // max(size, 1)))
    if stack.is_scan:
        row = stack.data.shape[1]
        together = row * max(stack.data.chunks[0])
    else:
        together = max(stack.data.chunks[0])
    if together * size <= _BYTES:
        most = together * max(1, most // together)
    return [slice(start, min(start + most, len(stack))) for start in range(0, len(stack), most)]


def read_block(stack: PatternStack, part: slice) -> tuple[Frames, Readable]:
    """Read the patterns of a block; frames and readable as `blocks` yields them."""
    whole_rows = stack.is_scan and stack.read is None
    if whole_rows and part.start % stack.data.shape[1] == part.stop % stack.data.shape[1] == 0:
        rows = slice(part.start // stack.data.shape[1], part.stop // stack.data.shape[1])
        frames = at_once(stack.data[rows])
        return frames.reshape(-1, *stack.frame_shape), np.ones(part.stop - part.start, bool)
    return _stacked(stack, stack.frames(range(part.start, part.stop)))


def _stacked(stack: PatternStack, read: list[Frames | None]) -> tuple[Frames, Readable]:
    empty = np.zeros(stack.frame_shape, stack.data.dtype)
    frames = np.stack([empty if frame is None else frame for frame in read])
    return frames, np.array([frame is not None for frame in read])
