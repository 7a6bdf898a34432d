"""The metric of a lattice refined by the peaks of all the patterns that it indexes.

Zones know the lengths of their own nets; patterns in thousands of orientations know all of the
metric.  Each pattern has its orientation and its direct beam, five numbers that are refined with
the metric and eliminated.  Common to all are the six of a strain and three of the camera, what is
left of its stretch and the lens's distortion, which would else be taken for longer or shorter axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import PLACES, components
from napari_diffraction.indexing.zones.patterns import DEPTH, PatternMatches

FloatArray = NDArray[np.float64]

#: Fewest indexed patterns by which a metric is refined.
FEWEST = 10
#: Place of the direct beam before the refinement, in standard uncertainties of a peak.
_BEAM = 5.0
#: Strains that are refined, as symmetric matrices in the order of `PLACES`.
_STRAINS = np.zeros((6, 3, 3))
for _k, (_i, _j) in enumerate(PLACES):
    _STRAINS[_k, _i, _j] = _STRAINS[_k, _j, _i] = 1.0
#: What is known of the camera before: stretch, and distortion at 1 / A, as shares.
_CAMERA = np.array([0.01, 0.01, 0.03])
#: Relative uncertainty of a component of the metric that patterns in any number do not lower.
SYSTEMATIC = 0.0002


@dataclass(frozen=True, eq=False)
class RefinedMetric:
    """A metric refined by patterns.

    Attributes
    ----------
    direct : ndarray of float64, (3, 3)
        Axes of the primitive cell in A, rows, in the frame of the orientations.
    covariance : ndarray of float64, (6, 6)
        Of the components 11, 22, 33, 23, 13, 12 of its metric, in A^4.
    camera : ndarray of float64, (3,)
        Stretch along x less that along y, and along the diagonal (halves, shares), which was left;
        distortion: the share by which a peak at 1 / A is shifted outwards.
    patterns
        Number of patterns.
    """

    direct: FloatArray
    covariance: FloatArray
    camera: FloatArray
    patterns: int


def refine_metric(
    direct: FloatArray, found: PatternMatches, wavelength: float | None = None, rounds: int = 4
) -> RefinedMetric | None:
    """Refine a lattice by the patterns that it indexes.

    Parameters
    ----------
    direct : ndarray of float64, (3, 3)
        Axes, rows, in A, to which the indices of the peaks belong: those of the conventional cell.
    found
        The patterns.
    wavelength
        In A; ``None``: any.
    rounds
        Of the refinement, the indices being kept.

    Returns
    -------
    RefinedMetric or None
        ``None`` where the patterns are too few.
    """
    chosen = np.flatnonzero(found.indexed)
    if len(chosen) < FEWEST:
        return None
    points = found.peaks.points(wavelength)
    patterns = []
    for place in chosen.tolist():
        entries = found.of_pattern(place)
        on = found.hkl[entries].any(axis=1)
        patterns.append((points[entries][on], found.hkl[entries][on].astype(float)))
    turns, shifts = found.rotation[chosen].copy(), found.shift[chosen].copy()
    basis, camera = direct.copy(), np.zeros(3)
    weight = 1 / np.array([found.peaks.sigma, found.peaks.sigma, DEPTH / np.sqrt(3)]) ** 2
    for _ in range(rounds):
        reciprocal = np.linalg.inv(basis).T
        common, right = np.diag([*[0.0] * 6, *_CAMERA**-2.0]), np.zeros(9)
        right[6:] = -camera / _CAMERA**2
        squares, freedom = 0.0, 0
        solved = []
        for k, (places, hkl) in enumerate(patterns):
            own = _Own.of(places, hkl @ reciprocal, turns[k], shifts[k], camera, weight)
            common += own.outer - own.mixed @ own.back @ own.mixed.T
            right += own.right - own.mixed @ own.back @ own.rest
            squares += own.squares
            freedom += 2 * len(hkl) - 5
            solved.append(own)
        change = np.linalg.solve(common, right)
        for k, own in enumerate(solved):
            moved = own.back @ (own.rest - own.mixed.T @ change)
            turns[k] = _rotation(moved[:3]) @ turns[k]
            shifts[k] += moved[3:]
        strain = np.einsum("k,kij->ij", change[:6], _STRAINS)
        basis, camera = basis @ np.linalg.inv(np.eye(3) + strain), camera + change[6:]
    spread = np.linalg.inv(common)[:6, :6] * max(squares / max(freedom, 1), 1.0)
    jacobian = np.array([components(-2 * basis @ one @ basis.T) for one in _STRAINS]).T
    scale = np.sqrt(np.diag(basis @ basis.T))
    floor = np.array([SYSTEMATIC * scale[i] * scale[j] * (1 + (i == j)) for i, j in PLACES])
    covariance = jacobian @ spread @ jacobian.T + np.diag(floor**2)
    return RefinedMetric(basis, covariance, camera, len(chosen))


@dataclass(frozen=True, eq=False)
class _Own:
    """Normal equations of one pattern: of the strain, of its own five numbers, and mixed."""

    outer: FloatArray
    mixed: FloatArray
    back: FloatArray
    right: FloatArray
    rest: FloatArray
    squares: float

    @classmethod
    def of(
        cls,
        place: FloatArray,
        vectors: FloatArray,
        turn: FloatArray,
        shift: FloatArray,
        camera: FloatArray,
        weight: FloatArray,
    ) -> _Own:
        there = vectors @ turn.T
        x, y = there[:, 0], there[:, 1]
        distances = x * x + y * y
        bent = np.zeros((len(place), 3, 3))
        bent[:, 0] = np.stack([x, y, x * distances], axis=1)
        bent[:, 1] = np.stack([-y, x, y * distances], axis=1)
        away = place - there - bent @ camera
        away[:, :2] -= shift
        # a turn by w moves g by w x g, a strain E by R E g
        own = np.zeros((len(place), 3, 5))
        own[:, 0, 1], own[:, 0, 2] = there[:, 2], -there[:, 1]
        own[:, 1, 0], own[:, 1, 2] = -there[:, 2], there[:, 0]
        own[:, 2, 0], own[:, 2, 1] = there[:, 1], -there[:, 0]
        own[:, 0, 3] = own[:, 1, 4] = 1
        common = np.einsum("ij,kjl,nl->nik", turn, _STRAINS, vectors)
        common = np.concatenate([common, bent], axis=2)
        weighted = common * weight[:, None]
        held = np.diag([1.0, 1.0, 1.0, *[weight[0] / _BEAM**2] * 2])
        inner = np.einsum("nia,i,nib->ab", own, weight, own) + held
        rest = np.einsum("nia,i,ni->a", own, weight, away)
        rest[3:] -= weight[0] / _BEAM**2 * shift
        return cls(
            np.einsum("nia,nib->ab", weighted, common),
            np.einsum("nia,nib->ab", weighted, own),
            np.asarray(np.linalg.inv(inner)),
            np.einsum("nia,ni->a", weighted, away),
            rest,
            float((away[:, :2] ** 2 * weight[:2]).sum()),
        )


def _rotation(vector: FloatArray) -> FloatArray:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(vector).as_matrix())
