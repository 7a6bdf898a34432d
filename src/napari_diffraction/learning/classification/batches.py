"""What is told while a stack is classified, and what is found out about it before."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd

from napari_diffraction.patterns.stack import Geometry, PatternStack
from napari_diffraction.progress import Progress, retold

if TYPE_CHECKING:
    from napari_diffraction.learning.models.classifier import Classifier


@dataclass(frozen=True)
class BatchDone(Progress):
    """A batch of patterns is classified.

    Attributes
    ----------
    rows
        The rows of the table that are new.
    note
        What was found out about the whole stack, such as its pattern centre.
    geometry
        With a note: the calibration of the stack, as far as it is known now.
    """

    rows: pd.DataFrame = field(default_factory=pd.DataFrame)
    note: str = ""
    geometry: Geometry | None = None


def completed(
    stack: PatternStack, classifier: Classifier
) -> Generator[BatchDone, None, PatternStack]:
    """Return a stack of which all is known that a model needs to know of all patterns together.

    Yields
    ------
    BatchDone
        Without rows; one has a note where something was found out.
    """
    if classifier.kind.complete is None:
        return stack
    work = classifier.kind.complete(stack, classifier)
    known = yield from retold(work, lambda step: BatchDone(step.done, step.total, step.message))
    if known is not stack:
        note = known.notes[-1]
        yield BatchDone(0, 0, note, note=note, geometry=known.geometry)
    return known
