"""Nets of zones: reduced, and equal ones put together."""

from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.nets import ZoneNet, distinct, mean_net

SU = (0.0005, 0.0005, 0.3)


def test_any_two_vectors_give_the_shortest_ones() -> None:
    # the vectors (1 0) and (3 1) of a rectangular net of 0.1 and 0.15 / A
    long = float(np.hypot(0.3, 0.15))
    angle = float(np.degrees(np.arctan2(0.15, 0.3)))
    net = ZoneNet.measured(0.1, long, angle, SU, pattern=7)
    assert (net.first, net.second, net.angle) == pytest.approx((0.1, 0.15, 90.0))
    assert net.area == pytest.approx(0.015)
    assert net.patterns == (7,)


def test_an_obtuse_angle_becomes_acute() -> None:
    net = ZoneNet.measured(0.1, 0.12, 100.0, SU)
    assert (net.first, net.second, net.angle) == pytest.approx((0.1, 0.12, 80.0))
    assert net.su == pytest.approx(SU)


def test_uncertainties_follow_a_reduction() -> None:
    rng = np.random.default_rng(0)
    errors = rng.normal(size=(2000, 3)) * SU
    nets = [ZoneNet.measured(0.1 + a, 0.3 + b, 30.0 + c, SU) for a, b, c in errors.tolist()]
    values = np.array([[net.first, net.second, net.angle] for net in nets])
    assert values.std(axis=0) == pytest.approx(nets[0].su, rel=0.1)


@pytest.mark.parametrize("numbers", [(0.0, 0.1, 80.0), (0.1, 0.1, 180.0), (np.nan, 0.1, 80.0)])
def test_numbers_that_span_no_net(numbers: tuple[float, float, float]) -> None:
    with pytest.raises(InputError, match="span no net"):
        ZoneNet.measured(*numbers, SU)


@pytest.mark.parametrize("angle", [1e-9, 0.5, 179.5, 180 - 1e-9])
def test_vectors_on_one_line_span_no_net(angle: float) -> None:
    with pytest.raises(InputError, match="between 1 and 179 degrees"):
        ZoneNet.measured(0.1, 0.1, angle, (1e-3, 1e-3, 0.1))
    for near in (1.0, 179.0):
        assert ZoneNet.measured(0.1, 0.1, near, (1e-3, 1e-3, 0.1)).area > 0


def test_equal_nets_are_one_and_their_mean_is_better_known() -> None:
    nets = [
        ZoneNet.measured(0.1, 0.15, 80.0, SU, 0),
        ZoneNet.measured(0.2, 0.25, 70.0, SU, 1),
        ZoneNet.measured(0.1004, 0.1503, 80.3, SU, 2),
    ]
    groups = distinct(nets)
    assert groups == [[0, 2], [1]]
    mean = mean_net([nets[i] for i in groups[0]])
    assert mean.patterns == (0, 2)
    assert mean.first == pytest.approx(0.1002, abs=1e-5)
    assert mean.su == pytest.approx(np.array(SU) / np.sqrt(2), rel=1e-2)
