"""Train the model that a recipe describes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais.recipe import BravaisRecipe
from napari_diffraction.learning.labels.labelled import Reviewed
from napari_diffraction.learning.phases.recipe import PhasesRecipe
from napari_diffraction.learning.pictures.recipe import PicturesRecipe
from napari_diffraction.progress import Progress


def train(
    recipe: Any,
    output: Path,
    resume: bool = False,
    workers: int | None = None,
    minutes: float | None = None,
    reviewed: Reviewed | None = None,
) -> Generator[Progress, None, Path]:
    """Simulate, train, calibrate and save.

    Parameters
    ----------
    recipe
        From `napari_diffraction.learning.training.recipe.read_recipe`.
    output
        Name of the model file, ``.safetensors``.
    resume
        Go on where an earlier training with the same recipe and output stopped; a classifier of
        a few phases, which takes minutes, is begun anew.
    workers
        Processes that simulate; by default as many as the cores allow.
    minutes
        Greatest time of a zone classifier's simulation, or of the training of a few phases.
    reviewed
        Finds what was decided in the review of a stack, for recipes that name one.

    Raises
    ------
    InputError
        The output cannot be written, the checkpoint is of another recipe, or training is not by
        the clock.
    """
    if minutes and isinstance(recipe, BravaisRecipe):
        raise InputError(
            f"The recipe {recipe.name} is not trained by the clock: lower rounds in it instead."
        )
    if minutes and isinstance(recipe, PhasesRecipe | PicturesRecipe):
        recipe = replace(recipe, minutes=minutes)
    if isinstance(recipe, PhasesRecipe):
        from napari_diffraction.learning.phases.training import train_phases

        return train_phases(recipe, output, workers)
    if isinstance(recipe, PicturesRecipe):
        from napari_diffraction.learning.pictures.training import train_pictures

        return train_pictures(recipe, output, resume, reviewed)
    if isinstance(recipe, BravaisRecipe):
        from napari_diffraction.learning.bravais.training import train_bravais

        return train_bravais(recipe, output, resume, workers or 1)
    from napari_diffraction.learning.zones.training import train_zones

    return train_zones(recipe, output, resume, workers, minutes)
