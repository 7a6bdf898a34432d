"""Vectors that are alike gathered about leaders."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.kikuchi.grains.likeness import Vectors

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

#: A member correlates with its group's mean at least this much of what the median member does,
#: and at the end, when nothing fits better, this much.
_MEMBER, _AT_LAST = 0.66, 0.5
#: What so many groups or more have in common is the camera, where two of them, no matter which,
#: correlate as much.
_SEVERAL, _SHARED = 4, 0.25
#: Leaders looked at at a time, and candidates among which they are sought.
_LEADERS, _CANDIDATES = 32, 600
#: Each leader becomes the mean of its members, and these are taken again, so many times.
_ROUNDS = 3
#: The mean is that of so many members at most.
_MEAN_OF = 300
#: Vectors that have nothing in common correlate less than so many of their deviations.
_CHANCE = 4.5
_CHANCES = (0.08, 0.25)
#: Two patterns of a list are of one crystal when they correlate more than this part of their
#: signal.
_PAIR = 0.55
_SAMPLE = 3000


@dataclass(frozen=True, eq=False)
class Group:
    """Vectors that are alike.

    Attributes
    ----------
    indices : ndarray of int64, (m,)
        Which ones.
    alike : ndarray of float32, (m,)
        Correlation of each with the mean of the others.
    mean : ndarray of float32, (d,)
        Of unit length.
    typical
        Median of `alike` among the core.
    core : ndarray of bool, (m,)
        Those that were not just added because nothing fitted better.
    """

    indices: Indices
    alike: Floats
    mean: Floats
    typical: float
    core: NDArray[np.bool_] = field(default_factory=lambda: np.ones(0, bool))


def group(vectors: Vectors, threshold: float | None, least: int) -> Iterator[list[Group]]:
    """Gather vectors into groups; yields all groups found so far, and at last the final ones."""
    member = threshold or _MEMBER
    groups, open_ = yield from _all(vectors, member, least)
    common = _common(groups)
    if common is not None:
        # what all patterns share is the camera: without any bands they would be of one group
        vectors = vectors.without(common)
        groups, open_ = yield from _all(vectors, member, least)
    if least == 1:
        alone = np.flatnonzero(open_)
        one = np.ones(1, np.float32)
        groups = groups + [
            Group(alone[i : i + 1], one, vectors.sum(alone[i : i + 1]), 1.0, one > 0)
            for i in range(len(alone))
        ]
    yield groups


def _all(
    vectors: Vectors, member: float, least: int
) -> Generator[list[Group], None, tuple[list[Group], NDArray[np.bool_]]]:
    """Yield the groups so far; return them with the rest given out, and which are in none."""
    readable = vectors.readable
    open_, tried = readable.copy(), ~readable
    chance = _chance(vectors, np.flatnonzero(readable))
    groups: list[Group] = []
    near = _neighbours(vectors) if vectors.shape else []
    while open_.sum() >= max(least, 2):
        leaders, expected = _leaders(vectors, open_, tried, chance, near)
        if not len(expected):
            break
        found = _gather(vectors, np.flatnonzero(open_), leaders, expected, member, chance)
        for one in found:
            if len(one.indices) >= max(least, 2):
                open_[one.indices] = False
                groups.append(one)
        yield groups
    groups = _take_the_rest(vectors, groups, open_, chance)
    return groups, open_


def _common(groups: list[Group]) -> Floats | None:
    """What the groups' means have in common, of unit length; ``None`` where it is little."""
    if len(groups) < _SEVERAL:
        return None
    means = np.stack([one.mean for one in groups])
    between = (means @ means.T)[np.triu_indices(len(means), 1)]
    if np.median(between) < _SHARED:
        return None
    common = means.mean(0)
    return np.asarray(common / np.linalg.norm(common))


def _chance(vectors: Vectors, readable: Indices) -> float:
    """Correlation that vectors reach by chance, from the spread below the median."""
    if len(readable) < 3:
        return _CHANCES[0]
    rng = np.random.default_rng(0)
    one, two = rng.choice(readable, (2, 2000))
    one, two = one[one != two], two[one != two]
    product = np.einsum(
        "ij,ij->i",
        vectors.values[one].astype(np.float32),
        vectors.values[two].astype(np.float32),
    )
    spread = np.subtract(*np.quantile(product, (0.5, 0.16)))
    return float(np.clip(_CHANCE * spread, *_CHANCES))


def _leaders(
    vectors: Vectors,
    open_: NDArray[np.bool_],
    tried: NDArray[np.bool_],
    chance: float,
    near: list[tuple[Indices, Indices, Floats]],
) -> tuple[Floats, Floats]:
    """Means about patterns that are most like others, and how alike members will be.

    Marks the patterns as tried.
    """
    alike, partner = (
        _like_neighbours(near, open_) if vectors.shape else _like_others(vectors, open_)
    )
    best = np.argsort(-np.where(tried, -1, alike), kind="stable")[:_CANDIDATES]
    best = best[(alike[best] > chance) & ~tried[best]]
    if not len(best):
        return np.zeros((0, vectors.values.shape[1]), np.float32), np.zeros(0, np.float32)
    means = np.stack([vectors.sum(np.append(partner[i][partner[i] >= 0], i)) for i in best])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    between = means @ means.T
    kept: list[int] = []
    for i in range(len(best)):
        if all(between[i, j] < 0.5 for j in kept):
            kept.append(i)
            if len(kept) == _LEADERS:
                break
    tried[best[kept]] = True
    return means[kept], alike[best[kept]]


def _neighbours(vectors: Vectors) -> list[tuple[Indices, Indices, Floats]]:
    """Pairs of neighbours in four directions of a scan, and how alike they are."""
    assert vectors.shape is not None
    rows, columns = vectors.shape
    number = np.arange(rows * columns).reshape(rows, columns)
    out = []
    for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
        a = number[: rows - down, max(0, -right) : columns - max(0, right)].ravel()
        b = number[down:, max(0, right) : columns + min(0, right)].ravel()
        value = np.empty(len(a), np.float32)
        for start in range(0, len(a), 4096):
            part = slice(start, start + 4096)
            some = (vectors.values[which[part]].astype(np.float32) for which in (a, b))
            value[part] = np.einsum("ij,ij->i", *some)
        out.append((a, b, value))
    return out


def _like_neighbours(
    near: list[tuple[Indices, Indices, Floats]], open_: NDArray[np.bool_]
) -> tuple[Floats, Indices]:
    """How alike each point of a scan is to its four most alike neighbours, and which these are."""
    product = np.full((len(open_), 8), -1, np.float32)
    other = np.full((len(open_), 8), -1, np.int64)
    for k, (a, b, value) in enumerate(near):
        both = open_[a] & open_[b]
        i, j = a[both], b[both]
        product[i, k], other[i, k] = value[both], j
        product[j, k + 4], other[j, k + 4] = value[both], i
    order = np.argsort(-product, axis=1, kind="stable")[:, :4]
    best = np.take_along_axis(product, order, 1)
    partner = np.where(best > 0, np.take_along_axis(other, order, 1), -1)
    # a pattern with few neighbours of its own kind is on a boundary, or alone; on a single line
    # there are but two
    line = sum(len(a) > 0 for a, _, _ in near) < 2
    return np.asarray(best[:, 1 if line else 2]), partner


def _like_others(vectors: Vectors, open_: NDArray[np.bool_]) -> tuple[Floats, Indices]:
    """How alike each pattern of a list is to the one most alike, as far as they are of one."""
    which = np.flatnonzero(open_)
    rng = np.random.default_rng(0)
    some = np.sort(rng.choice(which, min(len(which), _SAMPLE), replace=False))
    others = vectors.values[some].astype(np.float32)
    product = vectors.times(which, others)
    product[np.searchsorted(which, some), np.arange(len(some))] = -1
    nearest = product.argmax(1)
    alike = np.zeros(len(vectors), np.float32)
    partner = np.full((len(vectors), 1), -1)
    value = product[np.arange(len(which)), nearest]
    signal = np.sqrt(vectors.signal[which] * vectors.signal[some[nearest]])
    alike[which] = np.where(value > _PAIR * signal, value, 0)
    partner[which, 0] = some[nearest]
    return alike, partner


def _gather(
    vectors: Vectors,
    which: Indices,
    leaders: Floats,
    expected: Floats,
    member: float,
    chance: float,
) -> list[Group]:
    """Members of each leader among some vectors, when the leaders are the means of these."""
    means, typical = leaders, np.maximum(expected, chance)
    sizes = np.zeros(len(means))
    for last in range(_ROUNDS):
        alike = vectors.times(which, means)
        relative = alike / typical
        best = relative.argmax(1)
        groups: list[Group] = []
        for k in range(len(means)):
            mine = (best == k) & (relative[:, k] > member) & (alike[:, k] > chance)
            if mine.sum() < 2:
                continue
            groups.append(_group(vectors, which[mine], alike[mine, k], sizes[k], member, chance))
        groups = [one for one in groups if len(one.indices) >= 2]
        if not groups or last == _ROUNDS - 1:
            return groups
        means = np.stack([one.mean for one in groups])
        typical = np.array([one.typical for one in groups], np.float32)
    return []


def _group(
    vectors: Vectors, indices: Indices, alike: Floats, size: float, member: float, chance: float
) -> Group:
    """A group of those that are like the mean of the best of them, each without itself."""
    best = np.argsort(-alike, kind="stable")[:_MEAN_OF]
    total = vectors.sum(indices[best])
    own = np.zeros(len(indices), bool)
    own[best] = True
    product = vectors.times(indices, total[None])[:, 0]
    square = float(total @ total)
    others = np.where(
        own,
        (product - 1) / np.sqrt(np.maximum(square - 2 * product + 1, 1e-6)),
        product / max(np.sqrt(square), 1e-6),
    ).astype(np.float32)
    typical = float(np.median(others[best]))
    kept = (others > member * typical) & (others > chance)
    mean = (total / max(np.sqrt(square), 1e-6)).astype(np.float32)
    return Group(indices[kept], others[kept], mean, typical, np.ones(int(kept.sum()), bool))


def _take_the_rest(
    vectors: Vectors, groups: list[Group], open_: NDArray[np.bool_], chance: float
) -> list[Group]:
    """Give what is left to the groups that it is most like; mixtures are among it."""
    which = np.flatnonzero(open_)
    if not groups or not len(which):
        return groups
    means = np.stack([one.mean for one in groups])
    alike = vectors.times(which, means)
    typical = np.array([one.typical for one in groups], np.float32)
    best = (alike / typical).argmax(1)
    value = alike[np.arange(len(which)), best]
    fits = (value > _AT_LAST * typical[best]) & (value > chance)
    out = []
    for k, one in enumerate(groups):
        more = fits & (best == k)
        out.append(
            Group(
                np.append(one.indices, which[more]),
                np.append(one.alike, value[more]).astype(np.float32),
                one.mean,
                one.typical,
                np.append(one.core, np.zeros(int(more.sum()), bool)),
            )
        )
    open_[which[fits]] = False
    return out
