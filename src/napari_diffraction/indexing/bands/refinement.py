"""Least squares of pattern centre, lattices and orientations together, on all grains' bands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import PLACES
from napari_diffraction.indexing.bands.directions import Directions
from napari_diffraction.indexing.bands.orientation import Matches
from napari_diffraction.patterns.kikuchi.bands.lines import Lines, plane_vectors

FloatArray = NDArray[np.float64]

#: Least uncertainty of the centre that usual cameras give: without any prior a fit to few bands may
#: run away (x, y, z).
_PRIOR_SPREAD = np.array([0.1, 0.25, 0.4])
_TURNS = 12


@dataclass(frozen=True, eq=False)
class Observations:
    """Bands that have found their indices, m of them.

    Attributes
    ----------
    line : ndarray of float64, (m, 3)
        As in `napari_diffraction.patterns.kikuchi.bands.lines.Lines`.
    shape
        Height and width of the pictures.
    grain : ndarray of int64, (m,)
        Whose picture it is.
    hkl : ndarray of float64, (m, 3)
        Indices in the basis of the grain's lattice.
    weight : ndarray of float64, (m,)
        Weight of the band.
    phase : ndarray of int64, (g,)
        Number of the lattice of every grain.
    offset : ndarray of float64, (g, 2)
        Mean row and column of every grain from the middle of the scan, for a drift of the centre.
    """

    line: FloatArray
    shape: tuple[int, int]
    grain: NDArray[np.int64]
    hkl: FloatArray
    weight: FloatArray
    phase: NDArray[np.int64]
    offset: FloatArray


def observed(
    lines: Lines,
    weights: FloatArray,
    grains: NDArray[np.int64],
    phase: NDArray[np.int64],
    matches: Matches,
    tables: Sequence[Directions],
    offset: FloatArray | None = None,
) -> Observations:
    """Collect the bands of some grains that found their indices.

    Parameters
    ----------
    lines, weights
        Bands of all ``g`` grains, and the weight of each.
    grains : ndarray of int64, (n,)
        Numbers of the grains wanted.
    phase : ndarray of int64, (g,)
        Number of the lattice of each grain.
    matches
        Of all grains.
    tables
        Directions of each lattice.
    offset : ndarray of float64, (g, 2), optional
        Place of each grain in the scan.
    """
    place, band = np.nonzero(matches.which[grains] >= 0)
    grain = grains[place]
    number = matches.which[grain, band]
    hkl = np.zeros((len(place), 3))
    for one, table in enumerate(tables):
        mine = phase[grain] == one
        hkl[mine] = table.hkl[number[mine]]
    return Observations(
        lines.line[grain, band],
        lines.shape,
        place.astype(np.int64),
        hkl,
        weights[grain, band],
        phase[grains],
        np.zeros((len(grains), 2)) if offset is None else offset[grains],
    )


@dataclass(frozen=True, eq=False)
class Refined:
    """What least squares found.

    Attributes
    ----------
    pc : ndarray of float64, (3,)
        Pattern centre in the middle of the scan, Bruker's convention.
    pc_su : ndarray of float64, (3,)
        Standard uncertainties.
    gradient, gradient_su : ndarray of float64, (2, 3)
        Change of the centre per row and per column, and its standard uncertainties.
    bases : list of ndarray, (3, 3)
        Reciprocal bases of the lattices, columns, volume 1.
    metric_cov : list of ndarray, (6, 6)
        Covariance of the reciprocal metric (11, 22, 33, 23, 13, 12) of every lattice.
    rotation : ndarray of float64, (g, 3, 3)
        From crystal to detector.
    misfit : float
        Robust root mean square of the angles between bands and directions, radians.
    """

    pc: FloatArray
    pc_su: FloatArray
    gradient: FloatArray
    gradient_su: FloatArray
    bases: list[FloatArray]
    metric_cov: list[FloatArray]
    rotation: FloatArray
    misfit: float


def refine(
    observed: Observations,
    pc: FloatArray,
    bases: list[FloatArray],
    rotation: FloatArray,
    *,
    free_centre: bool = True,
    free_lattices: bool = True,
    drift: bool = False,
) -> Refined:
    """Refine by Gauss and Newton with weights that a band far off loses (Cauchy's).

    Residuals are the differences of the unit normal of a band, which depends on the pattern centre,
    and the direction ``R B h / |R B h|`` of its indices.

    Parameters
    ----------
    observed
        Bands with their indices.
    pc : ndarray, (3,)
        Where to begin.
    bases
        Reciprocal bases, columns.
    rotation : ndarray, (g, 3, 3)
        From crystal to detector.
    free_centre, free_lattices
        What may change besides the orientations.
    drift
        Whether the centre may change linearly over the scan.
    """
    pc, rotation = np.array(pc, float), np.array(rotation, float)
    bases = [np.array(b, float) for b in bases]
    gradient = np.zeros((2, 3))
    start = pc.copy()
    g, m, p = len(observed.phase), len(observed.line), len(bases)
    first_lattice = 3 + 6
    first_grain = first_lattice + 9 * p
    size = first_grain + 3 * g
    phase = observed.phase[observed.grain]
    scale = np.radians(0.3)
    normal = np.eye(size)
    misfit = 0.0
    for turn in range(_TURNS):
        residual, jacobian = _residuals(
            observed, pc, gradient, bases, rotation, phase, first_lattice, first_grain, size
        )
        away = np.linalg.norm(residual, axis=1)
        scale = max(1.4826 * float(np.median(away)) / 1.18, np.radians(0.05))
        weight = observed.weight / (1 + (away / (2.5 * scale)) ** 2)
        misfit = float(np.sqrt(np.average(away**2, weights=weight)))
        fixed = np.zeros(size, bool)
        fixed[:3] = not free_centre
        fixed[3:9] = not drift
        fixed[first_lattice:first_grain] = not free_lattices
        j = jacobian.reshape(3 * m, size)[:, ~fixed]
        w = np.repeat(weight, 3) / scale**2
        normal = np.zeros((size, size))
        part = (j * w[:, None]).T @ j
        right = np.zeros(size)
        right[~fixed] = -(j * w[:, None]).T @ residual.reshape(-1)
        normal[np.ix_(~fixed, ~fixed)] = part
        if free_centre:
            at = np.arange(3)
            normal[at, at] += 1 / _PRIOR_SPREAD**2
            right[:3] += (start - pc) / _PRIOR_SPREAD**2
        # scale and common rotation of a lattice are free: a little stiffness holds them
        stiff = np.zeros(size)
        stiff[first_lattice:first_grain] = 1e-6 * (1 + np.trace(part) / max(len(part), 1))
        normal[np.arange(size), np.arange(size)] += stiff + fixed
        step = np.linalg.solve(normal + 1e-9 * np.eye(size), right)
        pc = pc + np.clip(step[:3], -0.05, 0.05)
        pc[2] = np.clip(pc[2], 0.2, 3.0)
        gradient = gradient + step[3:9].reshape(2, 3)
        for k in range(p):
            change = step[first_lattice + 9 * k : first_lattice + 9 * (k + 1)].reshape(3, 3)
            new = bases[k] + np.clip(change, -0.1, 0.1)
            bases[k] = new / np.cbrt(abs(np.linalg.det(new)))
        rotation = _turned(rotation, np.asarray(step[first_grain:].reshape(g, 3), float))
        if np.abs(step).max() < 1e-6 and turn > 2:
            break
    covariance = np.asarray(np.linalg.pinv(normal, rcond=1e-12, hermitian=True), np.float64)
    pc_su = np.sqrt(np.diag(covariance)[:3]) if free_centre else np.zeros(3)
    metric_cov = [
        _metric_covariance(bases[k], covariance, first_lattice + 9 * k, free_lattices)
        for k in range(p)
    ]
    gradient_su = np.sqrt(np.diag(covariance)[3:9]).reshape(2, 3) if drift else np.zeros((2, 3))
    return Refined(pc, pc_su, gradient, gradient_su, bases, metric_cov, rotation, misfit)


def _residuals(
    observed: Observations,
    pc: FloatArray,
    gradient: FloatArray,
    bases: list[FloatArray],
    rotation: FloatArray,
    phase: NDArray[np.int64],
    first_lattice: int,
    first_grain: int,
    size: int,
) -> tuple[FloatArray, FloatArray]:
    """Differences of normals and directions, (m, 3), and their derivatives, (m, 3, size)."""
    h, w = observed.shape
    grain, m = observed.grain, len(observed.line)
    offset = observed.offset[grain]
    centres = pc + offset @ gradient
    vector = plane_vectors(observed.line[:, None, :], centres, observed.shape)[:, 0]
    length = np.linalg.norm(vector, axis=1, keepdims=True)
    n = vector / length
    basis = np.stack(bases)[phase]
    crystal = np.einsum("mij,mj->mi", basis, observed.hkl)
    reach = np.linalg.norm(crystal, axis=1, keepdims=True)
    turn = rotation[grain]
    predicted = np.einsum("mij,mj->mi", turn, crystal / reach)
    sign = np.sign(np.sum(n * predicted, axis=1, keepdims=True))
    sign[sign == 0] = 1
    residual = sign * n - predicted
    jacobian = np.zeros((m, 3, size))
    a, b = observed.line[:, 0], observed.line[:, 1]
    zero = np.zeros(m)
    by_pc = np.stack(
        [
            np.stack([zero, zero, a * w], axis=1),
            np.stack([zero, zero, b * h], axis=1),
            np.stack([a * h, -b * h, zero], axis=1),
        ],
        axis=2,
    )
    across = np.eye(3) - n[:, :, None] * n[:, None, :]
    by_pc = sign[:, :, None] * np.einsum("mij,mjk->mik", across, by_pc) / length[:, :, None]
    jacobian[:, :, :3] = by_pc
    jacobian[:, :, 3:6] = by_pc * offset[:, 0, None, None]
    jacobian[:, :, 6:9] = by_pc * offset[:, 1, None, None]
    flat = np.eye(3) - predicted[:, :, None] * predicted[:, None, :]
    by_basis = -np.einsum("mij,mjk->mik", flat, turn) / reach[:, :, None]
    rows = np.arange(m)
    for i in range(3):
        for k in range(3):
            # entry (i, k) of B moves along R[:, i] by h_k
            jacobian[rows, :, first_lattice + 9 * phase + 3 * i + k] = (
                by_basis[:, :, i] * observed.hkl[:, k, None]
            )
    x, y, z = predicted.T
    cross = np.zeros((m, 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -z, y, -x
    cross[:, 1, 0], cross[:, 2, 0], cross[:, 2, 1] = z, -y, x
    for c in range(3):
        jacobian[rows, :, first_grain + 3 * grain + c] = cross[:, :, c]
    return residual, jacobian


def _turned(rotation: FloatArray, vectors: FloatArray) -> FloatArray:
    """Turn orientations by small rotation vectors."""
    from scipy.spatial.transform import Rotation

    vectors = np.clip(vectors, -0.1, 0.1)
    return np.asarray(Rotation.from_rotvec(vectors).as_matrix() @ rotation)


def _metric_covariance(
    basis: FloatArray, covariance: FloatArray, start: int, free: bool
) -> FloatArray:
    """Covariance of the metric B^T B (11, 22, 33, 23, 13, 12)."""
    if not free:
        return np.zeros((6, 6))
    jacobian = np.zeros((6, 9))
    for row, (j, k) in enumerate(PLACES):
        for i in range(3):
            jacobian[row, 3 * i + j] += basis[i, k]
            jacobian[row, 3 * i + k] += basis[i, j]
    # the scale, which nothing holds, is that of volume 1
    fixed = np.eye(9) - np.outer(basis.reshape(-1), np.linalg.inv(basis).T.reshape(-1)) / 3
    jacobian = jacobian @ fixed
    part = covariance[start : start + 9, start : start + 9]
    return np.asarray(jacobian @ part @ jacobian.T)
