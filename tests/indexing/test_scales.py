"""Phases of one shape told apart by the half widths of their bands."""

from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.indexing.scales import two_scales

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
