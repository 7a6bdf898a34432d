"""The pattern centre that is found where a file tells none."""

from __future__ import annotations

from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch

from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.learning.bravais.data import PatternMaker, draw
from napari_diffraction.learning.bravais.structure_pool import StructurePool, structure_arrays
from napari_diffraction.learning.models.registry import load_model
from napari_diffraction.learning.networks import band_view
from napari_diffraction.learning.networks.pattern_centre import (
    _Search,
    known_centre,
    with_centre,
)
from napari_diffraction.patterns.kikuchi.band_finder import find_lines
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack


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
    assert with_centre(stack, load_model("bravais")) is stack
    assert known_centre(stack) == (0.4, 0.4, 0.7)


@pytest.mark.parametrize("true", [(0.5, 0.25, 0.55), (0.52, 0.42, 0.72)])
def test_a_centre_is_found_with_which_the_bands_make_sense(
    true: tuple[float, float, float],
) -> None:
    stack = with_centre(scan("Ni", true), load_model("bravais"))
    centre = known_centre(stack)
    assert centre is not None
    assert centre == pytest.approx(true, abs=0.08)
    assert "Bruker" in stack.notes[-1]


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
