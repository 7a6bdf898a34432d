"""Importing torch's compiler without triton, where a window may be open."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_triton() -> Iterator[None]:
    """Import what brings in torch's compiler, but not triton, unless that is loaded already.

    Torchvision and torch's optimisers import the compiler, and this imports triton, whose own copy
    of LLVM crashes a process that has loaded the one of the OpenGL driver, as the first window
    does.  Nothing here is compiled, so triton is not missed.
    """
    if "triton" in sys.modules:
        yield
        return
    sys.modules["triton"] = None  # type: ignore[assignment]  # imports of it now fail, as if absent
    try:
        yield
    finally:
        sys.modules.pop("triton", None)
