"""The first eye of the zone classifier: a two-dimensional net fitted to the spot positions.

Difference vectors between spots are gathered in a histogram; its strongest vectors propose nets;
the best nets are refined by least squares and Gauss-reduced.  How well one net explains all spots,
how completely its nodes are occupied, and what the remaining spots do, are the features by which
zones, Laue patterns and several crystals differ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba as nb
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.spot_net.net import bend, index, set_origin
from napari_diffraction.indexing.spot_net.search import best_net
from napari_diffraction.patterns.spots.peaks import Peaks

#: Names of the features, in the order of `NetFit.features`.
FEATURES = (
    "log_spots",
    "on_net",
    "on_net_tight",
    "on_net_weighted",
    "off_net_sqrt",
    "residual",
    "chance",
    "significance",
    "neighbours_4",
    "neighbours_8",
    "connected",
    "origin_distance",
    "rows_short",
    "rows_long",
    "cell_spacing",
    "cell_aspect",
    "rest_same_net",
    "rest_other_net",
    "rest_other_significance",
    "vector_peak",
    "vector_explained",
    "off_height_ratio",
    "median_height",
    "tolerance",
    "on_net_loose",
    "on_net_bent",
    "bent_residual",
)
#: A spot lies loosely on the net within this share of the shorter basis vector.
_LOOSE = 0.12
#: The tolerance is at least this share of it.
_WIDE = 0.09
#: Fewest spots for which a bent net is fitted.
_BENT_LEAST = 14
_N_FEATURES = len(FEATURES)
_MOST_SPOTS = 240
_GRID = 96


@dataclass(frozen=True)
class NetFit:
    """The net that explains most spots of a pattern.

    Attributes
    ----------
    features : ndarray of float32, (n_features,)
        See `FEATURES`; zeros where there are too few spots.
    basis : ndarray of float64, (2, 2)
        Rows are the Gauss-reduced basis vectors of the net in pixels; zeros where there is none.
    origin : ndarray of float64, (2,)
        A node of the net in pixels, x and y.
    on_net : ndarray of bool, (n,)
        Which spots lie on the net.
    """

    features: NDArray[np.float32]
    basis: NDArray[np.float64]
    origin: NDArray[np.float64]
    on_net: NDArray[np.bool_]

    def __getitem__(self, name: str) -> float:
        return float(self.features[FEATURES.index(name)])


def fit_net(peaks: Peaks) -> NetFit:
    """Fit a net to the spots of a pattern.

    Parameters
    ----------
    peaks
        The spots; at most the 240 strongest are used.
    """
    position = np.ascontiguousarray(peaks.position[:_MOST_SPOTS], dtype=np.float64)
    height = np.ascontiguousarray(peaks.height[:_MOST_SPOTS], dtype=np.float64)
    centre = np.array(peaks.centre)
    tolerance = max(0.75 * peaks.flat.binning, 0.35 * peaks.radius)
    features, net, on_net = _fit(position, height, centre, tolerance)
    mask = np.zeros(len(peaks.position), dtype=bool)
    mask[: len(on_net)] = on_net
    return NetFit(features, net[:2], net[2], mask)


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _fit(xy, height, centre, tolerance):  # type: ignore[no-untyped-def]
    n = len(xy)
    features = np.zeros(_N_FEATURES, dtype=np.float32)
    no_net = np.zeros((3, 2))
    on_net = np.zeros(n, dtype=np.bool_)
    features[0] = np.log1p(n)
    if n > 0:
        features[22] = np.log1p(np.median(height))
    if n < 4:
        return features, no_net, on_net
    reach = np.sqrt(((xy - centre) ** 2).sum(axis=1).max()) + 1e-6
    tol = max(tolerance, 0.004 * reach)
    net, peak, explained = best_net(xy, tol, reach)
    features[19], features[20] = peak, explained
    features[23] = tol / reach
    if net[0, 0] == 0 and net[0, 1] == 0:
        return features, no_net, on_net
    short = np.sqrt(net[0, 0] ** 2 + net[0, 1] ** 2)
    # On a wide net a spot may lie farther off: lens distortions are larger than peak errors.
    tol = max(tol, _WIDE * short)
    node = np.zeros((n, 2), dtype=np.int64)
    distance = np.zeros(n)
    index(xy, net, node, distance)
    _describe(features, xy, height, centre, net, node, distance, tol, reach)
    inside, loose = 0, 0
    for k in range(n):
        inside += distance[k] < tol
        loose += distance[k] < _LOOSE * short
    features[24] = loose / n
    bent = bend(xy, net, centre, node, distance, tol, reach) if n >= _BENT_LEAST else inside
    # A bent net has more freedom: it must explain clearly more to be believed.
    if bent <= inside + 2:
        index(xy, net, node, distance)
    square, bent = 0.0, 0
    for k in range(n):
        on_net[k] = distance[k] < tol
        if on_net[k]:
            square += distance[k] ** 2
            bent += 1
    features[25] = bent / n
    features[26] = np.sqrt(square / max(bent, 1)) / tol
    _describe_rest(features, xy, net, on_net, tol, reach)
    return features, net, on_net


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _describe(features, xy, height, centre, net, node, distance, tol, reach):  # type: ignore[no-untyped-def]
    """Fill the features that tell how well and how completely the net is occupied."""
    n = len(xy)
    area = abs(net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0])
    chance = min(1.0, np.pi * tol * tol / area)
    inside, tight, square = 0, 0, 0.0
    weight_in, weight_all, height_in, height_out = 0.0, 0.0, 0.0, 0.0
    occupied = np.zeros((2 * _GRID + 1, 2 * _GRID + 1), dtype=np.int32)
    for k in range(n):
        w = np.log1p(height[k])
        weight_all += w
        if distance[k] < tol:
            inside += 1
            tight += distance[k] < 0.5 * tol
            square += distance[k] ** 2
            weight_in += w
            height_in += height[k]
            m, h = node[k, 0], node[k, 1]
            if abs(m) < _GRID and abs(h) < _GRID:
                occupied[m + _GRID, h + _GRID] = 1
        else:
            height_out += height[k]
    four, eight, nodes = 0, 0, 0
    m_low, m_high, h_low, h_high = _GRID, -_GRID, _GRID, -_GRID
    for a in range(1, 2 * _GRID):
        for b in range(1, 2 * _GRID):
            if occupied[a, b]:
                nodes += 1
                m_low, m_high = min(m_low, a - _GRID), max(m_high, a - _GRID)
                h_low, h_high = min(h_low, b - _GRID), max(h_high, b - _GRID)
                side = (
                    occupied[a - 1, b]
                    + occupied[a + 1, b]
                    + occupied[a, b - 1]
                    + occupied[a, b + 1]
                )
                corner = (
                    occupied[a - 1, b - 1]
                    + occupied[a + 1, b + 1]
                    + occupied[a + 1, b - 1]
                    + occupied[a - 1, b + 1]
                )
                four += side
                eight += side + corner
    x, y = centre[0] - net[2, 0], centre[1] - net[2, 1]
    signed = net[0, 0] * net[1, 1] - net[0, 1] * net[1, 0]
    p = (x * net[1, 1] - y * net[1, 0]) / signed
    q = (net[0, 0] * y - net[0, 1] * x) / signed
    p, q = p - np.floor(p + 0.5), q - np.floor(q + 0.5)
    off = np.sqrt((p * net[0, 0] + q * net[1, 0]) ** 2 + (p * net[0, 1] + q * net[1, 1]) ** 2)
    a = np.sqrt(net[0, 0] ** 2 + net[0, 1] ** 2)
    b = np.sqrt(net[1, 0] ** 2 + net[1, 1] ** 2)
    features[1] = inside / n
    features[2] = tight / n
    features[3] = weight_in / weight_all
    features[4] = np.sqrt(n - inside)
    features[5] = np.sqrt(square / max(inside, 1)) / tol
    features[6] = np.sqrt(chance)
    features[7] = (inside - chance * n) / np.sqrt(n * chance * (1 - chance) + 0.25) / 10
    features[8] = four / max(4 * nodes, 1)
    features[9] = eight / max(8 * nodes, 1)
    features[10] = _largest_component(occupied) / n
    features[11] = min(off / tol, 10.0)
    features[12] = np.log1p(m_high - m_low + 1.0) if nodes else 0.0
    features[13] = np.log1p(h_high - h_low + 1.0) if nodes else 0.0
    features[14] = np.sqrt(area) / reach
    features[15] = a / b
    out = height_out / max(n - inside, 1)
    features[21] = out / (out + height_in / max(inside, 1)) if inside else 1.0


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _largest_component(occupied):  # type: ignore[no-untyped-def]
    """Number of nodes in the largest group of which each is at most two steps from another."""
    seen = occupied.copy()
    size = seen.shape[0]
    stack = np.empty((_MOST_SPOTS + 4, 2), dtype=np.int64)
    largest = 0
    for i in range(2, size - 2):
        for j in range(2, size - 2):
            if not seen[i, j]:
                continue
            seen[i, j] = 0
            stack[0, 0], stack[0, 1] = i, j
            top, group = 1, 0
            while top > 0:
                top -= 1
                a, b = stack[top, 0], stack[top, 1]
                group += 1
                for p in range(max(a - 2, 0), min(a + 3, size)):
                    for q in range(max(b - 2, 0), min(b + 3, size)):
                        if seen[p, q]:
                            seen[p, q] = 0
                            stack[top, 0], stack[top, 1] = p, q
                            top += 1
            largest = max(largest, group)
    return largest


@nb.njit(cache=True, nogil=True, error_model="numpy")
def _describe_rest(features, xy, net, on_net, tol, reach):  # type: ignore[no-untyped-def]
    """Fill the features of the spots off the net.

    A further Laue zone of the same crystal repeats the net with another origin; a further crystal
    has a net of its own.
    """
    rest = xy[~on_net]
    n = len(rest)
    if n < 5:
        return
    shifted = net.copy()
    set_origin(rest, shifted, tol)
    node = np.zeros((n, 2), dtype=np.int64)
    distance = np.zeros(n)
    index(rest, shifted, node, distance)
    same = 0
    for k in range(n):
        same += distance[k] < 1.5 * tol
    features[16] = same / len(xy)
    other, _, _ = best_net(rest, tol, reach)
    if other[0, 0] == 0 and other[0, 1] == 0:
        return
    index(rest, other, node, distance)
    inside = 0
    for k in range(n):
        inside += distance[k] < tol
    area = abs(other[0, 0] * other[1, 1] - other[0, 1] * other[1, 0])
    chance = min(1.0, np.pi * tol * tol / area)
    features[17] = inside / len(xy)
    features[18] = (inside - chance * n) / np.sqrt(n * chance * (1 - chance) + 0.25) / 10
