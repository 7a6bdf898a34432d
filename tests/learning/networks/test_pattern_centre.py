"""Pattern centres of stacks whose files do not tell them."""

from __future__ import annotations

import os
from pathlib import Path

import dask.array as da
import numpy as np
import pytest

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.crystal.orientation import euler_angles, random_orientations
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks import pattern_centre
from napari_diffraction.patterns.part import part_of
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, finish
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

PC = (0.47, 0.22, 0.71)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def test_a_lattice_tells_the_centre_of_few_grains(monkeypatch: pytest.MonkeyPatch) -> None:
    turns = euler_angles(random_orientations(6, np.random.default_rng(3)))
    work = simulate_kikuchi(
        [load_structure("Ni")],
        KikuchiConditions(pc_x=PC[0], pc_y=PC[1], pc_z=PC[2]),
        KikuchiEffects(contrast=0.2, noise=0.2),
        size=80,
        orientations=turns[np.arange(24) // 4],
    )
    stack = PatternStack(da.from_array(finish(work).images, chunks=(1, 80, 80)), "grains")
    monkeypatch.setattr(pattern_centre, "find_centre", lambda *_: pytest.fail("is not needed"))
    steps: list[Progress] = []
    known = finish(pattern_centre.with_centre(stack, load_model("bravais")), steps.append)
    found = pattern_centre.known_centre(known)
    assert found is not None
    np.testing.assert_allclose(found, PC, atol=0.015)
    assert {step.message for step in steps} == {"Looking for the pattern centre"}


def test_where_no_lattice_explains_the_patterns_the_network_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pattern_centre, "find_centre", lambda *_: PC)
    frames = np.random.default_rng(0).integers(0, 99, (8, 40, 40), dtype=np.uint8)
    stack = PatternStack(da.from_array(frames, chunks=(1, 40, 40)), "noise")
    known = finish(pattern_centre.with_centre(stack, load_model("bravais")))
    assert pattern_centre.known_centre(known) == PC


def test_the_centre_of_a_part_of_a_measured_scan() -> None:
    """The network alone finds (0.500, 0.238, 0.502) here, and no cubic lattice there."""
    folder = os.environ.get("NAPARI_DIFFRACTION_REAL")
    if not folder:
        pytest.skip("set NAPARI_DIFFRACTION_REAL to the folder of measured patterns")
    scan = open_stack(Path(folder) / "ebsd" / "ni_superalloy_64x80x120x120.h5")
    known = finish(pattern_centre.with_centre(part_of(scan, 0, 24 * 80), load_model("bravais")))
    found = pattern_centre.known_centre(known)
    assert found is not None
    np.testing.assert_allclose(found, (0.505, 0.332, 0.620), atol=0.015)
