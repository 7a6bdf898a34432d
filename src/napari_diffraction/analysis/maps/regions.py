"""Regions of alike neighbouring patterns, which vote on their phase together.

Noise changes from point to point, the crystal does not: over a grain, the mean of the patterns'
evidence is far surer than that of any one of them.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.analysis.maps.phase_map import PhaseMap, check_scan
from napari_diffraction.errors import InputError
from napari_diffraction.progress import Progress

if TYPE_CHECKING:
    from napari_diffraction.patterns.stack import PatternStack

#: Side of the small pictures that are compared; fine enough for bands, coarse enough for noise.
_SIDE = 24
#: The threshold found is kept within these: unrelated patterns correlate by chance up to about
#: 0.2, and more where the camera's own response could not be taken out.
_LOWEST, _HIGHEST = 0.2, 0.85
#: Neighbours are of two kinds if so much of the variance of their correlations lies between the
#: kinds (0.64 for a normal distribution cut in half), and these lie so far apart.
_PARTED, _APART = 0.75, 0.1
_BATCH = 128
#: A probability below this counts as this one, so that no single pattern can veto a class.
_LEAST = 1e-4


def small_pictures(stack: PatternStack) -> Generator[Progress, None, NDArray[np.float32]]:
    """Flatten every pattern and shrink it to a vector of unit length.

    Parameters
    ----------
    stack
        A scan.

    Yields
    ------
    Progress

    Returns
    -------
    ndarray of float32, (n, 576)
        Their products are correlation coefficients.  An unreadable or empty pattern gives zeros.

    Raises
    ------
    InputError
        The patterns are a list, not a scan; or none of them can be read.
    """
    check_scan(stack)
    import torch
    from torch.nn import functional

    from napari_diffraction.learning.networks.bravais_view import looker, tensors

    pictures = np.zeros((len(stack), _SIDE * _SIDE), np.float32)
    look = looker(stack)
    for start in range(0, len(stack), _BATCH):
        indices = range(start, min(start + _BATCH, len(stack)))
        (seen,) = tensors([look(_frame(stack, index)) for index in indices])
        small, weight = functional.adaptive_avg_pool2d(seen, _SIDE).flatten(2).unbind(1)
        mean = (small * weight).sum(1, keepdim=True) / weight.sum(1, keepdim=True).clamp_min(1)
        small = (small - mean) * weight
        length = small.norm(dim=1, keepdim=True)
        small = torch.where(length > 1e-6, small / length.clamp_min(1e-6), torch.zeros(1))
        pictures[start : indices.stop] = small.numpy()
        yield Progress(indices.stop, len(stack), "Comparing neighbours")
    return pictures


def _frame(stack: PatternStack, index: int) -> NDArray[Any]:
    try:
        return stack.frame(index)
    except InputError:
        return np.zeros(stack.frame_shape, np.float32)


def find_regions(
    pictures: NDArray[np.float32], shape: tuple[int, int], threshold: float | None = None
) -> NDArray[np.int32]:
    """Group neighbouring points whose patterns are alike.

    Neighbours are taken in the order of their correlation, and two regions become one if the means
    of their patterns correlate.  Means, unlike single patterns, hardly hold noise; and a boundary
    pattern, which resembles both sides, joins one of them but cannot bridge them.

    Parameters
    ----------
    pictures : ndarray of float32, (n, d)
        Vectors of unit length, see `small_pictures`.
    shape
        Rows and columns; their product is n.
    threshold
        Least correlation of the means, 0 to 1; ``None``: found between the correlations of alike
        and of different neighbours.

    Returns
    -------
    ndarray of int32, (n,)
        Number of the region of each point, counted from 0 in the order of the points.
    """
    grid = np.arange(len(pictures)).reshape(shape)
    right = np.stack([grid[:, :-1].ravel(), grid[:, 1:].ravel()])
    down = np.stack([grid[:-1].ravel(), grid[1:].ravel()])
    pairs = np.concatenate([right, down], axis=1)
    alike = np.einsum("id,id->i", pictures[pairs[0]], pictures[pairs[1]])
    if threshold is None:
        threshold = _between(alike)
    order = np.argsort(-alike, kind="stable")
    roots = _merge(pictures.copy(), pairs[0][order], pairs[1][order], threshold)
    _, first, regions = np.unique(roots, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[regions].astype(np.int32)


def _between(alike: NDArray[np.float32]) -> float:
    """Return a correlation between those of alike and those of different neighbours."""
    if len(alike) < 2 or np.ptp(alike) < 1e-6:
        return _LOWEST
    # The cut with the largest variance between its two sides (Otsu), at the values themselves.
    values = np.sort(alike.astype(np.float64))
    count = np.arange(1, len(values))
    total = np.cumsum(values)[:-1]
    low, high = total / count, (values.sum() - total) / (len(values) - count)
    between = count * (len(values) - count) * (high - low) ** 2 / len(values) ** 2
    cut = int(between.argmax())
    if between[cut] > _PARTED * values.var() and high[cut] - low[cut] > _APART:
        best = float(high[cut] + low[cut]) / 2
    else:  # one kind of neighbours: they spread about their middle by noise alone
        best = 0.6 * float(np.median(alike))
    return float(np.clip(best, _LOWEST, _HIGHEST))


@nb.njit(cache=True, nogil=True)
def _root(parent, point):  # type: ignore[no-untyped-def]
    while parent[point] != point:
        parent[point] = parent[parent[point]]
        point = parent[point]
    return point


@nb.njit(cache=True, nogil=True, fastmath={"contract", "reassoc"})
def _merge(sums, first, second, threshold):  # type: ignore[no-untyped-def]
    """Join regions pair by pair until nothing changes; `sums` become the sums of their pictures."""
    n, d = sums.shape
    parent = np.arange(n)
    length = np.empty(n, np.float32)
    for i in range(n):
        length[i] = np.sqrt(np.sum(sums[i] ** 2))
    changed = True
    while changed:
        changed = False
        for pair in range(len(first)):
            a, b = _root(parent, first[pair]), _root(parent, second[pair])
            if a == b:
                continue
            product = np.float32(0)
            for k in range(d):
                product += sums[a, k] * sums[b, k]
            if product <= 0 or product < threshold * length[a] * length[b]:
                continue
            parent[b] = a
            total = np.float32(0)
            for k in range(d):
                sums[a, k] += sums[b, k]
                total += sums[a, k] ** 2
            length[a] = np.sqrt(total)
            changed = True
    for i in range(n):
        parent[i] = _root(parent, i)
    return parent


def vote(phase_map: PhaseMap, regions: NDArray[np.int32]) -> PhaseMap:
    """Let the points of each region vote: every point gets the mean evidence of its region.

    The evidence is the mean of the logarithms of the probabilities, which a few odd patterns
    hardly move.  The probabilities of the single patterns are kept in the map.

    Parameters
    ----------
    phase_map
        The map of single patterns.
    regions : ndarray of int, (n,)
        Number of the region of each point.

    Returns
    -------
    PhaseMap
        A new map; points without probabilities stay without.
    """
    single = phase_map.probabilities if phase_map.single is None else phase_map.single
    known = ~np.isnan(single[:, 0])
    logs = np.log(np.maximum(single[known].astype(np.float64), _LEAST))
    where = regions[known]
    count = np.bincount(where, minlength=int(regions.max(initial=0)) + 1)
    means = (
        np.stack([np.bincount(where, column, minlength=len(count)) for column in logs.T], axis=1)
        / np.maximum(count, 1)[:, np.newaxis]
    )
    votes = np.exp(means - means.max(axis=1, keepdims=True))
    votes /= votes.sum(axis=1, keepdims=True)
    probabilities = np.full_like(single, np.nan)
    probabilities[known] = votes[where]
    return phase_map.voted(probabilities, regions)


def vote_by_regions(
    phase_map: PhaseMap, stack: PatternStack, threshold: float | None = None
) -> Generator[Progress, None, PhaseMap]:
    """Find the regions of a scan and let each vote.

    Parameters
    ----------
    phase_map
        The map of single patterns.
    stack
        Its scan.
    threshold
        See `find_regions`.

    Yields
    ------
    Progress

    Returns
    -------
    PhaseMap
        The voted map, in which ``regions`` and ``single`` are kept.
    """
    pictures: Any = yield from small_pictures(stack)
    return vote(phase_map, find_regions(pictures, phase_map.shape, threshold))
