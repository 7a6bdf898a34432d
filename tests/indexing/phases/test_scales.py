"""Phases of one shape told apart by the half widths of their bands."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_diffraction.indexing.bands.visible import VisibleLattice
from napari_diffraction.indexing.phases.fitting import Fitted
from napari_diffraction.indexing.phases.grain_bands import GrainBands
from napari_diffraction.indexing.phases.scales import parted, two_scales

STEP = 0.02
SCALES = np.arange(-0.4, 0.401, STEP)


def likelihoods(peaks: list[float], error: float = 0.03, bands: int = 8) -> np.ndarray:
    """Of grains whose half widths tell some scales, a few of them being of something else."""
    away = (SCALES - np.array(peaks)[:, None]) / error
    return bands * np.log(0.94 * np.exp(-0.5 * away**2) / error / 2.5 + 0.06 * 0.4)


def test_grains_of_two_scales_are_two_phases() -> None:
    parts = two_scales(likelihoods([-0.1] * 4 + [0.06] * 9))
    assert parts is not None
    assert SCALES[list(parts)] == pytest.approx([-0.1, 0.06])


@pytest.mark.parametrize(
    "peaks",
    [
        [0.0] * 12,
        np.linspace(-0.05, 0.05, 30).tolist(),  # one phase, poorly measured
        [-0.1] * 2 + [0.06] * 9,  # of two grains the bands may be poor
        [-0.03] * 6 + [0.03] * 6,  # nearer than half widths can tell
    ],
)
def test_grains_of_nearly_one_scale_are_one_phase(peaks: list[float]) -> None:
    assert two_scales(likelihoods(peaks)) is None


def test_a_lattice_that_no_grain_has_stays_as_it_is(make_grains: Callable) -> None:
    none = np.zeros(0, np.int64)
    fit = Fitted(
        np.zeros(3), np.zeros(3), np.zeros((2, 3)), np.zeros((0, 3)), [np.eye(3)], [np.eye(6)],
        none, np.zeros((0, 3, 3)), np.zeros(0), np.zeros((0, 14), np.int32),
    )  # fmt: skip
    lattice = VisibleLattice(np.eye(3), 1.0, 0.01, 0.0)
    lines = make_grains("cF", 3).lines[none]
    picture = np.zeros((4, 4), np.float32)
    bands = GrainBands(
        none, picture[None][none], picture, lines, np.zeros((0, 14)), none, np.zeros((0, 2))
    )
    assert parted(bands, fit, (lattice,), (None,)).seen == (lattice,)
