"""Values of an HDF5 file that lie elsewhere: other files, plain bytes, chunks never written."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing

#: Environment variable; "anywhere" lets HDF5 files take pixels from all files of the computer.
ALLOW = "NAPARI_DIFFRACTION_LINKS"
#: In the user's folder: of HDF5 files that this program wrote, the folders of their pixels.
_OURS = "links.json"
_DEEPEST = 8
# A table of more chunks than this is not gone through for those that are missing.
_MOST_CHUNKS = 4_000_000


def outside(path: str, target: str) -> bool:
    """Whether a file lies outside of the folder of an HDF5 file, and links there are not allowed.

    Parameters
    ----------
    path
        The HDF5 file that a person opened.
    target
        Another file, absolute or relative to the working directory.
    """
    if os.environ.get(ALLOW) == "anywhere":
        return False
    home = os.path.dirname(os.path.realpath(path))
    if _within(target, home):
        return False
    return not any(_within(target, one) for one in _noted().get(os.path.realpath(path), ()))


def _within(target: str, folder: str) -> bool:
    try:
        return os.path.commonpath([folder, os.path.realpath(target)]) == folder
    except ValueError:  # on another drive
        return False


def note_own(path: Path, sources: Iterable[str]) -> None:
    """Note from which files an HDF5 file of ours takes its pixels, so that it may be opened here.

    Where this cannot be noted, the file is refused like any other.
    """
    folders = sorted({os.path.dirname(os.path.realpath(source)) for source in sources})
    noted = {name: known for name, known in _noted().items() if os.path.exists(name)}
    noted[os.path.realpath(path)] = folders
    place = _place_of_notes()
    with suppress(OSError, InputError):
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as temporary:
            temporary.write_text(json.dumps(noted, indent=1), encoding="utf-8")


def _place_of_notes() -> Path:
    from platformdirs import user_data_path

    return user_data_path("napari-diffraction", appauthor=False) / _OURS


def _noted() -> dict[str, list[str]]:
    """Return the folders by the files that `note_own` was told of."""
    try:
        noted = json.loads(_place_of_notes().read_text(encoding="utf-8"))
        return {str(name): [str(one) for one in folders] for name, folders in noted.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def refusal(path: str, name: str, target: str) -> InputError:
    """Return the error that says that a data set takes its values from outside of the folder."""
    return InputError(
        f"{path}: its data set {name} takes its values from {target}, outside of this file's "
        f"folder; if you trust it, set the environment variable {ALLOW}=anywhere."
    )


def link_target(path: str, group: h5py.Group, link: h5py.ExternalLink) -> str:
    """Return the file that an external link leads to."""
    folder = os.path.dirname(group.file.filename or path)
    # of a whole path that is not there HDF5 tries the name alone
    for name in (link.filename, os.path.basename(link.filename)):
        beside = os.path.join(folder, name)
        if os.path.exists(beside):
            return beside
    return os.path.abspath(link.filename) if os.path.exists(link.filename) else beside


def refuse_outside(path: str, data: h5py.Dataset, depth: int = 0) -> None:
    """Refuse a data set whose values come from outside of the folder of its file.

    Without this a file that somebody sent could show any file of the computer as patterns: by plain
    bytes ("external storage"), by virtual data sets, and by links, also one behind the other.

    Parameters
    ----------
    path
        The file that a person opened.
    data
        One of its data sets.
    depth
        How many virtual data sets led here.

    Raises
    ------
    InputError
        It does, and `ALLOW` does not allow it.
    """
    if os.environ.get(ALLOW) == "anywhere":
        return
    if depth > _DEEPEST:
        raise InputError(f"{path}: {data.name} is linked in circles; it is damaged.")
    here = data.file.filename
    if outside(path, here):
        raise refusal(path, data.name, here)
    for name, *_ in data.external or ():
        # relative to the working directory, as HDF5 itself understands it
        if outside(path, name):
            raise refusal(path, data.name, name)
    if data.is_virtual:
        parts = {(part.file_name, part.dset_name) for part in data.virtual_sources()}
        for name, inner in sorted(parts):
            for file in _sources(here, name, data.shape):
                if outside(path, file):
                    raise refusal(path, data.name, file)
                if file != here and os.path.isfile(file):
                    _refuse_inner(path, file, inner, depth)
                elif file == here and isinstance(data.file.get(inner), h5py.Dataset):
                    refuse_outside(path, data.file[inner], depth + 1)


def _refuse_inner(path: str, file: str, inner: str, depth: int) -> None:
    try:
        with h5py.File(file, "r", locking=False) as other:
            item = other.get(inner)
            if isinstance(item, h5py.Dataset):
                refuse_outside(path, item, depth + 1)
    except OSError:  # no HDF5 file: nothing can be read from it
        return


def _sources(here: str, name: str, shape: Sequence[int]) -> Iterator[str]:
    """Yield the files that a part of a virtual data set may be read from."""
    if name == ".":
        yield here
        return
    names = [name]
    if "%b" in name:
        # one file for each block; there are no more of them than patterns
        blocks = (name.replace("%b", str(block)) for block in range(max(shape, default=0)))
        names = []
        for one in blocks:
            names.append(one)
            if not os.path.exists(os.path.join(os.path.dirname(here), one)):
                break
    for one in names:
        beside = os.path.join(os.path.dirname(here), one)
        # what is not there is looked for in the working directory
        yield beside if os.path.exists(beside) or not os.path.exists(one) else os.path.abspath(one)


@dataclass(frozen=True, eq=False)
class Gaps:
    """Patterns that are not there.

    Attributes
    ----------
    starts, stops : ndarray of int
        They are ``starts[i]``, ..., ``stops[i] - 1``; rising, without overlap.
    files
        The missing file of each run; empty: it was never written.
    """

    starts: NDArray[np.int64]
    stops: NDArray[np.int64]
    files: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of patterns."""
        return int((self.stops - self.starts).sum())

    def check(self, path: str, start: int, stop: int) -> None:
        """Raise `InputError` where one of the patterns start, ..., stop - 1 is missing."""
        at = int(np.searchsorted(self.stops, start, side="right"))
        if at >= len(self.starts) or self.starts[at] >= stop:
            return
        if self.files[at]:
            raise InputError(f"{path} links to {self.files[at]}, which is not there.")
        raise InputError(f"{path}: pattern {max(start, int(self.starts[at]))} was never recorded.")


@dataclass(frozen=True)
class Absent:
    """A data set whose file is missing.

    Attributes
    ----------
    count
        How many patterns are taken to be in it.
    file
        The missing file.
    """

    count: int
    file: str


def gaps(members: Sequence[h5py.Dataset | Absent], frame_axes: int) -> Gaps:
    """Find the patterns that are missing or that HDF5 would give as zeros without a word.

    Parameters
    ----------
    members
        Data sets that follow each other.
    frame_axes
        How many of their last axes belong to a pattern.
    """
    found: list[tuple[int, int, str]] = []
    before = 0
    for data in members:
        if isinstance(data, Absent):
            found.append((before, before + data.count, data.file))
            before += data.count
            continue
        lead = data.shape[: data.ndim - frame_axes]
        parts = _virtual_gaps(data, lead) if data.is_virtual else _unwritten(data, lead)
        found += [(before + low, before + high, name) for low, high, name in parts]
        before += math.prod(lead)
    runs: list[tuple[int, int, str]] = []
    for low, high, name in sorted(found):
        low = max(low, runs[-1][1]) if runs else low
        if low < high:
            runs.append((low, high, name))
    starts, stops = (np.array([run[i] for run in runs], np.int64) for i in (0, 1))
    return Gaps(starts, stops, tuple(run[2] for run in runs))


def _virtual_gaps(data: h5py.Dataset, lead: tuple[int, ...]) -> Iterator[tuple[int, int, str]]:
    folder = os.path.dirname(data.file.filename)
    for part in data.virtual_sources():
        if part.file_name == "." or "%" in part.file_name:
            continue
        if os.path.exists(os.path.join(folder, part.file_name)):
            continue
        for start, stop in _covered(lead, part.vspace):
            yield start, stop, part.file_name


def _covered(lead: tuple[int, ...], space: h5py.h5s.SpaceID) -> Iterator[tuple[int, int]]:
    """Yield the flat runs of patterns of which a part of a virtual data set holds something."""
    if not lead:
        yield 0, 1
        return
    places = [_places(space, axis, size) for axis, size in enumerate(lead)]
    edges = np.flatnonzero(np.diff(places[-1]) != 1) + 1
    runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(places[-1], edges)]
    for place in product(*places[:-1]):
        row = 0
        for size, at in zip(lead, place, strict=False):
            row = row * size + int(at)
        for start, stop in runs:
            yield row * lead[-1] + start, row * lead[-1] + stop


def _places(space: h5py.h5s.SpaceID, axis: int, size: int) -> NDArray[np.int64]:
    """Return where a selection lies along an axis; there may be others in between."""
    if not space.is_regular_hyperslab():
        low, high = space.get_select_bounds()
        return np.arange(low[axis], high[axis] + 1)
    start, stride, count, block = (part[axis] for part in space.get_regular_hyperslab())
    # one without an end has huge numbers there
    firsts = start + stride * np.arange(min(count, size))
    places = np.unique(firsts[:, np.newaxis] + np.arange(min(block, size)))
    return places[places < size]


def _unwritten(data: h5py.Dataset, lead: tuple[int, ...]) -> list[tuple[int, int, str]]:
    """Return the patterns of which a chunk was never written, as a scan that was stopped has."""
    if data.chunks is None or 0 in data.shape:
        return []
    counts = [-(-size // chunk) for size, chunk in zip(data.shape, data.chunks, strict=True)]
    expected = math.prod(counts)
    if expected > _MOST_CHUNKS or data.id.get_num_chunks() >= expected:
        return []
    there = np.zeros(counts, bool)

    def mark(info: h5py.h5d.StoreInfo) -> None:
        place = zip(info.chunk_offset, data.chunks, strict=True)
        there[tuple(at // size for at, size in place)] = True

    data.id.chunk_iter(mark)
    whole = there.all(axis=tuple(range(len(lead), data.ndim)))
    for axis, (size, chunk) in enumerate(zip(lead, data.chunks, strict=False)):
        whole = np.repeat(whole, min(chunk, size), axis=axis).take(np.arange(size), axis=axis)
    edges = np.diff(np.concatenate([[False], ~whole.ravel(), [False]]).astype(np.int8))
    runs = zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1), strict=True)
    return [(int(low), int(high), "") for low, high in runs]
