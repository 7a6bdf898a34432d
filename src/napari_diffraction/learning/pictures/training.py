"""Train a network on pictures: balanced batches, a split by group, and the best epoch kept.

Everything random in a step follows from the recipe's seed and the number of the step, so that a
training goes on from a checkpoint exactly as if it had never stopped.
"""

from __future__ import annotations

import copy
import hashlib
import json
import math
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_diffraction.errors import InputError
from napari_diffraction.learning.labels.labelled import Reviewed
from napari_diffraction.learning.labels.splits import Indices, kfold, split
from napari_diffraction.learning.models.device import halves_are_quick
from napari_diffraction.learning.pictures.augmentation import augmented
from napari_diffraction.learning.pictures.data import Pictures, load, prepare
from napari_diffraction.learning.pictures.model import (
    check_network,
    figures_of,
    first_network,
    let_learn,
    write_mean,
    write_model,
)
from napari_diffraction.learning.pictures.recipe import PicturesRecipe
from napari_diffraction.learning.pictures.state import PictureLearner, make_optimiser
from napari_diffraction.learning.runs.checkpoint import identity_of, take_up
from napari_diffraction.learning.runs.distributed import Ranks, joined
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.runs.loop import Epochs, train
from napari_diffraction.learning.runs.output_files import work_folder
from napari_diffraction.learning.runs.schedule import round_as_shipped
from napari_diffraction.progress import Progress


def train_pictures(
    recipe: PicturesRecipe,
    output: Path,
    resume: bool = False,
    reviewed: Reviewed | None = None,
) -> Generator[Progress, None, Path]:
    """Make pictures, train a network on them, calibrate it and save it.

    The model file is written at every epoch that is better than those before, so that whatever
    ends the training, the best one so far is kept.  Pictures and the checkpoint stay in
    ``OUTPUT.work`` until the training is over.

    Parameters
    ----------
    recipe
        What to train.
    output
        Name of the model file, ``.safetensors``.
    resume
        Go on where an earlier training with the same recipe and output stopped.
    reviewed
        Finds what was decided in the review of a stack.

    Yields
    ------
    Progress
        While pictures are made; then `Epoch`.

    Raises
    ------
    InputError
        The recipe, its data or the checkpoint cannot be used, the output cannot be written, the
        loss is not a number any more, or the memory does not suffice for a single pattern.
    """
    work = work_folder(output)
    checkpoint = work / "checkpoint.pt"
    known: frozenset[str] = frozenset()
    if not (resume and checkpoint.exists()):
        known = check_network(recipe)  # before hours go into pictures
    with joined() as ranks:
        if ranks.is_first:
            if not resume:
                checkpoint.unlink(missing_ok=True)
            pictures = yield from prepare(recipe, work, resume, reviewed, known)
            ranks.wait()
        else:
            ranks.wait()
            pictures = load(recipe, work)
        task = _Pictures(recipe, pictures, output, ranks)
        yield from task.run(checkpoint)
        ranks.wait()
        if ranks.is_first:
            shutil.rmtree(work, ignore_errors=True)
    return output


class _Pictures(Epochs[PictureLearner]):
    """The training: epochs over the pictures, for each fold anew."""

    def __init__(
        self, recipe: PicturesRecipe, pictures: Pictures, output: Path, ranks: Ranks
    ) -> None:
        self.recipe, self.pictures, self.output, self.ranks = recipe, pictures, output, ranks
        self.epochs = recipe.epochs
        self.codes = torch.from_numpy(pictures.codes)
        self.folds, warning = _folds(recipe, pictures)
        # A training must not be judged by patterns that it has learned from before it was stopped.
        parts = json.dumps([judged.tolist() for _, judged in self.folds]).encode()
        self.identity = {
            "recipe": recipe.identity(),
            "judged": hashlib.sha256(parts).hexdigest(),
        }
        self._take_fold(0)
        self.chunk = math.ceil(recipe.batch_size / ranks.count)
        self.note = " ".join([*pictures.notes, warning])
        self.model: Any = None
        self._together_for: tuple[int, bool] | None = None
        self.halves = recipe.precision == "bfloat16"
        if recipe.precision == "auto":
            self.halves = halves_are_quick(ranks.device)
        self.began = time.monotonic()

    # -- begin and end ------------------------------------------------------------------------
    def _begin(self, checkpoint: Path) -> PictureLearner:
        """Make network and optimiser, at the place of the checkpoint where there is one."""
        resumed = checkpoint.exists()
        learner = self._learner(0, fetch=not resumed)
        if resumed:
            self._check_parts(checkpoint)
            take_up(checkpoint, self.identity, learner)
            self._take_fold(min(learner.fold, len(self.folds) - 1))
        return learner

    def _check_parts(self, checkpoint: Path) -> None:
        """Refuse a checkpoint of this recipe whose training held other patterns back."""
        kept = identity_of(checkpoint)
        if not isinstance(kept, dict):  # of a version that kept the recipe alone
            kept = {"recipe": kept}
        if kept != self.identity and kept.get("recipe") == self.identity["recipe"]:
            raise InputError(
                f"{checkpoint} was made by another version of this program, which held other "
                "patterns back to judge by: delete this file and give --resume again, which "
                "learns anew from the same pictures."
            )

    def _learner(self, fold: int, fetch: bool = True) -> PictureLearner:
        recipe = self.recipe
        torch.manual_seed(recipe.seed + fold)
        network, note = first_network(recipe, self.pictures.classes, fetch)
        if not fold:
            self._say(note)
        network.to(self.ranks.device)
        optimiser = make_optimiser(network, recipe)
        return PictureLearner(network, optimiser, recipe.learning_rate, fold=fold)

    def _next_fold(self, before: PictureLearner) -> PictureLearner:
        """Begin anew with the next part of the patterns to judge by."""
        learner = self._learner(before.fold + 1)
        for name in ("best", "best_epoch", "history"):
            setattr(learner, name, getattr(before, name))
        self._take_fold(learner.fold)
        return learner

    def _take_fold(self, fold: int) -> None:
        """Learn from the patterns of a fold, and judge by the others."""
        self.learned, self.judged = self.folds[fold]
        self.steps = max(1, len(self.learned) // self.recipe.batch_size)

    def run(self, checkpoint: Path) -> Generator[Epoch, None, None]:
        """Train until the last epoch, or until nothing gets better."""
        kept = checkpoint if self.ranks.is_first else None
        learner = self._begin(checkpoint)
        yield from self._told(learner)
        self.began = time.monotonic()
        while True:
            yield from train(self, learner, kept, self.identity)
            if learner.fold + 1 >= len(self.folds) or self._is_late():
                break
            learner = self._next_fold(learner)
        if not learner.best_epoch:
            raise InputError(
                "No epoch gave a model whose loss is a number: lower learning_rate in the recipe."
            )
        if len(self.folds) > 1 and self.ranks.is_first:
            judged = sum(len(part) for _, part in self.folds[: learner.fold + 1])
            write_mean(self.pictures, learner.history, judged, self.output)

    def _told(self, learner: PictureLearner) -> Generator[Epoch, None, None]:
        """Say what is to be said, and the figures of the epochs before the checkpoint."""
        yield self._progress(learner, 0)
        for number in range(1, len(learner.history) + 1):
            yield self._progress(learner, number)

    def progress(self, learner: PictureLearner) -> Epoch:
        return self._progress(learner, len(learner.history))

    def _say(self, note: str) -> None:
        self.note = f"{self.note} {note}"

    def _new(self) -> str:
        """What there is to say and was not said before."""
        note, self.note = self.note.strip(), ""
        return note

    def _progress(self, state: PictureLearner, number: int) -> Epoch:
        """Progress with the figures of the epoch of that number in the history."""
        recipe, note = self.recipe, self._new()
        done = (state.fold * recipe.epochs + state.epoch) * self.steps + state.step
        total = len(self.folds) * recipe.epochs * self.steps
        message = f"Epoch {min(state.epoch + 1, recipe.epochs)} of {recipe.epochs}"
        if len(self.folds) > 1:
            message += f", fold {state.fold + 1} of {len(self.folds)}"
        if not number:
            return Epoch(done, total, message, best_epoch=state.best_epoch, note=note)
        fold, loss, validation_loss, balanced, _ = state.history[number - 1]
        epoch = sum(row[0] == fold for row in state.history[:number])
        return Epoch(
            *(done, total, message, epoch, int(fold), loss, validation_loss, balanced),
            best_epoch=state.best_epoch,
            note=note,
        )

    def _is_late(self) -> bool:
        minutes = self.recipe.minutes
        late = torch.tensor(float(minutes > 0 and time.monotonic() - self.began > 60 * minutes))
        return bool(self.ranks.summed(late) > 0)

    def is_over(self, learner: PictureLearner) -> bool:
        patience = self.recipe.patience
        patient = not patience or learner.waited < patience
        # A training that is late ends with a model all the same, that of its first epoch.
        ended = bool(learner.history) and (not patient or self._is_late())
        return super().is_over(learner) or ended

    # -- learn --------------------------------------------------------------------------------
    def _seed(self, learner: PictureLearner, step: int) -> int:
        """Seed of whatever is random in a step, or before the first one."""
        number = self.recipe.seed * 1009 + learner.fold * 101 + learner.epoch
        return number * 1_000_003 + step + 1

    def _order(self, learner: PictureLearner) -> Indices:
        """Patterns in the order in which an epoch learns from them."""
        generator = torch.Generator().manual_seed(self._seed(learner, -1))
        codes = self.codes[torch.from_numpy(self.learned)]
        if self.recipe.balanced:
            weight = 1 / torch.bincount(codes, minlength=len(self.pictures.classes)).double()
            drawn = torch.multinomial(weight[codes], len(codes), True, generator=generator)
        else:
            drawn = torch.randperm(len(codes), generator=generator)
        return np.asarray(self.learned[drawn.numpy()])

    def batches(self, learner: PictureLearner) -> Iterator[Indices]:
        size, order = self.recipe.batch_size, self._order(learner)
        last_layer_only = learner.epoch < self.recipe.frozen
        let_learn(learner.network, last_layer_only)
        if self._together_for != (learner.fold, last_layer_only):
            self.model = self.ranks.together(learner.network)  # settles which weights learn
            self._together_for = (learner.fold, last_layer_only)
        for step in range(learner.step, self.steps):
            yield order[step * size : (step + 1) * size]
            if self._is_late():
                return

    def backward(self, learner: PictureLearner, batch: Indices) -> float:
        """Find the gradients of a batch; return its loss, the mean over all processes."""
        torch.manual_seed(self._seed(learner, learner.step))
        mine = self.ranks.mine(batch)
        seen = augmented(self._seen(mine), self.recipe.augmentation)
        label = self.codes[torch.from_numpy(mine)].to(self.ranks.device)
        loss = self._pieces(learner, seen, label)
        return float(self.ranks.summed(torch.tensor(loss))) / self.ranks.count

    def _pieces(self, learner: PictureLearner, seen: Tensor, label: Tensor) -> float:
        """Find the gradients of a batch, in as many pieces as the memory asks for."""
        while True:
            learner.optimiser.zero_grad(set_to_none=True)
            try:
                return sum(
                    self._piece(seen[i : i + self.chunk], label[i : i + self.chunk], len(seen), i)
                    for i in range(0, len(seen), self.chunk)
                )
            except torch.cuda.OutOfMemoryError as error:
                # Several processes would wait for each other in vain.
                if self.chunk == 1 or self.ranks.count > 1:
                    raise InputError(
                        "The memory of the graphics card ran out: lower batch_size or the size of "
                        "the pictures in the recipe, or take a smaller network."
                    ) from error
            self.chunk = math.ceil(min(self.chunk, len(seen)) / 2)
            torch.cuda.empty_cache()
            self._say(
                "The memory of the graphics card ran out: the training goes on with batches in "
                f"pieces of {self.chunk}."
            )

    def _piece(self, seen: Tensor, label: Tensor, whole: int, first: int) -> float:
        """Add the gradients of a part of a batch; return its part of the loss."""
        is_last = first + self.chunk >= whole
        alone = nullcontext() if is_last or self.ranks.count == 1 else self.model.no_sync()
        with alone:
            with torch.autocast(seen.device.type, torch.bfloat16, enabled=self.halves):
                loss = self.model(seen, label)["loss"].float()
            loss = loss * (len(seen) / whole)
            loss.backward()
        return float(loss.detach())

    def _seen(self, numbers: Indices) -> Tensor:
        pictures = torch.from_numpy(np.ascontiguousarray(self.pictures.pictures[numbers]))
        return pictures[:, None].to(self.ranks.device)

    # -- judge and keep -----------------------------------------------------------------------
    def judge(self, learner: PictureLearner) -> None:
        """Judge the patterns held back, and keep the model if it is the best so far."""
        state, recipe = learner, self.recipe
        shipped = copy.deepcopy(state.network).eval()
        round_as_shipped(shipped)
        logits, label = self._logits(shipped), self.pictures.codes[self.judged]
        found = figures_of(logits, label)
        state.history.append([state.fold, learner.loss, *found])
        better = found[0] < state.fold_best - recipe.min_delta
        state.waited = 0 if better else state.waited + 1
        state.fold_best = min(state.fold_best, found[0])
        if found[0] < state.best:
            state.best, state.best_epoch = found[0], state.epoch + 1
            if self.ranks.is_first:
                groups = self.pictures.groups
                mixed = np.isin(groups[self.judged], groups[self.learned]).any()
                figures = {
                    "patterns learned from": len(self.learned),
                    "held back by": "pattern" if mixed else self.pictures.grouped_by,
                    "best epoch": state.best_epoch,
                }
                write_model(recipe, self.pictures, shipped, (logits, label), figures, self.output)

    def _logits(self, network: nn.Module) -> NDArray[np.float64]:
        """Logits of the patterns to judge by, (n, n_classes), by a network at rest."""
        out = torch.zeros(len(self.judged), len(self.pictures.classes), dtype=torch.float64)
        places = self.ranks.mine(np.arange(len(self.judged)))
        with torch.inference_mode():
            for i in range(0, len(places), self.chunk):
                some = places[i : i + self.chunk]
                found = network(self._seen(self.judged[some]).float())["class"]
                out[torch.from_numpy(some)] = found.double().cpu()
        return np.asarray(self.ranks.summed(out).cpu().numpy())


def _folds(recipe: PicturesRecipe, pictures: Pictures) -> tuple[list[tuple[Indices, Indices]], str]:
    """Split the patterns; one pair where there are no folds."""
    if recipe.folds > 1:
        return kfold(pictures, recipe.folds, recipe.seed)
    learned, judged, warning = split(pictures, recipe.validation, recipe.seed)
    return [(learned, judged)], warning
