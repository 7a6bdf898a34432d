"""The pattern centre that a person gives on the command line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from napari_diffraction.cli.app import run


def test_a_centre_that_no_camera_has_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.save(tmp_path / "scan.npy", np.zeros((2, 2, 40, 40), np.uint8))
    words = ["phase-map", str(tmp_path / "scan.npy"), "--output", str(tmp_path / "map.h5")]
    assert run([*words, "--pc", "0.5", "0.3", "0"]) == 2
    assert "no pattern centre" in capsys.readouterr().err


def test_the_centre_is_taken(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 255, (2, 2, 40, 40)).astype(np.uint8)
    np.save(tmp_path / "scan.npy", frames)
    tables = []
    for name, centre in (("one", "0.6"), ("two", "0.9")):
        out = tmp_path / f"{name}.csv"
        words = ["classify", str(tmp_path / "scan.npy"), "--model", "bravais"]
        assert run([*words, "--pc", "0.5", "0.3", centre, "--output", str(out)]) == 0
        tables.append(out.read_text())
    assert tables[0] != tables[1]
