"""Splits of labelled patterns into those to learn from and those to judge by, and into folds.

Patterns of one unit cell, material or file resemble each other more than those of the next one
will, so they stay together: a split by pattern would promise more than the model can do.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]


class Grouped(Protocol):
    """What can be split: labels, groups, each (n,), and what a group is."""

    @property
    def labels(self) -> NDArray[np.str_]:
        """Class of each pattern."""

    @property
    def groups(self) -> NDArray[np.str_]:
        """What belongs together."""

    @property
    def grouped_by(self) -> str:
        """What a group is, in the singular."""


def split(data: Grouped, share: float = 0.2, seed: int = 0) -> tuple[Indices, Indices, str]:
    """Split patterns into those to learn from and those to judge by, never within a group.

    Parameters
    ----------
    data
        The patterns.
    share
        Part of the patterns to judge by.
    seed
        The same seed gives the same split.

    Returns
    -------
    training, validation : ndarray of int
        Numbers of the patterns, rising.
    warning
        A sentence where the split could not be made so, else an empty text.
    """
    labels = data.labels
    wanted = max(2, round(1 / share))
    for k in range(wanted, 1, -1):
        fold = _folds(data, k, seed)
        for number in range(k):
            judged = fold == number
            if _holds_all(labels, judged) and _holds_all(labels, ~judged):
                return *_parts(judged), _uneven(float(judged.mean()), share, data.grouped_by)
    return *_parts(_dealt(labels, wanted, seed) == 0), _alone(data)


def kfold(data: Grouped, k: int, seed: int = 0) -> tuple[list[tuple[Indices, Indices]], str]:
    """Split patterns k times, so that each is judged once, never within a group.

    Returns
    -------
    folds
        Numbers of the patterns to learn from and to judge by, k times.
    warning
        As for `split`.
    """
    fold, warning = _folds(data, k, seed), ""
    whole = all(_holds_all(data.labels, fold != i) and (fold == i).any() for i in range(k))
    if not whole:
        fold, warning = _dealt(data.labels, k, seed), _alone(data)
    return [_parts(fold == i) for i in range(k)], warning


def _parts(judged: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    return np.flatnonzero(~judged), np.flatnonzero(judged)


def _holds_all(labels: NDArray[np.str_], part: NDArray[np.bool_]) -> bool:
    return len(np.unique(labels[part])) == len(np.unique(labels))


def _folds(data: Grouped, k: int, seed: int) -> Indices:
    """Deal whole groups to k folds so that the classes are spread evenly; large groups first."""
    _, code = np.unique(data.labels, return_inverse=True)
    names, group = np.unique(data.groups, return_inverse=True)
    counts = np.zeros((len(names), code.max() + 1))
    np.add.at(counts, (group, code), 1)
    share = counts / counts.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-share[order].sum(axis=1), kind="stable")]
    held = np.zeros((k, counts.shape[1]))
    fold = np.zeros(len(names), dtype=np.int64)
    for one in order:
        mine = share[one] > 0
        # What each fold would hold of the classes of this group.
        grown = (held[:, mine] + share[one, mine]).max(axis=1)
        fold[one] = np.lexsort((held.sum(axis=1), grown))[0]
        held[fold[one]] += share[one]
    return np.asarray(fold[group])


def _dealt(labels: NDArray[np.str_], k: int, seed: int) -> Indices:
    """Deal single patterns to k folds, class by class."""
    rng = np.random.default_rng(seed)
    fold = np.zeros(len(labels), dtype=np.int64)
    for name in np.unique(labels):
        of_class = rng.permutation(np.flatnonzero(labels == name))
        fold[of_class] = np.arange(len(of_class)) % k
    return fold


def _uneven(part: float, share: float, grouped_by: str) -> str:
    if abs(part - share) <= max(0.5 * share, 0.05):
        return ""
    return (
        f"The patterns come from so few sources (by {grouped_by}) that {part:.0%} of them are kept "
        f"to judge by instead of {share:.0%}."
    )


def _alone(data: Grouped) -> str:
    alone = [n for n in np.unique(data.labels) if len(np.unique(data.groups[data.labels == n])) < 2]
    reason = (
        f"all patterns of {alone[0]} come from one {data.grouped_by}"
        if alone
        else f"there are too few sources (by {data.grouped_by})"
    )
    return (
        f"The patterns are split one by one, since {reason}: those to learn from and those to "
        "judge by are alike, so the figures of this model are too good."
    )
