"""Tables of labels, which must not lose the names of classes."""

from __future__ import annotations

from pathlib import Path

from napari_diffraction.simulation.label_table import read_labels


def test_classes_are_texts_and_what_is_measured_are_numbers(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("index,label,kind,thickness,note\n0,NA,01,1.5,2\n1,01,2,,None\n2,,3,2,\n")
    table = read_labels(path)
    assert table["label"].tolist() == ["NA", "01", ""]
    assert table["kind"].tolist() == [1, 2, 3]
    assert table["index"].dtype.kind == "i"
    assert table["thickness"].sum() == 3.5
    assert table["note"].tolist() == ["2", "None", ""]
    assert read_labels(path, ("kind",))["kind"].tolist() == ["01", "2", "3"]


def test_numbers_stay_numbers_where_some_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "run.csv"
    path.write_text("index,label,confidence,score\n0,a,0.5,NA\n1,b,NaN,2\n2,,nan,\n")
    table = read_labels(path)
    assert table["confidence"].fillna(-1).tolist() == [0.5, -1, -1]
    assert table["score"].fillna(-1).tolist() == [-1, 2, -1]
