"""A review: the classification table, what a person decided, and what is left to decide."""

from __future__ import annotations

import getpass
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.learning.classes import UNREADABLE, ZONE_CLASSES
from napari_diffraction.review.counts import Counts, count
from napari_diffraction.review.decisions import NOBODY, Decisions, Indices
from napari_diffraction.review.queue import DoubtQueue
from napari_diffraction.review.store import SessionStore, now

#: Below this confidence a pattern is looked at by a person.
THRESHOLD = 0.95


class ReviewSession:
    """What is known of the patterns of one stack and who decided it.

    Patterns are named by their flat number in the stack (column ``index``).  Decisions belong to
    the stack, not to a model: they outlast a new classification.  Every step is vectorised, so
    that 100,000 patterns stay fluent.

    Parameters
    ----------
    table
        Classification table: ``index, source, label, confidence, p_<class>...`` (a scan adds
        ``row, column``).  May be empty and grow by `extend`.
    key
        Fingerprint of the stack.
    folder
        Where the session is kept; ``None``: it is not kept.
    classes
        The classes a person can assign; ``None``: those of the columns ``p_<class>``, or else the
        four classes of spot patterns.
    person
        Who decides; ``None``: the user of the computer.
    about
        The stack, the model, its hash and settings, for exported files.

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
    lessons
        What the cards say of the models that have learned from the labels, oldest first.
    """

    def __init__(
        self,
        table: pd.DataFrame | None = None,
        key: str = "",
        folder: Path | None = None,
        *,
        classes: Iterable[str] | None = None,
        person: str | None = None,
        about: Mapping[str, Any] | None = None,
    ) -> None:
        self.key = key
        self.store = SessionStore(folder) if folder is not None else None
        self.person = person if person is not None else _user()
        self.about = dict(about or {})
        self.threshold = THRESHOLD
        self._table = pd.DataFrame() if table is None else table.reset_index(drop=True)
        self.classes = tuple(classes) if classes is not None else _classes_of(self._table)
        self.lessons: list[dict[str, Any]] = []
        # Decisions may concern patterns that are not classified yet.
        self._decisions = Decisions([*self.classes, UNREADABLE])
        # Whether the table on disk is that of this session, and whether it is complete.
        self._owns_table, self._table_is_saved = False, True
        self._rebuild()

    # -- made, grown and kept -------------------------------------------------------------------
    @classmethod
    def restore(cls, key: str, folder: Path, *, person: str | None = None) -> ReviewSession:
        """Take up a review that was saved.

        Parameters
        ----------
        key
            Fingerprint of the stack.
        folder
            Where the session is kept.
        person
            As for the class.
        """
        store = SessionStore(folder)
        about = store.about()
        classes = about.get("classes")
        session = cls(store.table(), key, folder, classes=classes, person=person, about=about)
        session._owns_table = True
        session.take_up()
        return session

    def take_up(self) -> None:
        """Take over the decisions saved for this stack, whatever the model."""
        if self.store is not None:
            records = self.store.journal()
            for record in records:
                self._decisions.apply(record)
            self.lessons = [r["card"] for r in records if isinstance(r.get("card"), dict)]

    def start_anew(self) -> None:
        """Forget all decisions; a saved journal is set aside, not deleted."""
        if self.store is not None:
            self.store.set_aside()
        self._decisions = Decisions(self._decisions.names)
        self._decisions.make_room(len(self._row_of))

    def save(self) -> None:
        """Write table and description anew, as at the beginning of a classification.

        The results of an earlier classification are set aside, not deleted.

        Raises
        ------
        InputError
            They cannot be written now; `extend` tries again.
        """
        if self.store is None:
            return
        self._table_is_saved = False
        if not self._owns_table:
            self.store.set_results_aside()
            self._owns_table = True
        self._describe()
        self.store.write_table(self._table)
        self._table_is_saved = True

    def grow(self, key: str, folder: Path, places: Indices | None = None) -> None:
        """Go on as the session of the stack that its own has grown to.

        Parameters
        ----------
        key
            Fingerprint of the stack as it is now.
        folder
            Where its session is kept.
        places : ndarray of int64, (n,)
            The new number of each pattern; ``None``: the same.

        Raises
        ------
        InputError
            What is kept could not be moved.  Where numbers have changed, nothing more is saved, as
            the saved decisions would be taken for those of other patterns.
        """
        self.key, store = key, self.store
        if places is not None:
            self.store = None
            # a damaged journal may name patterns that are not there
            beyond = np.arange(max(0, len(self._decisions.labels) - len(places)))
            places = np.append(places, int(places.max(initial=-1)) + 1 + beyond)
            self._decisions.renumber(places)
            if len(self._table):
                self._table = self._table.assign(index=places[self.index])
            self._rebuild()
        if store is None:
            return
        met = store.move(folder, places)
        self.store = store
        if met:
            self._decisions = Decisions([*self.classes, UNREADABLE])
            self.take_up()
            self._rebuild()
        if met or places is not None:
            self.save()

    def tell(self, sentence: str, **facts: Any) -> None:
        """Keep what was found out about the whole stack.

        Parameters
        ----------
        sentence
            For a person.
        **facts
            For programs; plain JSON values.

        Raises
        ------
        InputError
            It is kept, but could not be saved.
        """
        self.about |= {"told": sentence, **facts}
        if self.store is not None and self._owns_table:
            self._describe()

    def _describe(self) -> None:
        assert self.store is not None
        self.store.write_about({"begun": now(), **self.about, "classes": self.classes})

    def extend(self, rows: pd.DataFrame) -> None:
        """Add classified patterns; of those that come again the last row counts.

        Raises
        ------
        InputError
            The patterns are in the table, but could not be saved.
        """
        if not len(rows):
            return
        rows = rows.drop_duplicates("index", keep="last")
        if len(self._table):
            old = self._table[~self._table["index"].isin(rows["index"])]
            self._table = pd.concat([old, rows], ignore_index=True)
        else:
            self._table = rows.reset_index(drop=True)
        self._rebuild()
        if self.store is None:
            return
        if self._table_is_saved:
            self._table_is_saved = False  # until the rows are in it
            self.store.append_rows(rows)
            self._table_is_saved = True
        else:
            self.save()

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

    # -- decisions ------------------------------------------------------------------------------
    def decide(self, index: int, label: str) -> None:
        """Give a pattern its class.

        Raises
        ------
        InputError
            The decision is taken but could not be saved.
        """
        row = self.row(index)
        said = "" if row is None else self._decisions.names[self._model_codes[row]]
        self._take({"do": "label", "labels": {label: [int(index)]}, "said": said})

    def note_lesson(self, recipe: Mapping[str, Any]) -> None:
        """Keep that a model has learned from the labels, as its card says it.

        Raises
        ------
        InputError
            It could not be saved.
        """
        self.lessons.append(dict(recipe))
        if self.store is not None:
            self.store.append(
                {"do": "learn", "card": dict(recipe), "person": self.person, "time": now()}
            )

    def accept(self) -> Indices:
        """Accept the model's class of every undecided pattern at or above the threshold.

        Returns
        -------
        ndarray, (m,), int
            Flat numbers of the patterns accepted.

        Raises
        ------
        InputError
            As for `decide`.
        """
        rows = np.flatnonzero(self.readable & ~self.doubtful() & ~self.decided)
        if not len(rows):
            return np.empty(0, np.int64)
        codes, names = self._model_codes[rows], self._decisions.names
        # The classes are written down, so that another model cannot change them afterwards.
        labels = {names[c]: self.index[rows[codes == c]].tolist() for c in np.unique(codes)}
        return self._take({"do": "accept", "threshold": self.threshold, "labels": labels})

    def undo(self) -> Indices:
        """Take back the last step.

        Returns
        -------
        ndarray, (m,), int
            The patterns concerned; empty if there is nothing to take back.

        Raises
        ------
        InputError
            As for `decide`.
        """
        return self._take({"do": "undo"}) if self.last is not None else np.empty(0, np.int64)

    @property
    def last(self) -> Indices | None:
        """The patterns that `undo` would concern, ``None`` if there is nothing to take back."""
        return self._decisions.last

    def _take(self, record: dict[str, Any]) -> Indices:
        record |= {"person": self.person, "time": now(), "model": str(self.about.get("model", ""))}
        indices = self._decisions.apply(record)
        if self.store is not None:
            self.store.append(record)
        return indices


def _classes_of(table: pd.DataFrame) -> tuple[str, ...]:
    named = tuple(str(name)[2:] for name in table.columns if str(name).startswith("p_"))
    return named or ZONE_CLASSES


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, as in some containers
        return "unknown"
