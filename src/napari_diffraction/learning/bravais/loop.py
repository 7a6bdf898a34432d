"""Learning from the bands of Kikuchi patterns, shared by all networks that do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from napari_diffraction.learning.bravais.shards import Arrays, as_batch
from napari_diffraction.learning.models.device import halves_are_quick
from napari_diffraction.learning.runs.learner import Learner
from napari_diffraction.learning.runs.loop import descend

#: Weight of the loss of the Laue group.
_LAUE = 0.3


@dataclass
class BandLearner(Learner):
    """A training of a network that sees bands.

    Attributes
    ----------
    patterns, seconds
        How many patterns it has learned from, and for how long.
    """

    patterns: int = 0
    seconds: float = 0.0

    KEPT: ClassVar[tuple[str, ...]] = (*Learner.KEPT, "patterns", "seconds")


def begin(network: nn.Module, learning_rate: float, weight_decay: float) -> BandLearner:
    """Make a training ready to start from the weights that the network has."""
    parameters = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1]},
    ]
    optimiser = torch.optim.AdamW(groups, lr=learning_rate, weight_decay=0.0, fused=True)
    learner = BandLearner(network, optimiser, learning_rate, clip=2.0)
    learner.averaged()
    return learner


class BandTask:
    """What tasks share whose batches are the bands of patterns."""

    def backward(self, learner: BandLearner, batch: Arrays) -> float:
        """Find the gradients of a batch; return the loss of the class alone.

        Parameters
        ----------
        learner
            The training.
        batch
            As `napari_diffraction.learning.bravais.shards.simulate` gives it.
        """
        inputs, label, laue = as_batch(batch)
        halves = halves_are_quick(label.device)
        with torch.autocast(label.device.type, torch.bfloat16, enabled=halves):
            out = learner.network(*inputs)
        first = functional.cross_entropy(out["lattice"].float(), label, label_smoothing=0.02)
        loss = first + _LAUE * functional.cross_entropy(out["laue"].float(), laue, ignore_index=-1)
        descend(learner, loss)
        return float(first.detach())

    def judge(self, learner: BandLearner) -> None:
        """Judge nothing: fresh patterns are judged once, in the end."""


@torch.inference_mode()
def predict(
    network: nn.Module, data: Arrays, batch: int = 256
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Judge simulated patterns.

    Returns
    -------
    logits : ndarray of float32, (n, n_classes)
    label : ndarray of int64, (n,)
    """
    network.eval()
    logits = []
    for i in range(0, len(data["label"]), batch):
        inputs, _, _ = as_batch({name: values[i : i + batch] for name, values in data.items()})
        logits.append(network(*inputs)["lattice"].float().numpy())
    return np.concatenate(logits), data["label"]
