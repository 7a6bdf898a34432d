"""Classify an input that grows: what was judged once is kept, only what is new is judged."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.patterns.growing import Seen

if TYPE_CHECKING:
    from napari_diffraction.learning.classification.batches import BatchDone
    from napari_diffraction.patterns.stack import PatternStack

Key = tuple[str, int, str]
Classify = Callable[..., "Generator[BatchDone, None, pd.DataFrame]"]


class Known:
    """What was judged, known by its file, the number in it, and the file's mark.

    The number of a pattern in the stack does not tell which one it is: a new file may come to stand
    between two others.
    """

    def __init__(self) -> None:
        self._parts: list[pd.DataFrame] = []
        self._rows = 0
        self._place: dict[Key, int] = {}
        self._unreadable: set[Key] = set()

    def add(self, rows: pd.DataFrame) -> None:
        """Add rows with the columns of `lasting`; one that is known already is replaced."""
        names: list[Any] = list(rows[["source", "event", "mark"]].itertuples(index=False))
        bad = (rows["label"] == UNREADABLE).tolist()
        news = [
            not (worse and name in self._unreadable) for name, worse in zip(names, bad, strict=True)
        ]
        for name, worse, new in zip(names, bad, news, strict=True):
            if new:
                self._place[tuple(name)] = self._rows
                self._rows += 1
                (self._unreadable.add if worse else self._unreadable.discard)(tuple(name))
        self._parts.append(rows[news])

    def judged(self, seen: Seen) -> tuple[list[int], list[int]]:
        """Return the numbers of the patterns of a look that are known, and of unreadable ones."""
        return self._judged(_keys(seen))

    def _judged(self, keys: list[Key]) -> tuple[list[int], list[int]]:
        good: list[int] = []
        bad: list[int] = []
        for index, key in enumerate(keys):
            if key in self._unreadable:
                bad.append(index)
            elif key in self._place:
                good.append(index)
        return good, bad

    def table(self, seen: Seen, *, unreadable: bool = False) -> pd.DataFrame:
        """Return the table of the patterns of a look, as a plain run gives it.

        Parameters
        ----------
        seen
            The look.
        unreadable
            Whether patterns that could not be read have rows, too.

        Returns
        -------
        DataFrame
            Columns of `learning.classification.inference.classify`, sorted by ``index``; patterns
            that were not judged are missing.
        """
        stack = seen.stack
        assert stack is not None
        keys = _keys(seen)
        good, bad = self._judged(keys)
        indices = sorted(good + bad) if unreadable else good
        self._parts = [pd.concat(self._parts, ignore_index=True)] if self._parts else []
        if not self._parts:
            return pd.DataFrame()
        table = self._parts[0].iloc[[self._place[keys[index]] for index in indices]]
        table = table.drop(columns=["event", "mark"]).reset_index(drop=True)
        table.insert(0, "index", np.array(indices, dtype=np.int64))
        if stack.is_scan:
            table["row"], table["column"] = np.divmod(
                np.array(indices, dtype=int), stack.data.shape[1]
            )
        return table


def _keys(seen: Seen) -> list[Key]:
    stack = seen.stack
    assert stack is not None
    sources = [stack.source(index) for index in range(len(stack))]
    return [
        (source, stack.event(index), seen.marks.get(source, ""))
        for index, source in enumerate(sources)
    ]


def lasting(rows: pd.DataFrame, stack: PatternStack, marks: Mapping[str, str]) -> pd.DataFrame:
    """Return rows of a classification as they stay when the stack grows.

    Returns
    -------
    DataFrame
        Columns ``source, label, confidence, p_<class>..., event, mark``.
    """
    return rows.drop(columns=["index", "row", "column"], errors="ignore").assign(
        event=[stack.event(int(index)) for index in rows["index"]],
        mark=[marks.get(source, "") for source in rows["source"]],
    )


def classify_new(seen: Seen, known: Known, classify: Classify) -> Generator[BatchDone, None, int]:
    """Classify the patterns of a look that are ready and not known; add them to what is known.

    Parameters
    ----------
    seen
        The look; its stack prepared as the classifier wants it.
    known
        What was judged before.
    classify
        `learning.classification.inference.classify` but for the stack and what to skip.

    Yields
    ------
    BatchDone
        As of ``classify``, the rows numbered as in the look.

    Returns
    -------
    int
        How many patterns were judged that could be read.
    """
    stack = seen.stack
    if stack is None:
        return 0
    found = 0
    while True:
        good, bad = known.judged(seen)
        skip = {*good, *bad[seen.again :], *range(seen.ready, len(stack))}
        if len(skip) == len(stack):
            return found
        fresh = 0
        for batch in classify(stack, skip=skip):
            rows = batch.rows
            if len(rows):
                known.add(lasting(rows, stack, seen.marks))
                fresh += int((rows["label"] != UNREADABLE).sum())
            yield batch
        found += fresh
        # of those that could not be read before, the next ones may follow
        if not fresh or not 0 < seen.again < len(bad):
            return found
