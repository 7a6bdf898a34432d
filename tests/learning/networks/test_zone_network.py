"""The network of the zone classifier."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_diffraction.learning.classes import LAUE, NO_HIT, ZONE_CLASSES
from napari_diffraction.learning.networks.zone_network import ZoneNetwork
from napari_diffraction.learning.networks.zone_view import N_FEATURES


@pytest.mark.parametrize(
    ("spots", "lean", "least"), [(0, LAUE, 0.9), (2, LAUE, 0.9), (0, NO_HIT, 0.99), (3, LAUE, 0.0)]
)
def test_a_pattern_without_spots_is_no_hit_whatever_its_rings_look_like(
    spots: int, lean: str, least: float
) -> None:
    network = ZoneNetwork(N_FEATURES, len(ZONE_CLASSES), 2, calibrated=True).eval()
    network.bias[0, ZONE_CLASSES.index(lean)] = 8.0
    features = torch.zeros((1, N_FEATURES))
    features[:, 0] = np.log1p(spots)
    with torch.inference_mode():
        out = network(
            torch.zeros((1, 2, 128, 128), dtype=torch.uint8),
            torch.zeros((1, 64, 64), dtype=torch.uint8),
            features,
        )
    p = torch.softmax(out["joint"], 1)[0, ZONE_CLASSES.index(NO_HIT)]
    assert p >= least - 1e-6
    assert (p > 0.5) == (least > 0)


@pytest.mark.parametrize(("name", "stays"), [(NO_HIT, True), (LAUE, False)])
def test_the_rule_of_few_spots_ends_where_a_person_says_otherwise(name: str, stays: bool) -> None:
    network = ZoneNetwork(N_FEATURES, len(ZONE_CLASSES), 2, calibrated=True).eval()
    looked = torch.zeros((2, 40 + N_FEATURES))
    looked[1, 40] = np.log1p(30)  # a Laue pattern of many spots says nothing of it
    label = torch.tensor([ZONE_CLASSES.index(name), ZONE_CLASSES.index(LAUE)])
    assert network.heed(looked, label) == {"few_are_no_hits": stays}
    again = ZoneNetwork(N_FEATURES, len(ZONE_CLASSES), 2, True, network.few_are_no_hits).eval()
    for one in (network, again):
        one.bias[0, ZONE_CLASSES.index(LAUE)] = 8.0
        with torch.inference_mode():
            p = torch.softmax(one.judge(looked)["joint"], 1)[0, ZONE_CLASSES.index(NO_HIT)]
        assert (p > 0.5) == stays
