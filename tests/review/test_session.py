import errno
import json
import os
import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import (
    LAUE,
    MULTIPLE,
    NO_HIT,
    UNREADABLE,
    ZONE,
    ZONE_CLASSES,
)
from napari_diffraction.review import store
from napari_diffraction.review.session import ReviewSession
from napari_diffraction.review.store import SessionStore, saved_review


def table(labels, confidences, indices=None):
    n = len(labels)
    rows = pd.DataFrame(
        {
            "index": np.arange(n) if indices is None else indices,
            "source": "run.h5",
            "label": labels,
            "confidence": np.asarray(confidences, float),
        }
    )
    for name in ZONE_CLASSES:
        rest = (1 - rows["confidence"]) / 3
        rows[f"p_{name}"] = np.where(rows["label"] == name, rows["confidence"], rest)
    rows.loc[rows["label"] == UNREADABLE, [f"p_{name}" for name in ZONE_CLASSES]] = np.nan
    return rows


@pytest.fixture
def session():
    return ReviewSession(
        table(
            [ZONE, LAUE, NO_HIT, ZONE, UNREADABLE, MULTIPLE],
            [0.95, 0.5, 0.99, 0.4, 0.0, 0.5],
        ),
        person="ann",
    )


def test_next_is_the_least_certain_and_an_equal_one_follows_by_number(session):
    assert session.next_doubtful() == 3
    assert session.next_doubtful(3) == 1
    assert session.next_doubtful(1) == 5
    assert session.next_doubtful(5) == 3  # begins again


def test_next_skips_what_is_decided_and_ends(session):
    session.decide(1, ZONE)
    assert session.next_doubtful(3) == 5
    session.decide(3, ZONE)
    session.decide(5, LAUE)
    assert session.next_doubtful(5) is None


def test_next_starts_with_the_least_certain_from_a_pattern_outside_the_queue(session):
    assert session.next_doubtful(2) == 3
    assert session.next_doubtful(4711) == 3


def test_next_within_a_filter_ignores_the_threshold_but_not_readability(session):
    within = np.array([True, False, True, False, True, False])
    assert session.next_doubtful(None, within) == 0
    session.decide(0, ZONE)
    assert session.next_doubtful(0, within) == 2
    session.decide(2, ZONE)
    assert session.next_doubtful(2, within) is None


def test_a_decision_overrides_the_model_and_undo_takes_it_back(session):
    session.decide(0, LAUE)
    assert session.label(0) == LAUE
    assert session.reviewed(0)
    session.decide(0, MULTIPLE)
    assert list(session.undo()) == [0]
    assert session.label(0) == LAUE
    assert list(session.undo()) == [0]
    assert session.label(0) == ZONE
    assert not session.reviewed(0)
    assert session.last is None
    assert list(session.undo()) == []


def test_accept_takes_what_is_certain_and_undo_takes_all_of_it_back(session):
    session.decide(0, LAUE)
    assert list(session.accept()) == [2]
    counts = session.counts()
    assert (counts.reviewed, counts.acceptable) == (2, 0)
    session.undo()
    assert session.counts().reviewed == 1
    session.threshold = 0.45
    assert sorted(session.accept()) == [1, 2, 5]
    assert session.label(0) == LAUE
    assert list(session.accept()) == []


def test_counts(session):
    counts = session.counts()
    assert (counts.patterns, counts.doubtful, counts.left, counts.acceptable) == (6, 3, 3, 2)
    assert counts.classes == {ZONE: 2, LAUE: 1, NO_HIT: 1, MULTIPLE: 1, UNREADABLE: 1}
    session.decide(3, LAUE)
    counts = session.counts()
    assert (counts.doubtful, counts.left, counts.reviewed) == (3, 2, 1)
    assert counts.classes[ZONE] == 1
    assert counts.classes[LAUE] == 2


def test_patterns_of_a_class_are_the_best_first_and_follow_the_person(session):
    assert list(session.patterns_of(ZONE)) == [0, 3]
    session.decide(1, ZONE)
    session.decide(0, LAUE)
    # p_2DZone of pattern 3 is 0.4, that of pattern 1 (model: Laue) is less.
    assert list(session.patterns_of(ZONE)) == [3, 1]


def test_table_has_the_columns_of_the_classification_first(session):
    session.decide(1, ZONE)
    out = session.table()
    assert list(out.columns) == [
        "index", "source", "label", "confidence", *(f"p_{name}" for name in ZONE_CLASSES),
        "model_label", "reviewed_label", "reviewer", "time", "said_label", "said_by",
    ]  # fmt: skip
    assert out.loc[1, ["label", "reviewed_label", "reviewer"]].tolist() == [ZONE, ZONE, "ann"]
    assert out.loc[1, "confidence"] == 0.5
    assert out.loc[0, ["reviewed_label", "reviewer", "time"]].tolist() == ["", "", ""]


def test_what_the_model_had_said_outlasts_another_model(tmp_path):
    first = ReviewSession(
        table([ZONE, LAUE, NO_HIT], [0.5, 0.6, 0.99]),
        "key",
        tmp_path,
        person="ann",
        about={"model": "zones"},
    )
    first.save()
    first.decide(0, LAUE)
    first.decide(1, LAUE)
    first.accept()
    first.note_lesson({"labels": 2, "parent": "zones"})
    assert first.disagreements() == {"zones": 1}
    again = ReviewSession(
        table([LAUE, LAUE, ZONE], [0.9, 0.9, 0.9]), "key", tmp_path, about={"model": "mine"}
    )
    again.take_up()
    out = again.table()
    assert out["model_label"].tolist() == [LAUE, LAUE, ZONE]
    assert out["said_label"].tolist() == [ZONE, LAUE, NO_HIT]
    assert out["said_by"].tolist() == ["zones"] * 3
    assert again.disagreements() == {"zones": 1}
    assert again.lessons == [{"labels": 2, "parent": "zones"}]
    # Only what was decided one by one is there to learn from.
    indices, labels = again.given()
    assert indices.tolist() == [0, 1]
    assert labels.tolist() == [LAUE, LAUE]
    again.undo()
    again.undo()
    assert again.given()[0].tolist() == [0]
    assert again.table()["said_by"].tolist() == ["zones", "", ""]


def test_decisions_of_an_older_version_have_nothing_to_say_of_models(tmp_path):
    SessionStore(tmp_path).append({"do": "label", "labels": {ZONE: [1]}, "person": "ann"})
    session = ReviewSession(table([LAUE, LAUE], [0.5, 0.6]), "key", tmp_path)
    session.take_up()
    assert session.table()["said_label"].tolist() == ["", ""]
    assert session.disagreements() == {}
    assert session.given()[0].tolist() == [1]


def test_patterns_are_named_by_index_whatever_the_order_of_rows():
    session = ReviewSession(table([ZONE, LAUE], [0.3, 0.2], indices=[7, 2]))
    assert session.next_doubtful() == 2
    session.decide(7, NO_HIT)
    assert session.label(7) == NO_HIT
    assert session.label(2) == LAUE
    assert session.label(0) == ""
    assert session.table()["index"].tolist() == [2, 7]


def test_growing_keeps_decisions_and_replaces_rows():
    session = ReviewSession(classes=ZONE_CLASSES)
    assert session.next_doubtful() is None
    assert session.counts().patterns == 0
    session.extend(table([ZONE, LAUE], [0.5, 0.6]))
    session.decide(0, NO_HIT)
    session.extend(table([ZONE, ZONE], [0.1, 0.99], indices=[2, 1]))
    assert session.label(0) == NO_HIT
    assert session.label(1) == ZONE
    assert session.next_doubtful() == 2
    assert session.counts().patterns == 3


# -- kept on disk -------------------------------------------------------------------------------
def test_a_saved_review_comes_back_with_its_way_back(tmp_path):
    first = ReviewSession(
        table([ZONE, LAUE, UNREADABLE], [0.95, 0.5, 0]), "k", tmp_path / "k", about={"model": "m"}
    )
    first.save()
    first.decide(1, MULTIPLE)
    first.accept()
    again = ReviewSession.restore("k", tmp_path / "k")
    pd.testing.assert_frame_equal(again.table(), first.table())
    assert again.about["model"] == "m"
    assert again.classes == ZONE_CLASSES
    assert list(again.undo()) == [0]
    assert list(again.undo()) == [1]
    assert again.label(1) == LAUE
    assert ReviewSession.restore("k", tmp_path / "k").counts().reviewed == 0


def test_a_batch_is_on_disk_at_once_and_decisions_outlast_a_new_classification(tmp_path):
    session = ReviewSession(key="k", folder=tmp_path, classes=ZONE_CLASSES)
    session.save()
    session.extend(table([ZONE, LAUE], [0.5, 0.6]))
    session.extend(table([NO_HIT], [0.7], indices=[2]))
    session.decide(0, MULTIPLE)
    assert len(ReviewSession.restore("k", tmp_path)) == 3

    other = ReviewSession(key="k", folder=tmp_path, classes=ZONE_CLASSES)
    other.save()
    [aside] = tmp_path.glob("table-*.csv")
    assert len(pd.read_csv(aside)) == 3
    assert len(list(tmp_path.glob("about-*.json"))) == 1
    other.take_up()
    other.extend(table([LAUE, LAUE], [0.9, 0.9]))
    assert other.label(0) == MULTIPLE
    assert len(ReviewSession.restore("k", tmp_path)) == 2


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(0, 400))
def test_a_crash_at_any_byte_loses_at_most_the_last_decision(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("crash")
    session = ReviewSession(table([ZONE] * 3, [0.5] * 3), "k", folder)
    session.save()
    for index in range(3):
        session.decide(index, LAUE)
    journal = folder / "journal.jsonl"
    text = journal.read_bytes()
    cut = min(cut, len(text))
    journal.write_bytes(text[:cut])
    whole = text[:cut].count(b"\n")
    # The line is whole, but its end is missing: it may count, it need not.
    complete = cut in np.cumsum([len(line) for line in text.splitlines(keepends=True)]) - 1

    again = ReviewSession.restore("k", folder)
    assert again.counts().reviewed in ({whole, whole + 1} if complete else {whole})
    before = again.counts().reviewed
    again.decide(2, NO_HIT)
    last = ReviewSession.restore("k", folder)
    assert last.label(2) == NO_HIT
    assert last.counts().reviewed == max(before + (before < 3), before)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_a_damaged_journal_does_no_harm(tmp_path_factory, rubbish):
    folder = tmp_path_factory.mktemp("rubbish")
    (folder / "journal.jsonl").write_bytes(
        b'{"do":"label","labels":{"2DZone":["x"]}}\n{"do":"label","labels":{"2DZone":[-3]}}\n[1]\n'
        + rubbish
    )
    (folder / "about.json").write_bytes(rubbish)
    session = ReviewSession.restore("k", folder)
    session.decide(0, ZONE)
    assert ReviewSession.restore("k", folder).label(0) == ZONE


def test_a_torn_table_loses_its_last_line_only(tmp_path):
    session = ReviewSession(table([ZONE, LAUE], [0.5, 0.625]), "k", tmp_path)
    session.save()
    path = tmp_path / "table.csv"
    path.write_text(path.read_text()[:-3])
    assert ReviewSession.restore("k", tmp_path).index.tolist() == [0]


@pytest.mark.parametrize("cut", [3, 10_000])
def test_a_torn_table_can_be_added_to(tmp_path, cut):
    session = ReviewSession(table([ZONE, LAUE], [0.5, 0.625]), "k", tmp_path)
    session.save()
    path = tmp_path / "table.csv"
    text = path.read_text()
    path.write_text(text[: max(5, len(text) - cut)])
    again = ReviewSession.restore("k", tmp_path)
    again.extend(table([NO_HIT, MULTIPLE], [0.75, 0.875], indices=[1, 2]))
    last = ReviewSession.restore("k", tmp_path)
    pd.testing.assert_frame_equal(last.table(), again.table())
    assert last.index.tolist() == ([0, 1, 2] if cut == 3 else [1, 2])


def test_rows_that_could_not_be_saved_are_saved_with_the_next(tmp_path, monkeypatch):
    session = ReviewSession(key="k", folder=tmp_path, classes=ZONE_CLASSES)
    session.save()
    session.extend(table([ZONE], [0.5]))

    def torn(self, file, **_):
        file.write("1,run.h5,2DZo")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_csv", torn)
        with pytest.raises(InputError, match="disk is full"):
            session.extend(table([LAUE], [0.625], indices=[1]))
    session.extend(table([NO_HIT], [0.75], indices=[2]))
    again = ReviewSession.restore("k", tmp_path)
    pd.testing.assert_frame_equal(again.table(), session.table())
    assert not list(tmp_path.glob("table-*.csv"))


def test_starting_anew_sets_the_journal_aside(tmp_path):
    session = ReviewSession(table([ZONE], [0.5]), "k", tmp_path)
    session.decide(0, LAUE)
    session.start_anew()
    assert session.label(0) == ZONE
    assert session.last is None
    assert len(list(tmp_path.glob("journal-*.jsonl"))) == 1
    session.decide(0, NO_HIT)
    assert ReviewSession.restore("k", tmp_path).label(0) == NO_HIT


def test_a_decision_that_cannot_be_saved_is_taken_and_reported(tmp_path, monkeypatch):
    session = ReviewSession(table([ZONE], [0.5]), "k", tmp_path)

    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="disk is full"):
        session.decide(0, LAUE)
    assert session.label(0) == LAUE


@pytest.mark.parametrize("torn", [True, False])
def test_a_decision_that_could_not_be_saved_is_saved_with_the_next(tmp_path, monkeypatch, torn):
    session = ReviewSession(table([ZONE] * 3, [0.5] * 3), "k", tmp_path)
    session.save()
    session.decide(0, LAUE)
    journal = tmp_path / "journal.jsonl"

    def full(_):
        if torn:
            os.truncate(journal, journal.stat().st_size - 9)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        for index in (1, 2):
            with pytest.raises(InputError, match="disk is full"):
                session.decide(index, LAUE)
    session.undo()
    again = ReviewSession.restore("k", tmp_path)
    assert [again.reviewed(index) for index in range(3)] == [True, True, False]
    assert len(journal.read_bytes().splitlines()) == 4
    again.undo()
    assert again.counts().reviewed == 1


def test_a_journal_that_cannot_be_set_aside_is_said_and_kept(tmp_path, monkeypatch):
    session = ReviewSession(table([ZONE], [0.5]), "k", tmp_path)
    session.decide(0, LAUE)

    def forbidden(*_):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pathlib.Path.rename", forbidden)
    with pytest.raises(InputError, match="no permission"):
        session.start_anew()
    assert session.label(0) == LAUE


def test_saved_review_says_what_there_is(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "sessions_folder", lambda: tmp_path)
    assert saved_review("k") is None
    session = ReviewSession(table([ZONE, ZONE], [0.5, 0.6]), "k", SessionStore.of("k").folder)
    session.save()
    found = saved_review("k")
    assert (found.decisions, found.patterns) == (0, 2)
    session.decide(0, LAUE)
    session.decide(1, LAUE)
    session.undo()
    found = saved_review("k")
    assert (found.decisions, found.patterns) == (1, 2)
    assert found.time >= session.table()["time"][0]  # undone in the same second or the next one


def test_every_decision_is_one_line_of_json(tmp_path):
    session = ReviewSession(table([ZONE, ZONE], [0.99, 0.98]), "k", tmp_path, person="ann")
    session.decide(0, LAUE)
    session.accept()
    lines = [json.loads(line) for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert [line["labels"] for line in lines] == [{LAUE: [0]}, {ZONE: [1]}]
    assert {line["person"] for line in lines} == {"ann"}


def test_100_000_patterns_stay_fluent(tmp_path):
    n = 100_000
    rng = np.random.default_rng(1)
    session = ReviewSession(
        table(rng.choice(ZONE_CLASSES, n), rng.uniform(0.25, 1, n)), "k", tmp_path
    )
    took = []
    index = session.next_doubtful()
    for _ in range(20):
        # Of the processor, since other programs may keep it busy.
        start = time.process_time()
        session.decide(index, LAUE)
        index = session.next_doubtful(index)
        session.counts()
        took.append(time.process_time() - start)
    print(f"a step takes {1e3 * np.median(took):.1f} ms")
    assert np.median(took) < 0.02


def test_names_of_files_that_are_not_in_utf_8_come_back_as_they_were(tmp_path):
    name = os.fsdecode(b"m\xfcnchen.h5")
    rows = pd.DataFrame({"index": range(4), "source": name, "label": ZONE, "confidence": 0.5})
    session = ReviewSession(None, "k", tmp_path / "k")
    session.save()
    session.extend(rows[:2])
    session.extend(rows[2:].assign(row=0))  # another column: the table is written anew
    kept = ReviewSession.restore("k", tmp_path / "k")
    assert kept.said["source"].tolist() == [name] * 4
