from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.learning.phases import training as phases_training
from napari_diffraction.learning.runs.epochs import Epoch
from napari_diffraction.learning.zones import training as zone_training
from napari_diffraction.progress import Progress


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text('name = "small"\npatterns = 10\n')
    return path


def fake_training(*, stops: bool) -> Any:
    def train(
        recipe: Any, output: Path, resume: bool, workers: int | None, minutes: float | None
    ) -> Generator[Progress, None, Path]:
        yield Progress(10, 10, "Simulating")
        yield Epoch(1, 4, "Epoch 1 of 2")
        yield Epoch(2, 4, "Epoch 2 of 2", 1, loss=0.8, average_precision=0.5)
        if stops:
            raise KeyboardInterrupt
        yield Epoch(3, 4, "Epoch 2 of 2", 1, loss=0.8, average_precision=0.5)
        yield Epoch(4, 4, "Epoch 2 of 2", 2, loss=0.6, average_precision=0.75)
        output.write_text(f"{recipe.name} {recipe.patterns} {resume} {workers} {minutes}")
        return output

    return train


def test_training_says_after_each_epoch_how_good_the_model_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, recipe: Path
) -> None:
    monkeypatch.setattr(zone_training, "train_zones", fake_training(stops=False))
    output = recipe.with_name("small.safetensors")
    options = ["--output", str(output), "--resume", "--workers", "3", "--minutes", "1.5"]
    assert run(["train", str(recipe), *options]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines()[:2] == [
        "After epoch 1: loss 0.800, average precision 0.500",
        "After epoch 2: loss 0.600, average precision 0.750",
    ]
    assert output.read_text() == "small 10 True 3 1.5"


def test_a_training_that_is_stopped_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, recipe: Path
) -> None:
    monkeypatch.setattr(zone_training, "train_zones", fake_training(stops=True))
    output = recipe.with_name("small.safetensors")
    assert run(["train", str(recipe), "--output", str(output)]) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert "--resume" in line


@pytest.mark.parametrize("stops", [False, True])
def test_phases_are_told_how_long_it_takes_and_how_good_it_is(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    stops: bool,
) -> None:
    def train(recipe: Any, output: Path, workers: int | None) -> Generator[Progress, None, Path]:
        yield Progress(0, 2, f"Takes {recipe.minutes:g} min at most")
        if stops:
            raise KeyboardInterrupt
        yield Progress(2, 2, "98.7% of fresh simulated patterns are right")
        return output

    monkeypatch.setattr(phases_training, "train_phases", train)
    recipe = tmp_path / "steel.toml"
    recipe.write_text('kind = "phases"\nphases = ["ferrite", "austenite"]\n')
    output = tmp_path / "steel.safetensors"
    status = run(["train", str(recipe), "--output", str(output), "--minutes", "2"])
    captured = capsys.readouterr()
    assert captured.out.startswith("Takes 2 min at most.\n")
    if stops:
        assert (status, captured.err) == (130, "Stopped; nothing is kept.\n")
    else:
        assert (status, captured.err) == (0, "")
        assert "98.7% of fresh simulated patterns are right.\n" in captured.out


@pytest.mark.parametrize(
    ("text", "output", "words"),
    [
        ("patterns = 10", "model.pt", "must end in .safetensors"),
        ("layers = 50", "model.safetensors", "unknown key 'layers'"),
        ("patterns = ", "model.safetensors", "not a recipe"),
        (None, "model.safetensors", "no such recipe"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, text: str | None, output: str, words: str
) -> None:
    recipe = tmp_path / "recipe.toml"
    if text is not None:
        recipe.write_text(text)
    assert run(["train", str(recipe), "--output", str(tmp_path / output)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not (tmp_path / output).exists()
