"""Where the training of a picture network stands, and its checkpoint on disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.networks.triton import without_triton
from napari_diffraction.learning.pictures.recipe import PicturesRecipe

#: What of the state a checkpoint holds besides network and optimiser.
_PLAIN = (
    "fold",
    "epoch",
    "step",
    "running",
    "waited",
    "fold_best",
    "best",
    "best_epoch",
    "history",
)


@dataclass
class State:
    """A training under way.

    Attributes
    ----------
    network, optimiser
        What learns, and how.
    fold
        Number of the fold, counted from 0.
    epoch, step
        Epochs that are finished, and steps of the present one.
    running
        Sum of the loss over these steps.
    waited
        Epochs since the validation loss fell.
    fold_best, best
        Least validation loss of the fold, and of the whole training.
    best_epoch
        The epoch, counted from 1, whose model is kept.
    history
        Of each epoch: fold, loss, validation loss, balanced accuracy, accuracy.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    fold: int = 0
    epoch: int = 0
    step: int = 0
    running: float = 0.0
    waited: int = 0
    fold_best: float = float("inf")
    best: float = float("inf")
    best_epoch: int = 0
    history: list[list[float]] = field(default_factory=list)

    def next_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch, self.step, self.running = self.epoch + 1, 0, 0.0


def make_optimiser(network: nn.Module, recipe: PicturesRecipe) -> torch.optim.Optimizer:
    """Make the optimiser that a recipe asks for."""
    with without_triton():
        kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
        return kind(network.parameters(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay)


def keep(path: Path, recipe: PicturesRecipe, state: State) -> None:
    """Write a checkpoint; the one before is replaced only when this one is complete.

    Raises
    ------
    InputError
        The disk is full, or cannot be written.
    """
    values: dict[str, Any] = {name: getattr(state, name) for name in _PLAIN}
    values["recipe"] = recipe.identity()
    values["network"] = state.network.state_dict()
    values["optimiser"] = state.optimiser.state_dict()
    try:
        # Through a file of Python, whose errors name their reason.
        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(values, file)
    except InputError as error:
        raise InputError(
            f"{error} The checkpoint before is untouched: go on with --resume."
        ) from error


def take_up(path: Path, recipe: PicturesRecipe, state: State) -> None:
    """Bring a training to where a checkpoint was written.

    Raises
    ------
    InputError
        It is damaged, or of another recipe.
    """
    try:
        kept = torch.load(path, weights_only=True, map_location="cpu")
        same = kept["recipe"] == recipe.identity()
        if same:
            state.network.load_state_dict(kept["network"])
            state.optimiser.load_state_dict(kept["optimiser"])
            for name in _PLAIN:
                setattr(state, name, kept[name])
    except Exception as error:
        raise InputError(f"{path} is damaged: train without --resume.") from error
    if not same:
        raise InputError(
            f"{path} is of another recipe: train without --resume, or take the recipe it began "
            "with."
        )
