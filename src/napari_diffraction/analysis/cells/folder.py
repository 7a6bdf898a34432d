"""Folders with results of a stack, which those of another one must not replace."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.errors import InputError
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.provenance import beside, write_beside

if TYPE_CHECKING:
    from napari_diffraction.patterns.stack import PatternStack

#: Table of the classes that the model finds, and the cells.
CLASSES, CELLS = "classes.csv", "cells.json"


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
