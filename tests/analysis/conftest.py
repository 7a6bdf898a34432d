"""A small scan whose phases are known, and what a classifier would say of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.analysis.maps.phase_map import PhaseMap
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.orientation import detector_to_crystal
from napari_diffraction.indexing.solution import (
    NOT_INDEXED,
    Candidate,
    IndexedMap,
    IndexedPhase,
    Reflector,
)
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

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


@pytest.fixture
def true_angles():
    """Bunge angles of the 48 points of `indexed`, EDAX's frames, in degrees."""
    rng = np.random.default_rng(3)
    phi1, phi, phi2 = rng.uniform([[0], [-0.99], [0]], [[360], [0.99], [360]], (3, 48))
    return np.column_stack([phi1, np.degrees(np.arccos(phi)), phi2])


@pytest.fixture
def make_indexed(true_angles):
    """Make an indexed scan of 6 x 8 points: nickel, alpha-titanium from column 5, one monoclinic.

    The first point matches nothing; the third row is the monoclinic phase.
    """

    def make(**changes):
        phase = np.zeros((6, 8), np.int16)
        phase[:, 5:] = 1
        phase[2] = 2
        phase[0, 0] = NOT_INDEXED
        phase = phase.ravel()
        geometry = KikuchiGeometry((0.5, 0.3, 0.6), 68.0, 5.0, 15.0)
        rotation = detector_to_crystal(true_angles, 68.0, 5.0)
        rotation[phase < 0] = np.nan
        nothing = phase < 0
        values = {
            "name": "alloy",
            "shape": (6, 8),
            "phases": (
                _phase("phase 1", "cF", UnitCell(3.52, 3.52, 3.52), 21 / 48),
                _phase("phase 2", "hP", UnitCell(2.95, 2.95, 4.69, gamma=120), 15 / 48),
                _phase("phase 3", "mC", UnitCell(9.7, 8.9, 5.3, beta=105.7), 8 / 48),
            ),
            "phase": phase,
            "rotation": rotation.astype(np.float32),
            "misfit_deg": np.where(nothing, np.nan, 0.4).astype(np.float32),
            "bands": np.where(nothing, 0, 9).astype(np.int16),
            "bands_found": np.full(48, 12, np.int16),
            "confidence": np.where(nothing, 0, 0.8).astype(np.float32),
            "quality": np.linspace(0, 1, 48).astype(np.float32),
            "grain": np.arange(48, dtype=np.int32) // 4,
            "done": np.ones(48, bool),
            "pattern_centre": (0.5, 0.3, 0.6),
            "pattern_centre_su": (0.001, 0.002, 0.003),
            "voltage": 15.0,
            "voltage_from": "file",
            "geometry": geometry,
            "step": (0.5, 0.25),
            "sources": ("alloy.h5",),
            "notes": ("Three phases were found.",),
            "about": {"software": "napari-diffraction", "settings": {"patterns": np.int64(48)}},
        }
        return IndexedMap(**values | changes)

    return make


def _phase(name, lattice, cell, share):
    probabilities = dict.fromkeys(BRAVAIS_LATTICES, 0.0) | {lattice: 0.97}
    fixed = {"c": (0.01,) * 3, "h": (0.01, 0.01, 0.02), "m": (0.01, 0.02, 0.03)}[lattice[0]]
    angles = (0.0, 0.2 if lattice[0] == "m" else 0.0, 0.0)
    return IndexedPhase(
        name,
        lattice,
        probabilities,
        cell,
        (*fixed, *angles),
        cell,
        grains=3,
        patterns=round(48 * share),
        share=share,
        misfit_deg=0.4,
        reflectors=(Reflector((1, 1, 1), 4, 20, 18, 1.0, float("nan")),),
        candidates=(Candidate("Ni", 0.9, 0.002, 0.1),),
        doubt="" if lattice == "cF" else "The data cannot tell.",
    )


@pytest.fixture
def indexed(make_indexed):
    return make_indexed()
