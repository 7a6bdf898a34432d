"""The classes of spot patterns as a classifier gives them, and their usual shares."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.simulation.classes import (
    LAUE,
    MULTIPLE,
    NO_HIT,
    NO_PATTERN,
    ZONE,
    ZONE_CLASSES,
)

#: Label of a pattern that could not be read; it has no probabilities.
UNREADABLE = "Unreadable"

#: Shares of the classes in an ordinary serial experiment, to which probabilities are corrected.
#: About 3 % of randomly oriented crystals show a zone (Gorelik et al. 2025).
NATURAL_SHARES = {ZONE: 0.03, LAUE: 0.77, NO_HIT: 0.10, MULTIPLE: 0.10}


def called(
    p: NDArray[np.float64], classes: Sequence[str]
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the label of each pattern and the confidence in it.

    Parameters
    ----------
    p : ndarray, (n, n_classes)
        Probabilities; NaN for a pattern that could not be read.
    classes
        Their names.
    """
    good = ~np.isnan(p).any(axis=1)
    label, confidence = np.full(len(p), UNREADABLE, dtype=object), np.zeros(len(p))
    label[good] = np.array(classes, dtype=object)[p[good].argmax(axis=1)]
    confidence[good] = p[good].max(axis=1)
    return label, confidence


def of_nothing(classes: Sequence[str]) -> NDArray[np.float64] | None:
    """Return the probabilities (n_classes,) of a frame that shows nothing at all.

    No network has learned from frames of one value, such as those of a camera that was not read.
    ``None`` where the classes have none for it.
    """
    names = [name for name in (NO_HIT, NO_PATTERN) if name in classes]
    return np.array([float(name == names[0]) for name in classes]) if names else None


__all__ = [
    "LAUE",
    "MULTIPLE",
    "NATURAL_SHARES",
    "NO_HIT",
    "UNREADABLE",
    "ZONE",
    "ZONE_CLASSES",
    "called",
    "of_nothing",
]
