"""Where the training of a picture network stands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import nn

from napari_diffraction.learning.networks.triton import without_triton
from napari_diffraction.learning.pictures.recipe import PicturesRecipe
from napari_diffraction.learning.runs.learner import Learner


@dataclass
class PictureLearner(Learner):
    """A training of a network that sees pictures.

    Attributes
    ----------
    fold
        Number of the fold, counted from 0.
    waited
        Epochs since the validation loss fell.
    fold_best, best
        Least validation loss of the fold, and of the whole training.
    best_epoch
        The epoch, counted from 1, whose model is kept.
    history
        Of each epoch: fold, loss, validation loss, balanced accuracy, accuracy.
    """

    fold: int = 0
    waited: int = 0
    fold_best: float = float("inf")
    best: float = float("inf")
    best_epoch: int = 0
    history: list[list[float]] = field(default_factory=list)

    KEPT: ClassVar[tuple[str, ...]] = (
        *Learner.KEPT,
        *("fold", "waited", "fold_best", "best", "best_epoch", "history"),
    )


def make_optimiser(network: nn.Module, recipe: PicturesRecipe) -> torch.optim.Optimizer:
    """Make the optimiser that a recipe asks for."""
    with without_triton():
        kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
        return kind(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
