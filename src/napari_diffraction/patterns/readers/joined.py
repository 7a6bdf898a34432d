"""Many files as one stack: thousands of single images, or several files of many patterns."""

from __future__ import annotations

import math
import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.coordinates import Places, places
from napari_diffraction.patterns.readers.datasets import AmbiguousDatasetError
from napari_diffraction.patterns.readers.files import Inputs, named
from napari_diffraction.patterns.readers.formats import open_source
from napari_diffraction.patterns.readers.grids import Ordered
from napari_diffraction.patterns.readers.source import Source, size_text, take
from napari_diffraction.patterns.stack import KikuchiGeometry

# Headers of single images are looked at for this many seconds, beginning all over the folder;
# those left are checked when the pattern is read.
_CHECK_SECONDS = 0.5
_MOST_REMARKS = 10


def join(inputs: Inputs, dataset: str | None = None) -> Source:
    """Make one source of several files.

    A file among many that is damaged does not matter until its pattern is read.

    Raises
    ------
    InputError
        The patterns are of different sizes, or no file can be read.
    """
    first, opened = _look(inputs, dataset)
    for source in opened.values():
        _same_size(inputs.label, first, source)
    dtype = np.result_type(*(source.dtype for source in opened.values()))
    counts = [opened[f].count if f in opened else 1 for f in inputs.files]
    single = max(counts) == 1
    events = () if single else tuple(event for count in counts for event in range(count))
    sources = tuple(f for f, count in zip(inputs.files, counts, strict=True) for _ in range(count))
    reader = _Files(
        inputs.files,
        tuple(accumulate(counts, initial=0)),
        first.frame_shape,
        dtype,
        dataset,
        # single images are opened anew for each pattern, which keeps a folder of them small
        {} if single else opened,
    )
    geometry = first.geometry
    notes = first.notes if single else _remarks(inputs.files, opened)
    if any(source.geometry != geometry for source in opened.values()):
        name = named([first.path])
        notes = (*notes, f"The files differ in their calibration: that of {name} is taken for all.")
    if isinstance(geometry, KikuchiGeometry):
        geometry = replace(geometry, pc_map=None)
    joined = replace(
        first,
        path=inputs.label,
        shape=(sum(counts), *first.frame_shape),
        dtype=dtype,
        read=reader,
        run=1 if single else first.run,
        geometry=geometry,
        notes=notes,
        step=None,
        background=None,
        sources=sources,
        events=events,
    )
    found = places(inputs.files) if single else None
    return joined if found is None else _on_grid(joined, found)


def _remarks(files: Sequence[str], opened: Mapping[str, Source]) -> tuple[str, ...]:
    """Return what is to be said of the files: each remark once, with the first file it is about."""
    remarks = []
    broken = [file for file in files if file not in opened]
    if broken:
        remarks.append(f"Files that cannot be read count as one pattern each: {named(broken)}.")
    about: dict[str, list[str]] = defaultdict(list)
    for file in files:
        for note in opened[file].notes if file in opened else ():
            about[note].append(file)
    for note, those in about.items():
        remarks.append(note if len(those) == len(opened) else f"{named(those)}: {note}")
    left = len(remarks) - _MOST_REMARKS
    if left > 0:
        remarks[_MOST_REMARKS:] = [f"{left} more remarks on single files are left out."]
    return tuple(remarks)


def _on_grid(source: Source, found: Places) -> Source:
    """Lay single pictures out as their names say."""
    missing = int(np.count_nonzero(found.order < 0))
    notes = ["The place of each pattern in the scan is taken from the file names."]
    if missing:
        notes.append(f"{missing} points of the scan have no file.")
    return replace(
        source,
        shape=(found.rows, found.columns, *source.frame_shape),
        read=Ordered(source.path, source.read, found.order),
        sources=tuple(source.sources[i] if i >= 0 else source.path for i in found.order),
        notes=(*source.notes, *notes),
    )


def _look(inputs: Inputs, dataset: str | None) -> tuple[Source, dict[str, Source]]:
    """Open files, all of them where they hold several patterns, else as time permits."""
    opened: dict[str, Source] = {}
    problem: InputError | None = None
    several = False
    deadline = time.monotonic() + _CHECK_SECONDS
    for file in _all_over(inputs.files):
        if opened and not several and time.monotonic() > deadline:
            break
        try:
            opened[file] = open_source(file, dataset)
        except AmbiguousDatasetError:
            raise  # the same in all files: to be chosen once
        except InputError as error:
            problem = problem or error
            if not opened and time.monotonic() > deadline:
                break
        else:
            several = several or opened[file].count > 1
    if not opened:
        assert problem is not None
        raise InputError(
            f"{inputs.label}: none of the first files can be read; {problem}"
        ) from problem
    first = next(opened[file] for file in inputs.files if file in opened)
    return first, opened


def _all_over(files: Sequence[str]) -> Iterable[str]:
    """Yield every file once, the first one first, then ever finer between those before."""
    step = 2 ** max(0, math.ceil(math.log2(len(files))))
    yield files[0]
    while step > 1:
        yield from files[step // 2 :: step]
        step //= 2


def _same_size(label: str, first: Source, other: Source) -> None:
    if first.frame_shape != other.frame_shape:
        raise InputError(
            f"{label} holds patterns of different sizes: {first.path} has "
            f"{size_text(first.shape)} but {other.path} has {size_text(other.shape)}; put each "
            "size into a folder of its own."
        )


@dataclass(frozen=True)
class _Files:
    files: tuple[str, ...]
    starts: tuple[int, ...]
    frame_shape: tuple[int, int]
    dtype: np.dtype[Any]
    dataset: str | None
    opened: dict[str, Source]

    def __call__(self, start: int, stop: int) -> NDArray[Any]:
        frames = np.empty((stop - start, *self.frame_shape), self.dtype)
        index = start
        while index < stop:
            number = bisect_right(self.starts, index) - 1
            low = self.starts[number]
            end = min(stop, self.starts[number + 1])
            source = self._source(number)
            frames[index - start : end - start] = take(source, index - low, end - low)
            index = end
        return frames

    def _source(self, number: int) -> Source:
        file = self.files[number]
        source = self.opened.get(file)
        if source is not None:
            return source
        source = open_source(file, self.dataset)
        if source.frame_shape != self.frame_shape:
            raise InputError(
                f"{file} has {size_text(source.shape)} but {self.files[0]} has "
                f"{size_text(self.frame_shape)}; put it into another folder."
            )
        if source.count != self.starts[number + 1] - self.starts[number]:
            raise InputError(
                f"{file} holds {source.count} patterns where one was expected; open it alone."
            )
        # whole numbers too large for the others would wrap round
        casting: Literal["same_kind", "safe"] = "same_kind" if self.dtype.kind == "f" else "safe"
        if not np.can_cast(source.dtype, self.dtype, casting):
            raise InputError(
                f"{file} holds {source.dtype} values, unlike {self.files[0]} ({self.dtype}); put "
                "it into another folder."
            )
        return source
