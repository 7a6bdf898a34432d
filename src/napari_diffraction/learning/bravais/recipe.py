"""The recipe of the Bravais classifier."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pydantic.dataclasses import dataclass

from napari_diffraction.errors import InputError
from napari_diffraction.learning.settings import (
    STRICT,
    BatchSize,
    Count,
    CountOrNone,
    Positive,
    Seed,
)

#: Patterns in a shard.
SHARD = 16_384


@dataclass(frozen=True, config=STRICT)
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
    parts
        How often there is a second part, every time with other structures and from where the one
        before ended; the model is the mean of the weights after each.
    width, depth, heads
        Of `napari_diffraction.learning.networks.band_network.BandNetwork`.
    """

    name: str = "bravais"
    title: str = "Bravais lattices of Kikuchi patterns"
    summary: str = "Names the Bravais lattice of a Kikuchi pattern without a phase list."
    seed: Seed = 1
    structures: Count = 98_000
    rounds: Count = 40
    fresh: Count = 3
    again: CountOrNone = 5
    batch_size: BatchSize = 128
    learning_rate: Positive = 2e-3
    weight_decay: Positive = 0.05
    masters: CountOrNone = 0
    symmetric: CountOrNone = 0
    many_beam: Count = 8
    refined: Count = 2
    mixed: Count = 4
    refining_rate: Positive = 5e-4
    parts: Count = 1
    width: Count = 96
    depth: Count = 3
    heads: Count = 6

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise InputError(
                f"width is {self.width} and heads is {self.heads}: take a width that is a multiple "
                "of heads."
            )
        rounds = [self.fresh] + ([2 * min(self.mixed, self.many_beam)] if self.masters else [])
        most = min(rounds) * SHARD
        if self.batch_size > most:
            raise InputError(
                f"batch_size is {self.batch_size}, and a round has only {most} patterns: lower it, "
                "or raise fresh, mixed and many_beam."
            )

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for the model's card and for checkpoints."""
        return asdict(self)
