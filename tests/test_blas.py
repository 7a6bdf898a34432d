"""Linear algebra by one thread."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from threadpoolctl import ThreadpoolController

from napari_diffraction.blas import by_one_thread
from napari_diffraction.progress import finish


def threads() -> set[int]:
    """How many threads linear algebra takes now."""
    np.linalg.solve(np.eye(2), np.ones(2))  # the library is there
    return {
        one["num_threads"] for one in ThreadpoolController().info() if one["user_api"] == "blas"
    }


@by_one_thread
def work(inside: list[set[int]]) -> Generator[int, None, str]:
    """Three steps that look at their threads."""
    for step in range(3):
        inside.append(threads())
        yield step
    inside.append(threads())
    return "done"


def test_steps_take_one_thread_and_those_who_wait_have_theirs() -> None:
    with ThreadpoolController().limit(limits=2, user_api="blas"):
        between: list[set[int]] = []
        inside: list[set[int]] = []
        assert finish(work(inside), lambda step: between.append(threads())) == "done"
        assert inside == [{1}] * 4
        assert between == [{2}] * 3
        assert threads() == {2}


def test_work_that_is_broken_off_ends() -> None:
    ended = []

    @by_one_thread
    def broken() -> Generator[int, None, None]:
        try:
            yield 1
            yield 2
        finally:
            ended.append(True)

    steps = broken()
    next(steps)
    steps.close()
    assert ended == [True]
