"""Single patterns matched to a phase: few true bands among many, mixtures, and chance."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.crystal.symmetry import disorientation
from napari_diffraction.indexing.matching import KnownGrains, Points, index_bands
from napari_diffraction.indexing.phases.crystals import Crystal, crystal_given
from napari_diffraction.patterns.kikuchi.bands.lines import Lines

COUNT, BANDS = 60, 20
FIRST = np.array([0])


@pytest.fixture(scope="module")
def nickel() -> Crystal:
    return crystal_given(MATERIALS["Ni"])


def lines_at(line: np.ndarray) -> Lines:
    """Bands of equal strength, (n, k, 3)."""
    ones = np.ones(line.shape[:2], np.float32)
    return Lines(line, 10 * ones, 3 * ones, ones, np.full(len(line), line.shape[1]), (120, 120))


def by_chance(shape: tuple[int, int], seed: int) -> np.ndarray:
    """Lines that are of no crystal."""
    rng = np.random.default_rng(seed)
    angle = rng.uniform(0, np.pi, shape)
    return np.stack([np.cos(angle), np.sin(angle), rng.uniform(-45, 45, shape)], axis=-1)


def indexed(line: np.ndarray, pc: np.ndarray, crystal: Crystal, grains: KnownGrains) -> Points:
    centres = np.tile(pc, (len(line), 1))
    return index_bands(lines_at(line), (crystal,), centres, grains, slice(0, len(line)))


def alone(count: int) -> KnownGrains:
    """Patterns in no grain."""
    return KnownGrains(np.full(count, -1, np.int32), np.array([-1]), np.eye(3)[None], FIRST)


def away(points: Points, rotation: np.ndarray, crystal: Crystal) -> np.ndarray:
    """Degrees from orientations that turn the crystal into the detector's frame."""
    truth = rotation.transpose(0, 2, 1)
    return disorientation(points.rotation.astype(float), truth, "cF", crystal.phase.cell)


def test_few_true_bands_among_many_are_an_orientation(
    make_grains: Callable, nickel: Crystal
) -> None:
    made = make_grains("cF", COUNT, seed=1, noise=0.1, bands=7)
    line = np.concatenate([made.lines.line, by_chance((COUNT, BANDS - 7), 2)], axis=1)
    found = indexed(line, made.pc, nickel, alone(COUNT))
    assert (found.phase == 0).mean() > 0.95
    assert np.nanmax(away(found, made.rotation, nickel)) < 2
    assert (found.confidence[found.phase == 0] > 0.2).all()


def test_lines_of_chance_are_none(nickel: Crystal) -> None:
    line = by_chance((1000, BANDS), 3)
    found = indexed(line, np.array([0.5, 0.3, 0.6]), nickel, alone(len(line)))
    assert (found.phase == 0).mean() < 0.005
    assert not found.confidence[found.phase < 0].any()


def test_of_a_mixture_that_shows_little_the_orientation_of_its_grain_is_taken(
    make_grains: Callable, nickel: Crystal
) -> None:
    one, other = (make_grains("cF", COUNT, seed=seed, noise=0.1, bands=4) for seed in (4, 5))
    strays = by_chance((COUNT, BANDS - 8), 6)
    line = np.concatenate([one.lines.line, other.lines.line, strays], axis=1)
    alike = KnownGrains(np.arange(COUNT, dtype=np.int32), np.zeros(COUNT, int), one.rotation, FIRST)
    found = indexed(line, one.pc, nickel, alike)
    assert (found.phase == 0).mean() > 0.95
    right = found.phase == 0
    assert np.median(away(found, one.rotation, nickel)[right]) < 0.5
    assert (found.bands[right] >= 3).all()
    # without its grain such a pattern tells nothing
    assert (indexed(line, one.pc, nickel, alone(COUNT)).phase == 0).mean() < 0.1
    # and what is not of the grain is not given its orientation
    wrong = KnownGrains(alike.label, alike.phase, np.roll(one.rotation, 1, axis=0), FIRST)
    assert (indexed(strays, one.pc, nickel, wrong).phase == 0).mean() < 0.05


def test_a_mixture_in_no_grain_is_looked_at_by_the_grains_beside_it(
    make_grains: Callable, nickel: Crystal
) -> None:
    made = make_grains("cF", COUNT, seed=7, noise=0.1, bands=4)
    line = np.concatenate([made.lines.line, by_chance((COUNT, BANDS - 4), 8)], axis=1)
    # rows of two points: the first in no grain, the second in one
    label = np.stack([np.full(COUNT, -1), np.arange(COUNT)], axis=1).ravel().astype(np.int32)
    phase = np.zeros(COUNT, int)
    grains = KnownGrains(label, phase, made.rotation, FIRST, (COUNT, 2))
    found = indexed(np.repeat(line, 2, axis=0), made.pc, nickel, grains)
    first = slice(None, None, 2)
    assert (found.phase[first] == 0).mean() > 0.9
    assert np.nanmedian(away(found, np.repeat(made.rotation, 2, axis=0), nickel)[first]) < 0.5
    in_a_list = KnownGrains(label, phase, made.rotation, FIRST)
    alone_in_it = indexed(np.repeat(line, 2, axis=0), made.pc, nickel, in_a_list)
    assert (alone_in_it.phase[first] == 0).mean() < 0.5


def test_of_two_phases_with_the_same_directions_a_point_is_of_that_of_its_grain(
    make_grains: Callable, nickel: Crystal
) -> None:
    made = make_grains("cF", COUNT, seed=9, noise=0.1, bands=12)
    of_grain = np.arange(COUNT) % 2
    kin = np.array([0, 0])
    grains = KnownGrains(np.arange(COUNT, dtype=np.int32), of_grain, made.rotation, kin)
    centres = np.tile(made.pc, (COUNT, 1))
    crystals = (nickel, nickel)
    out = index_bands(lines_at(made.lines.line), crystals, centres, grains, slice(0, COUNT))
    assert out.phase.tolist() == of_grain.tolist()
    # the other one is no rival
    assert (out.confidence > 0.3).mean() > 0.9
