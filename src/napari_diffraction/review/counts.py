"""How far a review has come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Counts:
    """Where a review stands.

    Attributes
    ----------
    patterns
        Patterns classified.
    reviewed
        Patterns that a person decided on.
    doubtful
        Readable patterns below the threshold, decided on or not.
    left
        Doubtful patterns that wait for a decision.
    acceptable
        Patterns at or above the threshold that nobody decided on.
    classes
        Number of patterns of each class, the person's label counting before the model's.
    """

    patterns: int
    reviewed: int
    doubtful: int
    left: int
    acceptable: int
    classes: dict[str, int]


def count(
    codes: NDArray[np.integer],
    decided: NDArray[np.bool_],
    doubtful: NDArray[np.bool_],
    readable: NDArray[np.bool_],
    names: Sequence[str],
    classes: Sequence[str],
) -> Counts:
    """Count what is done of a review and what is left.

    Parameters
    ----------
    codes : ndarray of int, (n,)
        Place of each pattern's class among the names, the person's before the model's.
    decided, doubtful, readable : ndarray of bool, (n,)
        Whether a person decided on it, it is below the threshold, and it can be read.
    names
        Classes, and what else a pattern may be called.
    classes
        Those that are listed even if no pattern is of them.
    """
    numbers = np.bincount(codes, minlength=len(names))
    return Counts(
        patterns=len(codes),
        reviewed=int(decided.sum()),
        doubtful=int(doubtful.sum()),
        left=int((doubtful & ~decided).sum()),
        acceptable=int((readable & ~doubtful & ~decided).sum()),
        classes={
            name: int(number)
            for name, number in zip(names, numbers, strict=True)
            if number or name in classes
        },
    )
