"""The fake model of this folder calls pattern i the class number i mod 4, with confidence 0.7."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import ZONE_CLASSES


@pytest.fixture
def scan(tmp_path: Path) -> str:
    """Three rows of four patterns: the columns are the classes."""
    path = tmp_path / "scan.npy"
    np.save(path, np.random.default_rng(0).integers(0, 255, (3, 4, 32, 32), dtype=np.uint8))
    return str(path)


@pytest.fixture
def other(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stand in for the reader of other programs' maps."""
    theirs = SimpleNamespace(
        phase=np.tile([1, 2, 2, 0], (3, 1)),
        names=("not indexed", ZONE_CLASSES[0], ZONE_CLASSES[1]),
        lattices=(None, None, None),
        cells=(),
        step=None,
    )
    module = ModuleType("ebsd_maps")
    module.read_map = lambda path: theirs
    monkeypatch.setitem(__import__("sys").modules, "napari_diffraction.patterns.maps.files", module)
    return theirs


def test_a_scan_is_mapped_into_several_files(
    scan: str, learning: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [str(tmp_path / f"map{suffix}") for suffix in (".h5", ".csv", ".png")]
    words = [word for output in outputs for word in ("--output", output)]
    assert run(["phase-map", scan, "--model", "zones", "--batch-size", "5", *words]) == 0
    said = capsys.readouterr().out
    assert all(f"{output}: 3 x 4 points." in said for output in outputs)
    assert f"{ZONE_CLASSES[1]}  25.0%" in said
    assert "Note: The step of the scan is not known" in said
    table = pd.read_csv(outputs[1])
    assert table["phase"].tolist() == list(ZONE_CLASSES) * 3
    with h5py.File(outputs[0]) as file:
        facts = json.loads(file.attrs["provenance"])
        assert file["napari_diffraction/probabilities"].shape == (3, 4, 4)
    assert facts["settings"] == {"device": "auto", "batch_size": 5}
    assert len(facts["model_sha256"]) == 64


def test_regions_vote_and_the_threshold_counts(
    scan: str, learning: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "map.csv"
    words = ["phase-map", scan, "--model", "zones", "--output", str(output)]
    assert run([*words, "--threshold", "0.8"]) == 0
    assert "not indexed  100.0%" in capsys.readouterr().out
    assert run([*words, "--regions"]) == 0
    # Noise has no neighbour like itself: every point is a region of its own.
    table = pd.read_csv(output)
    assert table["region"].nunique() == 12
    assert table["pattern_label"].tolist() == table["label"].tolist()


def test_the_map_is_compared_with_another(
    scan: str,
    learning: Any,
    other: SimpleNamespace,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["phase-map", scan, "--model", "zones", "--output", str(tmp_path / "map.csv")]
    assert run([*words, "--compare", "theirs.ctf"]) == 0
    said = capsys.readouterr().out
    # NoHit is a class of this model like any other: 9 points in both, 6 of them alike.
    assert "Agreement 66.7% of 9 points" in said
    assert "Cohen's kappa 0.50" in said
    other.phase = other.phase[:2]
    learning.seen.clear()
    assert run([*words, "--compare", "theirs.ctf"]) == 2
    assert "2 x 4 points, scan has 3 x 4" in capsys.readouterr().err
    assert learning.seen == []  # said before anything is computed


def test_what_cannot_be_mapped_is_said_before_anything_is_computed(
    scan: str,
    patterns: Path,
    learning: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = ["phase-map", "--model", "zones", "--output"]
    assert run([*words, str(tmp_path / "map.csv"), str(patterns)]) == 2
    assert "list of 10 patterns, not a scan" in capsys.readouterr().err
    assert run([*words, str(tmp_path / "map.doc"), scan]) == 2
    assert "must end in .h5" in capsys.readouterr().err
    assert run([*words, str(tmp_path / "map.csv"), scan, "--model", "nonsense"]) == 2
    assert "no such model" in capsys.readouterr().err
    learning.before_batch = lambda done: (_ for _ in ()).throw(InputError("No memory: stop."))
    assert run([*words, str(tmp_path / "map.csv"), scan]) == 2
    assert not (tmp_path / "map.csv").exists()


def test_ctrl_c_keeps_the_points_that_are_classified(
    scan: str, learning: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(done: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    learning.before_batch = stop
    output = tmp_path / "map.csv"
    words = ["phase-map", scan, "--model", "zones", "--output", str(output), "--batch-size", "4"]
    assert run(words) == 130
    assert f"8 of 12 points are in {output}" in capsys.readouterr().err
    assert pd.read_csv(output)["label"].tolist() == list(ZONE_CLASSES) * 2
    output.write_text("a whole map")
    assert run(words) == 130
    assert output.read_text() == "a whole map"
    assert len(pd.read_csv(tmp_path / "map.part.csv")) == 8


def test_a_centre_that_was_found_stands_in_the_files(
    scan: str, learning: Any, tmp_path: Path, finding: Callable[[Any], None]
) -> None:
    finding(learning)
    output = tmp_path / "map.ang"
    assert run(["phase-map", scan, "--model", "zones", "--output", str(output)]) == 0
    text = output.read_text()
    assert "# z-star                 0.650000" in text
    facts = json.loads(next(line for line in text.splitlines() if "PROVENANCE" in line)[14:])
    assert facts["geometry"] == {"pc_x": 0.5, "pc_y": 0.3, "pc_z": 0.65}


def test_what_is_known_of_the_camera_stands_in_the_files(
    scan: str, learning: Any, tmp_path: Path
) -> None:
    words = ["phase-map", scan, "--model", "zones", "--pc", "0.5", "0.3", "0.6"]
    outputs = [tmp_path / "map.ang", tmp_path / "map.csv"]
    assert run([*words, *(word for path in outputs for word in ("--output", str(path)))]) == 0
    lines = dict(
        line[2:].split(maxsplit=1)
        for line in outputs[0].read_text().splitlines()
        if line.startswith(("# x-star", "# y-star", "# z-star"))
    )
    # EDAX counts y from below
    assert [float(lines[f"{axis}-star"]) for axis in "xyz"] == pytest.approx([0.5, 0.7, 0.6])
    facts = json.loads((tmp_path / "map.csv.json").read_text())
    assert facts["geometry"] == {"pc_x": 0.5, "pc_y": 0.3, "pc_z": 0.6}
