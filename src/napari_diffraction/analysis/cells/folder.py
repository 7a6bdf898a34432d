"""Folders with results of a stack: of which one, and what earlier runs have left there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.errors import InputError
from napari_diffraction.files import writing_error
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.provenance import beside, write_beside

if TYPE_CHECKING:
    from napari_diffraction.patterns.stack import PatternStack

#: Table of the classes that the model finds, the cells, the page of `solve`, and its subfolder.
CLASSES, CELLS, PAGE, CRYSTFEL = "classes.csv", "cells.json", "report.html", "crystfel"
#: A file of a run, as its folder is marked with it: in the folder or the subfolder, nowhere else.
_NAME = re.compile(rf"({CRYSTFEL}/)?\w[\w.]*")


def check_folder(folder: Path, stack: PatternStack) -> None:
    """See that the results in a folder, if there are any, are those of a stack.

    Raises
    ------
    InputError
        They are those of another stack.
    """
    key = stack_key(stack)
    told = [(beside(folder / name), "stack", key) for name in (CLASSES, CELLS)]
    # cells of an earlier version tell the name of the stack only
    for path, item, mine in (*told, (folder / CELLS, "source", stack.name)):
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))[item]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if earlier != mine:
            raise InputError(
                f"{folder} holds results of another stack, or of this one before it was changed, "
                f"as {path.name} says: choose another folder, or delete this one."
            )
        return


def mark_folder(folder: Path, stack: PatternStack, files: Iterable[Path]) -> None:
    """Write into a folder of which stack its results are, and which files these are.

    Parameters
    ----------
    folder
        Where they are.
    stack
        Whose they are.
    files
        What runs have written there and a later one may remove, see `earlier_results`.

    Raises
    ------
    InputError
        It cannot be written.
    """
    facts = {
        "software": f"napari-diffraction {version('napari-diffraction')}",
        "stack": stack_key(stack),
        "sources": list(dict.fromkeys(stack.sources)),
        "files": {
            path.relative_to(folder).as_posix(): path.stat().st_size
            for path in sorted(set(files))
            if path.is_file()
        },
    }
    write_beside(folder / CELLS, facts)


def make_folder(folder: Path) -> None:
    """Make a folder where it is missing.

    Raises
    ------
    InputError
        It cannot be made, or a file has its name.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, but a folder is wanted: choose another name.")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise writing_error(folder, error) from error


def earlier_results(folder: Path) -> list[Path]:
    """Return the files that earlier runs have left in a folder, as it is marked with them.

    A file of another size than they left is not theirs any more: another program or a person has
    changed it.  Folders of versions that kept no list of files have none.
    """
    try:
        files = json.loads(beside(folder / CELLS).read_text(encoding="utf-8"))["files"]
        named = [(folder / name, size) for name, size in files.items() if _NAME.fullmatch(name)]
        return [path for path, size in named if path.is_file() and path.stat().st_size == size]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def remove_earlier(earlier: Sequence[Path], written: Iterable[Path]) -> list[Path]:
    """Remove what earlier runs have left and this one has not written.

    Parameters
    ----------
    earlier
        See `earlier_results`, which has to be asked before anything is written.
    written
        Files of this run.

    Returns
    -------
    list of Path
        What was removed.

    Raises
    ------
    InputError
        Files cannot be removed; all others are.
    """
    kept = {path.absolute() for path in written}
    removed, refused = [], []
    for path in earlier:
        if path.absolute() in kept:
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError:
            refused.append(str(path))
            continue
        removed.append(path)
        if path.parent.name == CRYSTFEL:
            with suppress(OSError):  # there are others in it
                path.parent.rmdir()
    if refused:
        raise InputError(
            f"This is left of an earlier run and cannot be removed: {', '.join(refused)}.  "
            "Delete it."
        )
    return removed


def removal_told(removed: Sequence[Path]) -> list[str]:
    """Say what was removed, in a line; in none where nothing was."""
    return [f"Removed of an earlier run: {', '.join(map(str, removed))}."] if removed else []
