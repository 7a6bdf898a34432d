"""A network that learns, and how far it is."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import nn

from napari_diffraction.learning.runs.schedule import warm_cosine

#: How much of the averaged weights stays in a step.
_DECAY = 0.9995


@dataclass
class Learner:
    """A training under way.

    Attributes
    ----------
    network, optimiser
        What learns, and how.
    rate
        Greatest learning rate.
    clip
        Greatest norm of the gradients.
    schedule
        Settings of the optimiser by the share of the training that is done; ``lr`` as a share of
        `rate`.
    smooth
        The mean of the weights over the last steps, where that is what is kept in the end.
    epoch, step
        Epochs that are finished, and steps of the present one.
    running
        Sum of the loss over these steps.
    epoch_loss
        Mean loss of the epoch that was finished last.
    averages
        Steps that the averaged weights have followed.
    random
        State of torch's random numbers where a checkpoint was written.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    rate: float
    clip: float = 5.0
    schedule: Callable[[float], dict[str, Any]] = warm_cosine
    smooth: nn.Module | None = None
    epoch: int = 0
    step: int = 0
    running: float = 0.0
    epoch_loss: float = math.nan
    averages: int = 0
    random: torch.Tensor | None = None

    #: What a checkpoint holds besides network and optimiser; more in trainings that keep more.
    KEPT: ClassVar[tuple[str, ...]] = ("epoch", "step", "running", "epoch_loss", "averages")

    @property
    def loss(self) -> float:
        """Mean loss over the steps of the present epoch."""
        return self.running / max(self.step, 1)

    @property
    def result(self) -> nn.Module:
        """The network that is kept in the end."""
        return self.network if self.smooth is None else self.smooth

    def next_epoch(self) -> None:
        """Go on to the next epoch."""
        self.epoch_loss = self.loss
        self.epoch, self.step, self.running = self.epoch + 1, 0, 0.0

    def averaged(self) -> None:
        """Begin to average the weights (Polyak averaging)."""
        self.smooth = copy.deepcopy(self.network)
        self.smooth.eval().requires_grad_(False)

    @torch.no_grad()
    def follow(self) -> None:
        """Let the averaged weights follow, faster at the start."""
        if self.smooth is None:
            return
        share = 1 - min(_DECAY, (1 + self.averages) / (20 + self.averages))
        self.averages += 1
        mine = list(self.smooth.state_dict().values())
        theirs = list(self.network.state_dict().values())
        floats = [i for i, value in enumerate(mine) if value.is_floating_point()]
        torch._foreach_lerp_([mine[i] for i in floats], [theirs[i] for i in floats], share)
