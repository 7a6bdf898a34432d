"""Train a model from a recipe."""

from __future__ import annotations

from pathlib import Path

from napari_diffraction.cli.terminal import Interrupted, with_bar
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.progress import Progress, finish


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
        TOML file, see `napari_diffraction.learning.training.recipe`.
    output
        The model file.
    resume
        Go on from the checkpoint of an interrupted training.
    workers
        Processes that simulate; by default one per core.
    minutes
        Greatest time of a zone classifier's simulation, or of another's training.

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
    from napari_diffraction.learning.phases.recipe import PhasesRecipe
    from napari_diffraction.learning.training.recipe import read_recipe

    made_by = read_recipe(recipe)
    # these take seconds, which a bad recipe need not wait for
    from napari_diffraction.learning.runs.distributed import is_first
    from napari_diffraction.learning.training.run import train
    from napari_diffraction.review.given_labels import given_labels

    quick = isinstance(made_by, PhasesRecipe)
    said = _Said(quick)
    try:
        work = train(made_by, output, resume, workers, minutes, given_labels)
        if not is_first():  # of the processes that torchrun started, one speaks
            finish(work)
            return ""
        with_bar(work, said.tell, unit="step")
    except KeyboardInterrupt as stop:
        if quick:
            raise Interrupted("Stopped; nothing is kept.") from stop
        best = f"The best model so far, of epoch {said.best}, is {output}. " if said.best else ""
        raise Interrupted(
            f"Stopped. {best}Patterns and the last checkpoint are kept in {output}.work: the "
            "same command with --resume goes on from there."
        ) from stop
    verdict = f"{said.last}.\n" if quick else ""
    return (
        f"{verdict}{output}: the model; use it with classify --model {output}, check it with "
        "evaluate."
    )


class _Said:
    """Says what is new in the progress of a training, above the bar."""

    def __init__(self, quick: bool) -> None:
        self.quick = quick
        self.last = ""
        self.best = 0
        self._epoch: tuple[int, int] = (0, 0)

    def tell(self, step: Progress) -> None:
        """Say how long it will take, and how good the model is after each epoch."""
        from tqdm import tqdm

        if self.quick and not self.last:
            tqdm.write(f"{step.message}.")
        self.last = step.message
        self._tell_epoch(step)

    def _tell_epoch(self, step: Progress) -> None:
        from tqdm import tqdm

        if not isinstance(step, Epoch):
            return
        self.best = step.best_epoch
        if step.epoch and (step.fold, step.epoch) != self._epoch:
            self._epoch = (step.fold, step.epoch)
            figures = _figures(step)
            if figures:
                tqdm.write(f"After {_where(step)}: {figures}")


def _where(step: Epoch) -> str:
    return f"fold {step.fold + 1}, epoch {step.epoch}" if step.fold else f"epoch {step.epoch}"


def _figures(step: Epoch) -> str:
    """Say how good the network was at the end of an epoch, as far as it is known."""
    figures = {
        "loss": step.loss,
        "on patterns held back": step.validation_loss,
        "balanced accuracy": step.balanced_accuracy,
        "average precision": step.average_precision,
    }
    return ", ".join(f"{name} {value:.3f}" for name, value in figures.items() if value == value)
