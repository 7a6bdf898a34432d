from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from napari_diffraction.indexing.spot_net.fit import FEATURES, NetFit, fit_net
from napari_diffraction.patterns.spots.flatten import FlatFrame
from napari_diffraction.patterns.spots.peaks import Peaks

FRAME = 256


def fit(position: np.ndarray, centre: np.ndarray | None = None) -> NetFit:
    centre = np.full(2, (FRAME - 1) / 2) if centre is None else centre
    flat = FlatFrame(np.zeros((FRAME, FRAME), np.float32), 1, False, False, 0.0)
    height = np.full(len(position), 50, np.float32)
    return fit_net(
        Peaks(
            np.asarray(position, np.float32).reshape(-1, 2), height, 2.0,
            (float(centre[0]), float(centre[1])), 3.0, flat, flat.signal,
        )
    )  # fmt: skip


def reduced(basis: np.ndarray) -> np.ndarray:
    """Gauss reduction, written apart from the one that is tested."""
    a, b = sorted(np.array(basis, float), key=np.linalg.norm)
    while True:
        b = b - np.round(a @ b / (a @ a)) * a
        if b @ b >= a @ a - 1e-9:
            return np.array([a, b])
        a, b = b, a


class Net:
    """Nodes of a net within 110 pixels of its origin, some of them missing, none exact."""

    def __init__(
        self, short: float, aspect: float = 1.4, angle: float = 80.0, turn: float = 20.0,
        missing: float = 0.2, error: float = 0.1, shift: tuple[float, float] = (0, 0),
        seed: int = 0,
    ) -> None:  # fmt: skip
        rng = np.random.default_rng(seed)
        first, second = np.radians([turn, turn + angle])
        self.basis = np.array(
            [
                [short * np.cos(first), short * np.sin(first)],
                [short * aspect * np.cos(second), short * aspect * np.sin(second)],
            ]
        )
        self.origin = np.array([127.5, 127.5]) + shift
        steps = np.stack(np.meshgrid(np.arange(-40, 41), np.arange(-40, 41)), -1).reshape(-1, 2)
        nodes = steps @ self.basis
        radius = np.linalg.norm(nodes, axis=1)
        nodes = nodes[(radius > 1) & (radius < 110)]
        nodes = nodes[rng.uniform(size=len(nodes)) >= missing]
        self.position = self.origin + nodes + rng.normal(0, error, nodes.shape)

    def distance(self, position: np.ndarray) -> np.ndarray:
        """Distance to the nearest node in pixels; exact for a reduced basis."""
        step = (position - self.origin) @ np.linalg.inv(self.basis)
        return np.linalg.norm((step - np.round(step)) @ self.basis, axis=1)


nets = st.builds(
    Net,
    short=st.floats(9, 24),
    aspect=st.floats(1, 2),
    angle=st.floats(62, 118),
    turn=st.floats(0, 360),
    missing=st.floats(0, 0.4),
    error=st.floats(0, 0.25),
    shift=st.tuples(st.floats(-6, 6), st.floats(-6, 6)),
    seed=st.integers(0, 1000),
)


@given(net=nets)
@example(net=Net(12.0, 1.0, 90.0, 0.0, missing=0.0, error=0.0))  # a square, along the pixels
@example(net=Net(12.0, 1.0, 60.0, 0.0, missing=0.0, error=0.0))  # hexagonal
@settings(max_examples=40, deadline=None, derandomize=True)
def test_the_reduced_basis_is_found(net: Net) -> None:
    assume(len(net.position) >= 25)
    found = fit(net.position, net.origin)
    wanted = reduced(net.basis)
    # Where two bases are equally short, lengths and area are still the same.
    np.testing.assert_allclose(
        np.linalg.norm(found.basis, axis=1), np.linalg.norm(wanted, axis=1), atol=0.25
    )
    assert abs(np.linalg.det(found.basis)) == pytest.approx(abs(np.linalg.det(wanted)), rel=0.02)
    # Every vector of the net is a whole number of steps of the basis that was found.
    steps = wanted @ np.linalg.inv(found.basis)
    np.testing.assert_allclose(steps, np.round(steps), atol=0.03)
    assert net.distance(found.origin[None])[0] < 0.5
    assert found["on_net"] > 0.95
    assert found["origin_distance"] < 1
    lengths = np.linalg.norm(found.basis, axis=1)
    assert lengths[0] <= lengths[1] + 1e-9
    assert -1e-6 <= found.basis[0] @ found.basis[1] <= 0.5 * lengths[0] ** 2 + 1e-6


@given(net=nets, share=st.floats(0.05, 0.3), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_spots_on_and_off_the_net_are_told_apart(net: Net, share: float, seed: int) -> None:
    short = np.linalg.norm(reduced(net.basis)[0])
    assume(len(net.position) >= 25)
    assume(short > 11)
    rng = np.random.default_rng(seed)
    foreign = rng.uniform(20, 236, (2000, 2))
    foreign = foreign[net.distance(foreign) > max(3.0, 0.25 * short)]
    foreign = foreign[: int(share * len(net.position))]
    order = rng.permutation(len(net.position) + len(foreign))
    position = np.concatenate([net.position, foreign])[order][:240]
    truth = (order < len(net.position))[:240]
    assert np.mean(fit(position, net.origin).on_net == truth) > 0.97


@given(net=nets, seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None, derandomize=True)
def test_a_net_that_is_jittered_is_no_net(net: Net, seed: int) -> None:
    assume(len(net.position) >= 40)
    reach = 0.4 * np.linalg.norm(reduced(net.basis)[0])
    assume(reach > 4)
    rng = np.random.default_rng(seed)
    jittered = net.position + rng.uniform(-reach, reach, net.position.shape)
    assert fit(jittered, net.origin)["on_net"] < 0.4


def test_half_a_net_that_is_shifted_is_off_the_net() -> None:
    net = Net(16.0)
    shifted = net.position.copy()
    outer = np.linalg.norm(shifted - net.origin, axis=1) > 75
    shifted[outer] += 0.4 * net.basis[0]
    found = fit(shifted, net.origin)
    assert found["on_net"] == pytest.approx(max(outer.mean(), 1 - outer.mean()), abs=0.05)
    # The rest repeats the same net with another origin, as a further Laue zone does.
    assert found["rest_same_net"] > 0.3


def test_two_nets_are_two_nets() -> None:
    one = Net(15.0)
    other = Net(17.0, 1.2, 95.0, 50.0, seed=1)
    found = fit(np.concatenate([one.position, other.position]), one.origin)
    assert found["on_net"] < 0.75
    assert found["rest_other_net"] > 0.25
    assert found["rest_other_net"] > found["rest_same_net"]
    assert fit(one.position, one.origin)["rest_other_net"] == 0


def test_turning_and_moving_a_pattern_changes_nothing() -> None:
    net = Net(14.0, missing=0.3)
    before = fit(net.position, net.origin)
    for angle in (0.3, 1.0, 2.5):
        c, s = np.cos(angle), np.sin(angle)
        turn = np.array([[c, s], [-s, c]])
        origin = net.origin + np.array([2.3, -1.2])
        after = fit((net.position - net.origin) @ turn + origin, origin)
        np.testing.assert_allclose(after.features, before.features, atol=0.1)
        np.testing.assert_array_equal(after.on_net, before.on_net)


def test_a_fine_net_is_not_found_in_chance() -> None:
    rng = np.random.default_rng(0)
    shares = [fit(rng.uniform(20, 236, (120, 2)))["on_net"] for _ in range(10)]
    assert max(shares) < 0.35


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 8])
def test_few_spots_give_finite_features(n: int) -> None:
    found = fit(np.random.default_rng(n).uniform(20, 236, (n, 2)))
    assert found.features.shape == (len(FEATURES),)
    assert np.isfinite(found.features).all()
    assert found.on_net.shape == (n,)
    if n < 4:
        assert not found.basis.any()


@pytest.mark.parametrize("angle", [0.0, 0.7, 1.5708])
def test_spots_on_one_line_are_no_net(angle: float) -> None:
    steps = np.arange(-8, 9)[:, None] * 12.0
    line = 127.5 + steps * [[np.cos(angle), np.sin(angle)]]
    found = fit(line)
    assert np.isfinite(found.features).all()
    assert not found.basis.any()
    assert not found.on_net.any()


def test_spots_at_the_same_place_give_finite_features() -> None:
    found = fit(np.full((30, 2), 100.0))
    assert np.isfinite(found.features).all()
    assert np.isfinite(fit(np.full((30, 2), 127.5)).features).all()


def test_only_the_strongest_spots_of_very_many_are_used() -> None:
    net = Net(7.0, missing=0.0)
    assert len(net.position) > 400
    found = fit(net.position, net.origin)
    assert found.on_net.shape == (len(net.position),)
    assert found.on_net[:240].mean() > 0.95
    assert not found.on_net[240:].any()
