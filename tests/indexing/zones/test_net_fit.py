"""Nets fitted to spots, and the stretch of the camera that they tell."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from napari_diffraction.indexing.zones.ellipse import Ellipse, find_ellipse
from napari_diffraction.indexing.zones.net_fit import fit_net, shared_lens
from napari_diffraction.indexing.zones.pattern_nets import nets_of_patterns

BASIS = np.array([[11.0, 2.0], [-1.5, 17.0]])


def spots(
    rng: np.random.Generator,
    basis: NDArray[np.float64] = BASIS,
    scatter: float = 0.3,
    distortion: float = 0.0,
    share: float = 0.6,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Some spots of a net within 110 pixels, and their nodes."""
    h, k = np.mgrid[-12:13, -8:9].reshape(2, -1)
    node = np.stack([h, k], axis=1)
    flat = node @ basis
    radius = np.hypot(*flat.T)
    chosen = (radius < 110) & (radius > 0) & (rng.uniform(size=len(node)) < share)
    bent = flat * (1 + distortion * (radius / 110) ** 2)[:, None]
    places = bent + [130.0, 121.0] + rng.normal(size=flat.shape) * scatter
    return places[chosen], node[chosen]


def test_net_origin_and_foreign_spots() -> None:
    rng = np.random.default_rng(0)
    position, node = spots(rng)
    zonal = np.ones(len(position), bool)
    position[:3] += 4.0  # these belong to something else
    fit = fit_net(position, node, zonal)
    assert fit is not None
    assert fit.basis == pytest.approx(BASIS, abs=0.05)
    assert fit.origin == pytest.approx([130, 121], abs=0.2)
    assert fit.scatter == pytest.approx(0.3, rel=0.25)
    assert not fit.used[:3].any()
    assert fit.used[3:].mean() > 0.95


def test_uncertainties_are_honest() -> None:
    rng = np.random.default_rng(1)
    pulls = []
    a, b = np.hypot(*BASIS.T)
    angle = np.degrees(np.arccos(BASIS[0] @ BASIS[1] / (a * b)))
    for _ in range(150):
        position, node = spots(rng, share=0.3)
        fit = fit_net(position, node, np.ones(len(position), bool))
        assert fit is not None
        net = fit.net(systematic=(0, 0))
        pulls.append((np.array([net.first - a, net.second - b, net.angle - angle])) / net.su)
    assert np.std(pulls, axis=0) == pytest.approx(np.ones(3), abs=0.25)


def test_the_distortion_of_the_lens_is_taken_off() -> None:
    position, node = spots(np.random.default_rng(2), distortion=0.05)
    fit = fit_net(position, node, np.ones(len(position), bool))
    assert fit is not None
    assert fit.basis == pytest.approx(BASIS, rel=0.01, abs=0.03)
    assert fit.distortion == pytest.approx(0.05, abs=0.01)


def test_a_net_with_only_every_other_row_is_coarser() -> None:
    position, node = spots(np.random.default_rng(3))
    doubled = node * np.array([2, 1])
    fit = fit_net(position, doubled, np.ones(len(position), bool))
    assert fit is not None
    assert fit.basis == pytest.approx(BASIS, abs=0.06)


def test_a_row_of_spots_is_no_net() -> None:
    node = np.stack([np.arange(12), np.zeros(12, int)], axis=1)
    assert fit_net(node @ BASIS, node, np.ones(12, bool)) is None
    assert fit_net(node[:4] @ BASIS, node[:4], np.ones(4, bool)) is None


def test_patterns_together_know_the_lens_that_none_shows_alone() -> None:
    rng = np.random.default_rng(8)
    tables, alone = {}, []
    for pattern in range(12):
        position, node = spots(rng, scatter=0.5, distortion=-0.008, share=0.25)
        alone.append(fit_net(position, node, np.ones(len(position), bool)))
        table = pd.DataFrame(position, columns=["x", "y"]).assign(h=node[:, 0], k=node[:, 1])
        tables[pattern] = table.assign(zonal=True)
    assert sum(fit is not None and fit.distortion != 0 for fit in alone) <= 2
    fits = nets_of_patterns(tables).fits
    bent = [fit.distortion * (110 / fit.reach) ** 2 for fit in fits.values()]
    assert bent == pytest.approx([-0.008] * 12, abs=0.003)
    off = [np.hypot(*fit.basis.T) / np.hypot(*BASIS.T) - 1 for fit in fits.values()]
    off_alone = [np.hypot(*fit.basis.T) / np.hypot(*BASIS.T) - 1 for fit in alone if fit]
    assert abs(np.mean(off)) < 0.001 < 0.003 < -np.mean(off_alone)


def test_no_lens_is_made_up() -> None:
    rng = np.random.default_rng(9)
    fits = []
    for _ in range(12):
        position, node = spots(rng)
        fits.append(fit_net(position, node, np.ones(len(position), bool)))
    assert shared_lens([fit for fit in fits if fit is not None]) is None
    assert shared_lens([]) is None


def turned(angle: float, basis: NDArray[np.float64] = BASIS) -> NDArray[np.float64]:
    c, s = np.cos(angle), np.sin(angle)
    return np.asarray(basis @ np.array([[c, s], [-s, c]]))


def test_the_stretch_of_the_camera() -> None:
    rng = np.random.default_rng(4)
    camera = Ellipse(0.04, 120.0)
    true = [turned(angle) for angle in rng.uniform(0, 6.3, 14)]
    bases = [one @ camera.matrix.T * (1 + 0.001 * rng.normal(size=(2, 1))) for one in true]
    found = find_ellipse(bases)
    assert found is not None
    assert found.stretch == pytest.approx(0.04, abs=0.003)
    assert found.angle == pytest.approx(120, abs=4)
    assert found.corrected(bases[0]) == pytest.approx(true[0], rel=0.01, abs=0.05)


def test_no_stretch_is_made_up() -> None:
    rng = np.random.default_rng(5)
    assert find_ellipse([turned(angle) for angle in rng.uniform(0, 6.3, 14)]) is None
    assert find_ellipse([BASIS] * 3) is None


def test_patterns_without_a_net_are_left_out() -> None:
    rng = np.random.default_rng(6)
    tables = {}
    for pattern in range(3):
        position, node = spots(rng)
        table = pd.DataFrame(position, columns=["x", "y"]).assign(h=node[:, 0], k=node[:, 1])
        tables[pattern] = table.assign(zonal=True)
    tables[1]["zonal"] = False
    nets = nets_of_patterns(tables).nets(0.004)
    assert [net.patterns for net in nets] == [(0,), (2,)]
    assert nets[0].first == pytest.approx(0.004 * np.hypot(*BASIS[0]), rel=0.01)
