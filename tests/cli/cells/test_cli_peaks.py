from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.cli.cells.peaks import peaks_to_csv
from napari_diffraction.cli.sorting.classification import classify_to_csv
from napari_diffraction.cli.terminal import Interrupted
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.simulation.samples import serial_experiment


@pytest.fixture(scope="module")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("peaks") / "run.npy"
    np.save(path, finish(serial_experiment(seed=5, n=5)).images)
    return path


def test_the_table_has_one_row_a_spot(
    patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["peaks", str(patterns), "--output", str(tmp_path / "out.csv")]) == 0
    table = pd.read_csv(tmp_path / "out.csv")
    assert list(table.columns) == ["index", "x", "y", "intensity", "snr", "zonal"]
    assert table["index"].is_monotonic_increasing
    assert table["zonal"].dtype == bool
    assert table["snr"].min() >= 2.5
    assert table[["x", "y"]].to_numpy().max() < 256
    about = json.loads((tmp_path / "out.csv.json").read_text())
    assert about["settings"] == {"threshold": 2.5}
    assert f"{len(table)} spots of 5 patterns" in capsys.readouterr().out


def test_a_higher_threshold_leaves_fewer(patterns: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    assert run(["peaks", str(patterns), "--output", str(out), "--threshold", "20"]) == 0
    table = pd.read_csv(out)
    assert table["snr"].min() >= 20


def test_patterns_without_spots_are_refused(tmp_path: Path) -> None:
    stack = PatternStack(da.zeros((2, 32, 32)), "scan", geometry=KikuchiGeometry())
    with pytest.raises(InputError, match="Kikuchi patterns"):
        peaks_to_csv(stack, tmp_path / "out.csv", 3)


def test_ctrl_c_keeps_what_was_found(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.load(patterns)
    stack = PatternStack(da.from_array(images, chunks=(1, 256, 256)), "run")
    monkeypatch.setattr("napari_diffraction.learning.zones.peak_tables._BATCH", 2)

    def read(index: int) -> np.ndarray:
        if index == 2:
            raise KeyboardInterrupt
        return images[index]

    with pytest.raises(Interrupted, match=r"2 patterns are kept in .*out.csv.part"):
        peaks_to_csv(replace(stack, read=read), tmp_path / "out.csv", 3)
    assert not (tmp_path / "out.csv").exists()
    assert set(pd.read_csv(tmp_path / "out.csv.part")["index"]) == {0, 1}
    # a run to the end is as if none had been stopped
    peaks_to_csv(stack, tmp_path / "out.csv", 3)
    peaks_to_csv(stack, tmp_path / "other.csv", 3)
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "other.csv").read_bytes()
    assert not list(tmp_path.glob("*.part"))


@pytest.mark.parametrize("at_once", [2, 3])
def test_spots_go_to_the_disk_as_they_are_found(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    stack = PatternStack(da.from_array(np.load(patterns), chunks=(1, 256, 256)), "run")
    peaks_to_csv(stack, tmp_path / "whole.csv", 3)
    monkeypatch.setattr("napari_diffraction.cli.cells.peaks._AT_ONCE", at_once)
    (tmp_path / "out.csv.part").write_text("index,x,y,intensity,snr,zonal\n7,1,1,1,9,True\n")
    kept: list[int] = []

    def look(index: int) -> np.ndarray:
        if index == 4:
            kept.append(int(pd.read_csv(tmp_path / "out.csv.part")["index"].max()))
        return np.load(patterns)[index]

    peaks_to_csv(replace(stack, read=look), tmp_path / "out.csv", 3)
    assert kept == [{2: 3, 3: 2}[at_once]]
    assert (tmp_path / "out.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


def test_patterns_without_a_spot_make_a_table_without_rows(tmp_path: Path) -> None:
    stack = PatternStack(da.zeros((2, 32, 32), chunks=(1, 32, 32)), "run")
    assert "0 spots of 2 patterns" in peaks_to_csv(stack, tmp_path / "out.csv", 3)
    assert (tmp_path / "out.csv").read_text() == "index,x,y,intensity,snr,zonal\n"


def test_what_classify_has_kept_is_not_replaced(patterns: Path, tmp_path: Path) -> None:
    part = tmp_path / "out.csv.part"
    part.write_text('# {"patterns": 5}\nindex,label\n0,NoHit\n')
    stack = PatternStack(da.from_array(np.load(patterns), chunks=(1, 256, 256)), "run")
    with pytest.raises(InputError, match="another command has kept"):
        peaks_to_csv(stack, tmp_path / "out.csv", 3)
    assert part.read_text().startswith("# {")


def test_what_an_earlier_version_has_kept_on_windows_is_replaced(
    patterns: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = PatternStack(da.from_array(np.load(patterns), chunks=(1, 256, 256)), "run")
    peaks_to_csv(stack, tmp_path / "other.csv", 3)
    rows = b"index,x,y,intensity,snr,zonal\r\n7,1,1,1,9,True\r\n"
    (tmp_path / "out.csv.part").write_bytes(rows)
    monkeypatch.setattr("os.linesep", "\r\n")
    peaks_to_csv(stack, tmp_path / "out.csv", 3)
    table = (tmp_path / "out.csv").read_bytes()
    assert b"\r" not in table
    assert table == (tmp_path / "other.csv").read_bytes()


def test_classify_says_that_patterns_were_redrawn(
    patterns: Path, learning: Any, tmp_path: Path
) -> None:
    stack = PatternStack(da.from_array(np.load(patterns), chunks=(1, 256, 256)), "run")
    model = learning.load_model("zones")
    say: Any = {"say": lambda text: None}
    classify_to_csv(stack, model, tmp_path / "out.csv", preprocess="redraw", **say)
    about = json.loads((tmp_path / "out.csv.json").read_text())
    assert about["preprocess"] == "redraw"
    # What was made of redrawn patterns is not what was asked for without.
    learning.seen.clear()
    classify_to_csv(stack, model, tmp_path / "out.csv", resume=True, **say)
    assert learning.seen == list(range(5))
    with pytest.raises(InputError, match="no preprocessing 'blur'"):
        classify_to_csv(stack, model, tmp_path / "other.csv", preprocess="blur", **say)
