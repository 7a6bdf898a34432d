"""A small scan whose phases are known, and what a classifier would say of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.analysis.phase_map import PhaseMap
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.patterns.stack import PatternStack

CLASSES = (*BRAVAIS_LATTICES, "NoPattern")


@dataclass(frozen=True)
class Card:
    classes: tuple[str, ...] = CLASSES
    name: str = "bravais"
    recipe: dict = field(default_factory=dict)


def table_for(truth, classes=CLASSES, confidence=0.9):
    """Return a classification that names the true class with the given confidence, (n,) or one."""
    n, k = truth.size, len(classes)
    sure = np.broadcast_to(np.asarray(confidence, float), (n,))
    p = np.repeat(((1 - sure) / (k - 1))[:, None], k, axis=1)
    place = np.array([classes.index(name) for name in truth.ravel()])
    p[np.arange(n), place] = sure
    table = pd.DataFrame({"index": np.arange(n), "label": truth.ravel(), "confidence": sure})
    for column, name in enumerate(classes):
        table[f"p_{name}"] = p[:, column]
    return table


@pytest.fixture
def truth():
    """Six rows and eight columns: cF on the left, hP on the right, one corner without a pattern."""
    names = np.full((6, 8), "cF", dtype=object)
    names[:, 5:] = "hP"
    names[0, 0] = "NoPattern"
    return names


@pytest.fixture
def stack(truth):
    return PatternStack(
        da.zeros((*truth.shape, 16, 16), chunks=(1, 1, 16, 16), dtype=np.uint8),
        "alloy",
        sources=("alloy.h5",),
        step=(0.5, 0.25),
    )


@pytest.fixture
def card():
    return Card()


@pytest.fixture
def my_phases():
    """Return the card of a model of two named phases."""
    return Card(
        ("quartz", "rutile", "NoneOfThese", "NoPattern"),
        "my-phases",
        {"phases": ["quartz", "rutile"]},
    )


@pytest.fixture
def make_table():
    return table_for


@pytest.fixture
def make_map(stack, truth):
    """Make the map of the scan, every point named with the given confidence."""

    def make(confidence=0.9, names=truth):
        return PhaseMap.from_classification(
            table_for(names, confidence=confidence), stack, Card(), {"model": "bravais"}
        )

    return make
