"""Folders with results of a stack, which those of another one must not replace."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from napari_diffraction.errors import InputError
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.review.provenance import beside

if TYPE_CHECKING:
    from napari_diffraction.patterns.stack import PatternStack

#: Table of the classes that the model finds.
CLASSES = "classes.csv"


def check_folder(folder: Path, stack: PatternStack) -> None:
    """See that the results in a folder, if there are any, are those of a stack.

    Raises
    ------
    InputError
        They are those of another stack.
    """
    # where the classes came from a table of somebody's, only the name of the stack is known
    for path, key in ((beside(folder / CLASSES), "stack"), (folder / "cells.json", "source")):
        try:
            earlier = json.loads(path.read_text(encoding="utf-8"))[key]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if earlier != (stack_key(stack) if key == "stack" else stack.name):
            raise InputError(
                f"{folder} holds results of another stack, or of this one before it was changed, "
                f"as {path.name} says: choose another folder, or delete this one."
            )
        return
