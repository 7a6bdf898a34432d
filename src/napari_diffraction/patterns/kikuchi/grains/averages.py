"""Patterns of one crystal found together, wherever they lie, and their averages."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.kikuchi.grains.grouping import Group, group
from napari_diffraction.patterns.kikuchi.grains.likeness import look
from napari_diffraction.patterns.kikuchi.preparation import Preparation
from napari_diffraction.patterns.kikuchi.reading import chosen
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, retold

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]

#: An average is made of at most so many patterns.
_AVERAGED = 300
#: Of the members of a group those count that are at least so alike, in parts of the median.
_PURE = 0.9
#: Lists of fewer patterns than this may be all different: each is a group of its own.
_FEW = 200
#: Least number of patterns of a group, by default.
_LEAST = 3
#: Greatest number of groups, by default.
_KEPT = 2000


@dataclass(frozen=True)
class GrainProgress(Progress):
    """A step of `find_grains`; `done` and `total` count patterns."""


@dataclass(frozen=True, eq=False)
class Grains:
    """Groups of patterns that look alike, the largest first.

    Attributes
    ----------
    label : ndarray of int32, (n,)
        Group of each pattern, counted from 0; -1: none.
    size : ndarray of int64, (k,)
        Number of patterns of each group.
    average : ndarray of float32, (k, h, w)
        Mean of corrected patterns of the group, mixtures and outliers left out.
    members : tuple of ndarray of int64, k of them
        Flat numbers of the patterns averaged, rising.
    alike : ndarray of float32, (n,)
        Correlation of each pattern with its group; 0 in none.
    contrast : ndarray of float32, (n,)
        Share of a thinned pattern's variance that is bands and not noise.
    """

    label: NDArray[np.int32]
    size: Indices
    average: Floats
    members: tuple[Indices, ...]
    alike: Floats
    contrast: Floats

    def __len__(self) -> int:
        return len(self.size)


def find_grains(
    stack: PatternStack,
    preparation: Preparation,
    *,
    threshold: float | None = None,
    least: int | None = None,
    keep: int = _KEPT,
) -> Generator[GrainProgress, None, Grains]:
    """Find patterns of one crystal together, wherever they lie, and average them.

    Patterns are alike by the correlation of their flattened pictures.  They are gathered about
    leaders and not from neighbour to neighbour: through the mixed patterns of a boundary all
    grains hang together.

    Parameters
    ----------
    stack
        A scan or a list.
    preparation
        Of its camera.
    threshold
        Least correlation with the average of a group in parts of that of its typical member;
        by default 0.66, which parts grains some 4 degrees apart.
    least
        Least number of patterns of a group; by default 3, or 1 for a list of less than 200.
    keep
        At most so many groups, the largest.

    Yields
    ------
    GrainProgress

    Returns
    -------
    Grains
    """
    count = len(stack)
    vectors = yield from retold(
        look(stack, preparation), lambda done: GrainProgress(done, count, "Looking for grains")
    )
    alone = not stack.is_scan and count < _FEW
    least = least or (1 if alone else min(_LEAST, count))
    groups: list[Group] = []
    for groups in group(vectors, threshold, least):
        held = sum(len(one.indices) for one in groups)
        yield GrainProgress(held, count, "Looking for grains")
    groups = sorted(groups, key=lambda one: -len(one.indices))[:keep]
    members = tuple(_members(one) for one in groups)
    average = yield from _average(stack, preparation, members)
    label, alike = np.full(count, -1, np.int32), np.zeros(count, np.float32)
    for number, one in enumerate(groups):
        label[one.indices], alike[one.indices] = number, one.alike
    size = np.array([len(one.indices) for one in groups], np.int64)
    return Grains(label, size, average, members, alike, vectors.bands)


def _members(one: Group) -> Indices:
    """The patterns of a group that are most alike, mixtures left out."""
    core = one.indices[one.core]
    alike = one.alike[one.core]
    best = np.argsort(-alike, kind="stable")[:_AVERAGED]
    pure = alike[best] >= _PURE * np.median(alike)
    return np.sort(core[best[pure]])


def _average(
    stack: PatternStack, preparation: Preparation, members: tuple[Indices, ...]
) -> Generator[GrainProgress, None, Floats]:
    """Mean of the corrected patterns of each group."""
    total = np.zeros((len(members), *preparation.shape), np.float32)
    if not members:
        return total
    indices = np.concatenate(members)
    numbers = np.repeat(np.arange(len(members)), [len(some) for some in members])
    order = np.argsort(indices, kind="stable")
    indices, numbers = indices[order], numbers[order]
    for part, frames in chosen(stack, indices):
        pictures = preparation.corrected(frames)
        for number in np.unique(numbers[part]):
            total[number] += pictures[numbers[part] == number].sum(0)
        yield GrainProgress(part.stop, len(indices), "Averaging grains")
    total /= np.array([len(some) for some in members], np.float32)[:, None, None]
    return total
