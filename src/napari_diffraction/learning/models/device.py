"""Where a network runs."""

from __future__ import annotations

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
