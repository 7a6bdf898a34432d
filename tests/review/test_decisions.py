"""Steps and the way back, whoever took them, and what a damaged journal may hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_diffraction.review.decisions import Decisions, renumbered


def step(name: str, *indices: int, id: str = "") -> dict[str, Any]:
    record = {"do": "label", "labels": {name: list(indices)}, "person": "ann", "time": "t"}
    return record | ({"id": id} if id else {})


def after(*records: dict[str, Any], size: int = 4) -> list[str | None]:
    decisions = Decisions()
    for record in records:
        decisions.apply(record)
    return [decisions.name(index) for index in range(size)]


def test_a_step_that_is_named_is_taken_back_although_others_came_later() -> None:
    steps = step("A", 0, 1, id="one"), step("B", 1, 2, id="two"), step("C", 3, id="three")
    undo = {"do": "undo", "of": "one"}
    assert after(*steps, undo) == [None, "B", "B", "C"]
    # a second time, and one that never was
    assert after(*steps, undo, undo, {"do": "undo", "of": "none"}) == [None, "B", "B", "C"]
    # the way back behind it leads past it
    assert after(*steps, undo, {"do": "undo", "of": "two"}) == [None, None, None, "C"]
    assert after(*steps, {"do": "undo", "of": "two"}) == ["A", "A", None, "C"]
    assert after(*steps, {"do": "undo", "of": "two"}, undo) == [None, None, None, "C"]


def test_a_pattern_decided_on_again_and_again_keeps_its_last_label() -> None:
    steps = [step(name, 0, id=name) for name in "ABC"]
    back = [{"do": "undo", "of": name} for name in "ABC"]
    assert after(*steps, back[0], size=1) == ["C"]
    assert after(*steps, back[1], back[2], size=1) == ["A"]
    assert after(*steps, back[0], back[2], size=1) == ["B"]
    assert after(*steps, *back, size=1) == [None]


def test_what_older_versions_took_back_was_the_last_step() -> None:
    steps = step("A", 0), step("B", 1, id="two")
    assert after(*steps, {"do": "undo"}, size=2) == ["A", None]
    assert after(*steps, {"do": "undo"}, {"do": "undo"}, size=2) == [None, None]


def test_the_last_step_is_known_by_its_name() -> None:
    decisions = Decisions()
    assert decisions.last_id == ""
    decisions.apply(step("A", 0, id="one"))
    assert decisions.last_id == "one"
    decisions.renumber(np.array([2]))
    assert decisions.last_id == "one"
    assert decisions.apply({"do": "undo", "of": "one"}).tolist() == [2]


@pytest.mark.parametrize("undone", [step("B", 1), step("B", 1, id="two")])
def test_a_step_of_an_older_version_is_taken_back_although_others_came_later(
    undone: dict[str, Any],
) -> None:
    steps = step("A", 0), undone, step("C", 2, id="of another program")
    undo = {"do": "undo", "of": undone.get("id", "")}
    assert after(*steps, undo) == ["A", None, "C", None]
    assert after(*steps, undo, {"do": "undo", "of": ""}) == [None, None, "C", None]
    assert after(*steps, *[{"do": "undo", "of": ""}] * 3)[2] == "C"


@pytest.mark.parametrize(
    "labels",
    [
        {"A": [4]},
        {"A": [-1]},
        {"A": ["x"]},
        {"A": [10**11]},
        {"A": [10**30]},
        {"A": [[0], "x"]},
        {"A": None},
        {},
    ],
)
def test_a_step_on_no_patterns_of_the_stack_changes_nothing(labels: object) -> None:
    damaged = {"do": "label", "labels": labels}
    record = renumbered(damaged, np.array([1, 2, 3, 4]))
    assert record == {"do": "label", "labels": {}}
    # it is that step which is taken back, not the one before
    assert after(step("B", 0), record, {"do": "undo"}, size=1) == ["B"]
    assert after(step("B", 0), record, {"do": "undo"}, {"do": "undo"}, size=1) == [None]
    decisions = Decisions()
    decisions.apply(record)
    decisions.renumber(np.array([1, 2]))
    assert len(decisions) == 0


@pytest.mark.parametrize("labels", [3, None])
def test_records_that_make_no_sense_are_not_renumbered(labels: object) -> None:
    record = {"do": "label", "labels": labels}
    assert renumbered(record, np.array([1, 2, 3, 4])) is None
    assert after(step("B", 0), record, {"do": "undo"}, size=1) == [None]


def test_numbers_that_are_out_of_range_cost_the_others_nothing() -> None:
    places = np.array([1, 3, 4])
    record = {"do": "accept", "labels": {"A": [0, 3, 2], "B": [-1], "C": [10**30, "x", 1]}}
    renamed = renumbered(record, places)
    assert renamed == {"do": "accept", "labels": {"A": [1, 4], "C": [3]}}
    record["labels"]["A"] = [0, 10**11]
    assert after(record) == ["A", "C", None, None]


def test_records_get_the_new_numbers() -> None:
    places = np.array([1, 3, 4])
    record = renumbered({"do": "accept", "labels": {"A": [0, 2], "B": 1}, "id": "x"}, places)
    assert record == {"do": "accept", "labels": {"A": [1, 4], "B": [3]}, "id": "x"}
    assert renumbered({"do": "undo", "of": "x"}, places) == {"do": "undo", "of": "x"}
