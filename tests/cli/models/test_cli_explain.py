from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from napari_diffraction.cli.app import run
from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.progress import finish
from napari_diffraction.simulation.samples import serial_experiment


@pytest.fixture(scope="module")
def spots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explain") / "run42.npy"
    np.save(path, finish(serial_experiment(seed=1, n=3)).images)
    return path


def explain(spots: Path, *options: str) -> tuple[int, Path]:
    out = spots.with_suffix(".png")
    return run(["explain", str(spots), "--output", str(out), *options]), out


def test_the_pattern_and_its_map_are_drawn_side_by_side(
    capsys: pytest.CaptureFixture[str], spots: Path
) -> None:
    status, out = explain(spots, "--index", "2", "--method", "gradcam++", "--device", "cpu")
    assert status == 0
    (line,) = capsys.readouterr().out.splitlines()
    assert "pattern 2 is" in line
    assert "Grad-CAM++ of" in line
    with Image.open(out) as picture:
        about: dict[str, Any] = json.loads(picture.text["Description"])
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    colourful = (pixels.max(axis=2) - pixels.min(axis=2)) > 40
    width = pixels.shape[1]
    assert colourful[:, width // 2 :].mean() > 0.05
    assert not colourful[:, : int(0.4 * width)].any()
    assert (about["model"], about["index"]) == ("zones", 2)
    assert len(about["model_sha256"]) == 64
    assert about["settings"]["method"] == "gradcam++"
    assert sum(about["probabilities"].values()) == pytest.approx(1)


def test_the_class_can_be_chosen(capsys: pytest.CaptureFixture[str], spots: Path) -> None:
    for name in ZONE_CLASSES[:2]:
        assert explain(spots, "--index", "0", "--class", name)[0] == 0
        assert f"Grad-CAM++ of {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--index", "3"], "no pattern 3 among 3"),
        (["--index", "0", "--class", "Kikuchi"], "no class 'Kikuchi'"),
        (["--index", "0", "--method", "magic"], "no method 'magic'"),
        (["--index", "0", "--model", "nobody"], "no model 'nobody'"),
    ],
)
def test_what_is_not_there_is_said_in_one_line(
    capsys: pytest.CaptureFixture[str], spots: Path, options: list[str], words: str
) -> None:
    status, _ = explain(spots, *options)
    assert status == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


def test_only_pictures_are_written(capsys: pytest.CaptureFixture[str], spots: Path) -> None:
    status = run(["explain", str(spots), "--index", "0", "--output", "heat.csv"])
    assert status == 2
    assert ".png" in capsys.readouterr().err
