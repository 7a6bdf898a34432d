"""The recipe of the Bravais classifier."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class BravaisRecipe:
    """How a Bravais classifier is made.

    Attributes
    ----------
    name, title, summary
        What the model list shows.
    seed
        Seed of structures, patterns and weights.
    structures
        Number of random structures to train on.
    rounds
        Rounds of the training; the learning rate falls over them all.
    fresh, again
        Shards of 16,384 patterns that are new in a round, and those of earlier rounds that are
        taken again.
    batch_size, learning_rate, weight_decay
        Of AdamW, with a warm-up and a cosine.
    masters
        Random structures of which many-beam master patterns are computed, which needs ebsdsim; 0
        leaves the second part of the training out.
    symmetric
        Random structures of tetragonal, hexagonal and cubic lattices of which master patterns are
        computed beside those.
    many_beam
        Shards of patterns that are projected from them.
    refined, mixed, refining_rate
        Rounds of the second part, shards of each kind in a round, many-beam and two-beam ones, and
        its learning rate.
    width, depth, heads
        Of `napari_diffraction.learning.networks.band_network.BandNetwork`.
    """

    name: str = "bravais"
    title: str = "Bravais lattices of Kikuchi patterns"
    summary: str = "Names the Bravais lattice of a Kikuchi pattern without a phase list."
    seed: int = 1
    structures: int = 98_000
    rounds: int = 40
    fresh: int = 3
    again: int = 5
    batch_size: int = 128
    learning_rate: float = 2e-3
    weight_decay: float = 0.05
    masters: int = 0
    symmetric: int = 0
    many_beam: int = 8
    refined: int = 2
    mixed: int = 4
    refining_rate: float = 5e-4
    width: int = 96
    depth: int = 3
    heads: int = 6

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for the model's card and for checkpoints."""
        return asdict(self)
