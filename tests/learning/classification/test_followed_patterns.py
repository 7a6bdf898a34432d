"""An input that grows, judged by a model that needs a pattern centre."""

from __future__ import annotations

from collections.abc import Collection, Generator
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.learning.classification.batches import BatchDone
from napari_diffraction.learning.classification.followed_patterns import FollowedPatterns
from napari_diffraction.learning.networks.pattern_centre import known_centre
from napari_diffraction.patterns.growing import Seen
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, finish

GIVEN = (0.5, 0.2, 0.7)


@dataclass
class Model:
    """Finds a centre that tells how many patterns it was found in; notes what it judges."""

    searched: list[int] = field(default_factory=list)
    judged: list[list[int]] = field(default_factory=list)
    centres: list[Any] = field(default_factory=list)

    @property
    def kind(self) -> SimpleNamespace:
        return SimpleNamespace(complete=self.complete)

    def complete(
        self, stack: PatternStack, model: object
    ) -> Generator[Progress, None, PatternStack]:
        yield Progress(0, 0, "Looking for the pattern centre")
        self.searched.append(len(stack))
        found = stack.with_centre((0.5, 0.3, 0.5 + 0.001 * len(self.searched)))
        return replace(found, notes=("found",))

    def judge(
        self, stack: PatternStack, *, skip: Collection[int]
    ) -> Generator[BatchDone, None, None]:
        todo = [index for index in range(len(stack)) if index not in skip]
        self.judged.append(todo)
        self.centres.append(known_centre(stack))
        rows = pd.DataFrame(
            {"index": todo, "source": "scan.h5", "label": "cF", "confidence": 0.9, "p_cF": 0.9}
        )
        yield BatchDone(len(todo), len(todo), "Judging", rows)


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def run(model: Model) -> FollowedPatterns:
    classifier: Any = model
    return FollowedPatterns(classifier, model.judge)


def look(count: int, mark: str = "first") -> Seen:
    frames = da.zeros((count, 8, 8), chunks=(1, 8, 8), dtype=np.uint8)
    stack = PatternStack(frames, "scan", sources=("scan.h5",))
    return Seen(stack, count, {"scan.h5": mark})


def test_a_centre_serves_until_there_are_twice_as_many(model: Model, run: FollowedPatterns) -> None:
    assert len(finish(run.go_on(look(4)))) == 4
    assert len(finish(run.go_on(look(7)))) == 7
    assert model.searched == [4]
    assert model.judged == [[0, 1, 2, 3], [4, 5, 6]]
    assert model.centres[0] == model.centres[1]
    assert len(finish(run.go_on(look(8)))) == 8
    assert model.searched == [4, 8]
    assert model.judged[2] == [*range(8)]  # none is left that was judged by the former centre
    assert model.centres[2] != model.centres[1]
    assert not run.judges_anew(look(8))
    assert run.judges_anew(look(9))


def test_the_centre_of_patterns_that_are_gone_is_not_kept(
    model: Model, run: FollowedPatterns
) -> None:
    finish(run.go_on(look(4)))
    finish(run.go_on(look(4, "another scan in the same file")))
    assert model.searched == [4, 4]
    assert model.judged == [[0, 1, 2, 3]] * 2


def test_where_a_centre_is_told_each_pattern_is_judged_once(
    model: Model, run: FollowedPatterns
) -> None:
    for count in (2, 4, 9):
        seen = look(count)
        assert seen.stack is not None
        finish(run.go_on(replace(seen, stack=seen.stack.with_centre(GIVEN))))
    assert model.searched == []
    assert model.judged == [[0, 1], [2, 3], [4, 5, 6, 7, 8]]
    assert set(model.centres) == {GIVEN}
