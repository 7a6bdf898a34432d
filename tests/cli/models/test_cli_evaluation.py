from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_diffraction.cli.app import run
from napari_diffraction.learning.classes import ZONE_CLASSES


def label(patterns: Path, labels: list[str], column: str = "label") -> None:
    table = pd.DataFrame({"index": np.arange(len(labels)), column: labels})
    table.to_csv(patterns.with_name(patterns.name + ".csv"), index=False)


def test_a_model_is_compared_with_the_labels_beside_the_patterns(
    capsys: pytest.CaptureFixture[str], learning: Any, patterns: Path
) -> None:
    # The stand-in calls pattern i class i mod 4; here two of ten are labelled otherwise.
    truth = [ZONE_CLASSES[i % 4] for i in range(10)]
    truth[0] = truth[4] = ZONE_CLASSES[1]
    label(patterns, truth)
    folder = patterns.with_name("evaluation")
    assert run(["evaluate", "zones", str(patterns), "--output", str(folder)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    # The one zone is found, and 2 of 5 Laue patterns too: 0.03 / (0.03 + 0.77 * 2 / 5) = 0.089
    (line,) = [line for line in captured.out.splitlines() if line.startswith("2DZone")]
    assert "precision 0.333  recall 1.000  precision at natural shares 0.089" in line
    assert "At natural shares           0." in captured.out
    assert json.loads((folder / "summary.json").read_text())["accuracy"] == 0.8
    assert (folder / "confusion.png").exists()


@pytest.mark.parametrize(
    ("labels", "column", "words"),
    [
        (None, "", "column label"),
        (["2DZone"] * 10, "kind", "column label"),
        (["2DZone"] * 11, "label", "names patterns that are not there"),
        (["Kikuchi"] * 10, "label", "Kikuchi"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    capsys: pytest.CaptureFixture[str],
    learning: Any,
    patterns: Path,
    labels: list[str] | None,
    column: str,
    words: str,
) -> None:
    if labels is not None:
        label(patterns, labels, column)
    folder = patterns.with_name("evaluation")
    assert run(["evaluate", "zones", str(patterns), "--output", str(folder)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line


@pytest.mark.parametrize("group", [None, "entry/labels"])
def test_labels_of_hdf5_stand_beside_it_or_in_an_export(
    capsys: pytest.CaptureFixture[str], learning: Any, tmp_path: Path, group: str | None
) -> None:
    path = tmp_path / "run42.h5"
    with h5py.File(path, "w") as file:
        file["entry/data/data"] = np.zeros((4, 32, 32), np.uint8)
        if group is not None:
            file[f"{group}/index"] = np.arange(4)
            file[f"{group}/label"] = np.array(ZONE_CLASSES, dtype=h5py.string_dtype())
    if group is None:
        label(path, list(ZONE_CLASSES))
        assert (tmp_path / "run42.h5.csv").exists()
    folder = tmp_path / "evaluation"
    assert run(["evaluate", "zones", str(path), "--output", str(folder)]) == 0
    capsys.readouterr()
    assert json.loads((folder / "summary.json").read_text())["accuracy"] == 1.0


def test_several_models_are_compared_and_what_is_left_out_is_said(
    capsys: pytest.CaptureFixture[str], learning: Any, patterns: Path
) -> None:
    truth = [ZONE_CLASSES[i % 4] for i in range(10)]
    truth[3], truth[5] = "Kikuchi", ""
    label(patterns, truth)
    folder = patterns.with_name("evaluation")
    words = ["evaluate", "zones", str(patterns), "--output", str(folder), "--compare", "zones"]
    assert run(words) == 0
    lines = capsys.readouterr().out.splitlines()
    said = "1 of 10 patterns are of Kikuchi, which the model does not know: left out of every"
    assert len([line for line in lines if line.startswith(said)]) == 2
    assert any(line.startswith("zones (2)") for line in lines)
    table = pd.read_csv(folder / "comparison.csv", index_col="model")
    assert table["patterns"].tolist() == [8, 8]
    assert table.loc["zones (2)", "mcnemar_p"] == 1
    page = (folder / "report.html").read_text()
    assert "Comparison" in page
    assert patterns.name in page


def test_folders_named_after_classes_are_labels(
    capsys: pytest.CaptureFixture[str], learning: Any, tmp_path: Path
) -> None:
    # The stand-in calls the patterns by turns 2DZone, 3DLaueIntersections, NoHit, ...
    for name, number in (("2DZone", 1), ("3DLaueIntersections", 4)):
        folder = tmp_path / "sorted" / name
        folder.mkdir(parents=True)
        for i in range(number):
            Image.fromarray(np.full((8, 8), 40 * i, np.uint8)).save(folder / f"{i}.png")
    words = ["evaluate", "zones", str(tmp_path / "sorted"), "--output", str(tmp_path / "out")]
    assert run(words) == 0
    assert "each class is of one" in capsys.readouterr().out
    table = pd.read_csv(tmp_path / "out" / "patterns.csv")
    assert table["truth"].tolist() == ["2DZone", *["3DLaueIntersections"] * 4]
    assert table["correct"].tolist() == [True, True, False, False, False]
    assert table["source"].str.endswith("3.png").tolist() == [False] * 4 + [True]
    assert (tmp_path / "out" / "worst.png").exists()


def test_shares_are_those_of_the_classes_of_the_model(
    capsys: pytest.CaptureFixture[str],
    learning: Any,
    patterns: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    label(patterns, [ZONE_CLASSES[i % 4] for i in range(10)])
    words = ["evaluate", "zones", str(patterns), "--output", str(patterns.with_name("e"))]
    usual = {"cF": 0.4, "hP": 0.6}
    monkeypatch.setattr("napari_diffraction.cli.shares.usual_shares", lambda model: usual)
    assert run([*words, "--share", "2DZone=0.2"]) == 2
    assert "CLASS being one of cF, hP" in capsys.readouterr().err
