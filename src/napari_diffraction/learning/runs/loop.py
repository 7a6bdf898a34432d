"""The loop of every training: batches, steps, epochs, a checkpoint, and what is said meanwhile.

What is learned from, by which loss, and how good it is, says the `Task`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch import nn

from napari_diffraction.errors import InputError
from napari_diffraction.learning.runs.checkpoint import keep
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.runs.learner import Learner

L = TypeVar("L", bound=Learner)
L_contra = TypeVar("L_contra", bound=Learner, contravariant=True)

#: Seconds between two checkpoints within a long epoch, and to wait for patterns.
_KEEP, _WAIT = 300.0, 0.5


class Task(Protocol[L_contra]):
    """What one kind of training has of its own."""

    def is_over(self, learner: L_contra) -> bool:
        """Whether there is no further epoch."""

    def batches(self, learner: L_contra) -> Iterator[Any]:
        """Batches of the epoch from the step at which it is; `None` where one is not yet there."""

    def share(self, learner: L_contra) -> float:
        """Share of the whole training that is done, by which the learning rate goes."""

    def backward(self, learner: L_contra, batch: Any) -> float:
        """Find the gradients of a batch, and return the loss that is told."""

    def judge(self, learner: L_contra) -> None:
        """Find out, at the end of an epoch, how good the network is."""

    def progress(self, learner: L_contra) -> Epoch:
        """What is told of where the training stands."""


class Epochs(Generic[L]):
    """What tasks share that have a number of epochs, each of as many steps.

    Attributes
    ----------
    epochs, steps
        How many epochs, and steps of each.
    """

    epochs: int
    steps: int

    def is_over(self, learner: L) -> bool:
        """Whether there is no further epoch."""
        return learner.epoch >= self.epochs

    def share(self, learner: L) -> float:
        """Share of the whole training that is done."""
        return (learner.epoch + learner.step / self.steps) / self.epochs


def train(
    task: Task[L], learner: L, checkpoint: Path | None = None, identity: Any = None
) -> Generator[Epoch, None, None]:
    """Train until the task is over.

    Parameters
    ----------
    task
        What is learned.
    learner
        The network that learns, where it stands.
    checkpoint
        Written after each epoch, and every five minutes within one; by default there is none.
    identity
        Plain values: all that a training which goes on from there must not differ in.

    Raises
    ------
    InputError
        The loss is not a number any more, or the checkpoint cannot be written.
    """
    kept = time.monotonic()
    while not task.is_over(learner):
        for batch in task.batches(learner):
            if batch is None:
                yield task.progress(learner)
                time.sleep(_WAIT)
                continue
            learn(task, learner, batch)
            yield task.progress(learner)
            if checkpoint is not None and time.monotonic() - kept > _KEEP:
                keep(checkpoint, identity, learner)
                kept = time.monotonic()
        task.judge(learner)
        learner.next_epoch()
        if checkpoint is not None:
            keep(checkpoint, identity, learner)
            kept = time.monotonic()
        yield task.progress(learner)


def learn(task: Task[L], learner: L, batch: Any) -> None:
    """Make one step on one batch.

    Raises
    ------
    InputError
        The loss is not a number any more.
    """
    settings = learner.schedule(task.share(learner))
    settings["lr"] *= learner.rate
    for group in learner.optimiser.param_groups:
        group.update(settings)
    loss = task.backward(learner, batch)
    if not math.isfinite(loss):
        raise InputError(
            f"The loss is no longer a number in epoch {learner.epoch + 1}: lower learning_rate in "
            f"the recipe (it is {learner.rate:g}), or set precision to float32 where it has one."
        )
    nn.utils.clip_grad_norm_(learner.network.parameters(), learner.clip)
    learner.optimiser.step()
    learner.follow()
    learner.running += loss
    learner.step += 1


def descend(learner: Learner, loss: torch.Tensor) -> None:
    """Find the gradients of a loss."""
    learner.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
