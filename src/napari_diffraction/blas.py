"""Linear algebra by one thread."""

from __future__ import annotations

from collections.abc import Callable, Generator
from functools import wraps
from typing import ParamSpec, TypeVar

from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")


def by_one_thread(
    work: Callable[P, Generator[S, None, T]],
) -> Callable[P, Generator[S, None, T]]:
    """Let the steps of a generator take one thread for linear algebra.

    Threads add in another order, and so round in another way: a search that chooses by such sums
    would end elsewhere on a machine with more cores.  For matrices of some hundred rows they cost
    more than they give, too, most of all where other programs keep the cores busy.

    Parameters
    ----------
    work
        Function that returns a generator, whose every step runs with one thread; between the
        steps, while others work, there are as many as before.
    """

    @wraps(work)
    def steadily(*args: P.args, **kwargs: P.kwargs) -> Generator[S, None, T]:
        steps, threads = work(*args, **kwargs), ThreadpoolController()
        try:
            while True:
                with threads.limit(limits=1, user_api="blas"):
                    try:
                        step = next(steps)
                    except StopIteration as stop:
                        return stop.value  # type: ignore[no-any-return]
                yield step
        finally:
            steps.close()

    return steadily
