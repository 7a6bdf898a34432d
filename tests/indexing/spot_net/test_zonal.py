from __future__ import annotations

import numpy as np
import pytest

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.indexing.spot_net.zonal import mark_zonal
from napari_diffraction.progress import finish
from napari_diffraction.simulation.spots.dataset import simulate_spots

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


@pytest.mark.parametrize("share", [0.15, 0.3])
def test_a_net_of_a_few_far_rows_is_found(share: float) -> None:
    """Of a large cell, seen along a short axis, there is the row of the beam and two far ones."""
    rng = np.random.default_rng(7)
    a, b = np.array([6.0, 0.8]), np.array([-9.0, 88.0])
    rows = [
        (m, k) for k, ends in ((0, (-15, 16)), (1, (-4, 9)), (-1, (-8, 3))) for m in range(*ends)
    ]
    rows = [row for row in rows if row != (0, 0) and rng.random() < 0.8]
    xy = CENTRE + np.array(rows) @ np.array([a, b]) + rng.normal(0, 0.12, (len(rows), 2))
    foreign = rng.uniform(20, 230, (400, 2)) - CENTRE
    away = foreign @ np.linalg.inv([a, b])
    foreign = CENTRE + foreign[np.abs(away[:, 1] - np.round(away[:, 1])) > 0.1]
    foreign = foreign[: round(share * len(xy))]
    order = rng.permutation(len(xy) + len(foreign))
    found = mark_zonal(np.concatenate([xy, foreign])[order], CENTRE, 1.5)
    assert np.mean(found.zonal == (order < len(xy))) > 0.95
    area = abs(np.linalg.det(np.array([a, b])))
    assert abs(np.linalg.det(found.basis)) == pytest.approx(area, rel=0.02)


def laue_zones(tilt: tuple[float, float], width: float) -> tuple[np.ndarray, np.ndarray]:
    """Spots of three Laue zones that fall on the same nodes, and the number of their zone.

    The distance of a node from the Ewald sphere is a quadratic function of its place, the planes
    of the zones are one apart, and a spot is seen within a width of its plane.
    """
    nodes, _ = net()
    away = (nodes - CENTRE) / 110
    f = 0.9 * (away**2).sum(axis=1) + away @ np.array(tilt)
    zone = np.round(f).astype(int)
    seen = (np.abs(f - zone) < width) & (np.abs(zone) <= 1)
    return nodes[seen], zone[seen]


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.5, 0.4), (-1.0, 0.2)])
def test_spots_of_higher_laue_zones_are_not_of_the_zone_though_they_lie_on_its_net(
    tilt: tuple[float, float],
) -> None:
    xy, zone = laue_zones(tilt, 0.3)
    assert 0.2 < np.mean(zone == 0) < 0.9
    xy = xy + np.random.default_rng(3).normal(0, 0.15, xy.shape)
    found = mark_zonal(xy, CENTRE, 1.5)
    assert np.mean(found.zonal == (zone == 0)) > 0.95


@pytest.mark.parametrize("tilt", [(0.0, 0.0), (0.5, 0.4), (-1.0, 0.2)])
def test_a_zone_alone_stays_whole(tilt: tuple[float, float]) -> None:
    xy, zone = laue_zones(tilt, 0.5)
    rng = np.random.default_rng(3)
    for share in (0.3, 0.6, 1.0):
        some = (zone == 0) & (rng.random(len(xy)) < share)
        found = mark_zonal(xy[some] + rng.normal(0, 0.15, (some.sum(), 2)), CENTRE, 1.5)
        assert found.zonal.mean() > 0.97


@pytest.mark.parametrize("kind", ["superstructure", "shells", "every spot three times"])
def test_a_zone_with_weak_reflections_stays_whole(kind: str) -> None:
    """Rows or shells of which few spots are seen are no gaps between Laue zones."""
    whole = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        nodes, steps = net()
        seen = np.full(len(nodes), 0.6)
        if kind == "superstructure":
            seen = np.where(steps[:, 1] % 3 == 0, 0.9, 0.25)
        elif kind == "shells":
            radius = np.hypot(*(nodes - CENTRE).T)
            seen = 0.2 + 0.7 * (np.cos(rng.uniform(0.05, 0.12) * radius) > 0)
        xy = nodes[rng.random(len(nodes)) < seen]
        if kind == "every spot three times":
            xy = np.repeat(xy, 3, axis=0)
        found = mark_zonal(xy + rng.normal(0, 0.15, xy.shape), CENTRE, 1.5)
        whole += found.zonal.mean() > 0.95
    assert whole >= 19


@pytest.mark.parametrize("n", [14, 60])
def test_a_single_row_and_two_places_are_no_net(n: int) -> None:
    rng = np.random.default_rng(1)
    row = np.array(CENTRE) + (20, 30) + np.arange(n)[:, None] * np.array([2.1, 6.3]) / n * 14
    two = np.array(CENTRE) + np.array([(40.0, 10.0), (-30.0, 25.0)])[rng.integers(2, size=n)]
    for xy in (row, two + rng.normal(0, 0.1, two.shape), np.full((n, 2), 7.0)):
        assert not mark_zonal(xy, CENTRE, 1.5).basis.any()


def test_a_place_that_is_no_number_is_not_zonal() -> None:
    nodes = net()[0]
    nodes[3], nodes[8, 0] = np.nan, np.inf
    found = mark_zonal(nodes, CENTRE, 1.5)
    assert not found.zonal[[3, 8]].any()
    assert found.zonal.sum() == len(nodes) - 2
    assert not mark_zonal(net()[0], (np.nan, 3.0), 1.5).zonal.any()


def test_hybrids_of_the_simulation_are_told_spot_by_spot() -> None:
    """A spot is of the zone where its indices say so: h u + k v + l w = 0."""
    stack = finish(simulate_spots([UnitCell(6.1, 7.4, 9.0, 83, 78, 85)], orientations=600, seed=9))
    labels = stack.labels
    some = labels["zone_fraction"].between(0.5, 0.99) & (labels["n_spots"] >= 20)
    right = []
    for number in labels["index"][some][:30]:
        spots = stack.spots[(stack.spots["pattern"] == number) & stack.spots["visible"]]
        axis = labels.loc[number, ["u", "v", "w"]].to_numpy(int)
        truth = spots[["h", "k", "l"]].to_numpy() @ axis == 0
        found = mark_zonal(spots[["x", "y"]].to_numpy(), stack.geometry.centre, 1.5)
        right.append(np.mean(found.zonal == truth))
    assert len(right) >= 10
    assert np.mean(right) > 0.95
