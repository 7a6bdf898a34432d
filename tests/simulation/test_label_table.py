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
