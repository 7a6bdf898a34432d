"""Where a network runs, and in which numbers."""

from __future__ import annotations

import pytest
import torch

from napari_diffraction.learning.models.device import halves_are_quick


@pytest.mark.parametrize(
    ("can", "quick"),
    [
        ({"avx2": True}, False),
        ({"avx2": True, "avx512_f": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
)
def test_processors_take_halves_where_they_multiply_them(
    monkeypatch: pytest.MonkeyPatch, can: dict[str, bool], quick: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can, raising=False)
    assert halves_are_quick(torch.device("cpu")) is quick
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: True)
    assert halves_are_quick(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: False)
    assert not halves_are_quick(torch.device("cuda"))
    assert not halves_are_quick(torch.device("mps"))
