"""The grid of directions: no direction that a band can be near is missed."""

import numpy as np
import pytest

from napari_diffraction.indexing.bands.nearby import cell_of, tabulate

SIGMA = np.radians(0.4)


@pytest.mark.parametrize("sigma", [SIGMA, np.radians(2.0)])
def test_every_direction_that_gains_is_listed(sigma: float) -> None:
    rng = np.random.default_rng(3)
    unit = rng.normal(size=(40, 3))
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    level = rng.uniform(0.5, 7.0, 40)
    start, listed = tabulate(unit, level, 1 / sigma**2)
    beside = unit[rng.integers(40, size=4000)] + rng.normal(scale=2 * sigma, size=(4000, 3))
    beside *= rng.choice([-1, 1], 4000)[:, None] / np.linalg.norm(beside, axis=1, keepdims=True)
    gain = level - (1 - np.abs(beside @ unit.T)) / sigma**2
    assert (gain > 0).sum() > 500
    for line, gains in zip(beside, gain > 0, strict=True):
        cell = cell_of(*line)
        assert set(np.flatnonzero(gains)) <= set(listed[start[cell] : start[cell + 1]])


def test_lists_are_short() -> None:
    unit = np.eye(3)
    start, listed = tabulate(unit, np.full(3, 5.0), 1 / SIGMA**2)
    assert 3 <= len(listed) < 0.02 * (len(start) - 1)


def test_what_gains_nothing_is_not_listed() -> None:
    _, listed = tabulate(np.eye(3), np.array([5.0, 0.0, -1.0]), 1 / SIGMA**2)
    assert set(listed) == {0}


def test_both_ends_of_a_line_and_the_corners_have_a_cell() -> None:
    for line in ((1.0, 1.0, 1.0), (1.0, -1.0, 0.0), (0.0, 0.0, -1.0), (-1.0, 1.0, -1.0)):
        assert cell_of(*line) == cell_of(*(-x for x in line))
        assert 0 <= cell_of(*line) < 3 * 32 * 32
