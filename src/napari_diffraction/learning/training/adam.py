"""Adam without torch's optimisers, for lessons beside a window."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def minimise(
    loss: Callable[[], Tensor], weights: Sequence[Tensor], steps: int, rate: float
) -> None:
    """Minimise a loss by Adam (Kingma and Ba 2015), the rate falling to 0 as a cosine.

    Torch's own optimisers import its compiler, which takes longer than the whole lesson and cannot
    be loaded beside a window.
    """
    mean = [torch.zeros_like(one) for one in weights]
    square = [torch.zeros_like(one) for one in weights]
    for step in range(1, steps + 1):
        slopes = torch.autograd.grad(loss(), weights)
        now = rate * (1 + math.cos(math.pi * (step - 1) / steps)) / 2 / (1 - 0.9**step)
        with torch.no_grad():
            for one, slope, m, s in zip(weights, slopes, mean, square, strict=True):
                m.lerp_(slope, 0.1)
                s.lerp_(slope.square(), 0.001)
                one.addcdiv_(m, (s / (1 - 0.999**step)).sqrt_().add_(1e-8), value=-now)
