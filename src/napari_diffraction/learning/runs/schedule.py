"""What trainings have in common in their steps: the learning rate, and rounding at the end."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def warm_cosine(done: float) -> dict[str, Any]:
    """Settings of an optimiser: a short warm-up, then a cosine to almost nothing.

    Parameters
    ----------
    done
        Share of the training that is done.

    Returns
    -------
    dict
        ``lr``, a share of the greatest learning rate.
    """
    if done < 0.02:
        return {"lr": 0.05 + 0.95 * done / 0.02}
    return {"lr": 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - 0.02) / 0.98))}


def one_cycle(steps: int, rise: float = 0.2) -> Callable[[float], dict[str, Any]]:
    """Make the schedule of Smith (2018), as torch's ``OneCycleLR`` has it, with Adam's first beta.

    Parameters
    ----------
    steps
        Of the whole training.
    rise
        Share of them over which the learning rate rises.

    Returns
    -------
    callable
        Like `warm_cosine`, with ``betas``.
    """
    first, least = 1 / 25, 1 / 25 / 1e4
    slow, fast = 0.95, 0.85
    top = rise * (steps + 1) - 1

    def settings(done: float) -> dict[str, Any]:
        step = done * steps
        if 0 < top >= step:
            return {
                "lr": _cosine(first, 1, step / top),
                "betas": (_cosine(slow, fast, step / top), 0.999),
            }
        part = (step - top) / (steps - top)
        return {"lr": _cosine(1, least, part), "betas": (_cosine(fast, slow, part), 0.999)}

    return settings


def _cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * part))


def shipped(values: torch.Tensor) -> torch.Tensor:
    """Return weights as a model file holds them: in half precision where that can hold them."""
    if not values.is_floating_point():
        return values
    halves = values.half()
    # Variances that a network keeps of strong inputs may be beyond 65504.
    return halves if bool(halves.isfinite().all()) else values.float()


def round_as_shipped(network: nn.Module) -> None:
    """Round weights as the model file does, so that what is calibrated is what is shipped."""
    network.load_state_dict(
        {
            name: shipped(values).float() if values.is_floating_point() else values
            for name, values in network.state_dict().items()
        }
    )
