"""What people decided on the patterns of a stack, with the way back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]
NOBODY = -1


@dataclass(frozen=True)
class _Step:
    """What undoing one step needs: the patterns and what had been decided before."""

    indices: Indices
    labels: NDArray[np.int16]
    reviewers: NDArray[np.int16]
    times: NDArray[np.object_]


class Decisions:
    """The label, the person and the time of every decision, by flat number of the pattern.

    A step is a record as the journal keeps it: ``{"do": "label", "labels": {"2DZone": [12]},
    "person": ..., "time": ...}``, or ``{"do": "undo", ...}``.

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
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.names = list(names)
        self.people: list[str] = []
        self.labels: NDArray[np.int16] = np.empty(0, np.int16)
        self.reviewers: NDArray[np.int16] = np.empty(0, np.int16)
        self.times: NDArray[np.object_] = np.empty(0, object)
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
            self.labels = np.append(self.labels, np.full(extra, NOBODY, np.int16))
            self.reviewers = np.append(self.reviewers, np.full(extra, NOBODY, np.int16))
            self.times = np.append(self.times, np.full(extra, "", object))

    def name(self, index: int) -> str | None:
        """Return the label somebody gave a pattern, or ``None``."""
        if 0 <= index < len(self.labels) and self.labels[index] != NOBODY:
            return self.names[int(self.labels[index])]
        return None

    def names_of(self, indices: Indices) -> NDArray[np.str_]:
        """Return the labels given to patterns, empty texts where nobody decided; (n,) str."""
        names: NDArray[np.str_] = np.array([*self.names, ""])[self.labels[indices]]
        return names

    def reviewers_of(self, indices: Indices) -> NDArray[np.str_]:
        """Return who decided on patterns, empty texts where nobody did; (n,) str."""
        people: NDArray[np.str_] = np.array([*self.people, ""])[self.reviewers[indices]]
        return people

    def apply(self, record: Mapping[str, Any]) -> Indices:
        """Take a step, and return the patterns that it concerns.

        A record that makes no sense, as in a damaged journal, does nothing.
        """
        if record.get("do") == "undo":
            return self._back()
        try:
            given = {
                str(name): np.asarray(numbers, np.int64).ravel()
                for name, numbers in dict(record.get("labels", {})).items()
            }
        except (TypeError, ValueError, OverflowError):
            return np.empty(0, np.int64)
        indices = np.concatenate([*given.values(), np.empty(0, np.int64)])
        if not len(indices) or indices.min() < 0:
            return np.empty(0, np.int64)
        self.make_room(int(indices.max()) + 1)
        before = (self.labels[indices], self.reviewers[indices], self.times[indices])
        self._steps.append(_Step(indices, *before))
        for name, numbers in given.items():
            self.labels[numbers] = self.code(name)
        self.reviewers[indices] = _place(self.people, str(record.get("person", "")))
        self.times[indices] = str(record.get("time", ""))
        return indices

    @property
    def last(self) -> Indices | None:
        """The patterns that the last step concerns, ``None`` if there is nothing to take back."""
        return self._steps[-1].indices if self._steps else None

    def _back(self) -> Indices:
        if not self._steps:
            return np.empty(0, np.int64)
        last = self._steps.pop()
        self.labels[last.indices] = last.labels
        self.reviewers[last.indices] = last.reviewers
        self.times[last.indices] = last.times
        return last.indices


def _place(items: list[str], item: str) -> int:
    if item not in items:
        items.append(item)
    return items.index(item)
