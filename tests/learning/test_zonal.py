from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.learning.zonal import mark_zonal

CENTRE = (130.0, 121.0)
A, B = np.array([14.0, 3.0]), np.array([-4.0, 19.0])


def net(reach: float = 110.0) -> tuple[np.ndarray, np.ndarray]:
    """Nodes of a net around the beam without the beam itself, and their indices."""
    steps = np.stack(np.meshgrid(np.arange(-12, 13), np.arange(-12, 13)), -1).reshape(-1, 2)
    nodes = steps @ np.array([A, B])
    radius = np.hypot(*nodes.T)
    keep = (radius > 1) & (radius < reach)
    return CENTRE + nodes[keep], steps[keep]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.45])
def test_spots_of_the_net_and_foreign_ones_are_told_apart(share: float) -> None:
    rng = np.random.default_rng(4)
    nodes, steps = net()
    some = rng.permutation(len(nodes))[:60]
    xy = nodes[some] + rng.normal(0, 0.2, (60, 2))
    foreign = rng.uniform(20, 230, (500, 2))
    away = np.linalg.norm(foreign[:, None] - net(400)[0][None], axis=2).min(axis=1)
    foreign = foreign[(away > 3) & (np.hypot(*(foreign - CENTRE).T) < 110)]
    foreign = foreign[: round(60 * share / (1 - share))]
    order = rng.permutation(60 + len(foreign))
    found = mark_zonal(np.concatenate([xy, foreign])[order], CENTRE, 1.5)
    truth = order < 60
    assert np.mean(found.zonal == truth) > 0.97
    # The indices are those of the net, up to the choice of its basis, from the beam.
    ours = np.stack([found.h, found.k], 1)[found.zonal & truth]
    true = steps[some][order[found.zonal & truth]]
    change = np.linalg.lstsq(true, ours, rcond=None)[0]
    np.testing.assert_allclose(change, np.round(change), atol=1e-6)
    assert abs(np.linalg.det(change)) == pytest.approx(1)
    assert np.all(ours == true @ np.round(change).astype(int))
    assert np.linalg.norm(found.basis[0]) <= np.linalg.norm(found.basis[1])


def test_all_spots_are_marked_however_many() -> None:
    nodes = net()[0]
    many = np.concatenate([nodes, nodes + 0.3, nodes - 0.2])
    assert len(many) > 240
    assert mark_zonal(many, CENTRE, 1.5).zonal.all()


def test_chance_and_few_spots_are_no_net() -> None:
    rng = np.random.default_rng(0)
    assert mark_zonal(rng.uniform(20, 230, (80, 2)), CENTRE, 1.5).zonal.mean() < 0.35
    for n in (0, 1, 4):
        found = mark_zonal(net()[0][:n], CENTRE, 1.5)
        assert found.zonal.shape == found.h.shape == (n,)
        assert not found.zonal.any()
        assert not found.basis.any()
