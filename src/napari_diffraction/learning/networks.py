"""The networks that a model file may name."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from napari_diffraction.learning.zone_network import ZoneNetwork

#: Name on the card, and what builds the network from the card's options.
NETWORKS: dict[str, Callable[..., nn.Module]] = {"zones": ZoneNetwork}
