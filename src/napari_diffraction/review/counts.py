"""How far a review has come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_diffraction.review.session import ReviewSession


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


def count(session: ReviewSession) -> Counts:
    """Count what is done of a review and what is left."""
    decided, doubtful, names = session.decided, session.doubtful(), session.names
    numbers = np.bincount(session.codes, minlength=len(names))
    return Counts(
        patterns=len(session),
        reviewed=int(decided.sum()),
        doubtful=int(doubtful.sum()),
        left=int((doubtful & ~decided).sum()),
        acceptable=int((session.readable & ~doubtful & ~decided).sum()),
        classes={
            name: int(number)
            for name, number in zip(names, numbers, strict=True)
            if number or name in session.classes
        },
    )
