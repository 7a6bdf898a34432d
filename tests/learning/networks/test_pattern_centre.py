"""Pattern centres of stacks whose files do not tell them."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import torch

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.crystal.orientation import euler_angles, random_orientations
from napari_diffraction.learning.bravais.data import PatternMaker, draw
from napari_diffraction.learning.bravais.structure_pool import StructurePool, structure_arrays
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks import band_view, pattern_centre
from napari_diffraction.learning.networks.pattern_centre import (
    _Search,
    find_centre,
    known_centre,
    with_centre,
)
from napari_diffraction.patterns.kikuchi.band_finder import find_lines
from napari_diffraction.patterns.part import part_of
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress, finish
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

PC = (0.47, 0.22, 0.71)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def scan(name: str, pc: tuple[float, float, float], n: int = 48) -> PatternStack:
    """Easy patterns of one crystal with one pattern centre."""
    pool = StructurePool(torch.device("cpu"), 1)
    pool.add(structure_arrays([load_structure(name)]))
    drawn = draw(n, np.random.default_rng(1), 0.3, empty=0.0)
    drawn = replace(drawn, pc=np.tile(np.array(pc, np.float32), (n, 1)))
    frames, *_ = PatternMaker(pool, 1).frames(drawn, torch.zeros(n, dtype=torch.int64))
    return PatternStack(da.from_array(frames.numpy()), name)


def test_a_centre_that_is_known_is_kept() -> None:
    stack = replace(scan("Ni", (0.5, 0.3, 0.6), 2), geometry=KikuchiGeometry(pc=(0.4, 0.4, 0.7)))
    assert finish(with_centre(stack, load_model("bravais"))) is stack
    assert known_centre(stack) == (0.4, 0.4, 0.7)


@pytest.mark.parametrize("true", [(0.5, 0.25, 0.55), (0.52, 0.42, 0.72)])
def test_a_centre_is_found_with_which_the_bands_make_sense(
    true: tuple[float, float, float],
) -> None:
    stack = finish(with_centre(scan("Ni", true), load_model("bravais")))
    centre = known_centre(stack)
    assert centre is not None
    assert centre == pytest.approx(true, abs=0.08)
    assert "Bruker" in stack.notes[-1]


@pytest.mark.parametrize("true", [(0.5, 0.25, 0.55), (0.52, 0.42, 0.72)])
def test_the_network_alone_finds_the_centre_of_many_orientations(
    true: tuple[float, float, float],
) -> None:
    stack = scan("Ni", true)
    frames = [stack.frame(index) for index in range(len(stack))]
    found = find_centre(stack, frames, load_model("bravais"))
    assert found == pytest.approx(true, abs=0.08)


def test_no_centre_is_left_out_that_would_have_won() -> None:
    stack, classifier = scan("Ni", (0.5, 0.3, 0.6), 30), load_model("bravais")
    look = band_view.looker(stack)
    frames, lit, _ = zip(*(look(stack.frame(index)) for index in range(30)), strict=True)
    lines = find_lines(*band_view.flat(torch.stack(frames), torch.stack(lit)))
    search = _Search(classifier, lines, stack.frame_shape)
    centres = [(0.5, y, z) for y in (0.1, 0.3, 0.5) for z in (0.4, 0.6, 0.9)]
    found = search.best(centres)
    tried = len(search._told)
    parts = range(len(search._parts))
    merits = [search._merit(c, sum(search._sure(c, part) for part in parts)) for c in centres]
    assert found == centres[int(np.argmax(merits))]
    assert tried < len(search._told)


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
    known = finish(with_centre(stack, load_model("bravais")), steps.append)
    found = known_centre(known)
    assert found is not None
    np.testing.assert_allclose(found, PC, atol=0.015)
    assert {step.message for step in steps} == {"Looking for the pattern centre"}


def test_where_no_lattice_explains_the_patterns_the_network_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pattern_centre, "find_centre", lambda *_: PC)
    frames = np.random.default_rng(0).integers(0, 99, (8, 40, 40), dtype=np.uint8)
    stack = PatternStack(da.from_array(frames, chunks=(1, 40, 40)), "noise")
    known = finish(with_centre(stack, load_model("bravais")))
    assert known_centre(known) == PC


def test_the_centre_of_a_part_of_a_measured_scan() -> None:
    """The network alone finds (0.500, 0.238, 0.502) here, and no cubic lattice there."""
    folder = os.environ.get("NAPARI_DIFFRACTION_REAL")
    if not folder:
        pytest.skip("set NAPARI_DIFFRACTION_REAL to the folder of measured patterns")
    scan = open_stack(Path(folder) / "ebsd" / "ni_superalloy_64x80x120x120.h5")
    known = finish(with_centre(part_of(scan, 0, 24 * 80), load_model("bravais")))
    found = known_centre(known)
    assert found is not None
    np.testing.assert_allclose(found, (0.505, 0.332, 0.620), atol=0.015)
