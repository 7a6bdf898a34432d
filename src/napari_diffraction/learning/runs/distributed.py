"""Processes that train one model together, as ``torchrun`` starts them; usually there is one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed, nn

#: The first process may simulate for long before the others have something to do.
_PATIENCE = timedelta(days=2)


@dataclass(frozen=True)
class Ranks:
    """The place of this process among those that train together.

    Attributes
    ----------
    rank, count
        Number of this process, counted from 0, and of all.
    device
        Where its network is.
    """

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and speaks."""
        return self.rank == 0

    def mine(self, numbers: Any) -> Any:
        """Return this process' share of an array."""
        return numbers[self.rank :: self.count]

    def wait(self) -> None:
        """Wait until all processes are here."""
        if self.count > 1:
            distributed.barrier()

    def summed(self, values: Tensor) -> Tensor:
        """Sum a tensor over all processes."""
        if self.count > 1:
            values = values.to(self.device)
            distributed.all_reduce(values)
        return values

    def together(self, network: nn.Module) -> nn.Module:
        """Let a network learn from the gradients of all processes."""
        if self.count == 1:
            return network
        return nn.parallel.DistributedDataParallel(network, broadcast_buffers=True)


def is_first() -> bool:
    """Whether this process is the one that speaks."""
    return int(os.environ.get("RANK", "0")) == 0


@contextmanager
def joined() -> Iterator[Ranks]:
    """Join the processes that were started with this one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    on_card = torch.cuda.is_available()
    if count == 1:
        yield Ranks(0, 1, torch.device("cuda" if on_card else "cpu"))
        return
    device = torch.device(f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if on_card else "cpu")
    if on_card:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_card else "gloo", timeout=_PATIENCE)
    try:
        yield Ranks(distributed.get_rank(), count, device)
    finally:
        distributed.destroy_process_group()
