"""The checkpoint of a training on disk; one format for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing
from napari_diffraction.learning.runs.learner import Learner


def keep(path: Path, identity: Any, learner: Learner) -> None:
    """Write a checkpoint; the one before is replaced only when this one is complete.

    Parameters
    ----------
    path
        The file.
    identity
        Plain values: all that a training which goes on from there must not differ in.
    learner
        The training.

    Raises
    ------
    InputError
        The disk is full, or cannot be written.
    """
    smooth = learner.smooth
    values: dict[str, Any] = {
        "identity": identity,
        "network": learner.network.state_dict(),
        "optimiser": learner.optimiser.state_dict(),
        "smooth": None if smooth is None else smooth.state_dict(),
        "random": torch.get_rng_state(),
        "kept": {name: getattr(learner, name) for name in learner.KEPT},
    }
    try:
        # Through a file of Python, whose errors name their reason.
        with replacing(path) as temporary, temporary.open("wb") as file:
            torch.save(values, file)
    except InputError as error:
        raise InputError(
            f"{error} The checkpoint before is untouched: go on with --resume."
        ) from error


def identity_of(path: Path) -> Any:
    """Return the identity that a checkpoint was kept with.

    Raises
    ------
    InputError
        The checkpoint is damaged.
    """
    try:
        return torch.load(path, weights_only=True, map_location="cpu")["identity"]
    except Exception as error:
        raise _damaged(path) from error


def take_up(path: Path, identity: Any, learner: Learner) -> None:
    """Bring a training to where a checkpoint was written.

    Parameters
    ----------
    path, identity, learner
        As for `keep`; the training is one that just begins.

    Raises
    ------
    InputError
        The checkpoint is damaged, or of another recipe.
    """
    try:
        found = torch.load(path, weights_only=True, map_location="cpu")
        same = found["identity"] == identity
        if same:
            learner.network.load_state_dict(found["network"])
            learner.optimiser.load_state_dict(found["optimiser"])
            if learner.smooth is not None:
                learner.smooth.load_state_dict(found["smooth"])
            learner.random = found["random"]
            for name in learner.KEPT:
                setattr(learner, name, found["kept"][name])
    except Exception as error:
        raise _damaged(path) from error
    if not same:
        raise InputError(
            f"{path} was made by another recipe: train without --resume, with another output, or "
            "with the recipe that it began with."
        )


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged: train without --resume.")
