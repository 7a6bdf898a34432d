"""What following does behind its bar, without a window: where the border of the zones lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_diffraction.learning.classes import ZONE
from napari_diffraction.learning.classification.adaptation import Border, placed
from napari_diffraction.patterns.growing import may_grow
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.review.fingerprint import stack_key
from napari_diffraction.ui.classify.growth import Growth
from napari_diffraction.ui.classify.tasks import Bordered, Earlier, following

SETTINGS = {"shares": "suited to the stack", "device": "cpu", "batch_size": 8, "preprocess": None}
SHIFT = 2.0


@pytest.fixture
def path(tmp_path: Path, learning, monkeypatch) -> Path:
    monkeypatch.setattr("napari_diffraction.ui.classify.tasks.EVERY", 0.0)
    monkeypatch.setattr(
        "napari_diffraction.learning.classification.adaptation.suited",
        lambda table, wanted: (placed(table, Border(SHIFT)), Border(SHIFT, 7.0)),
    )
    write(tmp_path / "run.npy", 4)
    return tmp_path / "run.npy"


def write(path: Path, count: int) -> None:
    frames = np.random.default_rng(0).integers(1, 99, (6, 16, 16), np.uint8)
    np.save(path, frames[:count])


def followed(path: Path, earlier: Earlier | None = None):
    stack = open_stack(path)
    opening = may_grow(stack)
    assert opening is not None
    return following(opening, stack, "zones", SETTINGS, earlier)


def rows_until(work, done) -> pd.DataFrame:
    """Take steps until something is done; return the last row of each pattern."""
    rows = []
    for step in work:
        if len(getattr(step, "rows", ())):
            rows.append(step.rows)
        if done(step):
            break
    found = pd.concat(rows).drop_duplicates("index", keep="last")
    return found.sort_values("index", ignore_index=True)


def usual(learning, path: Path, count: int) -> pd.DataFrame:
    return learning.table(open_stack(path), range(count)).reset_index(drop=True)


def zones(table: pd.DataFrame) -> np.ndarray:
    return table[f"p_{ZONE}"].to_numpy()


def test_the_border_is_put_for_all_and_holds_for_what_comes(path, learning):
    work = followed(path)
    first = rows_until(work, lambda step: isinstance(step, Bordered))
    expected = placed(usual(learning, path, 4), Border(SHIFT))
    np.testing.assert_allclose(zones(first), zones(expected))
    write(path, 6)
    new = rows_until(work, lambda step: len(getattr(step, "rows", ())) and not _bordered(step))
    assert new["index"].tolist() == [4, 5]
    # the rows of a run and those of following stand in one table of the review
    assert set(new.columns) == set(usual(learning, path, 6).columns)
    expected = placed(usual(learning, path, 6), Border(SHIFT))[4:]
    np.testing.assert_allclose(zones(new), zones(expected))
    work.close()


def _bordered(step) -> bool:
    return isinstance(step, Bordered)


def test_a_border_that_was_put_before_is_not_put_twice(path, learning):
    before = placed(usual(learning, path, 4), Border(SHIFT))
    write(path, 6)
    found = rows_until(followed(path, Earlier(before, SHIFT)), lambda s: "6 sorted" in s.message)
    assert found["index"].tolist() == [4, 5]  # nothing else has changed
    again = Earlier(before, SHIFT).usual()
    np.testing.assert_allclose(zones(again), zones(usual(learning, path, 4)[:4]), atol=1e-9)


def test_a_stack_that_was_opened_before_its_file_changed_is_taken_anew(path: Path) -> None:
    """The key of both is that of the file as it is now; what was opened may show what was then."""
    stack = open_stack(path)
    growth = Growth(stack)
    assert growth.to(stack, "before") is not None  # it is not known when it was opened
    assert growth.to(stack, "before") is None
    anew = growth.to(stack, "after")
    assert anew is not None
    assert not anew.changed  # as far as is known: results of another model stay
    assert anew.key == stack_key(stack)
    assert growth.to(stack, "after") is None
