"""The Bravais lattice of a measured metric, with probabilities, and its conventional cell.

No tolerance decides: a lattice of higher symmetry asks its metric for certain equalities, and how
well these hold is judged by the metric's own uncertainties.  A lattice with fewer free numbers
explains what it explains with less luck, which is what the evidence of Bayes counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.structure import find_symmetry, pearson

FloatArray = NDArray[np.float64]

#: Components of a metric of volume 1 are not known better than this from the bands of Kikuchi
#: patterns, whatever a fit says.
FLOOR = 0.008
#: Range in which a free component of such a metric may lie.
_RANGE = 2.0
#: Operations that change the metric by more than this (of its mean diagonal) are not looked at.
_FARTHEST = 0.12
#: Components of a symmetric matrix, in the order of all covariances, and what makes their squares
#: sum up as the matrix's do.
PLACES = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))
_WEIGHTS = np.array([1, 1, 1, 2, 2, 2]) ** 0.5


@dataclass(frozen=True, eq=False)
class LatticeChoice:
    """One way to see a metric as that of a Bravais lattice.

    Attributes
    ----------
    pearson
        Letters of the lattice.
    probability
        Among the choices for this metric.
    metric : ndarray of float64, (3, 3)
        The metric of the primitive cell with the equalities that the lattice asks for.
    to_conventional : ndarray of int64, (3, 3)
        Columns: the axes of the conventional cell in terms of the primitive ones.
    cell
        Conventional cell.
    cell_su
        Standard uncertainties of a, b, c and the angles (degrees); 0 where the lattice fixes them.
    operations : ndarray of int64, (n, 3, 3)
        Proper rotations of the lattice; they act on coordinates (columns) in the primitive axes.
    """

    pearson: str
    probability: float
    metric: FloatArray
    to_conventional: NDArray[np.int64]
    cell: UnitCell
    cell_su: tuple[float, float, float, float, float, float]
    operations: NDArray[np.int64]


def lattice_choices(
    metric: FloatArray, covariance: FloatArray, floor: float = FLOOR
) -> list[LatticeChoice]:
    """Weigh all Bravais lattices that a measured metric may be of.

    Parameters
    ----------
    metric : ndarray of float64, (3, 3)
        Of a reduced primitive cell, in A^2 or in any unit.
    covariance : ndarray of float64, (6, 6)
        Of its components 11, 22, 33, 23, 13, 12, in the square of that unit.  The scale need not
        be known: it is not judged.
    floor
        Components of such a metric of volume 1 are not known better than this.

    Returns
    -------
    list of LatticeChoice
        The most probable first; the same letters may come more than once, with other axes.
    """
    unit = np.cbrt(np.linalg.det(metric))
    vector = _vector(metric) / unit
    spread = np.outer(_WEIGHTS, _WEIGHTS) * with_floor(metric, covariance, floor) / unit**2
    groups = _groups(metric / unit)
    found = []
    for operations in groups:
        kept, lost = _spaces(operations)
        misfit = lost.T @ vector
        inside = lost.T @ spread @ lost
        likely = -np.log(_RANGE) * (kept.shape[1] - 1)
        better, better_spread = vector, spread
        if lost.shape[1]:
            inverse = np.linalg.inv(inside)
            likely -= 0.5 * float(
                misfit @ inverse @ misfit
                + len(misfit) * np.log(2 * np.pi)
                + np.linalg.slogdet(inside)[1]
            )
            gain = spread @ lost @ inverse
            better = vector - gain @ misfit
            better_spread = spread - gain @ lost.T @ spread
        found.append((likely, operations, _matrix(better) * unit, better_spread * unit**2))
    # a metric near a symmetric one can be seen as less symmetric in several ways: each counts less
    orders = [len(one[1]) for one in found]
    evidence = np.array([one[0] - np.log(orders.count(len(one[1]))) for one in found])
    weights = np.exp(evidence - evidence.max())
    weights /= weights.sum()
    choices = [
        _choice(operations, float(weight), symmetric, better)
        for weight, (_, operations, symmetric, better) in zip(weights, found, strict=True)
        if weight > 1e-6 and np.linalg.eigvalsh(symmetric)[0] > 1e-6 * np.trace(symmetric)
    ]
    return sorted(choices, key=lambda one: -one.probability)


def with_floor(metric: FloatArray, covariance: FloatArray, floor: float) -> FloatArray:
    """Return the covariance of a metric's components, (6, 6), with the ``floor`` added."""
    unit = np.cbrt(np.linalg.det(metric))
    least: FloatArray = covariance + np.diag((floor * unit / _WEIGHTS) ** 2)
    return least


def probabilities(choices: list[LatticeChoice]) -> dict[str, float]:
    """Return the probability of all 14 lattices, by Pearson letters."""
    out = dict.fromkeys(BRAVAIS_LATTICES, 0.0)
    for one in choices:
        out[one.pearson] += one.probability
    return out


def components(metric: FloatArray) -> FloatArray:
    """Components 11, 22, 33, 23, 13, 12 of a symmetric matrix, (6,)."""
    return np.array([metric[place] for place in PLACES])


def _vector(metric: FloatArray) -> FloatArray:
    return np.asarray(components(metric) * _WEIGHTS)


def _matrix(vector: FloatArray) -> FloatArray:
    out = np.zeros((3, 3))
    for (i, j), value in zip(PLACES, vector / _WEIGHTS, strict=True):
        out[i, j] = out[j, i] = value
    return out


@lru_cache(maxsize=1)
def _rotations() -> NDArray[np.int64]:
    """Every proper rotation that a reduced cell may have, in its own axes, (n, 3, 3)."""
    entries = np.array(list(product((-1, 0, 1), repeat=9)), dtype=np.int64).reshape(-1, 3, 3)
    determinant = np.rint(np.linalg.det(entries)).astype(int)
    trace = np.trace(entries, axis1=1, axis2=2)
    entries = entries[(determinant == 1) & (trace >= -1) & (trace <= 3)]
    # of finite order: traces -1, 0, 1, 2, 3 belong to orders 2, 3, 4, 6, 1
    order = np.array([2, 3, 4, 6, 1])[np.trace(entries, axis1=1, axis2=2) + 1]
    power = np.stack(
        [np.linalg.matrix_power(m, int(n)) for m, n in zip(entries, order, strict=True)]
    )
    return np.asarray(entries[(power == np.eye(3, dtype=np.int64)).all(axis=(1, 2))])


def _groups(metric: FloatArray) -> list[NDArray[np.int64]]:
    """Holohedries, as proper rotations, that come near to a metric; the trivial one first."""
    every = _rotations()
    moved = np.einsum("nji,jk,nkl->nil", every, metric, every)
    away = np.abs(moved - metric).max(axis=(1, 2)) / (np.trace(metric) / 3)
    near = every[away < _FARTHEST]
    keys = {one.tobytes() for one in every}
    groups: dict[frozenset[bytes], NDArray[np.int64]] = {}
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(3, 3)) * 0.02 * np.trace(metric) / 3
    generic = metric + noise + noise.T
    pairs = [(a, b) for i, a in enumerate(near) for b in near[i:]]
    seen: set[frozenset[bytes]] = set()
    for a, b in pairs:
        members = _closure(a, b, keys)
        if members is None:
            continue
        key = frozenset(one.tobytes() for one in members)
        if key in seen:
            continue
        seen.add(key)
        mean = np.mean([m.T @ generic @ m for m in members], axis=0)
        # the lattice of such a group may have more symmetry than the group: that is its holohedry
        own = np.abs(np.einsum("nji,jk,nkl->nil", every, mean, every) - mean).max(axis=(1, 2))
        whole = every[own < 1e-9 * np.trace(mean)]
        groups[frozenset(one.tobytes() for one in whole)] = whole
    return sorted(groups.values(), key=len)


def _closure(
    a: NDArray[np.int64], b: NDArray[np.int64], allowed: set[bytes]
) -> list[NDArray[np.int64]] | None:
    """The group that two rotations make; ``None`` where it is none of a reduced cell."""
    members = {np.eye(3, dtype=np.int64).tobytes(): np.eye(3, dtype=np.int64)}
    front = [a, b]
    while front:
        one = front.pop()
        key = one.tobytes()
        if key in members:
            continue
        if key not in allowed or len(members) >= 24:
            return None
        members[key] = one
        front += [one @ a, one @ b]
    return list(members.values())


def _spaces(operations: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
    """Orthonormal bases of the metrics that operations leave alone, and of what they forbid."""
    mean = np.zeros((6, 6))
    for column in range(6):
        unit = np.zeros(6)
        unit[column] = 1
        matrix = _matrix(unit)
        mean[:, column] = _vector(np.mean([m.T @ matrix @ m for m in operations], axis=0))
    # the kept space is the image of the mean, what is forbidden is orthogonal to it
    left, values, _ = np.linalg.svd(mean)
    rank = int((values > 1e-8).sum())
    return left[:, :rank], left[:, rank:]


def _choice(
    operations: NDArray[np.int64], weight: float, metric: FloatArray, spread: FloatArray
) -> LatticeChoice:
    """Name the lattice and find its conventional cell."""
    letters, axes = _conventional(operations, metric)
    cell_metric = axes.T @ metric @ axes
    cell = _cell(cell_metric)
    jacobian = np.zeros((6, 6))
    step = 1e-5 * np.trace(metric) / 3
    base = np.array(cell)
    for k in range(6):
        moved = _vector(metric)
        moved[k] += step
        jacobian[:, k] = (np.array(_cell(axes.T @ _matrix(moved) @ axes)) - base) / step
    su = np.sqrt(np.maximum(np.diag(jacobian @ spread @ jacobian.T), 0))
    system = BRAVAIS_LATTICES[letters].system
    cell, su = _exact(cell, su, system)
    return LatticeChoice(
        letters, weight, metric, axes, UnitCell(*cell), tuple(su.tolist()), operations
    )


def _cell(metric: FloatArray) -> tuple[float, ...]:
    a, b, c = np.sqrt(np.diag(metric))
    cosines = (metric[1, 2] / (b * c), metric[0, 2] / (a * c), metric[0, 1] / (a * b))
    return (a, b, c, *np.degrees(np.arccos(np.clip(cosines, -1, 1))))


def _exact(
    cell: tuple[float, ...], su: FloatArray, system: str
) -> tuple[tuple[float, ...], FloatArray]:
    """Set what the crystal system fixes to its value, without uncertainty."""
    a, b, c, _, beta, _ = cell
    su = su.copy()
    if system == "triclinic":
        return cell, su
    if system == "monoclinic":
        su[[3, 5]] = 0
        return (a, b, c, 90.0, beta, 90.0), su
    su[3:] = 0
    gamma = 120.0 if system in ("trigonal", "hexagonal") else 90.0
    if system == "cubic":
        a = b = c = (a + b + c) / 3
        su[:3] = su[0]
    elif system != "orthorhombic":
        a = b = (a + b) / 2
        su[:2] = su[0]
    return (a, b, c, 90.0, 90.0, gamma), su


def _conventional(
    operations: NDArray[np.int64], metric: FloatArray
) -> tuple[str, NDArray[np.int64]]:
    """Pearson letters and conventional axes of a lattice with some operations and no more."""
    # the tolerance is a length, so that the volume must always be the same
    unit = np.cbrt(np.linalg.det(metric))
    lower = np.linalg.cholesky(_generic(operations, metric / unit)).T  # columns: primitive vectors
    dataset = find_symmetry(
        np.asarray(lower.T, np.float64), np.zeros((1, 3)), np.ones(1, np.int64), 1e-4
    )
    if dataset is None:
        return "aP", np.eye(3, dtype=np.int64)
    letters = pearson(int(dataset.number))
    # rows of std_lattice, turned back, in terms of the primitive vectors
    turned = np.asarray(dataset.std_lattice) @ np.asarray(dataset.std_rotation_matrix)
    axes = np.rint(np.linalg.solve(lower, turned.T)).astype(np.int64)
    if letters == "aP":
        axes = np.eye(3, dtype=np.int64)
    if np.linalg.det(axes) < 0:
        axes = -axes
    return letters, axes


def _generic(operations: NDArray[np.int64], metric: FloatArray) -> FloatArray:
    """A metric near the given one that has these operations and no others."""
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(3, 3)) * 0.01 * np.trace(metric) / 3
    mean: FloatArray = np.mean([m.T @ (metric + noise + noise.T) @ m for m in operations], axis=0)
    return mean
