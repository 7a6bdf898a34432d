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
