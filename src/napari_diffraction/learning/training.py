"""Train the model that a recipe describes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

from napari_diffraction.learning.phases_recipe import PhasesRecipe
from napari_diffraction.learning.recipe import BravaisRecipe
from napari_diffraction.progress import Progress


def train(
    recipe: Any,
    output: Path,
    resume: bool = False,
    workers: int | None = None,
    minutes: float | None = None,
) -> Generator[Progress, None, Path]:
    """Simulate, train, calibrate and save.

    Parameters
    ----------
    recipe
        From `napari_diffraction.learning.recipe.read_recipe`.
    output
        Name of the model file, ``.safetensors``.
    resume
        Go on where an earlier training with the same recipe and output stopped; a classifier of
        a few phases, which takes minutes, is begun anew.
    workers
        Processes that simulate; by default as many as the cores allow.
    minutes
        Greatest time of a zone classifier's simulation, or of another's training.

    Raises
    ------
    InputError
        The output cannot be written, or the checkpoint is of another recipe.
    """
    if minutes and isinstance(recipe, BravaisRecipe | PhasesRecipe):
        recipe = replace(recipe, minutes=minutes)
    if isinstance(recipe, PhasesRecipe):
        from napari_diffraction.learning.phases_training import train_phases

        return train_phases(recipe, output, workers)
    if isinstance(recipe, BravaisRecipe):
        from napari_diffraction.learning.bravais_training import train_bravais

        return train_bravais(recipe, output, resume, workers or 1)
    from napari_diffraction.learning.zone_training import train_zones

    return train_zones(recipe, output, resume, workers, minutes)
