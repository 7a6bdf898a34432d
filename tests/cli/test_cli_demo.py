from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_diffraction.cli import demo
from napari_diffraction.cli.app import run
from napari_diffraction.simulation import samples
from napari_diffraction.simulation.kikuchi import scan


@pytest.fixture(autouse=True)
def small_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(samples, "serial_experiment", partial(samples.serial_experiment, n=40))
    small_scan = partial(scan.rutilated_quartz, shape=(8, 8), size=24)
    monkeypatch.setattr(scan, "rutilated_quartz", small_scan)
    monkeypatch.setattr(demo, "_PHASES", "zones")  # the only model of the stand-in


def test_without_a_display_tables_and_pictures_are_written(
    capsys: pytest.CaptureFixture[str], learning: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    assert run(["demo", "--no-window", "--output", str(folder)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    for name in (
        "serial_experiment.h5",
        "classification.csv",
        "zones.png",
        "confidence.png",
        "rutilated_quartz.h5",
        "phase_map.png",
        "phase_map.csv",
    ):
        assert (folder / name).stat().st_size > 1000
        assert str(folder / name) in captured.out
    # Twenty-four patterns on a white page: neither blank nor black.
    page = np.asarray(Image.open(folder / "zones.png").convert("L"))
    assert 0.2 < (page < 100).mean() < 0.95
    assert "2DZone  10" in captured.out
    assert "64 points" in captured.out


def test_a_demo_can_be_repeated(learning: Any, tmp_path: Path) -> None:
    (tmp_path / "classification.csv.part").write_text("left by a run that was killed")
    demo.to_files(tmp_path)
    first = (tmp_path / "classification.csv").read_bytes()
    demo.to_files(tmp_path)
    assert (tmp_path / "classification.csv").read_bytes() == first


def test_a_display_and_a_qt_binding_are_needed_for_a_window(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("DISPLAY", ":1")
    assert demo.can_open_window()
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    assert not demo.can_open_window()
    monkeypatch.undo()
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not demo.can_open_window()


def test_a_window_without_a_display_is_refused(
    capsys: pytest.CaptureFixture[str], learning: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "can_open_window", lambda: False)
    assert run(["demo", "--window"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "no display" in line


def test_a_folder_that_cannot_be_made_is_refused(
    capsys: pytest.CaptureFixture[str], learning: Any, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    assert run(["demo", "--no-window", "--output", str(tmp_path / "file" / "out")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
