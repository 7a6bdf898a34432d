"""The training that the panel starts: labelled patterns are handed to a process of its own."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from napari_diffraction.errors import InputError
from napari_diffraction.files import writing_error
from napari_diffraction.learning.labels.ground_truth import label_column, truth_of
from napari_diffraction.learning.labels.labelled import LabelledData, LabelledSource, aligned
from napari_diffraction.learning.pictures.recipe import PicturesRecipe
from napari_diffraction.learning.runs.background_process import in_own_process
from napari_diffraction.learning.training.run import train
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress
from napari_diffraction.ui.evaluate.tasks import Labels

_STEP = 64


@dataclass(frozen=True)
class Opened:
    """Patterns in the window, and where their labels are."""

    stack: PatternStack
    labels: Labels

    @property
    def name(self) -> str:
        """Name of the file in which they are handed over."""
        kept = "".join(c if c.isalnum() or c in " ._-" else "_" for c in self.stack.name)
        return f"{kept.strip(' .') or 'patterns'}.npy"


def training(
    recipe: PicturesRecipe, output: Path, opened: Opened | None
) -> Generator[Progress, None, Path]:
    """Train in a process of its own; runs in another thread.

    Whatever ends it, the best model so far stays in the file.

    Parameters
    ----------
    recipe
        What to train.
    output
        The model file.
    opened
        Patterns in the window to learn from, too.
    """
    with tempfile.TemporaryDirectory(prefix="napari-diffraction-") as folder:
        if opened is not None:
            source = yield from _handed_over(opened, Path(folder))
            others = tuple(one for one in recipe.labelled if one.path != opened.name)
            recipe = replace(recipe, labelled=(source, *others), folder=folder)
        try:
            return (yield from in_own_process(train, recipe, output))
        finally:
            shutil.rmtree(output.with_name(f"{output.name}.work"), ignore_errors=True)


def _handed_over(opened: Opened, folder: Path) -> Generator[Progress, None, LabelledSource]:
    """Write the labelled patterns where another process can read them."""
    stack = opened.stack
    yield Progress(0, len(stack), "Reading the labels")
    table = opened.labels.read()
    if table is None or not label_column(table, ()):
        raise InputError(
            f"{stack.name} bears no labels: decide on some patterns in the panel Review patterns, "
            "at least two of each class."
        )
    data = LabelledData.of(stack, truth_of(aligned(table, len(stack), stack.name), stack, ()))
    path, read = folder / opened.name, []
    shape = (len(data), *stack.frame_shape)
    try:
        file = np.lib.format.open_memmap(path, "w+", stack.data.dtype, shape)
        for k in range(len(data)):
            try:
                file[len(read)] = data.frame(k)
                read.append(k)
            except InputError:
                continue  # it cannot be learned from
            if k % _STEP == 0:
                yield Progress(k, len(data), "Reading the labelled patterns")
        file.flush()
        rows = {"label": data.labels[read], data.grouped_by: data.groups[read]}
        pd.DataFrame(rows).assign(index=np.arange(len(read))).to_csv(f"{path}.csv", index=False)
    except OSError as error:
        raise writing_error(path, error) from error
    return LabelledSource(path=opened.name, column="label", group=data.grouped_by)
