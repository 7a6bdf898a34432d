"""What patterns truly are, as far as it is known and a model can be judged by it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.learning.metrics import confusion_matrix
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.simulation.label_table import CLASS_COLUMNS, gap_notes

#: A review's export: what a person said, where somebody did; ``label`` is the model's own.
_REVIEWED = "reviewed_label"
#: Columns that may hold the class, the first one where several do as well.
_LABELS = tuple(name for name in CLASS_COLUMNS if name != _REVIEWED)
#: Columns of what belongs together, and what to call it.
_GROUPS = {
    "group": "group",
    "cell": "unit cell",
    "structure": "crystal structure",
    "material": "material",
}


@dataclass(frozen=True)
class Truth:
    """What patterns truly are.

    Attributes
    ----------
    labels
        (n,), the true class of each pattern; empty where nobody knows it.
    groups
        (n,), what belongs together and is drawn together for the intervals; ``None``: nothing.
    grouped_by
        What the groups are, in the singular ("unit cell").
    notes
        Sentences on where the labels come from.
    """

    labels: NDArray[Any]
    groups: NDArray[Any] | None = None
    grouped_by: str = "pattern"
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, labels: Sequence[str] | pd.Series) -> Truth:
        """Take names of classes, of which some may be missing."""
        return cls(pd.Series(labels, dtype=object).fillna("").to_numpy(dtype=str))

    def __len__(self) -> int:
        return len(self.labels)


def truth_of(
    labels: pd.DataFrame, stack: PatternStack, classes: Sequence[str], column: str = ""
) -> Truth:
    """Read true classes and groups from a table of labels.

    Parameters
    ----------
    labels
        One row a pattern, see `napari_diffraction.simulation.files.load_labels`.
    stack
        The patterns; those of one file belong together where the table says nothing else.
    classes
        Of the model: where several columns might be meant, the one that names most of them is.
    column
        The column of the true classes; empty: the one that names them.

    Raises
    ------
    InputError
        No column names classes.
    """
    column = column or label_column(labels, classes)
    if not column:
        raise InputError(
            f"{stack.name}: no column of its labels names classes; call one of "
            f"{', '.join(map(str, labels.columns))} label, or say which one it is."
        )
    names = labels[column].astype(object).fillna("").to_numpy(dtype=str)
    groups, grouped_by = _groups(labels, stack)
    return Truth(names, groups, grouped_by, (*_notes(column), *gap_notes(names, classes)))


def label_column(labels: pd.DataFrame, classes: Sequence[str]) -> str:
    """Return the column that holds the true classes; an empty text where none can."""
    if _REVIEWED in labels and (labels[_REVIEWED].fillna("") != "").any():
        return _REVIEWED
    there = [name for name in _LABELS if name in labels]
    return max(there, key=lambda name: labels[name].isin(classes).to_numpy().sum(), default="")


def _notes(column: str) -> tuple[str, ...]:
    if column == _REVIEWED:
        return ("The labels are those that persons gave in a review.",)
    return () if column == "label" else (f"The labels are those of the column {column}.",)


def _groups(labels: pd.DataFrame, stack: PatternStack) -> tuple[NDArray[Any] | None, str]:
    for column, name in _GROUPS.items():
        if column in labels and (groups := groups_of(labels[column], stack)) is not None:
            return groups, name
    files = Counter(stack.sources)
    if len(files) > 1 and max(files.values()) > 1:
        return np.array(stack.sources, dtype=str), "file"
    return None, "pattern"


def groups_of(values: pd.Series, stack: PatternStack) -> NDArray[Any] | None:
    """Return the groups that a column names, (n,); ``None`` where it names none.

    A pattern of no group, as those without a crystal, belongs to nothing else.
    """
    names = values.astype(object).where(values.notna(), "").to_numpy(dtype=str)
    if not (names != "").any():
        return None
    alone = np.array([f"{stack.name}, pattern {number}" for number in range(len(names))])
    return np.where(names == "", alone, names)


@dataclass(frozen=True)
class LeftOut:
    """A classification and its truth without the patterns that cannot be judged.

    Attributes
    ----------
    table, truth
        What is left.
    unknown
        Counts of the patterns whose true class the model does not know (rows), by the class it
        gave (columns).
    counts
        How many patterns there are, and how many were left out for which reason.
    notes
        The same in sentences.
    """

    table: pd.DataFrame
    truth: Truth
    unknown: pd.DataFrame
    counts: dict[str, Any]
    notes: tuple[str, ...]


def leave_out(table: pd.DataFrame, truth: Truth, classes: Sequence[str]) -> LeftOut:
    """Leave out the patterns that cannot be judged: unreadable, without label, of other classes.

    Raises
    ------
    InputError
        Nothing is left.
    """
    unreadable = (table["label"] == UNREADABLE).to_numpy()
    unlabelled = ~unreadable & (truth.labels == "")
    strange = ~unreadable & ~unlabelled & ~np.isin(truth.labels, list(classes))
    good = ~(unreadable | unlabelled | strange)
    names = Counter(truth.labels[strange].tolist())
    if not good.any():
        raise InputError(_nothing_left(unreadable, sorted(names), classes))
    reasons = (
        (unreadable, "cannot be read"),
        (unlabelled, "bear no label"),
        (strange, f"are of {', '.join(sorted(names))}, which the model does not know"),
    )
    notes = [
        f"{int(which.sum()):,} of {len(table):,} patterns {reason}: left out of every figure."
        for which, reason in reasons
        if which.any()
    ]
    counts = {
        "patterns": len(table),
        "judged": int(good.sum()),
        "unreadable": int(unreadable.sum()),
        "unlabelled": int(unlabelled.sum()),
        "unknown": dict(sorted(names.items())),
    }
    kept = replace(
        truth,
        labels=truth.labels[good],
        groups=None if truth.groups is None else truth.groups[good],
    )
    unknown = confusion_matrix(
        truth.labels[strange], table["label"].to_numpy(dtype=str)[strange], classes, sorted(names)
    )
    return LeftOut(table[good].reset_index(drop=True), kept, unknown, counts, tuple(notes))


def _nothing_left(
    unreadable: NDArray[np.bool_], names: Sequence[str], classes: Sequence[str]
) -> str:
    if unreadable.all():
        return "Every pattern is unreadable: there is nothing to evaluate."
    if not names:
        return "No pattern that can be read bears a label: label some, or give other data."
    return (
        f"The labels name {', '.join(names)}, of which the model knows none: use its classes "
        f"{', '.join(classes)}, or another model."
    )
