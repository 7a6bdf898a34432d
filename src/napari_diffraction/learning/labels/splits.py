"""Splits of labelled patterns into those to learn from and those to judge by, and into folds.

Patterns of one unit cell, material or file resemble each other more than those of the next one
will, so they stay together: a split by pattern would promise more than the model can do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.int64]

#: A split deals groups to so many folds and joins some of them, as they make the share.
_FINE = 20
#: A split is good enough when it misses the share by less than this part of it.
_CLOSE = 0.1


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
    _, code = np.unique(data.labels, return_inverse=True)
    best, off = None, np.inf
    for judged in _joined(data, share, seed):
        now = abs(float(judged.mean()) - share)
        if now < off and _holds_all(code, judged) and _holds_all(code, ~judged):
            best, off = judged, now
            if off <= _CLOSE * share:
                break
    if best is None:
        return *_parts(_alone_judged(code, share, seed)), _alone(data)
    return *_parts(best), _uneven(float(best.mean()), share, data.grouped_by)


def kfold(data: Grouped, k: int, seed: int = 0) -> tuple[list[tuple[Indices, Indices]], str]:
    """Split patterns k times, so that each is judged once, never within a group.

    Where a class has fewer groups or patterns than there are folds, there are fewer folds, as every
    fold shall judge all classes.

    Returns
    -------
    folds
        Numbers of the patterns to learn from and to judge by, k times or less.
    warning
        As for `split`, or what class makes the folds fewer.
    """
    _, code = np.unique(data.labels, return_inverse=True)
    pairs = np.unique(np.stack([code, np.unique(data.groups, return_inverse=True)[1]]), axis=1)
    groups, patterns = np.bincount(pairs[0]), np.bincount(code)
    for fewer in range(min(k, int(groups.min())), 1, -1):
        fold = _folds(data, fewer, seed)
        if all(_holds_all(code, fold == i) for i in range(fewer)):
            return _each(fold), _fewer(data, groups, fewer, k, "source")
    fewer = max(2, min(k, int(patterns.min())))
    said = [_alone(data), _fewer(data, patterns, fewer, k, "pattern")]
    return _each(_dealt(code, fewer, seed)), " ".join(filter(None, said))


def _each(fold: Indices) -> list[tuple[Indices, Indices]]:
    """All folds that hold anything."""
    return [_parts(fold == i) for i in np.unique(fold)]


def _fewer(data: Grouped, counts: NDArray[np.int64], now: int, k: int, what: str) -> str:
    """Say why there are fewer folds than k; `counts` are of each class, of what is in `what`."""
    if now == k:
        return ""
    least, name = int(counts.min()), np.unique(data.labels)[counts.argmin()]
    by = f" (by {data.grouped_by})" if what == "source" else ""
    reason = f"{name} has only {least} {what}{'' if least == 1 else 's'}{by}"
    if least > now:
        reason = f"some sources{by} hold several classes"
    return f"There are {now} folds instead of {k}, since {reason}."


def _parts(judged: NDArray[np.bool_]) -> tuple[Indices, Indices]:
    return np.flatnonzero(~judged), np.flatnonzero(judged)


def _holds_all(code: Indices, part: NDArray[np.bool_]) -> bool:
    return bool((np.bincount(code[part], minlength=code.max() + 1) > 0).all())


def _joined(data: Grouped, share: float, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Join folds to parts that may make the share, from fine folds to coarse ones."""
    for k in range(max(_FINE, round(1 / share)), 1, -1):
        fold, joined = _folds(data, k, seed), max(1, round(share * k))
        for first in range(k):
            yield (fold - first) % k < joined


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


def _dealt(code: Indices, k: int, seed: int) -> Indices:
    """Deal single patterns to k folds, class by class."""
    fold = np.zeros(len(code), dtype=np.int64)
    for of_class in _shuffled(code, seed):
        fold[of_class] = np.arange(len(of_class)) % k
    return fold


def _alone_judged(code: Indices, share: float, seed: int) -> NDArray[np.bool_]:
    """Choose a share of the patterns of each class, whatever their groups."""
    judged = np.zeros(len(code), dtype=bool)
    for of_class in _shuffled(code, seed):
        judged[of_class[: max(1, round(share * len(of_class)))]] = True
    return judged


def _shuffled(code: Indices, seed: int) -> list[Indices]:
    """Numbers of the patterns of each class, in random order."""
    rng = np.random.default_rng(seed)
    return [rng.permutation(np.flatnonzero(code == one)) for one in range(code.max() + 1)]


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
