"""The last layers of a network, which learn anew while the body before them stays as it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from napari_diffraction.errors import InputError


@dataclass(frozen=True)
class Tail:
    """What follows on the body of a network.

    Attributes
    ----------
    look
        Gives from the network's inputs what the body found in them, (n, m).
    judge
        Gives from this the logits of the classes, (n, n_classes).
    head
        Weights of the layer that names the classes.
    others
        The other weights after the body on which the logits depend; none where the body reaches up
        to the head.
    """

    look: Callable[..., Tensor]
    judge: Callable[[Tensor], Tensor]
    head: tuple[nn.Parameter, ...]
    others: tuple[nn.Parameter, ...] = ()


def tail_of(network: nn.Module, output: str, n_classes: int, inputs: Sequence[Tensor]) -> Tail:
    """Find where the body of a network ends.

    A network with the methods ``look`` and ``judge`` tells it itself.  In any other the body ends
    before the linear layer that gives the logits of the classes.

    Parameters
    ----------
    network
        A network that gives a dictionary of logits, ready for use.
    output
        The logits that give the class.
    n_classes
        Number of classes.
    inputs
        Inputs of at least one pattern.

    Raises
    ------
    InputError
        The network does not end in a linear layer.
    """
    one = [values[:1] for values in inputs]
    if hasattr(network, "look") and hasattr(network, "judge"):
        look: Any = network.look
        judge: Any = network.judge
        with torch.no_grad():
            looked = look(*one)
        out = judge(looked)[output]
        head = _linear_before(network, out, n_classes)
        own = set(head.parameters())
        others = [p for p in _weights_before(network, out) if p not in own]
        return Tail(
            look,
            lambda seen: judge(seen)[output],
            tuple(head.parameters()),
            tuple(others),
        )
    out = network(*one)[output]
    head = _linear_before(network, out, n_classes)
    look = _inputs_of(head, network)
    if not torch.allclose(head(look(*one)), out, atol=1e-3):
        raise _no_tail()
    return Tail(look, head, tuple(head.parameters()))


def _no_tail() -> InputError:
    return InputError(
        "A model of this kind cannot learn from labels here: train one with a recipe instead."
    )


def _weights_before(network: nn.Module, out: Tensor) -> list[nn.Parameter]:
    """Weights on which an output depends."""
    if not out.requires_grad:
        raise _no_tail()
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    slopes = torch.autograd.grad(out.sum(), weights, retain_graph=True, allow_unused=True)
    return [weight for weight, slope in zip(weights, slopes, strict=True) if slope is not None]


def _linear_before(network: nn.Module, out: Tensor, n_classes: int) -> nn.Linear:
    """Find the linear layer with an output for each class on which the logits depend."""
    used = set(_weights_before(network, out))
    layers = [
        layer
        for layer in network.modules()
        if isinstance(layer, nn.Linear) and layer.out_features == n_classes and layer.weight in used
    ]
    if not layers:
        raise _no_tail()
    return layers[-1]


def _inputs_of(layer: nn.Module, network: nn.Module) -> Callable[..., Tensor]:
    """Make the function that runs a network and catches what comes to a layer."""

    def look(*inputs: Tensor) -> Tensor:
        found: list[Tensor] = []
        handle = layer.register_forward_pre_hook(lambda _, given: found.append(given[0]))
        try:
            network(*inputs)
        finally:
            handle.remove()
        return found[-1]

    return look
