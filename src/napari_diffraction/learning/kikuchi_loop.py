"""One step of the training of a network for Kikuchi patterns, shared by all that are trained."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from napari_diffraction.learning.bravais_network import BravaisNetwork

#: Weights of the auxiliary losses.
_LAUE, _MAPS = 0.3, 4.0
_DECAY = 0.9995

#: What the network sees, the class, the Laue group and the maps of symmetry elements.
Batch = tuple[Tensor, ...]


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

    network: BravaisNetwork
    smooth: BravaisNetwork
    optimiser: torch.optim.Optimizer
    step: int = 0
    patterns: int = 0
    seconds: float = 0.0

    @property
    def on_card(self) -> bool:
        """Whether a graphics card trains."""
        return next(self.network.parameters()).is_cuda


def begin(network: BravaisNetwork, learning_rate: float, weight_decay: float) -> State:
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


def schedule(done: float) -> float:
    """Share of the greatest learning rate: a short warm-up, then a cosine to almost nothing."""
    if done < 0.02:
        return 0.05 + 0.95 * done / 0.02
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - 0.02) / 0.98))


def learn(network: Any, state: State, batch: Batch) -> Tensor:
    """Make one step on one batch; return the loss of the class alone.

    Parameters
    ----------
    network
        That of the state, or what the compiler made of it.
    state
        The training.
    batch
        What the network sees, the class, the Laue group and the maps.
    """
    seen, label, laue, maps = batch
    with torch.autocast(seen.device.type, torch.bfloat16):
        out = network(seen)
    first = functional.cross_entropy(out["lattice"].float(), label, label_smoothing=0.02)
    loss = first + _LAUE * functional.cross_entropy(out["laue"].float(), laue, ignore_index=-1)
    loss = loss + _MAPS * functional.binary_cross_entropy_with_logits(out["maps"].float(), maps)
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


def round_as_shipped(network: BravaisNetwork) -> None:
    """Round weights as the model file does, so that what is calibrated is what is shipped."""
    network.load_state_dict(
        {
            name: values.half().float() if values.is_floating_point() else values
            for name, values in network.state_dict().items()
        }
    )
