"""A folder that `solve` has written."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_diffraction.cli.app import run


@pytest.fixture(scope="session")
def solved(experiment: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    stack, table = experiment
    out = tmp_path_factory.mktemp("out") / "solved"
    assert run(["solve", str(stack), "--zones", str(table), "--output", str(out)]) == 0
    return out
