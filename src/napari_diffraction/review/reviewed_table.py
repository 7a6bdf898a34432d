"""A classification table with what people decided on it, and what is left to decide."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.learning.classes import UNREADABLE, ZONE_CLASSES
from napari_diffraction.review.counts import Counts, count
from napari_diffraction.review.decisions import NOBODY, Decisions, Indices
from napari_diffraction.review.queue import DoubtQueue

#: Below this confidence a pattern is looked at by a person.
THRESHOLD = 0.95


class ReviewedTable:
    """What is known of the patterns of one stack and who decided it.

    Patterns are named by their flat number in the stack (column ``index``).  Every step is
    vectorised, so that 100,000 patterns stay fluent.

    Parameters
    ----------
    table
        Classification table: ``index, source, label, confidence, p_<class>...`` (a scan adds
        ``row, column``).
    classes
        The classes a person can assign; ``None``: those of the columns ``p_<class>``, or else the
        four classes of spot patterns.

    Attributes
    ----------
    index : ndarray, (n,), int64
        Number of the pattern of each row of the table.
    confidence : ndarray, (n,), float64
        The model's confidence, 0 to 1.
    readable : ndarray, (n,), bool
        Whether the pattern could be read.
    threshold
        Confidence below which a pattern is doubtful.
    """

    def __init__(
        self, table: pd.DataFrame | None = None, classes: Iterable[str] | None = None
    ) -> None:
        self.threshold = THRESHOLD
        self._table = pd.DataFrame() if table is None else table.reset_index(drop=True)
        self.classes = tuple(classes) if classes is not None else _classes_of(self._table)
        # Decisions may concern patterns that are not classified yet.
        self._decisions = Decisions([*self.classes, UNREADABLE])
        self._rebuild()

    def _rebuild(self) -> None:
        """Work out everything that depends on the table alone."""
        table = self._table
        if not len(table):
            table = pd.DataFrame({"index": [], "label": [], "confidence": []})
        self.index: Indices = table["index"].to_numpy(np.int64)
        self.confidence: NDArray[np.float64] = np.nan_to_num(
            table["confidence"].to_numpy(np.float64)
        )
        codes, names = pd.factorize(table["label"])
        renumber = np.array([*map(self._decisions.code, names), NOBODY], np.int16)
        self._model_codes = renumber[codes]
        size = int(self.index.max()) + 1 if len(self.index) else 0
        self._decisions.make_room(size)
        self._row_of = np.full(size, NOBODY, np.int64)
        self._row_of[self.index] = np.arange(len(self.index))
        self._queue = DoubtQueue(self.confidence, self.index)
        self.readable: NDArray[np.bool_] = self._model_codes != self._decisions.code(UNREADABLE)

    @property
    def said(self) -> pd.DataFrame:
        """What the model said, one row a pattern, as `classify` gives it."""
        return self._table

    # -- one pattern ----------------------------------------------------------------------------
    def __len__(self) -> int:
        return len(self.index)

    def row(self, index: int) -> int | None:
        """Return where a pattern stands in the table, or ``None`` if it is not classified."""
        if not 0 <= index < len(self._row_of) or self._row_of[index] == NOBODY:
            return None
        return int(self._row_of[index])

    def classified(self, indices: Indices) -> NDArray[np.bool_]:
        """Return which of some patterns are in the table; (m,) bool."""
        found = np.zeros(len(indices), bool)
        inside = (indices >= 0) & (indices < len(self._row_of))
        found[inside] = self._row_of[indices[inside]] != NOBODY
        return found

    def reviewed(self, index: int) -> bool:
        """Return whether a person decided on a pattern."""
        return self._decisions.name(index) is not None

    def reviewer(self, index: int) -> str:
        """Return who decided on a pattern, or an empty text."""
        if not self.reviewed(index):
            return ""
        return str(self._decisions.reviewers_of(np.array([index]))[0])

    def certainty(self, index: int) -> float:
        """Return the model's confidence in a pattern; 0 if it is not classified."""
        row = self.row(index)
        return 0.0 if row is None else float(self.confidence[row])

    def label(self, index: int) -> str:
        """Return the class of a pattern: the person's, else the model's, else an empty text."""
        decided = self._decisions.name(index)
        if decided is not None:
            return decided
        row = self.row(index)
        return "" if row is None else self._decisions.names[self._model_codes[row]]

    def probabilities(self, index: int) -> dict[str, float]:
        """Return the model's probability of each class; empty if there are none."""
        row = self.row(index)
        if row is None:
            return {}
        known = [name for name in self.classes if f"p_{name}" in self._table]
        found = {name: float(self._table[f"p_{name}"].to_numpy()[row]) for name in known}
        return {} if any(np.isnan(value) for value in found.values()) else found

    # -- all patterns ---------------------------------------------------------------------------
    @property
    def labels(self) -> NDArray[np.str_]:
        """Class of each row of the table, the person's before the model's; (n,) str."""
        return np.array(self._decisions.names)[self.codes]

    @property
    def names(self) -> tuple[str, ...]:
        """All labels: the classes, "Unreadable" and whatever else occurs."""
        return tuple(self._decisions.names)

    @property
    def decided(self) -> NDArray[np.bool_]:
        """Which rows of the table a person decided on; (n,) bool."""
        decided: NDArray[np.bool_] = self._decisions.labels[self.index] != NOBODY
        return decided

    @property
    def codes(self) -> NDArray[np.int16]:
        """Place in `names` of the class of each row of the table; (n,) int."""
        decided = self._decisions.labels[self.index]
        return np.where(decided != NOBODY, decided, self._model_codes)

    def doubtful(self) -> NDArray[np.bool_]:
        """Return which rows are readable and below the threshold; (n,) bool."""
        return (self.confidence < self.threshold) & self.readable

    def rows(self, indices: Indices) -> pd.DataFrame:
        """Return what is known of classified patterns, in the order given.

        Returns
        -------
        DataFrame
            As the classification table, ``label`` being the person's where there is one, and
            ``reviewed`` saying so.
        """
        rows = self._table.iloc[self._row_of[indices]].copy()
        rows["label"] = np.array(self._decisions.names)[self.codes[self._row_of[indices]]]
        rows["reviewed"] = self._decisions.labels[indices] != NOBODY
        return rows

    def counts(self) -> Counts:
        """Count what is done and what is left."""
        return count(
            self.codes, self.decided, self.doubtful(), self.readable, self.names, self.classes
        )

    def patterns_of(self, label: str) -> Indices:
        """Return the patterns of a class, the most probable first; (m,) int."""
        rows = np.flatnonzero(self.codes == self._decisions.code(label))
        column = f"p_{label}"
        scores = self._table[column].to_numpy(float) if column in self._table else self.confidence
        return self.index[rows[np.lexsort((self.index[rows], -np.nan_to_num(scores[rows])))]]

    def next_doubtful(
        self, after: int | None = None, within: NDArray[np.bool_] | None = None
    ) -> int | None:
        """Return the next pattern to decide on, the least certain first.

        Parameters
        ----------
        after
            The pattern looked at now.  One that is not in the queue counts as its beginning.
        within : ndarray, (n,), bool
            Go through these rows instead of the doubtful ones.

        Returns
        -------
        int or None
            Flat number of the pattern; ``None`` if nothing is left.
        """
        wanted = self.doubtful() if within is None else within & self.readable
        row = None if after is None else self.row(after)
        if row is not None and not wanted[row]:
            row = None
        found = self._queue.after(wanted & ~self.decided, row)
        return None if found is None else int(self.index[found])

    def table(self) -> pd.DataFrame:
        """Return the table as a person stands by it, in the order of the patterns.

        Returns
        -------
        DataFrame
            ``label`` is the person's where there is one; confidence and probabilities stay the
            model's, and so does ``model_label``.  ``reviewed_label, reviewer, time`` say what a
            person decided, who and when (UTC), ``said_label, said_by`` what a model had said then
            and which one; they are empty elsewhere.
        """
        table = self._table.copy()
        if not len(table):
            return table
        decisions, at = self._decisions, self.index
        table["model_label"] = table["label"]
        table["label"] = self.labels
        table["reviewed_label"] = decisions.names_of(at)
        table["reviewer"] = decisions.reviewers_of(at)
        table["time"] = decisions.times[at]
        table["said_label"] = decisions.said_of(at)
        table["said_by"] = decisions.sayers_of(at)
        return table.sort_values("index", ignore_index=True)

    def given(self) -> tuple[Indices, NDArray[np.str_]]:
        """Return the patterns that people decided on one by one, and their classes; (n,) each."""
        at = np.flatnonzero(self._decisions.singly)
        return at, self._decisions.names_of(at)

    def disagreements(self) -> dict[str, int]:
        """Count for each model the decisions that went against what it had said."""
        decisions = self._decisions
        against = (decisions.said != NOBODY) & (decisions.said != decisions.labels)
        names, numbers = np.unique(decisions.sayers_of(np.flatnonzero(against)), return_counts=True)
        return dict(zip(names.tolist(), numbers.tolist(), strict=True))


def _classes_of(table: pd.DataFrame) -> tuple[str, ...]:
    named = tuple(str(name)[2:] for name in table.columns if str(name).startswith("p_"))
    return named or ZONE_CLASSES
