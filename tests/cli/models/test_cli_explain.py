from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image

from napari_diffraction.cli.app import run
from napari_diffraction.cli.models.heat_picture import explanation_picture
from napari_diffraction.learning.classes import ZONE_CLASSES
from napari_diffraction.learning.explain.heatmaps import Explanation
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


def test_the_picture_keeps_the_shape_of_the_pattern_and_the_colours_of_the_map() -> None:
    ramp = np.tile(np.linspace(0, 1, 256, dtype=np.float32), (512, 1))
    frame = np.zeros((512, 256))
    frame[:, 128:] = 1
    made = Explanation(ramp, "a", "b", {"a": 0.25, "b": 0.75})
    picture = np.asarray(explanation_picture(frame, made, "Grad-CAM", 40 * "a long name ")) / 255
    black = (picture[:, 10:300] == 0).all(axis=(1, 2))  # the left half of the pattern
    assert black.sum() == pytest.approx(2 * 634, abs=2)
    row = picture[np.flatnonzero(black)[600]]
    # from the left to the right of the second pattern: over black, then over white
    seen = row[654 : 654 + 634]
    at = (np.arange(634) + 0.5) / 634
    under = np.repeat((at > 0.5)[:, None], 3, axis=1)
    wanted = 0.45 * under + 0.55 * colormaps["inferno"](at)[:, :3]
    assert np.abs(seen - wanted)[np.abs(at - 0.5) > 0.01].max() < 0.03


def test_no_number_and_small_whole_numbers_are_drawn() -> None:
    frame = np.full((20, 20), 100, np.uint8)
    frame[5:9, 5:9] = 255
    made = Explanation(np.zeros((20, 20), np.float32), "a", "a", {"a": 1.0})
    picture = np.asarray(explanation_picture(frame, made, "Grad-CAM", "x"))
    assert (picture[48 + 200, 6 + 200] == 255).all()
    assert (picture[48 + 600, 6 + 600] == 0).all()
    holed = np.where(frame == 255, np.nan, frame.astype(np.float32) + np.eye(20))
    picture = np.asarray(explanation_picture(holed, made, "Grad-CAM", "x"))
    assert (picture[48 + 200, 6 + 220] == 255).all()
