"""The recipe of the zone classifier."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic.dataclasses import dataclass

from napari_diffraction.learning.settings import STRICT, BatchSize, Count, Positive, Seed, Share


@dataclass(frozen=True, config=STRICT)
class ZoneRecipe:
    """How a zone classifier is made.

    Attributes
    ----------
    name, title, summary
        What the model list shows; the summary is one sentence: what it knows, for what it is.
    seed
        Seed of the simulated patterns, of the weights and of the order of training.
    patterns, validation
        Number of simulated patterns to train on and to calibrate on; their unit cells differ.
    clean
        Share of unit cells whose patterns are clean.
    epochs, batch_size, learning_rate, weight_decay
        Of AdamW with a one-cycle schedule (Smith 2018).
    width
        Channels of the network's first stage.
    start
        Name or file of a model whose weights the training starts from; empty: random ones.
    """

    name: str = "zones"
    title: str = "Zones in serial electron diffraction"
    summary: str = "Sorts spot patterns into zones, Laue patterns, no-hits and several crystals."
    seed: Seed = 1
    patterns: Count = 100_000
    validation: Count = 16_000
    clean: Share = 0.35
    epochs: Count = 8
    batch_size: BatchSize = 128
    learning_rate: Positive = 3e-3
    weight_decay: Positive = 0.02
    width: Count = 16
    start: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for the model's card."""
        return asdict(self)
