"""Bravais lattices weighed by what the nets alone leave uncertain.

`napari_diffraction.crystal.bravais` never trusts a metric to better than 0.8 %, as bands of Kikuchi
patterns have it; nets of zones can be much better, and then tell a lattice from one that it only
resembles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import PLACES, LatticeChoice, lattice_choices
from napari_diffraction.crystal.structure import cell_of

FloatArray = NDArray[np.float64]

#: Components of a metric of volume 1 are not known better than this.
_FLOOR = 0.0007
#: Range in which a free component of such a metric may lie.
_RANGE = 2.0


def weigh_lattices(metric: FloatArray, covariance: FloatArray) -> list[LatticeChoice]:
    """Weigh the Bravais lattices that the metric of a reduced primitive cell may be of.

    Parameters
    ----------
    metric : ndarray of float64, (3, 3)
        In A^2.
    covariance : ndarray of float64, (6, 6)
        Of its components 11, 22, 33, 23, 13, 12, in A^4.

    Returns
    -------
    list of LatticeChoice
        The most probable first.
    """
    choices = lattice_choices(metric, covariance)
    if not any(choice.pearson == "aP" for choice in choices):
        identity = np.eye(3, dtype=np.int64)
        cell = cell_of(np.asarray(np.linalg.cholesky(metric), float))
        choices.append(LatticeChoice("aP", 0.0, metric, identity, cell, (1.0,) * 6, identity[None]))
    unit = float(np.cbrt(np.linalg.det(metric)))
    vector = components(metric) / unit
    spread = covariance / unit**2 + _FLOOR**2 * np.eye(6)
    orders = [len(choice.operations) for choice in choices]
    evidence = np.array(
        [
            _evidence(choice, vector, spread) - np.log(orders.count(order))
            for choice, order in zip(choices, orders, strict=True)
        ]
    )
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    weighed = [
        replace(choice, probability=float(weight))
        for choice, weight in zip(choices, weights, strict=True)
    ]
    return sorted(weighed, key=lambda choice: -choice.probability)


def constrained(
    metric: FloatArray, covariance: FloatArray, operations: NDArray[np.int64]
) -> tuple[FloatArray, FloatArray]:
    """The most likely metric that some rotations leave alone, and its covariance."""
    kept, _ = _spaces(operations)
    weight = np.linalg.pinv(covariance, rcond=1e-12)
    inside = np.linalg.inv(kept.T @ weight @ kept)
    vector = kept @ (inside @ (kept.T @ (weight @ components(metric))))
    return matrix(vector), np.asarray(kept @ inside @ kept.T)


def components(metric: FloatArray) -> FloatArray:
    """Components 11, 22, 33, 23, 13, 12 of a metric, (6,)."""
    return np.array([metric[place] for place in PLACES])


def matrix(vector: Sequence[float] | FloatArray) -> FloatArray:
    """Metric with some components, (3, 3)."""
    out = np.zeros((3, 3))
    for (i, j), value in zip(PLACES, vector, strict=True):
        out[i, j] = out[j, i] = value
    return out


def _evidence(choice: LatticeChoice, vector: FloatArray, spread: FloatArray) -> float:
    """Logarithm of the evidence for a lattice: equalities that hold are no luck if it asks them."""
    kept, lost = _spaces(choice.operations)
    out: float = -float(np.log(_RANGE)) * (kept.shape[1] - 1)
    if lost.shape[1]:
        misfit = lost.T @ vector
        inside = lost.T @ spread @ lost
        out -= 0.5 * float(
            misfit @ np.linalg.solve(inside, misfit)
            + len(misfit) * np.log(2 * np.pi)
            + np.linalg.slogdet(inside)[1]
        )
    return out


def _spaces(operations: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Bases of the metrics that rotations leave alone, and of what they forbid."""
    mean = np.zeros((6, 6))
    for column in range(6):
        unit = matrix(np.eye(6)[column])
        mean[:, column] = components(np.mean([m.T @ unit @ m for m in operations], axis=0))
    # what is left alone are the images, what is forbidden are the rows that see none of them
    left, values, _ = np.linalg.svd(mean)
    rank = int((values > 1e-8).sum())
    return np.asarray(left[:, :rank]), np.asarray(left[:, rank:])
