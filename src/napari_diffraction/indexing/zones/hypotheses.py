"""Lattices that may explain some nets, each refined by all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.zones.kernel import EPSILON, NOTHING, refine, refine_all, scan
from napari_diffraction.indexing.zones.nets import ZoneNet

FloatArray = NDArray[np.float64]

#: Relative errors that are granted to all numbers, one refinement after another.
LEVELS = (0.025, 0.012, 0.006, 0.002, 0.0, 0.0)
#: Nets that a scan looks at, the smallest of them, and how many of them it starts from.
_SCANNED, _BASES = 10, 3
#: Nets that it starts from where the first ones are thought to be of two phases, or wrong.
_FURTHER_BASES = 6
#: Step of a scan, and greatest height of the third vector, over the root of the base's area.
_STEP, _HIGHEST = 0.035, 6.0
#: Lattices of a scan that are refined.
_REFINED = 1500
#: Share of the nets that a lattice may miss in a scan, and where two phases are thought of.
_MISSED, _MISSED_MIXED = 0.45, 0.6
#: Density of nets about which nothing is known: over the logarithms of the lengths and the angle.
_ANYTHING = 0.85
#: The longest zone that is seen as one, in A.  In simulated experiments (0.0251 A, resolution 1 A,
#: excitation error 0.01 1/A) zones are seen as (1 / r - 1 / 46)^2, whatever the cell.
LONGEST = 46.0


@dataclass(frozen=True, eq=False)
class Observations:
    """Nets as the compiled code takes them; n nets at m levels of tolerance.

    Attributes
    ----------
    products : ndarray of float64, (n, 3)
        Squares and scalar product of the two vectors of each net.
    inverses : ndarray of float64, (m, n, 3, 3)
        Inverse covariances.
    spreads : ndarray of float64, (m, n, 3)
        Standard uncertainties.
    factors : ndarray of float64, (m, n)
        By which likelihoods become those of zones over those of anything.
    areas : ndarray of float64, (n,)
        Areas of the nets; times the volume they are the lengths of the zones over the longest one.
    limit
        Square of the longest vector.
    """

    products: FloatArray
    inverses: FloatArray
    spreads: FloatArray
    factors: FloatArray
    areas: FloatArray
    limit: float

    @classmethod
    def of(cls, nets: Sequence[ZoneNet], levels: Sequence[float] = LEVELS) -> Observations:
        """Prepare nets."""
        products = np.array([net.products for net in nets])
        lengths = np.sqrt(products[:, :2])
        area = np.array([net.area for net in nets])
        # an angle is granted the same error in radians as a length in shares of itself
        scale = np.stack([2 * products[:, 0], 2 * products[:, 1], lengths.prod(axis=1)], axis=1)
        own = np.array([net.products_covariance for net in nets])
        covariance = np.stack(
            [own + np.einsum("ni,ij->nij", (level * scale) ** 2, np.eye(3)) for level in levels]
        )
        # zones up to R, +- counted once and only those without common divisor, sum up to
        # 2 pi R / (3 1.202 V) if each counts (1 / r - 1 / R)^2; V is left to the compiled code
        share = 3 * 1.202 / (2 * np.pi * LONGEST * area**2)
        anything = _ANYTHING / (4 * products[:, :2].prod(axis=1) * area)
        normal = np.sqrt(np.linalg.det(covariance) * (2 * np.pi) ** 3)
        return cls(
            products,
            np.linalg.inv(covariance),
            np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1)),
            share / (normal * anything),
            area / LONGEST,
            float(1.06 * products[:, 1].max()),
        )


def propose(
    nets: Sequence[ZoneNet],
    volumes: tuple[float, float] | None = None,
    *,
    mixed: bool = False,
) -> tuple[FloatArray, FloatArray]:
    """Find lattices by a scan, and refine them by all nets.

    Parameters
    ----------
    nets
        Different ones.
    volumes
        Least and greatest volume in A^3.
    mixed
        Start from other nets than else, and let lattices miss more of them.

    Returns
    -------
    evidence : ndarray of float64, (m,)
    metrics : ndarray of float64, (m, 3, 3)
        Of the reciprocal lattice.
    """
    order = sorted(range(len(nets)), key=lambda i: (-min(len(nets[i].patterns), 2), nets[i].area))
    smallest = sorted(nets, key=lambda net: net.second)[:_SCANNED]
    rough = Observations.of(smallest, LEVELS[:1])
    every = Observations.of(nets)
    evidence, metrics = [], []
    first, last = (_BASES, _BASES + _FURTHER_BASES) if mixed else (0, _BASES)
    for base in [nets[i] for i in order[first:last]]:
        found = _scan(base, rough, volumes, _MISSED_MIXED if mixed else _MISSED)
        evidence.append(refine_many(found, every))
        metrics.append(found)
    return (
        np.concatenate([np.zeros(0), *evidence]),
        np.concatenate([np.zeros((0, 3, 3)), *metrics]),
    )


def refine_many(metrics: FloatArray, nets: Observations) -> FloatArray:
    """Refine metrics, (m, 3, 3), in place; return their evidence, (m,)."""
    return np.asarray(
        refine_all(
            metrics,
            nets.products,
            nets.inverses,
            nets.spreads,
            nets.factors,
            nets.areas,
            nets.limit,
        )
    )


@dataclass(frozen=True, eq=False)
class Indexed:
    """Nets indexed by a lattice.

    Attributes
    ----------
    evidence
        Logarithm of the probability of the nets, over that of any nets.
    metric : ndarray of float64, (3, 3)
        Of the reciprocal lattice.
    covariance : ndarray of float64, (6, 6)
        Of its components 11, 22, 33, 23, 13, 12.
    pairs : ndarray of int64, (n, 2, 3)
        Indices of the two vectors of each net.
    chi : ndarray of float64, (n,)
        Chi squared of each net, of three numbers.
    """

    evidence: float
    metric: FloatArray
    covariance: FloatArray
    pairs: NDArray[np.int64]
    chi: FloatArray


def index_nets(metric: FloatArray, nets: Observations) -> Indexed:
    """Index nets by a lattice whose metric is nearly known, and refine it."""
    n = len(nets.products)
    metric = metric.copy()
    pairs, chi, normal = np.zeros((n, 2, 3), np.int64), np.empty(n), np.zeros((6, 6))
    evidence = refine(
        metric, nets.products, nets.inverses, nets.spreads, nets.factors, nets.areas, nets.limit,
        pairs, chi, normal,
    )  # fmt: skip
    spread = np.asarray(np.linalg.pinv(normal), float) if evidence > NOTHING else np.zeros((6, 6))
    return Indexed(float(evidence), metric, spread, pairs, chi)


def _scan(
    base: ZoneNet, nets: Observations, volumes: tuple[float, float] | None, missed: float
) -> FloatArray:
    """The most promising lattices with a net, (m, 3, 3)."""
    root = np.sqrt(base.area)
    # a base of a longer zone would not have been seen as one
    low, high = 1 / LONGEST, _HIGHEST * root
    if volumes is not None:
        low = max(low, 1 / (base.area * volumes[1]))
        high = min(high, 1 / (base.area * volumes[0]))
        if low >= high:
            return np.zeros((0, 3, 3))
    heights = np.geomspace(low, high, max(int(np.log(high / low) / _STEP), 1) + 1)
    columns = int(np.ceil(base.first / (_STEP * root)))
    rows = int(np.ceil(base.second / (_STEP * root)))
    x, y = np.meshgrid(np.arange(columns) / columns, np.arange(rows // 2 + 1) / rows)
    xy = np.stack([x.ravel(), y.ravel()], axis=1)
    score = scan(
        base.products, xy, heights, nets.products, nets.inverses[0], nets.spreads[0],
        nets.factors[0], nets.areas, nets.limit, int(missed * len(nets.products)),
    ).ravel()  # fmt: skip
    best = np.argsort(-score)[:_REFINED]
    best = best[score[best] > len(nets.products) * np.log(EPSILON) + 1]
    place, height = xy[best // len(heights)], heights[best % len(heights)]
    a, b, ab = base.products
    flat = np.array([[a, ab], [ab, b]])
    metrics = np.empty((len(best), 3, 3))
    metrics[:, :2, :2] = flat
    metrics[:, 2, :2] = metrics[:, :2, 2] = place @ flat
    metrics[:, 2, 2] = np.einsum("ni,ij,nj->n", place, flat, place) + height**2
    return metrics
