"""What people decided on the patterns of a stack, with the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.stack import MOST_PATTERNS

Indices = NDArray[np.int64]
NOBODY = -1


@dataclass(frozen=True)
class _Step:
    """What undoing one step needs: the patterns, no two alike, and what was decided before."""

    indices: Indices
    before: tuple[NDArray[Any], ...]
    id: str


class Decisions:
    """The label, the person and the time of every decision, by flat number of the pattern.

    A step is a record as the journal keeps it: ``{"do": "label", "labels": {"2DZone": [12]},
    "person": ..., "time": ..., "said": "NoHit", "model": "zones", "id": "5f0c..."}``, where a
    model had said what the pattern shows, or ``{"do": "undo", "of": "5f0c...", ...}``.  Without
    ``of``, as older versions wrote it, the last step is taken back; with an empty one, the last of
    those that have no id, as older versions took them.

    Attributes
    ----------
    names
        Labels; `labels` holds places in this list, or -1 where nobody decided.
    labels : ndarray, (m,), int16
    people
        Names of people; `reviewers` holds places in this list.
    reviewers : ndarray, (m,), int16
    times : ndarray, (m,), object
        ISO 8601, UTC; empty texts where nobody decided.
    models
        Names of models; `sayers` holds places in this list.
    said, sayers : ndarray, (m,), int16
        What a model had said of the pattern when the person decided, and which one.
    singly : ndarray, (m,), bool
        Whether the pattern was decided on by itself, not accepted among many.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = list(names)
        self.people: list[str] = []
        self.models: list[str] = []
        self.labels: NDArray[np.int16] = np.empty(0, np.int16)
        self.reviewers: NDArray[np.int16] = np.empty(0, np.int16)
        self.times: NDArray[np.object_] = np.empty(0, object)
        self.said: NDArray[np.int16] = np.empty(0, np.int16)
        self.sayers: NDArray[np.int16] = np.empty(0, np.int16)
        self.singly: NDArray[np.bool_] = np.empty(0, bool)
        self._steps: list[_Step] = []

    def __len__(self) -> int:
        """Return the number of patterns decided on."""
        return int((self.labels != NOBODY).sum())

    def code(self, name: str) -> int:
        """Return the place of a label in `names`, adding it where it is new."""
        return _place(self.names, name)

    def make_room(self, size: int) -> None:
        """Let the arrays hold patterns up to a number, not included."""
        extra = size - len(self.labels)
        if extra > 0:
            nobody = np.full(extra, NOBODY, np.int16)
            self.labels = np.append(self.labels, nobody)
            self.reviewers = np.append(self.reviewers, nobody)
            self.times = np.append(self.times, np.full(extra, "", object))
            self.said = np.append(self.said, nobody)
            self.sayers = np.append(self.sayers, nobody)
            self.singly = np.append(self.singly, np.zeros(extra, bool))

    def renumber(self, places: Indices) -> None:
        """Give patterns other numbers.

        Parameters
        ----------
        places : ndarray of int64, (n,)
            The new number of each pattern; no two are alike.
        """
        old, names = self._columns(), np.flatnonzero(self.labels != NOBODY)
        fresh = Decisions()
        fresh.make_room(int(places.max(initial=-1)) + 1)
        for column, values in zip(fresh._columns(), old, strict=True):
            column[places[names]] = values[names]
        (self.labels, self.reviewers, self.times, self.said, self.sayers, self.singly) = (
            fresh._columns()
        )
        self._steps = [_Step(places[step.indices], step.before, step.id) for step in self._steps]

    def name(self, index: int) -> str | None:
        """Return the label somebody gave a pattern, or ``None``."""
        if 0 <= index < len(self.labels) and self.labels[index] != NOBODY:
            return self.names[int(self.labels[index])]
        return None

    def names_of(self, indices: Indices) -> NDArray[np.str_]:
        """Return the labels given to patterns, empty texts where nobody decided; (n,) str."""
        return _named(self.names, self.labels[indices])

    def reviewers_of(self, indices: Indices) -> NDArray[np.str_]:
        """Return who decided on patterns, empty texts where nobody did; (n,) str."""
        return _named(self.people, self.reviewers[indices])

    def said_of(self, indices: Indices) -> NDArray[np.str_]:
        """Return what a model had said when somebody decided, or empty texts; (n,) str."""
        return _named(self.names, self.said[indices])

    def sayers_of(self, indices: Indices) -> NDArray[np.str_]:
        """Return which model had said it, or empty texts; (n,) str."""
        return _named(self.models, self.sayers[indices])

    def apply(self, record: Mapping[str, Any]) -> Indices:
        """Take a step, and return the patterns that it concerns.

        Numbers that make no sense, as in a damaged journal, are passed over; a step that has no
        others changes nothing, but can be taken back.
        """
        if record.get("do") == "undo":
            return self._back(record.get("of"))
        given = _given(record)
        if given is None:
            return np.empty(0, np.int64)
        indices = np.unique(np.concatenate([np.empty(0, np.int64), *given.values()]))
        self.make_room(int(indices.max(initial=-1)) + 1)
        before = tuple(column[indices] for column in self._columns())
        self._steps.append(_Step(indices, before, str(record.get("id", ""))))
        accepted = record.get("do") == "accept"
        said = str(record.get("said", ""))
        for name, numbers in given.items():
            self.labels[numbers] = self.code(name)
            heard = name if accepted else said
            self.said[numbers] = self.code(heard) if heard else NOBODY
        self.reviewers[indices] = _place(self.people, str(record.get("person", "")))
        self.times[indices] = str(record.get("time", ""))
        self.sayers[indices] = _place(self.models, str(record.get("model", "")))
        self.singly[indices] = not accepted
        return indices

    def _columns(self) -> tuple[NDArray[Any], ...]:
        return self.labels, self.reviewers, self.times, self.said, self.sayers, self.singly

    @property
    def last(self) -> Indices | None:
        """The patterns that the last step concerns, ``None`` if there is nothing to take back."""
        return self._steps[-1].indices if self._steps else None

    @property
    def last_id(self) -> str:
        """The name of the last step, an empty text if there is none or it has no name."""
        return self._steps[-1].id if self._steps else ""

    def _back(self, of: object) -> Indices:
        """Take back a step, the last one where nothing is said of which."""
        numbers = range(len(self._steps) - 1, -1, -1)
        number = next((n for n in numbers if of is None or self._steps[n].id == of), None)
        if number is None:
            return np.empty(0, np.int64)
        step = self._steps.pop(number)
        shows = np.ones(len(step.indices), bool)
        for later in self._steps[number:]:
            # What was decided again since stays so; taking that back leads to before this step.
            _, mine, theirs = np.intersect1d(
                np.where(shows, step.indices, NOBODY), later.indices, return_indices=True
            )
            for values, old in zip(later.before, step.before, strict=True):
                values[theirs] = old[mine]
            shows[mine] = False
        for column, old in zip(self._columns(), step.before, strict=True):
            column[step.indices[shows]] = old[shows]
        return step.indices


def _given(record: Mapping[str, Any], size: int = MOST_PATTERNS) -> dict[str, Indices] | None:
    """Labels of a record with the numbers of their patterns below a size; None: it has none."""
    labels = record.get("labels")
    if not isinstance(labels, Mapping):
        return None
    given = {str(name): _numbers(values, size) for name, values in labels.items()}
    return {name: numbers for name, numbers in given.items() if len(numbers)}


def _numbers(values: Any, size: int) -> Indices:
    """Whole numbers below a size, of whatever a damaged journal may hold."""
    numbers = np.asarray(values, object).ravel()
    whole = (n for n in numbers if isinstance(n, int | np.integer) and 0 <= n < size)
    return np.fromiter(whole, np.int64)


def renumbered(record: Mapping[str, Any], places: Indices) -> dict[str, Any] | None:
    """Return a record as `Decisions` takes it with other numbers of the patterns.

    Numbers of patterns that are not there, as in a damaged journal, are left out.

    Parameters
    ----------
    record
        What was done.
    places : ndarray of int64, (n,)
        The new number of each pattern.

    Returns
    -------
    dict or None
        ``None`` where the record makes no sense.
    """
    if "labels" not in record:
        return dict(record)
    given = _given(record, len(places))
    if given is None:
        return None
    return {**record, "labels": {name: places[some].tolist() for name, some in given.items()}}


def _named(names: list[str], places: NDArray[np.int16]) -> NDArray[np.str_]:
    """Names at places of a list, an empty text for the place -1."""
    found: NDArray[np.str_] = np.array([*names, ""])[places]
    return found


def _place(items: list[str], item: str) -> int:
    if item not in items:
        items.append(item)
    return items.index(item)
