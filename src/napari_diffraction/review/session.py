"""A review as it goes on: decisions are taken, taken back, and kept on the disk."""

from __future__ import annotations

import getpass
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.review.decisions import Decisions, Indices
from napari_diffraction.review.reviewed_table import ReviewedTable
from napari_diffraction.review.store import SessionStore, now


class ReviewSession(ReviewedTable):
    """A table that people decide on, and that is kept on the disk at every step.

    Decisions belong to the stack, not to a model: they outlast a new classification.

    Parameters
    ----------
    table
        As for `ReviewedTable`.  May be empty and grow by `extend`.
    key
        Fingerprint of the stack.
    folder
        Where the session is kept; ``None``: it is not kept.
    classes
        As for `ReviewedTable`.
    person
        Who decides; ``None``: the user of the computer.
    about
        The stack, the model, its hash and settings, for exported files.

    Attributes
    ----------
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
        super().__init__(table, classes)
        self.key = key
        self.store = SessionStore(folder) if folder is not None else None
        self.person = person if person is not None else _user()
        self.about = dict(about or {})
        self.lessons: list[dict[str, Any]] = []
        # Whether the table on disk is that of this session, and whether it is complete.
        self._owns_table, self._table_is_saved = False, True

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
        if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
            classes = None  # a damaged file: those of the table
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
        if self.last is None:
            return np.empty(0, np.int64)
        # Another program may have written steps since, which are not meant.
        return self._take({"do": "undo", "of": self._decisions.last_id})

    @property
    def last(self) -> Indices | None:
        """The patterns that `undo` would concern, ``None`` if there is nothing to take back."""
        return self._decisions.last

    def _take(self, record: dict[str, Any]) -> Indices:
        record |= {"person": self.person, "time": now(), "model": str(self.about.get("model", ""))}
        record |= {"id": uuid.uuid4().hex}
        indices = self._decisions.apply(record)
        if self.store is not None:
            self.store.append(record)
        return indices


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # no such user, as in some containers
        return "unknown"
