"""The card of a model: what it is, what it knows, and how it looks at patterns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

#: Version of the card; files of a later one are refused.
CARD_VERSION = 1


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model.

    Attributes
    ----------
    name, title, summary
        Short name, heading and one sentence on what the model knows and for what it was trained.
    network
        Name of the network's architecture.
    classes
        In the order of the outputs.
    options
        Arguments of the architecture.
    scale, bias
        Calibration, see `napari_diffraction.learning.models.calibration.calibrate`.
    shares
        Shares of the classes at which the calibration holds.
    recipe
        The recipe with its seed.
    figures
        Measured figures, by name.
    preprocessing
        How patterns are prepared for the network.
    version
        Version of the card.
    path
        The file; not part of it.
    """

    name: str
    title: str
    summary: str
    network: str
    classes: tuple[str, ...]
    options: dict[str, Any]
    scale: float
    bias: tuple[float, ...]
    shares: dict[str, float]
    recipe: dict[str, Any]
    figures: dict[str, Any] = field(default_factory=dict)
    preprocessing: dict[str, Any] = field(default_factory=dict)
    version: int = CARD_VERSION
    path: str = ""
