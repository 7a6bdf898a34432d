"""A session whose stack grows: its decisions stay with their patterns, on the disk, too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import LAUE, NO_HIT, ZONE, ZONE_CLASSES
from napari_diffraction.review.session import ReviewSession

#: One new pattern before each of the first two.
PLACES = np.array([1, 3, 4])


def rows(indices: list[int], label: str = LAUE) -> pd.DataFrame:
    table = pd.DataFrame({"index": indices, "source": "run.h5", "label": label, "confidence": 0.5})
    return table.assign(**{f"p_{name}": 0.25 for name in ZONE_CLASSES})


@pytest.fixture
def begun(tmp_path: Path) -> ReviewSession:
    session = ReviewSession(key="a", folder=tmp_path / "a", classes=ZONE_CLASSES, person="ann")
    session.save()
    session.extend(rows([0, 1, 2]))
    session.decide(1, ZONE)
    session.decide(2, NO_HIT)
    return session


def labels(session: ReviewSession) -> dict[int, str]:
    at, names = session.given()
    return dict(zip(at.tolist(), names.tolist(), strict=True))


def test_a_longer_stack_takes_decisions_and_results_along(begun: ReviewSession, tmp_path: Path):
    begun.grow("b", tmp_path / "b")
    begun.extend(rows([3]))
    begun.decide(3, ZONE)
    assert not (tmp_path / "a").exists()
    restored = ReviewSession.restore("b", tmp_path / "b")
    assert len(restored) == 4
    assert labels(restored) == labels(begun) == {1: ZONE, 2: NO_HIT, 3: ZONE}


def test_patterns_between_others_leave_decisions_with_their_patterns(
    begun: ReviewSession, tmp_path: Path
):
    begun.grow("b", tmp_path / "b", PLACES)
    begun.extend(rows([0, 2]))
    assert sorted(begun.index.tolist()) == [0, 1, 2, 3, 4]
    assert labels(begun) == {3: ZONE, 4: NO_HIT}
    restored = ReviewSession.restore("b", tmp_path / "b")
    assert labels(restored) == {3: ZONE, 4: NO_HIT}
    assert sorted(restored.index.tolist()) == [0, 1, 2, 3, 4]
    # the way back still leads back
    assert begun.undo().tolist() == [4]
    assert labels(begun) == labels(ReviewSession.restore("b", tmp_path / "b")) == {3: ZONE}


def test_a_review_that_is_there_already_is_joined(begun: ReviewSession, tmp_path: Path):
    other = ReviewSession(key="b", folder=tmp_path / "b", classes=ZONE_CLASSES)
    other.save()
    other.extend(rows([0, 1, 2, 3, 4]))
    other.decide(0, ZONE)
    other.decide(3, LAUE)
    begun.grow("b", tmp_path / "b", PLACES)
    expected = {0: ZONE, 3: ZONE, 4: NO_HIT}
    assert labels(begun) == labels(ReviewSession.restore("b", tmp_path / "b")) == expected
    assert len(begun) == 3
    assert list((tmp_path / "b").glob("table-*.csv"))  # the other results, set aside


def test_what_nobody_kept_yet_begins_under_the_new_name(tmp_path: Path):
    session = ReviewSession(key="a", folder=tmp_path / "a", classes=ZONE_CLASSES)
    session.grow("b", tmp_path / "b")
    session.decide(0, ZONE)
    assert not (tmp_path / "a").exists()
    assert labels(ReviewSession.restore("b", tmp_path / "b")) == {0: ZONE}


def test_a_full_disk_does_not_mix_old_and_new_numbers(
    begun: ReviewSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.rename", full)
        with pytest.raises(InputError, match="space"):
            begun.grow("b", tmp_path / "b", PLACES)
    begun.decide(0, ZONE)
    assert labels(begun) == {0: ZONE, 3: ZONE, 4: NO_HIT}
    assert labels(ReviewSession.restore("a", tmp_path / "a")) == {1: ZONE, 2: NO_HIT}


def test_a_journal_that_names_patterns_that_are_not_there_breaks_nothing(
    begun: ReviewSession, tmp_path: Path
):
    begun.decide(7, ZONE)
    begun.grow("b", tmp_path / "b", PLACES)
    assert labels(begun) == labels(ReviewSession.restore("b", tmp_path / "b"))
    assert labels(begun)[3] == ZONE
    assert len(labels(begun)) == 3
