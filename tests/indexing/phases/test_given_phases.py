"""Phases that are given are found wherever among the grains they are."""

from __future__ import annotations

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.indexing.scan import IndexSettings, index_scan
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

PC = (0.47, 0.28, 0.62)
NICKEL, QUARTZ = 16, 2


@pytest.fixture(scope="module")
def mixed() -> PatternStack:
    """A few patterns of quartz behind many of nickel, which are clearer."""
    conditions = KikuchiConditions(pc_x=PC[0], pc_y=PC[1], pc_z=PC[2])
    frames = [
        finish(
            simulate_kikuchi([MATERIALS[name]], conditions, patterns=count, size=80, seed=3)
        ).images.astype(float)
        for name, count in (("Ni", NICKEL), ("quartz", QUARTZ))
    ]
    frames[1] = frames[1].mean() + 0.6 * (frames[1] - frames[1].mean())
    data = np.concatenate(frames).round().astype(np.uint8)
    geometry = KikuchiGeometry(None, 70.0, 0.0, 20.0)
    return PatternStack(da.from_array(data, chunks=(1, 80, 80)), "mixed", geometry=geometry)


@pytest.mark.parametrize("pc", [PC, None])
def test_a_phase_of_few_faint_patterns(
    mixed: PatternStack, pc: tuple[float, float, float] | None
) -> None:
    found = finish(index_scan(mixed, IndexSettings(pc=pc, phases=(MATERIALS["quartz"],))))
    assert found.pattern_centre == pytest.approx(PC, abs=0.01)
    assert found.phase.tolist() == [-1] * NICKEL + [0] * QUARTZ
