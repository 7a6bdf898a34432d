"""Special positions of the space groups."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.structure import operations

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Wyckoff:
    """Affine maps that send any point onto special positions of one multiplicity and freedom.

    Attributes
    ----------
    multiplicity
        Number of images in the conventional cell.
    matrices : ndarray of float64, (k, 3, 3)
        Projections.
    offsets : ndarray of float64, (k, 3)
        The position is ``matrix @ point + offset``, in fractional coordinates.
    """

    multiplicity: int
    matrices: FloatArray
    offsets: FloatArray


@lru_cache(maxsize=230)
def wyckoff_positions(space_group: int) -> tuple[Wyckoff, ...]:
    """Special and general positions of a space group, by multiplicity.

    Every special position is fixed by a rotation or mirror, or is a point; and each of them passes
    through a point whose coordinates are multiples of 1/8 or 1/12.
    """
    rotations, shifts = operations(space_group)
    steps = np.unique(np.concatenate([np.arange(8) / 8, np.arange(12) / 12]))
    grid = np.random.default_rng(0).permutation(list(product(steps, repeat=3)))
    moved = np.einsum("mij,nj->nmi", rotations, grid) + shifts - grid[:, None]
    fixed = np.all(np.abs(moved - np.rint(moved)) < 1e-6, axis=2)
    cyclic = np.array([_cyclic_mean(rotation) for rotation in rotations])
    means, offsets = [np.eye(3)[None]], [np.zeros((1, 3))]
    for stabiliser in np.unique(fixed[fixed.sum(axis=1) > 1], axis=0):
        points = grid[np.all(fixed == stabiliser, axis=1)][:24]
        matrices = np.array([rotations[stabiliser].mean(axis=0), *cyclic[stabiliser]])
        matrices = matrices[np.trace(matrices, axis1=1, axis2=2) < 2.9]  # without the identity
        means.append(np.repeat(matrices, len(points), axis=0))
        offsets.append((points - np.einsum("kij,nj->kni", matrices, points)).reshape(-1, 3))
    rows = np.concatenate([np.concatenate(means).reshape(-1, 9), np.concatenate(offsets)], axis=1)
    rows[:, 9:] %= 1.0
    _, first = np.unique(np.rint(240 * rows).astype(np.int16), axis=0, return_index=True)
    return _by_multiplicity(rows[first], rotations, shifts)


def _cyclic_mean(rotation: FloatArray) -> FloatArray:
    """Mean of the powers of a rotation: the projection on what it leaves alone."""
    powers = [rotation]
    while not np.allclose(powers[-1], np.eye(3)):
        powers.append(powers[-1] @ rotation)
    return np.asarray(np.mean(powers, axis=0))


def _by_multiplicity(
    rows: FloatArray, rotations: FloatArray, shifts: FloatArray
) -> tuple[Wyckoff, ...]:
    """Sort maps, rows of matrix and offset, by multiplicity and freedom of their positions."""
    matrices, offsets = rows[:, :9].reshape(-1, 3, 3), rows[:, 9:]
    generic = np.array([0.1234, 0.2718, 0.3779])
    points = matrices @ generic + offsets
    moved = np.einsum("mij,nj->nmi", rotations, points) + shifts - points[:, None]
    stabilisers = np.all(np.abs(moved - np.rint(moved)) < 1e-5, axis=2).sum(axis=1)
    freedom = np.rint(np.trace(matrices, axis1=1, axis2=2)).astype(int)
    keys = np.stack([len(rotations) // stabilisers, freedom], axis=1)
    return tuple(
        Wyckoff(int(key[0]), matrices[chosen], offsets[chosen])
        for key in np.unique(keys, axis=0)
        for chosen in [np.all(keys == key, axis=1)]
    )
