"""What a lesson does behind its bar: learn, sort the stack anew, and choose what to ask next."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, retold
from napari_diffraction.ui.classify.tasks import classification

if TYPE_CHECKING:
    from napari_diffraction.learning.model_card import ModelCard

Indices = NDArray[np.int64]

T = TypeVar("T")

#: Patterns that are offered after a lesson.
OFFERED = 20
#: What learning and choosing count for on the bar, in patterns sorted.
_LESSON, _CHOICE = 200, 100


@dataclass(frozen=True)
class Question:
    """What is to be learned.

    Attributes
    ----------
    stack
        The patterns.
    indices, labels : ndarray, (n,)
        The patterns that a person decided on, and their classes.
    person
        Who asks for the lesson.
    model
        Name of the model to start from.
    name, output
        Name and file of the new model.
    settings
        How the stack was sorted.
    """

    stack: PatternStack
    indices: Indices
    labels: NDArray[np.str_]
    person: str
    model: str
    name: str
    output: Path
    settings: dict[str, Any]


@dataclass(frozen=True)
class Learned:
    """What came out of a lesson.

    Attributes
    ----------
    card
        Of the new model.
    table
        The stack as the new model sorts it.
    offered : ndarray of int, (m,)
        The patterns that would teach most next.
    verdict
        How good the model is.
    """

    card: ModelCard
    table: pd.DataFrame
    offered: Indices
    verdict: str


def lesson(asked: Question) -> Generator[Progress, None, Learned]:
    """Learn from labels; runs in another thread, where importing torch freezes nothing.

    The new model is kept as soon as it has learned, also where the work is stopped afterwards.
    """
    size = len(asked.stack)
    total = _LESSON + size + _CHOICE
    yield Progress(0, total, "Loading the model")
    from napari_diffraction.learning.models.classifier import load_classifier
    from napari_diffraction.learning.models.registry import load_model
    from napari_diffraction.learning.training.active_learning import teach_most
    from napari_diffraction.learning.training.fine_tuning import learn, verdict
    from napari_diffraction.learning.training.lesson import Lesson

    given = Lesson(asked.stack, asked.indices, asked.labels, asked.person)
    learning = learn(given, load_model(asked.model), asked.output, name=asked.name)
    card = yield from _part(learning, 0, _LESSON, total)
    sorting = classification(asked.stack, card.path, asked.settings)
    table = yield from _part(sorting, _LESSON, size, total)
    undecided = table[~table["index"].isin(asked.indices)]
    choosing = teach_most(
        asked.stack,
        load_classifier(card.path),
        undecided["index"].to_numpy(np.int64),
        undecided[[f"p_{name}" for name in card.classes]].to_numpy(float),
        OFFERED,
    )
    offered = yield from _part(choosing, _LESSON + size, _CHOICE, total)
    return Learned(card, table, offered, verdict(card))


def _part(
    work: Generator[Progress, None, T], first: int, length: int, total: int
) -> Generator[Progress, None, T]:
    """Let some work move its own part of the bar."""

    def tell(step: Progress) -> Progress:
        share = min(step.done / max(step.total, 1), 1)
        return Progress(first + round(share * length), total, step.message)

    return retold(work, tell)
