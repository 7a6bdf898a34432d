"""A classifier that has learned nothing, for all that does not depend on what it says."""

from __future__ import annotations

from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.models.classifier import Classifier


def untrained_classifier() -> Classifier:
    import torch

    from napari_diffraction.learning.networks.zone_network import ZoneNetwork
    from napari_diffraction.learning.networks.zone_view import N_FEATURES

    torch.manual_seed(0)
    card = ModelCard(
        name="untrained",
        title="Untrained",
        summary="Knows nothing.",
        network="zones",
        classes=ZONE_CLASSES,
        options={"width": 2, "n_features": N_FEATURES},
        scale=1.5,
        bias=(0.5, -0.5, 0.25, -0.25),
        shares=dict.fromkeys(ZONE_CLASSES, 0.25),
        recipe={"seed": 3},
        figures={"recall": 0.5},
    )
    return Classifier(card, ZoneNetwork(N_FEATURES, len(ZONE_CLASSES), 2).eval())
