"""Where a network runs."""

from __future__ import annotations

from typing import Any

import torch

from napari_diffraction.errors import InputError


def choose_device(name: str = "auto") -> torch.device:
    """Find the device: the best one for ``auto``, else the one named.

    Raises
    ------
    InputError
        The device is not there.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise InputError(
            f"The device '{name}' is not there: use 'cpu', or 'auto' for the best one present."
        ) from error
    return device


def halves_are_quick(device: torch.device) -> bool:
    """Whether a device multiplies numbers of 16 bits (bfloat16) quicker than those of 32.

    Graphics cards do, and processors with instructions for it, twice as fast; others take some
    eight times as long.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    can: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # not in every torch
    return device.type == "cpu" and bool(can.get("avx512_bf16") or can.get("amx_bf16"))
