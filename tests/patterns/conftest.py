"""Stacks on the disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pattern_files import WRITERS


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a stack: write(".tif", data, name="run") returns the path."""

    def write_file(kind: str, data: np.ndarray, name: str = "run", folder: str = "") -> Path:
        path = tmp_path / folder / (name + kind)
        path.parent.mkdir(exist_ok=True)
        WRITERS[kind](path, data)
        return path

    return write_file


@pytest.fixture
def real_patterns() -> Path:
    """The folder of measured patterns; tests that need it skip where it is absent."""
    folder = os.environ.get("NAPARI_DIFFRACTION_REAL")
    if not folder or not Path(folder).is_dir():
        pytest.skip("set NAPARI_DIFFRACTION_REAL to the folder of measured patterns")
    return Path(folder)
