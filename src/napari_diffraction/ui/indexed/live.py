"""Work on a scan that is still recorded, behind the phase map panel."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from napari_diffraction.patterns.growing import EVERY, Growing, Seen, recorded
from napari_diffraction.progress import Progress, retold
from napari_diffraction.ui.classify.growth import Growth, check_form
from napari_diffraction.ui.indexed.pictures import Pictured, pictured
from napari_diffraction.ui.indexed.tasks import IndexingStep, Wishes, settings_of, step_of
from napari_diffraction.ui.viewer.quiet import prepare_labels

if TYPE_CHECKING:
    from napari_diffraction.patterns.readers import Opening
    from napari_diffraction.patterns.stack import PatternStack

#: Steps while it is waited for the next look; Cancel acts within one.
_STEPS = 10


@dataclass(frozen=True)
class Recorded(Progress):
    """More rows of a scan are recorded.

    Attributes
    ----------
    first, stop
        The first of them, and the one behind the last.
    blank
        Whether there was room for them before, which showed nothing.
    """

    first: int = 0
    stop: int = 0
    blank: bool = False


def work_on_rows(
    opening: Opening,
    stack: PatternStack,
    take: Callable[[Seen], Generator[Progress, None, Any]],
    done: Callable[[int], str],
) -> Generator[Progress, None, None]:
    """Work on the rows of a scan that are there, then on those that come, until it is stopped.

    Parameters
    ----------
    opening
        How the scan was opened.
    stack
        The patterns that are there already.
    take
        Works on a look at whole rows, some of which are new.
    done
        Says of a number of rows that was taken what was done with it.

    Yields
    ------
    Progress
        `Grown` whenever the input has changed, `Recorded` whenever there are more whole rows, and
        the steps of ``take``.

    Raises
    ------
    InputError
        The input has become another one, or as of ``take``.
    """
    growing, growth, last = Growing(opening.inputs, opening.dataset), Growth(stack), Seen()
    while True:
        seen = growing.look()
        plain = seen.plain
        if plain is not None:
            check_form(stack, plain)  # columns that are gone do not come back: not waited for
            grown = growth.to(plain, seen.stamp)
            if grown is not None:
                yield grown
        new = recorded(seen, last)
        if new.stack is not None and not growth.missing:
            rows = new.stack.data.shape[0]
            first = 0 if last.stack is None else min(last.stack.data.shape[0], rows)
            last = new
            blank = 0 < first < rows <= stack.data.shape[0]
            yield Recorded(0, 0, "", first, rows, blank)
            yield from take(new)
        for _ in range(_STEPS):
            yield Progress(0, 0, _waits(last, done, growth.waits() or seen.problem))
            time.sleep(EVERY / _STEPS)


def live_indexing(
    opening: Opening, stack: PatternStack, wishes: Wishes
) -> Generator[Progress, None, None]:
    """Index the rows that are there, then those that come, until somebody stops it.

    Parameters
    ----------
    opening, stack
        As of `work_on_rows`.
    wishes
        What is told before.

    Yields
    ------
    Progress
        As of `work_on_rows`; steps of `IndexingStep`, the last after each look with the solution of
        all rows.

    Raises
    ------
    InputError
        The input has become another one, or see `napari_diffraction.indexing.scan.index_scan`.
    """
    yield Progress(0, 0, "Looking at the camera")
    from napari_diffraction.indexing.following import FollowedScan

    prepare_labels()
    run = FollowedScan(settings_of(wishes))
    made: Pictured | None = None

    def take(seen: Seen) -> Generator[Progress, None, None]:
        nonlocal made
        assert seen.stack is not None
        tilted = replace(seen, stack=seen.stack.with_tilts(*wishes.tilts))
        indexed = yield from retold(run.go_on(tilted), step_of)
        if indexed is not None:
            made = pictured(indexed, made)
            yield IndexingStep(0, 0, "Drawing the map", solution=made)

    def done(rows: int) -> str:
        tried = run.tried
        if tried:
            return f"{tried:,} patterns do not tell the phases yet"
        return f"{rows:,} rows indexed"

    yield from work_on_rows(opening, stack, take, done)


def _waits(last: Seen, done: Callable[[int], str], trouble: str) -> str:
    """Say how far it is and what is waited for."""
    if last.stack is None:
        return trouble or "Waiting for the first row"
    return f"{done(last.stack.data.shape[0])} · {trouble or 'looking for more'}"
