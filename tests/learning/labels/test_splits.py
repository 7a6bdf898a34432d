from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_diffraction.learning.labels.splits import kfold, split


@dataclass
class Grouped:
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    grouped_by: str = "unit cell"


def crystals(n: int, each: int = 10) -> Grouped:
    """Of each crystal, one pattern in five is a zone."""
    labels = np.tile(["zone"] + ["laue"] * 4, n * each // 5)
    return Grouped(labels, np.repeat([f"cell {i}" for i in range(n)], each))


def test_no_group_is_on_both_sides_of_a_split() -> None:
    data = crystals(20)
    learned, judged, warning = split(data, 0.2, seed=3)
    assert warning == ""
    assert sorted([*learned, *judged]) == list(range(200))
    assert not set(data.groups[learned]) & set(data.groups[judged])
    assert len(judged) == 40
    assert set(data.labels[judged]) == {"zone", "laue"}
    np.testing.assert_array_equal(split(data, 0.2, seed=3)[1], judged)
    assert set(split(data, 0.2, seed=4)[1].tolist()) != set(judged.tolist())


def test_a_class_of_its_own_files_is_on_both_sides() -> None:
    labels = np.repeat(["a", "b", "b", "a", "a", "b"], 7)
    data = Grouped(labels, np.repeat([f"file {i}" for i in range(6)], 7), "file")
    learned, judged, _ = split(data)
    assert not set(data.groups[learned]) & set(data.groups[judged])
    assert set(labels[learned]) == set(labels[judged]) == {"a", "b"}


def test_where_no_group_can_be_held_back_it_is_said() -> None:
    labels = np.repeat(["a", "b"], [50, 10])
    data = Grouped(labels, labels, "file")
    learned, judged, warning = split(data)
    assert "all patterns of a come from one file" in warning
    assert (labels[judged] == "b").sum() == 2
    assert len(learned) + len(judged) == 60
    _, warning = kfold(data, 3)
    assert "too good" in warning
    _, judged, warning = split(crystals(2))
    assert len(judged) == 10
    assert "50%" in warning


def test_in_folds_each_pattern_is_judged_once() -> None:
    data = crystals(9)
    folds, warning = kfold(data, 3)
    assert warning == ""
    assert sorted(np.concatenate([judged for _, judged in folds])) == list(range(90))
    for learned, judged in folds:
        assert not set(data.groups[learned]) & set(data.groups[judged])


@pytest.mark.parametrize("share", [0.01, 0.1, 0.3, 0.4, 0.5])
def test_as_many_are_judged_as_are_asked_for(share: float) -> None:
    rng = np.random.default_rng(0)
    data = Grouped(rng.choice(["a", "b"], 2000), rng.integers(0, 400, 2000).astype(str))
    learned, judged, warning = split(data, share)
    assert warning == ""
    assert len(judged) / 2000 == pytest.approx(share, rel=0.1)
    assert not set(data.groups[learned]) & set(data.groups[judged])
    alone = Grouped(data.labels, np.full(2000, "one"))
    assert len(split(alone, share)[1]) / 2000 == pytest.approx(share, rel=0.1)


@pytest.mark.parametrize(
    ("labels", "groups", "k", "words"),
    [
        ("aaaabbbb", "xxxxxxxx", 4, "4 folds instead of 10, since a has only 4 patterns"),
        ("aaaabbbb", "12345678", 4, "4 folds instead of 10, since a has only 4 sources"),
        ("aaaaaaaabbbbcc", "abcdefghijklmn", 2, "2 folds instead of 10, since c has only 2"),
    ],
)
def test_there_are_no_more_folds_than_each_class_can_fill(
    labels: str, groups: str, k: int, words: str
) -> None:
    data = Grouped(np.array(list(labels)), np.array(list(groups)))
    folds, warning = kfold(data, 10)
    assert words in warning
    assert len(folds) == k
    for part in (part for fold in folds for part in fold):
        assert set(data.labels[part]) == set(labels)
    assert sorted(np.concatenate([judged for _, judged in folds])) == list(range(len(labels)))


def test_a_single_pattern_is_called_one() -> None:
    data = Grouped(np.array(list("aaab")), np.full(4, "x"))
    assert kfold(data, 3)[1].endswith("2 folds instead of 3, since b has only 1 pattern.")


def test_classes_that_share_sources_make_folds_fewer() -> None:
    """Each class has three sources, but not such that each fold gets one."""
    data = Grouped(np.array(list("bbaaacccb")), np.array(list("643465435")))
    folds, warning = kfold(data, 3)
    assert len(folds) == 2
    assert warning == (
        "There are 2 folds instead of 3, since some sources (by unit cell) hold several classes."
    )
