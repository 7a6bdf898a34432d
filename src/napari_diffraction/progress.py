"""How long work reports: plain generators that yield progress and return their result."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

R = TypeVar("R")
T = TypeVar("T")
P = TypeVar("P")
Q = TypeVar("Q")


@dataclass(frozen=True)
class Progress:
    """A step of some long work.

    Attributes
    ----------
    done, total
        Units of work finished and in all (patterns, files, training steps).
    message
        What is being done, for people.
    """

    done: int
    total: int
    message: str = ""


def finish(work: Generator[P, None, T], report: Callable[[P], None] | None = None) -> T:
    """Run a generator of progress to its end and return its result.

    Parameters
    ----------
    work
        A generator that yields `Progress` and returns a result.
    report
        Called with each progress, for instance to move a bar.
    """
    while True:
        try:
            step = next(work)
        except StopIteration as stop:
            return stop.value  # type: ignore[no-any-return]
        if report is not None:
            report(step)


def retold(work: Generator[P, None, T], tell: Callable[[P], Q]) -> Generator[Q, None, T]:
    """Do some work and say its steps in other words; who closes this closes the work.

    Parameters
    ----------
    work
        A generator that yields `Progress` and returns a result.
    tell
        Makes of each step what is yielded.
    """
    try:
        while True:
            try:
                step = next(work)
            except StopIteration as stop:
                return stop.value  # type: ignore[no-any-return]
            yield tell(step)
    finally:
        work.close()


def in_order(
    submit: Callable[[T], Callable[[], R]], pieces: Iterable[T], ahead: Callable[[], int]
) -> Iterator[R]:
    """Begin with pieces of work ahead of the one whose result is asked for.

    Parameters
    ----------
    submit
        Begins with a piece and returns what waits for its result.
    pieces
        Of work.
    ahead
        How many are begun at a time.

    Yields
    ------
    R
        Results, in the order of the pieces.
    """
    waiting: deque[Callable[[], R]] = deque()
    for piece in pieces:
        waiting.append(submit(piece))
        if len(waiting) >= ahead():
            yield waiting.popleft()()
    while waiting:
        yield waiting.popleft()()
