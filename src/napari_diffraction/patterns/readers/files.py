"""Which files a person means: a file, a folder, a pattern with wildcards, or a list of those."""

from __future__ import annotations

import glob
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.formats import (
    Format,
    by_name,
    is_folder_input,
    readable_formats,
)
from napari_diffraction.patterns.readers.natural_order import natural_key
from napari_diffraction.patterns.readers.source import explained
from napari_diffraction.patterns.readers.vendors.empad import may_describe

#: Folders are looked into this far when only asked whether they hold anything to read.
_GLANCE = 500
#: Files that bring others along, which begin with the same name.
_LEADERS = (
    re.compile(r"(.*)_master\.(?:h5|hdf5|hdf|nxs)", re.IGNORECASE | re.DOTALL),
    re.compile(r"(.*_)000\.tvips", re.IGNORECASE | re.DOTALL),
)


@dataclass(frozen=True)
class Inputs:
    """Files to read, in natural order.

    Attributes
    ----------
    label
        What a person named, for messages.
    name
        Short name for a layer.
    files
        At least one file or Zarr folder.
    notes
        What was left out.
    """

    label: str
    name: str
    files: tuple[str, ...]
    notes: tuple[str, ...] = ()


def find_inputs(path: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Inputs:
    """List the files that a path, a folder, a glob or a list of them stands for.

    Raises
    ------
    InputError
        Nothing is there, or a folder holds several kinds of images in equal number.
    """
    if not isinstance(path, str | os.PathLike):
        return _many([os.fspath(item) for item in path])
    text = os.fspath(path)
    if os.path.isdir(text) and not is_folder_input(text):
        files, notes = _in_folder(text)
        return Inputs(text, Path(os.path.abspath(text)).name or text, files, notes)
    if not os.path.exists(text) and glob.has_magic(text):
        found = sorted(glob.glob(literal_folders(text)), key=natural_key)
        if not found:
            raise InputError(f"no file matches {text}; check the folder and the pattern.")
        files, notes = _of_one_kind(text, [f for f in found if _can_be_input(f)] or found)
        return Inputs(text, _common_name(files), files, notes)
    if not os.path.lexists(text):
        raise InputError(f"{text} does not exist; check the name.")
    return Inputs(text, Path(os.path.abspath(text)).stem, (text,))


def literal_folders(pattern: str) -> str:
    """Return a pattern in which folders that there are stand for themselves, as "run[1]" may."""
    if os.path.isdir(pattern):
        return glob.escape(pattern)
    folder, rest = os.path.split(pattern)
    return os.path.join(literal_folders(folder), rest) if folder not in ("", pattern) else pattern


def _many(paths: list[str]) -> Inputs:
    if not paths:
        raise InputError("no file was named; give a file, a folder or a pattern.")
    if len(paths) == 1:
        return find_inputs(paths[0])
    parts = [find_inputs(path) for path in paths]
    files = tuple(file for part in parts for file in part.files)
    notes = tuple(note for part in parts for note in part.notes)
    return Inputs(f"{paths[0]} and {len(paths) - 1} more", _common_name(files), files, notes)


def _common_name(files: Sequence[str]) -> str:
    if len(files) == 1:
        return Path(files[0]).stem
    stems = [Path(file).stem for file in files]
    same = (
        letters[0] for letters in takewhile(lambda c: len(set(c)) == 1, zip(*stems, strict=False))
    )
    stem = "".join(same).rstrip("_-. 0123456789")
    return stem or Path(os.path.abspath(files[0])).parent.name or "patterns"


def _can_be_input(path: str) -> bool:
    if os.path.isdir(path):
        return is_folder_input(path)
    row = by_name(path)
    return row is not None and (row.confirms is None or row.trusts(path))


def _in_folder(folder: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    with explained(folder), os.scandir(folder) as entries:
        found = [entry.path for entry in entries if not entry.name.startswith(".")]
    usable = [path for path in found if _can_be_input(path)]
    if not usable:
        raise InputError(
            f"{folder} holds no file that can be read; what can be read: {readable_formats()}."
        )
    return _of_one_kind(folder, sorted(usable, key=natural_key))


def _of_one_kind(label: str, paths: list[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    paths = _without_descriptions(paths)
    kinds: dict[Format | None, list[str]] = defaultdict(list)
    for path in paths:
        row = by_name(path)
        # a Zarr store may have any name
        kinds[row].append(path)
    most = max(map(len, kinds.values()))
    best = [row for row, members in kinds.items() if len(members) == most]
    if len(best) > 1:
        names = " and ".join(row.name if row else "other" for row in best)
        raise InputError(
            f"{label} holds {names} files in equal number; name one kind, for instance with "
            f"*{Path(kinds[best[0]][0]).suffix}."
        )
    chosen, strangers = _without_parts(kinds[best[0]])
    others = len(paths) - most
    notes = [f"{others} files of other kinds in {label} are left out."] if others else []
    if strangers:
        those = named(strangers)
        notes.append(f"Left out, since they belong to no master or first file: {those}.")
    return tuple(chosen), tuple(notes)


def named(files: Sequence[str]) -> str:
    """Name the first of some files, and say how many more there are."""
    more = f" and {len(files) - 1} more" if len(files) > 1 else ""
    return os.path.basename(files[0]) + more


def _without_descriptions(paths: list[str]) -> list[str]:
    """Drop files that only describe another one of the list, which brings them along."""
    if any(p.lower().endswith(".ser") for p in paths):
        paths = [p for p in paths if not p.lower().endswith(".emi")]
    if any(p.lower().endswith(".dat") for p in paths):  # NORDIF keeps pictures beside its patterns
        paths = [p for p in paths if not p.lower().endswith(".bmp")]
    raws = {p for p in paths if p.lower().endswith(".raw")}
    if not raws:
        return paths
    return [p for p in paths if not p.lower().endswith(".xml") or raws.isdisjoint(may_describe(p))]


def _without_parts(paths: list[str]) -> tuple[list[str], list[str]]:
    """Drop files that a master or first file in the same list already brings along.

    Returns
    -------
    (list of str, list of str)
        What is left; and those that were dropped although none of the files left names them.
    """
    for pattern in _LEADERS:
        leaders = {path: match[1] for path in paths if (match := pattern.fullmatch(path))}
        if leaders:
            stems = tuple(leaders.values())
            return list(leaders), [path for path in paths if not path.startswith(stems)]
    return paths, []


def holds_inputs(folder: str) -> bool:
    """Whether a glance into a folder shows something that can be read."""
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= _GLANCE:
                break
            if not entry.name.startswith(".") and _can_be_input(entry.path):
                return True
    return False
