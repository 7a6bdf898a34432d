"""The patterns whose labels would teach a model most: doubtful ones, and not twice the same."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.learning.models.classifier import Classifier
from napari_diffraction.learning.training.lesson import Indices
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

#: The network looks again at this many of the most doubtful patterns for each one that is chosen.
_CANDIDATES = 8
_BATCH = 32


def teach_most(
    stack: PatternStack,
    classifier: Classifier,
    index: Indices,
    p: NDArray[np.float64],
    count: int = 20,
) -> Generator[Progress, None, Indices]:
    """Choose the patterns that a person had best look at next.

    Among the patterns whose two most probable classes lie closest together, one after the other is
    taken that is doubtful and, by what the body of the network finds in it, far from all taken
    before (farthest-point sampling, Sener and Savarese 2018, weighted by the doubt).

    Parameters
    ----------
    stack
        The patterns.
    classifier
        The model that gave the probabilities.
    index : ndarray of int, (n,)
        Flat numbers of the patterns that bear no label.
    p : ndarray, (n, n_classes)
        Their probabilities; NaN where a pattern could not be read.
    count
        How many to choose.

    Returns
    -------
    ndarray of int, (m,)
        Flat numbers, the most doubtful first.
    """
    from napari_diffraction.learning.training.fine_tuning import found_in, looker

    if p.shape[1] < 2:  # one class is never in doubt
        return np.empty(0, np.int64)
    two = np.sort(p, axis=1)[:, -2:]
    doubt = 1 - (two[:, 1] - two[:, 0])
    order = np.argsort(-np.nan_to_num(doubt, nan=-1.0), kind="stable")
    order = order[np.isfinite(doubt[order])][: _CANDIDATES * count]
    if not len(order):
        return np.empty(0, np.int64)
    look = looker(classifier, stack)
    found: list[NDArray[np.float32]] = []
    rows: list[int] = []
    for start in range(0, len(order), _BATCH):
        yield Progress(start, len(order), "Choosing what teaches most")
        some = np.sort(order[start : start + _BATCH])
        frames = stack.frames(index[some].tolist())
        good = [row for row, frame in zip(some, frames, strict=True) if frame is not None]
        if good:
            seen = [look(frame) for frame in frames if frame is not None]
            found.append(found_in(classifier, seen)[0].numpy())
            rows += good
    if not rows:
        return np.empty(0, np.int64)
    chosen = farthest(np.concatenate(found), doubt[rows], count)
    return np.asarray(index[np.array(rows)[chosen]])


def farthest(found: NDArray[np.floating], doubt: NDArray[np.floating], count: int) -> Indices:
    """Choose rows that are doubtful and far from one another.

    Parameters
    ----------
    found : ndarray, (n, m)
        Where the rows lie; every column is brought to the same spread.
    doubt : ndarray, (n,)
        Weight of each row, not below 0.
    count
        How many to choose, at most.

    Returns
    -------
    ndarray of int, (k,)
        The first is the most doubtful one; then each with the largest product of its doubt and its
        distance from those before.
    """
    x = found - found.mean(axis=0)
    x = x / np.maximum(x.std(axis=0), 1e-6)
    chosen = [int(np.argmax(doubt))]
    distance = np.full(len(x), np.inf)
    while len(chosen) < min(count, len(x)):
        distance = np.minimum(distance, np.linalg.norm(x - x[chosen[-1]], axis=1))
        worth = doubt * distance
        worth[chosen] = -1
        chosen.append(int(np.argmax(worth)))
    return np.array(chosen)
