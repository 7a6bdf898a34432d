"""An input to which patterns are still added: a folder that fills, or a file that grows.

Nothing of it is taken before it has kept still from one look to the next: of many files those whose
size and time of change are as before, of a single file the patterns that were there before.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.blank import are_blank
from napari_diffraction.patterns.part import part_of
from napari_diffraction.patterns.readers import AmbiguousDatasetError, Opening, open_stack
from napari_diffraction.patterns.readers.files import find_inputs
from napari_diffraction.patterns.readers.formats import by_name, is_folder_input
from napari_diffraction.patterns.stack import PatternStack, ReadsRuns

#: Seconds between two looks.
EVERY = 1.0
#: Formats of which a file holds one pattern and no more.
_SINGLE = {"PNG", "JPEG", "BMP", "SMV", "CBF"}
#: Patterns of a file that could not be read are tried again at a look: so many, from the first.
_TRIES = 256


@dataclass(frozen=True)
class Seen:
    """What a look at a growing input shows.

    Attributes
    ----------
    stack
        The patterns that can be opened; ``None`` where there are none, or nothing changed.
    ready
        So many of them, from the first, have kept still.
    marks
        A short text for every source file that changes when it is written anew.
    moving
        Whether something was added since the look before.
    again
        So many of the patterns that could not be read before are worth another try.
    waiting
        Files that have not kept still yet.
    problem
        Why nothing can be opened, in one sentence; it may pass.
    stamp
        Of a single file: its size and time of change before it was opened.
    """

    stack: PatternStack | None = None
    ready: int = 0
    marks: Mapping[str, str] = field(default_factory=dict)
    moving: bool = False
    again: int = 0
    waiting: tuple[str, ...] = ()
    problem: str = ""
    stamp: str = ""

    @property
    def plain(self) -> PatternStack | None:
        """The stack as a plain run opens it, in which room that is not filled shows as blank."""
        stack = self.stack
        if stack is None or not isinstance(stack.read, _Recorded):
            return stack
        return replace(stack, read=stack.read.read)


def may_grow(stack: PatternStack) -> Opening | None:
    """Return how a stack was opened if its input may get more patterns, else ``None``.

    A folder and a name with wildcards may, and a single file of a format that holds stacks; files
    that were named one by one, pictures and what only this process holds may not.
    """
    opening = stack.reopen
    if not isinstance(opening, Opening):
        return None
    inputs = opening.inputs
    if not isinstance(inputs, str):
        if len(inputs) != 1:
            return None
        (inputs,) = inputs
    row = by_name(inputs)
    many = not os.path.isfile(inputs)
    grows = many or row is None or row.name not in _SINGLE
    return Opening(inputs, opening.dataset) if grows else None


def same_input(one: PatternStack | None, other: PatternStack | None) -> bool:
    """Whether two stacks are the same, or the same input at two times."""
    if one is None or other is None or one.reopen is None:
        return one is other
    return one.reopen == other.reopen


def places_in(grown: PatternStack, stack: PatternStack) -> NDArray[np.int64]:
    """Find the patterns of a stack in what it has grown to, by their files and numbers in these.

    Returns
    -------
    ndarray of int64, (n,)
        Number of each pattern of ``stack`` in ``grown``; -1 where it is not there.
    """
    there = {name: index for index, name in enumerate(_names(grown))}
    return np.array([there.get(name, -1) for name in _names(stack)], np.int64)


def only_grew(stack: PatternStack, before: PatternStack) -> bool:
    """Whether an input has its former patterns under the same numbers, and perhaps more."""
    count, files = len(before), before.sources
    if not same_input(stack, before) or len(stack) < count:
        return False
    if len(stack.sources) < 2:
        return len(files) < 2 and stack.events[:count] == before.events
    former = files * count if len(files) == 1 else files
    events = before.events or (tuple(range(count)) if len(files) == 1 else (0,) * count)
    return stack.sources[:count] == former and (stack.events[:count] or (0,) * count) == events


def _names(stack: PatternStack) -> list[tuple[str, int]]:
    files = {source: os.path.abspath(source) for source in set(stack.sources)}
    return [(files.get(stack.source(i), ""), stack.event(i)) for i in range(len(stack))]


def unchanged(before: Seen, now: Seen) -> int:
    """Count the patterns, from the first, that are the same ones in two looks."""
    pairs = zip(_marked(before), _marked(now), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _marked(seen: Seen) -> Iterator[tuple[str, int, str, tuple[int, int]]]:
    """File, number in it, mark of the file, and size of each pattern."""
    stack = seen.stack
    if stack is None:
        return
    for index in range(len(stack)):
        source = stack.source(index)
        yield source, stack.event(index), seen.marks.get(source, ""), stack.frame_shape


def recorded(seen: Seen, before: Seen) -> Seen:
    """Return a look at those patterns alone, from the first, that are recorded.

    Of a scan these are whole rows.  Room that was made for a scan is filled from the top: a row is
    recorded when both of its ends, or those of a row below, can be read.

    Parameters
    ----------
    seen
        A look.
    before
        What this returned of the look before.

    Returns
    -------
    Seen
        Its ``stack`` is ``None`` where there is none, or nothing new.
    """
    stack = seen.stack
    if stack is None:
        return seen
    columns = int(stack.data.shape[1]) if stack.is_scan else 1
    known = min(unchanged(before, seen), seen.ready) // columns
    rows = seen.ready // columns

    def there(row: int) -> bool:
        ends = sorted({row * columns, (row + 1) * columns - 1})
        return all(frame is not None for frame in stack.frames(ends))

    low, high = known, rows
    for probe in reversed([*takewhile(rows.__gt__, (known + 2**n - 1 for n in range(64)))]):
        if there(probe):
            low = probe + 1
            break
        high = probe
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if there(middle) else (low, middle)
    count = low * columns
    if not count or (before.stack is not None and count == known * columns == len(before.stack)):
        return replace(seen, stack=None, ready=0)
    return replace(seen, stack=part_of(stack, 0, count), ready=count)


class Growing:
    """A folder, a glob, files or one file that may still grow.

    Parameters
    ----------
    inputs
        As of `napari_diffraction.patterns.readers.open_stack`.
    dataset
        Name of the data set, for files that hold several.

    Raises
    ------
    InputError
        The input is missing, or a file whose name is of no known format and that cannot be read.
    """

    def __init__(self, inputs: str | Sequence[str], dataset: str | None = None) -> None:
        paths = [inputs] if isinstance(inputs, str) else list(inputs)
        self.inputs = paths[0] if len(paths) == 1 else paths
        self.dataset = dataset
        self.single = isinstance(self.inputs, str) and (
            os.path.isfile(self.inputs) or is_folder_input(self.inputs)
        )
        self._marks: dict[str, str] = {}
        self._taken: dict[str, str] = {}
        self._count = 0
        self._state: object = None
        for path in paths:
            if os.path.isfile(path) and by_name(path) is None:
                open_stack(path, dataset)
            # a name with wildcards may stand for nothing yet, a name without may not
            elif not os.path.exists(path) and not any(letter in path for letter in "*?["):
                find_inputs(path)

    def look(self) -> Seen:
        """Look at the input.

        Raises
        ------
        AmbiguousDatasetError
            Several data sets fit equally well: this does not pass.
        """
        try:
            return self._look_at_one() if self.single else self._look_at_many()
        except AmbiguousDatasetError:
            raise
        except InputError as error:
            return Seen(problem=str(error))

    def whole(self) -> Seen:
        """Look at all there is, whether it has kept still or not, as a plain run does.

        Raises
        ------
        InputError
            It cannot be opened.
        """
        stack = open_stack(self.inputs, self.dataset)
        marks = _beginning(stack) if self.single else _marks(find_inputs(self.inputs).files)
        return Seen(stack, len(stack), marks, again=len(stack))

    def _look_at_one(self) -> Seen:
        assert isinstance(self.inputs, str)
        stamp = _marks([self.inputs]).get(self.inputs, "")
        stack = open_stack(self.inputs, self.dataset)
        ready, moving = min(self._count, len(stack)), len(stack) != self._count
        self._count = len(stack)
        # notes tell of parts that are missing, which come without the file being touched
        before, self._state = self._state, (_marks([stack.source(0)]), stack.notes)
        changed = before != self._state or os.path.isdir(stack.source(0))
        recorded = stack if stack.read is None else replace(stack, read=_Recorded(stack.read))
        marks = _beginning(stack)
        return Seen(recorded, ready, marks, moving, _TRIES * changed, stamp=stamp)

    def _look_at_many(self) -> Seen:
        before, self._marks = self._marks, {}
        self._marks = _marks(find_inputs(self.inputs).files)
        still = {file: mark for file, mark in self._marks.items() if before.get(file) == mark}
        waiting = tuple(file for file in self._marks if file not in still)
        if not still or still == self._taken:
            return Seen(moving=bool(waiting), waiting=waiting)
        self._taken = still
        try:
            stack = open_stack(list(still), self.dataset)
        except AmbiguousDatasetError:
            raise
        except InputError as error:
            return Seen(moving=bool(waiting), waiting=waiting, problem=str(error))
        return Seen(stack, len(stack), still, True, waiting=waiting)


def _marks(files: Sequence[str]) -> dict[str, str]:
    """Size and time of change of files; those that are gone again are left out."""
    marks = {}
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            continue
        marks[file] = f"{status.st_size}-{status.st_mtime_ns}"
    return marks


def _beginning(stack: PatternStack) -> dict[str, str]:
    """Mark of a single file: its first pattern, which stays when others are added."""
    try:
        first = np.ascontiguousarray(stack.frame(0))
    except InputError:
        return {}
    return {stack.source(0): f"{zlib.crc32(first.tobytes()):08x}"}


@dataclass(frozen=True)
class _Recorded:
    """Refuses patterns that show nothing: room that was made for them, and not filled yet."""

    read: Any

    def __call__(self, index: int) -> NDArray[Any]:
        frame: NDArray[Any] = self.read(index)
        _check_recorded(frame[np.newaxis], index)
        return frame

    def between(self, start: int, stop: int) -> NDArray[Any]:
        """Read the patterns ``start`` to ``stop - 1``."""
        if isinstance(self.read, ReadsRuns):
            frames = self.read.between(start, stop)
        else:
            frames = np.stack([self.read(index) for index in range(start, stop)])
        _check_recorded(frames, start)
        return frames


def _check_recorded(frames: NDArray[Any], start: int) -> None:
    blank = np.flatnonzero(are_blank(frames))
    if len(blank):
        raise InputError(f"Pattern {start + blank[0]} is blank: it is not recorded yet.")
