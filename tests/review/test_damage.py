"""A review kept by two programs, on a disk that fails, or in files that were damaged."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.review.store import SessionStore

N = 4


def rows(indices: range = range(N), classes: tuple[str, ...] = ("A", "B")) -> pd.DataFrame:
    table = pd.DataFrame({"index": indices, "source": "", "label": classes[0], "confidence": 0.5})
    return table.assign(**{f"p_{name}": 0.5 - k / 8 for k, name in enumerate(classes)})


@pytest.fixture
def two(tmp_path: Path) -> tuple[ReviewSession, ReviewSession]:
    """One review in two programs."""
    first = ReviewSession(rows(), "k", tmp_path, person="ann")
    first.save()
    return first, ReviewSession.restore("k", tmp_path, person="bob")


def on_disk(folder: Path) -> list[str]:
    session = ReviewSession.restore("k", folder)
    return [session.label(i) if session.reviewed(i) else "" for i in range(N)]


def fail(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


# -- two programs -------------------------------------------------------------------------------
def test_undo_takes_back_ones_own_step_on_the_disk(
    two: tuple[ReviewSession, ReviewSession], tmp_path: Path
) -> None:
    ann, bob = two
    ann.decide(1, "A")
    bob.decide(2, "B")
    ann.undo()
    assert on_disk(tmp_path) == ["", "", "B", ""]
    bob.undo()
    assert on_disk(tmp_path) == [""] * 4


def test_both_take_back_the_same_step(
    two: tuple[ReviewSession, ReviewSession], tmp_path: Path
) -> None:
    ann, _ = two
    ann.decide(0, "B")
    ann.decide(1, "A")
    bob = ReviewSession.restore("k", tmp_path)
    ann.undo()
    bob.undo()
    assert on_disk(tmp_path) == ["B", "", "", ""]


def test_the_undo_of_a_step_without_a_name_takes_back_no_step_of_another_program(
    tmp_path: Path,
) -> None:
    steps = [{"do": "label", "labels": {"A": [k]}, "person": "ann"} for k in (0, 1)]
    (tmp_path / "journal.jsonl").write_text("".join(f"{json.dumps(s)}\n" for s in steps))
    ann, bob = (ReviewSession.restore("k", tmp_path, person=name) for name in ("ann", "bob"))
    bob.decide(2, "B")
    assert ann.undo().tolist() == [1]
    assert SessionStore(tmp_path).journal()[-1]["of"] == ""
    decisions = ReviewSession.restore("k", tmp_path)._decisions
    assert [decisions.name(k) for k in range(3)] == ["A", None, "B"]


@pytest.mark.parametrize("torn", [0, 9, 10_000])
def test_a_failed_write_costs_another_program_nothing(
    two: tuple[ReviewSession, ReviewSession],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    torn: int,
) -> None:
    ann, bob = two
    journal = tmp_path / "journal.jsonl"
    ann.decide(0, "A")
    whole = journal.stat().st_size
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(InputError, match="disk is full"):
            ann.decide(1, "A")
    os.truncate(journal, max(whole, journal.stat().st_size - torn))
    bob.decide(2, "B")
    bob.decide(3, "B")
    ann.decide(1, "B")
    assert on_disk(tmp_path) == ["A", "B", "B", "B"]
    ids = [record["id"] for record in SessionStore(tmp_path).journal()]
    assert len(ids) == len(set(ids)) == 5
    ann.undo()
    assert on_disk(tmp_path) == ["A", "A", "B", "B"]


# -- damaged files ------------------------------------------------------------------------------
def test_a_class_with_a_comma_and_an_unreadable_pattern(tmp_path: Path) -> None:
    table = rows(range(2), ("Fe, bcc", "B"))
    table.loc[1, ["label", "confidence", "p_Fe, bcc", "p_B"]] = ["Unreadable", 0, None, None]
    ReviewSession(table, "k", tmp_path).save()
    session = ReviewSession.restore("k", tmp_path)
    assert session.said["p_Fe, bcc"].dtype == float
    assert session.probabilities(0) == {"Fe, bcc": 0.5, "B": 0.375}
    assert session.patterns_of("Fe, bcc").tolist() == [0]


@pytest.mark.parametrize("classes", [5, [["A"]], "AB", ["A", 1], {"A": 1}, None])
def test_classes_that_are_no_list_of_texts_are_those_of_the_table(
    tmp_path: Path, classes: object
) -> None:
    ReviewSession(rows(), "k", tmp_path).save()
    (tmp_path / "about.json").write_text(json.dumps({"classes": classes}))
    session = ReviewSession.restore("k", tmp_path)
    assert session.classes == ("A", "B")
    assert session.counts().classes == {"A": N, "B": 0}


@pytest.mark.parametrize("numbers", [[100_000_000], [-1], ["x"], [10**11], None])
def test_a_damaged_journal_grows_with_its_stack(tmp_path: Path, numbers: object) -> None:
    session = ReviewSession(rows(), "k", tmp_path / "k")
    session.save()
    session.decide(0, "B")
    with (tmp_path / "k/journal.jsonl").open("a") as file:
        file.write(json.dumps({"do": "label", "labels": {"A": numbers}}) + "\n")
    session.grow("l", tmp_path / "l", np.array([1, 2, 3, 4]))
    assert on_disk(tmp_path / "l") == ["", "B", "", ""]


def test_rows_are_added_by_the_names_of_their_columns(tmp_path: Path) -> None:
    session = ReviewSession(rows(), "k", tmp_path)
    session.save()
    more = rows(range(N, N + 2))
    session.extend(more[more.columns[::-1]])
    session.extend(rows(range(N + 2, N + 3), ("B", "C")))
    again = ReviewSession.restore("k", tmp_path)
    pd.testing.assert_frame_equal(again.table(), session.table(), check_dtype=False)
    assert again.probabilities(N) == {"A": 0.5, "B": 0.375}


def test_a_table_with_a_damaged_heading_is_set_aside(tmp_path: Path) -> None:
    ReviewSession(rows(), "k", tmp_path).save()
    (tmp_path / "table.csv").write_text("rubbish\n")
    session = ReviewSession.restore("k", tmp_path)
    session.extend(rows())
    assert len(ReviewSession.restore("k", tmp_path)) == N
    (aside,) = tmp_path.glob("table-*.csv")
    assert aside.read_text() == "rubbish\n"
