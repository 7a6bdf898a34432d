"""Open labelled patterns to judge models by, all of them as one stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.labels.ground_truth import label_column
from napari_diffraction.learning.labels.labelled import (
    LabelledData,
    LabelledSource,
    aligned,
    class_folders,
    open_parts,
)
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack


def open_judged(path: str) -> tuple[PatternStack, pd.DataFrame]:
    """Open patterns with the table of their labels.

    Parameters
    ----------
    path
        A stack with labels inside or in a table beside it, or a folder of folders, each named
        after a class.

    Returns
    -------
    stack
        All patterns, also those without a label, as in a folder named Unreadable.
    labels
        One row a pattern, for `napari_diffraction.learning.labels.ground_truth.truth_of`.

    Raises
    ------
    InputError
        There are no labels, or the patterns cannot be joined to one stack.
    """
    from napari_diffraction.simulation.files import load_labels

    if class_folders(Path(path)):
        return _joined(path, list(open_parts(LabelledSource(path))))
    stack, labels = open_stack(path), load_labels(path)
    if labels is None or not label_column(labels, ()):
        raise InputError(
            f"{path}: no labels stand in this file, nor in a table {Path(path).name}.csv with a "
            "column label beside it; write such a table, or take patterns made by simulate."
        )
    return stack, aligned(labels, len(stack), path)


def _joined(path: str, parts: list[LabelledData]) -> tuple[PatternStack, pd.DataFrame]:
    stacks = [part.stacks[0] for part in parts]
    first = stacks[0]
    for stack in stacks:
        if stack.frame_shape != first.frame_shape:
            raise InputError(
                f"{path}: {stack.source(0)} has patterns of another size than {first.source(0)}; "
                "evaluate each size by itself."
            )
    starts = np.cumsum([0, *map(len, stacks)])

    def read(index: int) -> NDArray[Any]:
        number = int(np.searchsorted(starts, index, side="right")) - 1
        return stacks[number].frame(index - int(starts[number]))

    joined = PatternStack(
        da.concatenate([stack.data.reshape(-1, *first.frame_shape) for stack in stacks]),
        Path(path).name,
        sources=tuple(stack.source(i) for stack in stacks for i in range(len(stack))),
        events=tuple(stack.event(i) for stack in stacks for i in range(len(stack))),
        geometry=first.geometry,
        read=read,
    )
    labels = pd.DataFrame("", index=range(len(joined)), columns=["label", "group"])
    for part, start in zip(parts, starts, strict=False):
        labels.loc[start + part.index, "label"] = part.labels
        labels.loc[start + part.index, "group"] = part.groups
    return joined, labels
