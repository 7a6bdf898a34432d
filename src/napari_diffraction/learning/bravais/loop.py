"""One step of the training of a network for Kikuchi patterns, shared by all that are trained."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_diffraction.learning.bravais.shards import Arrays, as_batch

#: Weight of the loss of the Laue group.
_LAUE = 0.3
_DECAY = 0.9995


@dataclass
class State:
    """A training under way.

    Attributes
    ----------
    network
        The network that learns.
    smooth
        The mean of its weights over the last steps, which is what is kept in the end.
    optimiser
        AdamW.
    step, patterns, seconds
        How far it is.
    """

    network: nn.Module
    smooth: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    patterns: int = 0
    seconds: float = 0.0


def begin(network: nn.Module, learning_rate: float, weight_decay: float) -> State:
    """Make a training ready to start from the weights that the network has."""
    smooth = copy.deepcopy(network)
    smooth.eval().requires_grad_(False)
    parameters = list(network.parameters())
    groups: list[dict[str, Any]] = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1]},
    ]
    optimiser = torch.optim.AdamW(
        groups,
        lr=learning_rate,
        weight_decay=0.0,
        fused=True,
    )
    return State(network, smooth, optimiser)


def learn(
    state: State,
    inputs: tuple[Tensor, ...],
    label: Tensor,
    laue: Tensor,
) -> Tensor:
    """Make one step on one batch; return the loss of the class alone.

    Parameters
    ----------
    state
        The training.
    inputs
        What the network sees.
    label, laue : Tensor of int64, (n,)
        The class, and the Laue group, -1 where there is no pattern.
    """
    with torch.autocast(label.device.type, torch.bfloat16):
        out = state.network(*inputs)
    first = functional.cross_entropy(out["lattice"].float(), label, label_smoothing=0.02)
    loss = first + _LAUE * functional.cross_entropy(out["laue"].float(), laue, ignore_index=-1)
    state.optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(state.network.parameters(), 2.0)
    state.optimiser.step()
    _follow(state)
    return first.detach()


@torch.no_grad()
def _follow(state: State) -> None:
    """Let the averaged weights follow (Polyak averaging), faster at the start."""
    share = 1 - min(_DECAY, (1 + state.step) / (20 + state.step))
    mine = list(state.smooth.state_dict().values())
    theirs = list(state.network.state_dict().values())
    floats = [i for i, value in enumerate(mine) if value.is_floating_point()]
    torch._foreach_lerp_([mine[i] for i in floats], [theirs[i] for i in floats], share)


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
