"""What trainings have in common in their steps: the learning rate, and rounding at the end."""

from __future__ import annotations

import math

from torch import nn


def schedule(done: float) -> float:
    """Share of the greatest learning rate: a short warm-up, then a cosine to almost nothing."""
    if done < 0.02:
        return 0.05 + 0.95 * done / 0.02
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (done - 0.02) / 0.98))


def round_as_shipped(network: nn.Module) -> None:
    """Round weights as the model file does, so that what is calibrated is what is shipped."""
    network.load_state_dict(
        {
            name: values.half().float() if values.is_floating_point() else values
            for name, values in network.state_dict().items()
        }
    )
