"""What a person said of some patterns of a stack, and whether it is enough to learn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack

Indices = NDArray[np.int64]

#: Fewest labels of a class, and fewest classes that have as many.
FEWEST, CLASSES = 2, 2


@dataclass(frozen=True)
class Lesson:
    """What a person said of some patterns of a stack.

    Attributes
    ----------
    stack
        The patterns.
    indices : ndarray of int, (n,)
        Flat numbers of the patterns that bear a label.
    labels : ndarray of str, (n,)
        Their classes.
    person
        Who gave the labels.
    """

    stack: PatternStack
    indices: Indices
    labels: NDArray[np.str_]
    person: str = ""


def usable(lesson: Lesson, classes: Sequence[str]) -> Lesson:
    """Leave out labels that a model does not know.

    Raises
    ------
    InputError
        What is left is too little to learn from.
    """
    known = np.isin(lesson.labels, list(classes))
    lesson = dataclasses.replace(lesson, indices=lesson.indices[known], labels=lesson.labels[known])
    counts = counts_of(lesson)
    if sum(number >= FEWEST for number in counts.values()) < CLASSES:
        said = ", ".join(f"{number} {name}" for name, number in counts.items()) or "none"
        raise InputError(
            f"There are too few labels to learn from ({said}): label at least {FEWEST} patterns "
            f"each of {CLASSES} classes, better 10 to 20 of every class."
        )
    return lesson


def counts_of(lesson: Lesson) -> dict[str, int]:
    """Return how many labels each class has."""
    names, numbers = np.unique(lesson.labels, return_counts=True)
    return dict(zip(names.tolist(), numbers.tolist(), strict=True))
