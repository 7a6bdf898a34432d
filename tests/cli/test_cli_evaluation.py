from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

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
    assert "2DZone                precision 0.333  recall 1.000" in captured.out
    assert json.loads((folder / "summary.json").read_text())["accuracy"] == 0.8
    assert (folder / "confusion.png").exists()


@pytest.mark.parametrize(
    ("labels", "column", "words"),
    [
        (None, "", "column label"),
        (["2DZone"] * 10, "class", "column label"),
        (["2DZone"] * 9, "label", "10 classified patterns but 9 true labels"),
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
