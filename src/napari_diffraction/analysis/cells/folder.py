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
#: What else stands beside the cells, and beside the page.
_WITH_CELLS = (
    "cells.csv", "cells.cif", "cells.cell", "cells.p4p", "orientations.csv", "orientations.sol",
    "cells.json.json",
)  # fmt: skip
_WITH_PAGE = ("nets.csv", "zones.png", "patterns.png")
_FOR_CRYSTFEL = re.compile(r"patterns\.(lst|sol|cxi)|camera\.geom|phase(_\d+)?\.cell")


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


def mark_folder(folder: Path, stack: PatternStack) -> None:
    """Write beside the cells in a folder of which stack they are.

    Raises
    ------
    InputError
        It cannot be written.
    """
    facts = {
        "software": f"napari-diffraction {version('napari-diffraction')}",
        "stack": stack_key(stack),
        "sources": list(dict.fromkeys(stack.sources)),
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
    """Return the files that earlier runs have left in a folder, but for the classes.

    These a run can go on from, so they stay.  Files of the same names are left out where nothing
    tells that this program has written them.
    """
    found = []
    crystfel = folder / CRYSTFEL
    if _says(folder / PAGE, "napari-diffraction") or (crystfel / "patterns.cxi").exists():
        inner = sorted(crystfel.glob("*"))
        found += [path for path in inner if _FOR_CRYSTFEL.fullmatch(path.name)]
        found += [folder / name for name in (*_WITH_PAGE, PAGE)]
    if _says(folder / CELLS, '"source"'):
        found += [folder / name for name in (*_WITH_CELLS, CELLS)]
    return [path for path in found if path.is_file()]


def remove_earlier(earlier: Sequence[Path], written: Iterable[Path]) -> None:
    """Remove what earlier runs have left and this one has not written.

    Parameters
    ----------
    earlier
        See `earlier_results`, which has to be asked before anything is written.
    written
        Files of this run; what tells where they come from stays, too.

    Raises
    ------
    InputError
        A file cannot be removed.
    """
    kept = {path.absolute() for one in written for path in (one, beside(one))}
    for path in earlier:
        if path.absolute() in kept:
            continue
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"{path} is of an earlier run and cannot be removed: delete it."
            ) from error
        if path.parent.name == CRYSTFEL:
            with suppress(OSError):  # there are others in it
                path.parent.rmdir()


def _says(path: Path, word: str) -> bool:
    try:
        return word in path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
