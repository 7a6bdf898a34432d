from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from PIL import Image

from napari_diffraction.errors import InputError
from napari_diffraction.learning.labels.labelled import (
    LabelledSource,
    aligned,
    check_classes,
    open_labelled,
)
from napari_diffraction.learning.labels.splits import split
from napari_diffraction.learning.models.leakage import content_hash


def write_stack(path: Path, table: dict[str, list[object]] | None, n: int = 6) -> Path:
    rng = np.random.default_rng(len(path.name))
    np.save(path, rng.integers(0, 255, (n, 16, 16), dtype=np.uint8))
    if table is not None:
        pd.DataFrame(table).to_csv(path.with_name(path.name + ".csv"), index=False)
    return path


def test_a_stack_with_a_table_beside_it(tmp_path: Path) -> None:
    labels: list[object] = ["a", "b", "a", "", "b", "Unreadable"]
    path = write_stack(tmp_path / "run.npy", {"label": labels, "cell": [0, 0, 1, 1, 2, 2]})
    data = open_labelled([LabelledSource("run.npy")], folder=tmp_path)
    assert data.labels.tolist() == ["a", "b", "a", "b"]
    assert data.index.tolist() == [0, 1, 2, 4]
    assert data.grouped_by == "unit cell"
    assert len(set(data.groups.tolist())) == 3
    np.testing.assert_array_equal(data.frame(3), np.load(path)[4])
    assert data.content_hash(3) == content_hash(np.load(path)[4])
    assert data.counts() == {"a": 2, "b": 2}


def test_a_table_of_some_patterns_names_them_by_number(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "run.npy", None)
    table = tmp_path / "said.csv"
    table.write_text("index,kind\n5,a\n1,b\n2,b\n0,a\n")
    source = LabelledSource("run.npy", labels="said.csv", column="kind")
    data = open_labelled([source], folder=tmp_path)
    assert dict(zip(data.index.tolist(), data.labels.tolist(), strict=True)) == {
        0: "a",
        1: "b",
        2: "b",
        5: "a",
    }
    assert set(data.groups.tolist()) == {str(path)}
    with pytest.raises(InputError, match="no column 'sort'"):
        open_labelled([LabelledSource(str(path), "said.csv", "sort")], folder=tmp_path)
    table.write_text("index,label\n6,a\n")
    with pytest.raises(InputError, match="from 0 to 5"):
        open_labelled([LabelledSource(str(path), "said.csv")], folder=tmp_path)


def test_a_folder_of_folders_is_named_after_classes(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for folder in ("zone/crystal1", "zone/crystal2", "laue"):
        (tmp_path / folder).mkdir(parents=True)
        for i in range(2):
            frame = rng.integers(0, 255, (12, 12), dtype=np.uint8)
            Image.fromarray(frame).save(tmp_path / folder / f"{i}.png")
    data = open_labelled([LabelledSource(str(tmp_path))])
    assert data.counts() == {"zone": 4, "laue": 2}
    assert len(set(data.groups[data.labels == "zone"].tolist())) == 2


def test_what_was_decided_in_a_review(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "run.npy", None)
    said = pd.DataFrame({"index": [1, 2, 3, 4], "reviewed_label": ["a", "b", "b", "a"]})
    source = LabelledSource(str(path), labels="review")
    assert open_labelled([source], reviewed=lambda _: said).index.tolist() == [1, 2, 3, 4]
    with pytest.raises(InputError, match="no review"):
        open_labelled([source], reviewed=lambda _: None)


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [
        (["a"] * 5 + ["b"], (), "'b' has one pattern"),
        (["a"] * 6, (), "two or more"),
        (["a", "b"] * 3, ("a", "b", "c"), "'c' has no pattern"),
        ([""] * 6, (), "no class"),
    ],
)
def test_too_few_labels_are_refused(
    tmp_path: Path, labels: list[object], classes: tuple[str, ...], words: str
) -> None:
    path = write_stack(tmp_path / "run.npy", {"label": labels})
    with pytest.raises(InputError, match=words):
        open_labelled([LabelledSource(str(path))], classes)


def test_labels_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "run.npy", {"label": ["a", "b"] * 3})
    other = tmp_path / "other.csv"
    other.write_text("index,label\n0,a\n1,b\n2,b\n3,b\n")
    sources = [LabelledSource(str(path)), LabelledSource(str(path), labels="other.csv")]
    with pytest.raises(InputError, match="pattern 2 has two different labels"):
        open_labelled(sources, folder=tmp_path)
    other.write_text("index,label\n0,a\n0,b\n")
    with pytest.raises(InputError, match="pattern 0 has two different labels"):
        open_labelled(sources[1:], folder=tmp_path)


def test_other_classes_are_left_out_and_it_is_said(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "run.npy", {"label": ["a", "b", "c"] * 2})
    data = open_labelled([LabelledSource(str(path))], ("a", "b"))
    assert data.classes == ("a", "b")
    assert data.notes == ("2 patterns of other classes are left out.",)


def test_a_stack_without_labels_says_where_they_could_be(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "run.npy", None)
    with pytest.raises(InputError, match=r"run\.npy\.csv"):
        open_labelled([LabelledSource(str(path))])


def test_classes_are_checked_in_plain_words() -> None:
    check_classes(np.array(["a", "b", "a", "b"]), ("a", "b"))
    with pytest.raises(InputError, match="at least two"):
        check_classes(np.array(["a", "b", "a"]), ("a", "b"))


def test_a_column_may_stand_beside_what_a_review_said(tmp_path: Path) -> None:
    table: dict[str, list[object]] = {"reviewed_label": ["a", "b"] * 3, "label": ["c", "d"] * 3}
    path = write_stack(tmp_path / "run.npy", table)
    data = open_labelled([LabelledSource(str(path), column="label")])
    assert data.labels.tolist() == ["c", "d"] * 3
    write_stack(path, {"index": list(range(6)), "kind": ["a", "b"] * 3})
    with pytest.raises(InputError, match="no column of its labels names classes"):
        open_labelled([LabelledSource(str(path))])


@pytest.mark.parametrize("column", ["kind", "phase"])
def test_contradictions_in_any_column_of_classes_are_refused(tmp_path: Path, column: str) -> None:
    table: dict[str, list[object]] = {"index": [0, 1, 2, 3, 0], column: ["a", "a", "b", "b", "b"]}
    path = write_stack(tmp_path / "run.npy", table)
    source = LabelledSource(str(path), column=column if column == "kind" else "")
    with pytest.raises(InputError, match="pattern 0 has two different labels"):
        open_labelled([source])


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("column", ["label", "kind"])
@pytest.mark.parametrize("names", ["None NA", "1 2", "01 1.0", "True nan"])
def test_classes_keep_their_names(tmp_path: Path, names: str, column: str, beside: bool) -> None:
    path = write_stack(tmp_path / "run.npy", None)
    table = tmp_path / ("run.npy.csv" if beside else "said.csv")
    first, second = names.split()
    table.write_text(f"index,{column}\n0,{first}\n1,{second}\n2,\n4,{first}\n5,{second}\n")
    source = LabelledSource(
        str(path), "" if beside else str(table), column if column == "kind" else ""
    )
    data = open_labelled([source], (first, second))
    assert data.labels.tolist() == [first, second] * 2
    assert data.index.tolist() == [0, 1, 4, 5]


def test_numbers_as_classes_stay_whole_where_patterns_have_none() -> None:
    table = aligned(pd.DataFrame({"index": [2, 0], "label": [1, 2]}), 3, "run")
    assert table["label"].fillna("").tolist() == ["2", "", "1"]


@pytest.mark.parametrize("index", ["0.5", "-1", "x", "", "inf"])
def test_numbers_that_are_none_of_a_pattern_are_refused(tmp_path: Path, index: str) -> None:
    path = write_stack(tmp_path / "run.npy", None)
    (tmp_path / "run.npy.csv").write_text(f"index,label\n{index},a\n1,a\n2,b\n3,b\n")
    with pytest.raises(InputError, match="whole numbers from 0 to 5"):
        open_labelled([LabelledSource(str(path))])


@pytest.mark.parametrize("old", [True, False])
def test_the_table_of_an_export_may_be_named(
    tmp_path: Path, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers in one that an older version wrote are those of the stack it came from."""
    tifffile.imwrite(tmp_path / "z.tif", np.zeros((4, 8, 8), np.uint8), photometric="minisblack")
    (tmp_path / "z.tif.json").write_text(json.dumps({"chosen": 4}))
    table = pd.DataFrame({"index": [3, 2, 1, 0], "label": ["a", "a", "b", "b"]})
    (table if old else table.assign(stack_index=5)).to_csv(tmp_path / "z.tif.csv", index=False)
    table.to_csv(tmp_path / "mine.csv", index=False)

    def labels(name: str, folder: Path) -> list[str]:
        return open_labelled([LabelledSource("z.tif", name)], folder=folder).labels.tolist()

    wanted = ["a", "a", "b", "b"] if old else ["b", "b", "a", "a"]
    assert labels("", tmp_path) == labels("z.tif.csv", tmp_path) == wanted
    assert labels(str(tmp_path / "z.tif.csv"), tmp_path) == wanted
    assert labels("mine.csv", tmp_path) == ["b", "b", "a", "a"]
    monkeypatch.chdir(tmp_path)
    assert labels("z.tif.csv", Path()) == wanted


def test_what_belongs_together_is_no_label() -> None:
    table = pd.DataFrame(
        {"index": [0, 0, 1], "label": ["a", "a", "b"], "material": ["x", "y", "x"]}
    )
    assert aligned(table, 2, "run")["label"].tolist() == ["a", "b"]
    with pytest.raises(InputError, match="two different labels in its column material"):
        aligned(table, 2, "run", "material")
    with pytest.raises(InputError, match="two different labels in its column material"):
        aligned(table.drop(columns="label"), 2, "run")
    table["reviewed_label"] = ["a", "b", "b"]
    with pytest.raises(InputError, match="two different labels in its column reviewed_label"):
        aligned(table, 2, "run")


def test_a_label_that_may_be_none_is_said(tmp_path: Path) -> None:
    path = write_stack(tmp_path / "run.npy", {"label": ["a", "a", "b", "b", "NA", "NA"]})
    data = open_labelled([LabelledSource(str(path))])
    assert data.classes == ("NA", "a", "b")
    assert ["NA is taken for the name of a class" in note for note in data.notes] == [True]
    assert open_labelled([LabelledSource(str(path))], ("NA", "a", "b")).notes == ()
    assert len(open_labelled([LabelledSource(str(path))], ("a", "b")).notes) == 2


@pytest.mark.parametrize("group", ["cell", "grain"])
def test_patterns_of_no_group_belong_to_nothing_else(tmp_path: Path, group: str) -> None:
    labels: list[object] = [*["zone"] * 10, *["laue"] * 10, *["none"] * 5]
    cells: list[object] = [*[0, 1, 2, 3, 4] * 4, *[None] * 5]
    write_stack(tmp_path / "run.npy", {"label": labels, group: cells}, 25)
    source = LabelledSource("run.npy", group="" if group == "cell" else group)
    data = open_labelled([source], folder=tmp_path)
    assert len(set(data.groups.tolist())) == 10
    learned, judged, warning = split(data)
    assert not warning
    assert not set(data.groups[learned]) & set(data.groups[judged])


@pytest.mark.parametrize("group", ["", "grain"])
def test_an_empty_column_of_groups_is_as_good_as_none(tmp_path: Path, group: str) -> None:
    empty = {"cell": [""] * 6, "grain": [""] * 6}
    path = write_stack(tmp_path / "run.npy", {"label": [*"aabbab"], **empty})
    data = open_labelled([LabelledSource("run.npy", group=group)], folder=tmp_path)
    assert set(data.groups.tolist()) == {str(path)}
    assert data.grouped_by == "file"
