"""The network that compares bands: what it must not see, and what drawing must not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from napari_diffraction.learning.networks.band_network import BandNetwork, _angles

Inputs = tuple[torch.Tensor, ...]


@pytest.fixture(scope="module")
def network() -> BandNetwork:
    torch.manual_seed(0)
    return BandNetwork(15, width=24, depth=2, heads=3).eval()


def some(seed: int = 0, n: int = 3, k: int = 7) -> Inputs:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(n, k, 3))
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    values = (normal, rng.uniform(1, 9, (n, k)), rng.normal(size=(n, k, 25)))
    inputs = [torch.tensor(v, dtype=torch.float32) for v in values]
    area = torch.tensor(rng.uniform(0, 40, (n, k, 7)), dtype=torch.float32)
    return (*inputs, area, torch.full((n,), k))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_it_cannot_see_how_the_crystal_lies(network: BandNetwork, seed: int) -> None:
    normal, *rest = some(seed)
    turn = torch.tensor(Rotation.random(rng=seed).as_matrix(), dtype=torch.float32)
    sign = torch.tensor(np.random.default_rng(seed).choice([-1.0, 1.0], (3, 7, 1))).float()
    with torch.inference_mode():
        one = network(normal, *rest)["lattice"]
        two = network(sign * (normal @ turn.T), *rest)["lattice"]
    torch.testing.assert_close(one, two, atol=2e-3, rtol=2e-3)


def test_the_order_of_the_bands_means_nothing_and_what_is_not_there_counts_for_nothing(
    network: BandNetwork,
) -> None:
    normal, strength, profile, area, _ = some()
    count = torch.tensor([7, 4, 1])
    order = torch.tensor([3, 1, 0, 2, 4, 5, 6])
    junk = [value.clone() for value in (normal, strength, profile, area)]
    for value in junk:
        value[1, 4:] = value[0, :3]
    with torch.inference_mode():
        usual = network(normal, strength, profile, area, count)["lattice"]
        mixed = network(*(v[:, order] for v in (normal, strength, profile, area)), count)["lattice"]
        other = network(*junk, count)["lattice"]
    torch.testing.assert_close(mixed[:2], usual[:2], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(other[1], usual[1], atol=1e-4, rtol=1e-4)


def test_angles_between_bands_matter(network: BandNetwork) -> None:
    normal, *rest = some()
    with torch.inference_mode():
        assert not torch.allclose(
            network(normal, *rest)["lattice"], network(normal.flip(0), *rest)["lattice"], atol=1e-3
        )


def test_drawing_what_the_bands_say_changes_nothing(network: BandNetwork) -> None:
    inputs = some()
    place = torch.rand(3, 7, 9, 9)
    place /= place.sum(dim=(2, 3), keepdim=True)
    with torch.inference_mode():
        plain, drawn = network(*inputs), network(*inputs, place)
    torch.testing.assert_close(plain["lattice"], drawn["lattice"], atol=1e-4, rtol=1e-4)


def test_a_pattern_without_any_band_gets_an_answer(network: BandNetwork) -> None:
    normal, strength, profile, area, _ = some()
    with torch.inference_mode():
        out = network(0 * normal, 0 * strength, 0 * profile, 0 * area, torch.zeros(3).long())
    assert torch.isfinite(out["lattice"]).all()


def test_no_angle_is_described_by_numbers_that_slow_the_processor() -> None:
    normal, *_ = some(n=40)
    told = _angles(normal).abs()
    assert not ((told > 0) & (told < torch.finfo(torch.float32).tiny)).any()
