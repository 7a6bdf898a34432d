"""Labelled patterns opened to judge models by."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from napari_diffraction.learning.evaluation.data import open_judged


def test_a_folder_of_unreadable_patterns_shifts_no_labels(tmp_path: Path) -> None:
    for value, name in enumerate(("A", "Unreadable", "Z")):
        (tmp_path / name).mkdir()
        for k in range(2):
            tifffile.imwrite(tmp_path / name / f"{k}.tif", np.full((8, 8), value, np.uint8))
    stack, labels = open_judged(str(tmp_path))
    assert [int(stack.frame(i)[0, 0]) for i in range(len(stack))] == [0, 0, 1, 1, 2, 2]
    assert labels["label"].tolist() == ["A", "A", "", "", "Z", "Z"]
    groups = labels["group"].tolist()
    assert [Path(group).name for group in groups] == ["A", "A", "", "", "Z", "Z"]
