"""Train a model from a recipe."""

from __future__ import annotations

from pathlib import Path

from napari_diffraction.cli.manners import Interrupted, with_bar
from napari_diffraction.progress import Progress


def train_model(
    recipe: Path,
    output: Path,
    *,
    resume: bool = False,
    workers: int | None = None,
    minutes: float | None = None,
) -> str:
    """Train a model and say where it is; after each epoch, say how good it is so far.

    Parameters
    ----------
    recipe
        TOML file, see `napari_diffraction.learning.recipe`.
    output
        The model file.
    resume
        Go on from the checkpoint of an interrupted training.
    workers
        Processes that simulate; by default one per core.
    minutes
        Greatest time of a zone classifier's simulation, or of a Bravais classifier's training.

    Returns
    -------
    str
        A sentence for the terminal.

    Raises
    ------
    InputError
        The recipe or the checkpoint cannot be used, or the output cannot be written.
    Interrupted
        Ctrl-C was pressed.
    """
    from tqdm import tqdm

    from napari_diffraction.learning.phases_recipe import PhasesRecipe
    from napari_diffraction.learning.recipe import read_recipe
    from napari_diffraction.learning.training import train
    from napari_diffraction.learning.zone_training import TrainProgress

    made_by = read_recipe(recipe)
    quick = isinstance(made_by, PhasesRecipe)
    said, last = 0.0, ""

    def tell(step: Progress) -> None:
        nonlocal said, last
        if quick and not last:  # how long it will take
            tqdm.write(f"{step.message}.")
        last = step.message
        # The score is new once an epoch.
        if isinstance(step, TrainProgress) and step.score == step.score != said:
            said = step.score
            share = f"{step.done / step.total:.0%} of the training"
            tqdm.write(f"After {share}: loss {step.loss:.3f}, average precision {said:.3f}")

    try:
        work = train(made_by, output, resume, workers, minutes)
        with_bar(work, tell, unit="step")
    except KeyboardInterrupt as stop:
        if quick:
            raise Interrupted("Stopped; nothing is kept.") from stop
        raise Interrupted(
            f"Stopped. What was simulated and the last checkpoint are kept in {output}.work: the "
            "same command with --resume goes on from there."
        ) from stop
    verdict = f"{last}.\n" if quick else ""
    return (
        f"{verdict}{output}: the model; use it with classify --model {output}, check it with "
        "evaluate."
    )
