"""Labelled patterns from many places, with what of them belongs together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.learning.labels.ground_truth import Truth, groups_of, truth_of
from napari_diffraction.learning.labels.splits import Indices
from napari_diffraction.learning.models.leakage import content_hash
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.readers.formats import is_folder_input
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.simulation.label_table import CLASS_COLUMNS, gap_notes, read_labels

#: Gives what persons decided on a stack: columns index and reviewed_label; ``None``: nothing.
Reviewed = Callable[[PatternStack], pd.DataFrame | None]

#: What stands for `labels` where they are those of a review.
REVIEW = "review"
#: Columns that hold classes and nothing else.
_LABELS = ("reviewed_label", "label")
#: Groups that mean the same whatever file names them.
_SHARED = ("crystal structure", "material")


@dataclass(frozen=True)
class LabelledSource:
    """Where labelled patterns are.

    Attributes
    ----------
    path
        A stack, or a folder of folders, each named after a class; folders within these keep
        together what is of one crystal.
    labels
        A table (.csv) with a column ``index`` or a row for each pattern, ``review`` for what was
        decided in a review of this stack, or empty: the labels inside the file or beside it.
    column
        Column of the class; empty: the one that names classes.
    group
        Column of what belongs together; empty: unit cell, structure or material where there is
        such a column, else the file.
    dataset
        Name of the data set in a file that holds several.
    """

    path: str = ""
    labels: str = ""
    column: str = ""
    group: str = ""
    dataset: str = ""


@dataclass(frozen=True)
class LabelledData:
    """Patterns with their classes, n of them.

    Attributes
    ----------
    stacks
        Where the patterns are.
    stack, index : ndarray of int, (n,)
        Number of the stack, and of the pattern within it.
    labels : ndarray of str, (n,)
    groups : ndarray of str, (n,)
        What belongs together, and never comes apart in a split.
    grouped_by
        What the groups are, in the singular.
    notes
        Sentences on what was left out, and on labels that may be none.
    """

    stacks: tuple[PatternStack, ...]
    stack: Indices
    index: Indices
    labels: NDArray[np.str_]
    groups: NDArray[np.str_]
    grouped_by: str = "file"
    notes: tuple[str, ...] = field(default=())

    @classmethod
    def of(cls, stack: PatternStack, truth: Truth, name: str = "") -> LabelledData:
        """Take the patterns of a stack whose class is known."""
        name = name or stack.name
        groups = np.full(len(truth), name) if truth.groups is None else truth.groups
        grouped_by = "file" if truth.groups is None else truth.grouped_by
        if truth.groups is not None and grouped_by not in _SHARED:
            groups = np.array([f"{name}: {group}" for group in groups], dtype=str)
        known = np.flatnonzero((truth.labels != "") & (truth.labels != UNREADABLE))
        return cls(
            (stack,),
            np.zeros(len(known), dtype=np.int64),
            known.astype(np.int64),
            truth.labels[known],
            groups[known],
            grouped_by,
        )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes that occur, in alphabetical order."""
        return tuple(sorted(set(self.labels.tolist())))

    def counts(self) -> dict[str, int]:
        """Count the patterns of each class."""
        return dict(Counter(self.labels.tolist()))

    def frame(self, i: int) -> NDArray[Any]:
        """Read a pattern, (h, w).

        Raises
        ------
        InputError
            It cannot be read.
        """
        return np.asarray(self.stacks[int(self.stack[i])].frame(int(self.index[i])))

    def content_hash(self, i: int) -> str:
        """Return the digest by which a pattern of the training is known again."""
        return content_hash(self.frame(i))

    def take(self, chosen: Indices | NDArray[np.bool_]) -> LabelledData:
        """Return some of the patterns."""
        return LabelledData(
            self.stacks,
            self.stack[chosen],
            self.index[chosen],
            self.labels[chosen],
            self.groups[chosen],
            self.grouped_by,
            self.notes,
        )


def open_labelled(
    sources: Sequence[LabelledSource],
    classes: Sequence[str] = (),
    folder: Path | None = None,
    reviewed: Reviewed | None = None,
) -> LabelledData:
    """Open labelled patterns without reading them.

    Parameters
    ----------
    sources
        Where they are.
    classes
        Patterns of other classes are left out; empty: all classes count.
    folder
        What the paths are relative to.
    reviewed
        Finds what was decided in the review of a stack.

    Raises
    ------
    InputError
        A source is missing or bears no labels, labels contradict each other, or a class has fewer
        than two patterns.
    """
    parts = [
        part
        for source in sources
        for part in open_parts(source, classes, folder or Path(), reviewed)
    ]
    data = _joined(parts)
    _refuse_contradictions(data)
    notes = gap_notes(data.labels, classes)
    if classes:
        other = ~np.isin(data.labels, list(classes))
        data = data.take(~other)
        if other.any():
            notes = (*notes, f"{int(other.sum()):,} patterns of other classes are left out.")
    data = replace(data, notes=notes)
    check_classes(data.labels, classes or data.classes)
    return data


def check_classes(labels: NDArray[np.str_], classes: Sequence[str]) -> None:
    """Raise `InputError` unless there are two classes, each with two patterns or more."""
    if len(classes) < 2:
        raise InputError(
            f"The labels name {', '.join(classes) or 'no class'}: to tell classes apart, label "
            "patterns of two or more."
        )
    counts = Counter(labels.tolist())
    few = [name for name in classes if counts[name] < 2]
    if few:
        count = counts[few[0]]
        raise InputError(
            f"The class '{few[0]}' has {'one pattern' if count else 'no pattern'}: label at least "
            "two of it, better twenty, or take it out of the classes."
        )


def open_parts(
    source: LabelledSource,
    classes: Sequence[str] = (),
    folder: Path = Path(),
    reviewed: Reviewed | None = None,
) -> Iterator[LabelledData]:
    """Open the stacks of one source one by one, see `open_labelled`, however few they hold."""
    path = folder / source.path
    if not source.labels and (inside := class_folders(path)):
        for one in inside:
            yield from _class_folder(one)
        return
    stack = open_stack(path, source.dataset or None)
    table = _table(source, path, folder, stack, reviewed)
    for column in filter(None, (source.column, source.group)):
        if column not in table:
            raise InputError(
                f"{path}: its labels have no column '{column}'; the columns are "
                f"{', '.join(map(str, table.columns))}."
            )
    table = aligned(table, len(stack), source.labels or path, source.column)
    truth = truth_of(table, stack, classes, source.column)
    groups = groups_of(table[source.group], stack) if source.group else None
    if groups is not None:
        truth = Truth(truth.labels, groups, source.group, truth.notes)
    yield LabelledData.of(stack, truth, str(path))


def class_folders(path: Path) -> list[Path]:
    """Return the folders within a folder that are named after classes."""
    if not path.is_dir() or is_folder_input(str(path)):
        return []
    return sorted(one for one in path.iterdir() if _is_class_folder(one))


def _is_class_folder(path: Path) -> bool:
    return path.is_dir() and not path.name.startswith(".") and not is_folder_input(str(path))


def _class_folder(path: Path) -> Iterator[LabelledData]:
    """Open the patterns of one class: those of the folder itself, or of each folder within."""
    for inside in class_folders(path) or [path]:
        stack = open_stack(inside)
        files = Counter(stack.sources)
        by_file = len(files) > 1 and max(files.values()) > 1
        groups = np.array(stack.sources, dtype=str) if by_file else None
        truth = Truth(np.full(len(stack), path.name), groups, "file")
        yield LabelledData.of(stack, truth, str(inside))


def _table(
    source: LabelledSource,
    path: Path,
    folder: Path,
    stack: PatternStack,
    reviewed: Reviewed | None,
) -> pd.DataFrame:
    from napari_diffraction.simulation.files import labels_beside, load_labels, of_this_file

    texts = (source.column, source.group)
    if source.labels == REVIEW:
        found = None if reviewed is None else reviewed(stack)
        if found is None:
            raise InputError(f"{path}: there is no review of it here; review it, or name a table.")
        return found
    if source.labels:
        named = folder / source.labels
        try:
            table = read_labels(named, texts)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{named} is no table of labels ({error}): give a .csv with the columns index and "
                "label."
            ) from error
        is_beside = named.resolve() == labels_beside(path.absolute()).resolve()
        return of_this_file(table, path) if is_beside else table
    found = load_labels(path, texts)
    if found is None:
        raise InputError(
            f"{path}: no labels stand in this file, nor in {path.name}.csv beside it; write such a "
            "table with the columns index and label, or name one as labels."
        )
    return found


def aligned(table: pd.DataFrame, n: int, name: object, column: str = "") -> pd.DataFrame:
    """Return a table of labels with a row for each of n patterns, in their order.

    Parameters
    ----------
    table
        A row for each pattern, or a column ``index`` with the numbers of those labelled.
    n
        Number of patterns.
    name
        What messages call the table.
    column
        Column of the class; empty: each that may be, or ``reviewed_label`` and ``label`` alone
        where there are such, as the others are then of groups.

    Raises
    ------
    InputError
        It names patterns that are not there, or one of them twice with different classes.
    """
    names = [one for one in ([column] if column else CLASS_COLUMNS) if one in table]
    labels = [one for one in names if one in _LABELS]
    # Before rows are added: whole numbers with a gap become fractions.
    table = table.assign(**{one: _texts(table[one]) for one in names})
    if "index" not in table:
        if len(table) == n:
            return table.reset_index(drop=True)
        raise InputError(
            f"{name} has {len(table):,} rows for {n:,} patterns: give it a column index with the "
            "number of each labelled pattern, counted from 0."
        )
    index = pd.to_numeric(table["index"], errors="coerce")
    if not (index.between(0, n - 1) & (index % 1 == 0)).all():
        raise InputError(
            f"{name} names patterns that are not there: its column index must hold whole numbers "
            f"from 0 to {n - 1}."
        )
    table = table.assign(index=index.astype(np.int64))
    for one in labels or names:
        twice = table.drop_duplicates(["index", one])["index"]
        if twice.duplicated().any():
            where = f" in its column {one}"
            raise _contradiction(name, int(twice[twice.duplicated()].iloc[0]), where)
    return table.drop_duplicates("index").set_index("index").reindex(range(n)).reset_index()


def _texts(values: pd.Series) -> pd.Series:
    """Names of classes as texts, empty where there is none."""
    return values.astype(object).where(values.notna(), "").astype(str)


def _joined(parts: Sequence[LabelledData]) -> LabelledData:
    if not parts:
        raise InputError("There are no labelled patterns: name at least one source of them.")
    by = list(dict.fromkeys(part.grouped_by for part in parts))
    return LabelledData(
        tuple(part.stacks[0] for part in parts),
        np.concatenate([np.full(len(part), i) for i, part in enumerate(parts)]),
        np.concatenate([part.index for part in parts]),
        np.concatenate([part.labels for part in parts]),
        np.concatenate([part.groups for part in parts]),
        " or ".join(by),
    )


def _refuse_contradictions(data: LabelledData) -> None:
    """Raise `InputError` where one pattern of one file is named twice with different classes."""
    said: dict[tuple[str, int], str] = {}
    if len(data.stacks) == 1:
        return
    for number, index, label in zip(data.stack, data.index, data.labels, strict=True):
        stack = data.stacks[number]
        source = stack.source(int(index))
        if not source:
            continue
        key = (f"{Path(source).resolve()}{stack.dataset or ''}", stack.event(int(index)))
        if said.setdefault(key, label) != label:
            raise _contradiction(source, int(index))


def _contradiction(name: object, index: int, where: str = "") -> InputError:
    return InputError(
        f"{name}: pattern {index} has two different labels{where}; keep the one that is right."
    )
