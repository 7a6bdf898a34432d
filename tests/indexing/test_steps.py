"""What of a broken-off run serves other settings."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.indexing.known import IndexSettings
from napari_diffraction.indexing.matching import Points
from napari_diffraction.indexing.steps import FinishedSteps

QUARTZ = load_structure("quartz")
OTHERS = {
    "cell": replace(load_structure("rutile"), name=QUARTZ.name),
    "group": replace(QUARTZ, space_group=152 if QUARTZ.space_group == 154 else 154),
    "species": replace(QUARTZ, species=("Ge", *QUARTZ.species[1:])),
    "positions": replace(QUARTZ, positions=(QUARTZ.positions + 0.01) % 1),
    "occupancy": replace(QUARTZ, occupancy=0.5 * QUARTZ.occupancy),
    "displacement": replace(QUARTZ, b_iso=QUARTZ.b_iso + 1),
}


@pytest.fixture
def steps() -> FinishedSteps:
    """Of a run with quartz that came to its points."""
    steps = FinishedSteps()
    steps.take_up(IndexSettings(phases=(QUARTZ,)))
    steps.solved, steps.points = True, Points.empty(3)
    return steps


@pytest.mark.parametrize("what", OTHERS)
def test_another_structure_of_the_same_name_is_another_phase(
    steps: FinishedSteps, what: str
) -> None:
    steps.take_up(IndexSettings(phases=(OTHERS[what],)))
    assert not steps.solved
    assert steps.points is None


def test_the_same_structures_are_the_same_phases(steps: FinishedSteps) -> None:
    points = steps.points
    again = replace(QUARTZ, positions=np.array(QUARTZ.positions), source="elsewhere")
    steps.take_up(IndexSettings(phases=(again,)))
    assert steps.points is points
    steps.take_up(IndexSettings(phases=(QUARTZ, QUARTZ)))
    assert steps.points is None
