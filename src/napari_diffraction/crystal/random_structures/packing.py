"""Atoms set into a cell so that they keep their distance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.random_structures.wyckoff import Wyckoff
from napari_diffraction.crystal.structure import operations

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Sweeps in which atoms push each other away, and the clearance at which they stop.
_SWEEPS = 40
_ENOUGH = 0.92


@dataclass(frozen=True, eq=False)
class Crowd:
    """Orbits of a space group, each atom known by the operation that makes it.

    Attributes
    ----------
    points : ndarray of float64, (k, 3)
        One fractional position of every orbit.
    freedom : ndarray of float64, (k, 3, 3)
        Projection of a shift on what the site allows.
    rotations, shifts : ndarray of float64, (n, 3, 3) and (n, 3)
        Operation that makes each of the n atoms of the cell.
    owners : ndarray of int64, (n,)
        Orbit of each atom.
    """

    points: FloatArray
    freedom: FloatArray
    rotations: FloatArray
    shifts: FloatArray
    owners: IntArray

    @classmethod
    def of(cls, space_group: int, points: FloatArray, freedom: FloatArray) -> Crowd:
        """Expand points by a space group."""
        rotations, shifts = operations(space_group)
        makers = [_makers(rotations, shifts, point) for point in points]
        owners = np.repeat(np.arange(len(points)), [len(maker) for maker in makers])
        chosen = np.concatenate(makers)
        return cls(points, freedom, rotations[chosen], shifts[chosen], owners)

    def clearance(self, cell: UnitCell, usual: FloatArray) -> float:
        """Smallest distance between atoms in terms of the usual one of their kinds.

        ``usual`` is the usual distance in A of every pair of orbits, (k, k).
        """
        clearance, _ = _push(
            self.points, self.rotations, self.shifts, self.owners, cell.basis, usual, 0.0
        )
        return float(clearance)

    def relaxed(self, cell: UnitCell, usual: FloatArray) -> tuple[FloatArray, float]:
        """Push atoms apart; return the points and the clearance reached."""
        points, clearance = _relax(
            self.points, self.freedom, self.rotations, self.shifts, self.owners, cell.basis, usual
        )
        return points, float(clearance)


def place(
    space_group: int,
    cell: UnitCell,
    orbits: list[Wyckoff],
    usual: FloatArray,
    rng: np.random.Generator,
) -> tuple[FloatArray, float]:
    """Set orbits at random and let their atoms push each other apart.

    Parameters
    ----------
    space_group
        Number from 1 to 230.
    cell
        The cell in which to do so.
    orbits
        Wyckoff positions to fill.
    usual : ndarray of float64, (k, k)
        Usual distance in A of every pair of orbits.
    rng
        Source of randomness.

    Returns
    -------
    tuple
        Fractional points (k, 3), and the smallest distance in terms of the usual one.
    """
    picks = [int(rng.integers(len(orbit.matrices))) for orbit in orbits]
    freedom = np.array([orbit.matrices[pick] for orbit, pick in zip(orbits, picks, strict=True)])
    offsets = np.array([orbit.offsets[pick] for orbit, pick in zip(orbits, picks, strict=True)])
    points = (freedom @ rng.random((len(orbits), 3, 1)))[..., 0] + offsets
    return Crowd.of(space_group, points, freedom).relaxed(cell, usual)


@njit(cache=True)  # type: ignore[untyped-decorator]
def _makers(rotations: FloatArray, shifts: FloatArray, point: FloatArray) -> IntArray:
    """Indices of the operations that make the different images of a point."""
    images = np.empty((len(rotations), 3))
    kept = np.empty(len(rotations), dtype=np.int64)
    n = 0
    for i in range(len(rotations)):
        for j in range(3):
            images[n, j] = shifts[i, j]
            for k in range(3):
                images[n, j] += rotations[i, j, k] * point[k]
        new = True
        for m in range(n):
            worst = 0.0
            for j in range(3):
                delta = images[n, j] - images[m, j]
                worst = max(worst, abs(delta - np.round(delta)))
            if worst < 1e-4:
                new = False
                break
        if new:
            kept[n] = i
            n += 1
    return kept[:n]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _relax(
    points: FloatArray,
    freedom: FloatArray,
    rotations: FloatArray,
    shifts: FloatArray,
    owners: IntArray,
    basis: FloatArray,
    usual: FloatArray,
) -> tuple[FloatArray, float]:
    best, most = points.copy(), -1.0
    current = points.copy()
    inverse = np.linalg.inv(basis)
    for _ in range(_SWEEPS):
        clearance, moves = _push(current, rotations, shifts, owners, basis, usual, 1.0)
        if clearance > most:
            best, most = current.copy(), clearance
        if clearance > _ENOUGH:
            break
        for k in range(len(current)):
            current[k] += freedom[k] @ (inverse.T @ moves[k])
    return best, most


@njit(cache=True)  # type: ignore[untyped-decorator]
def _push(
    points: FloatArray,
    rotations: FloatArray,
    shifts: FloatArray,
    owners: IntArray,
    basis: FloatArray,
    usual: FloatArray,
    reach: float,
) -> tuple[float, FloatArray]:
    """Clearance, and the move in A by which each point leaves those within reach x usual."""
    oblique = abs(basis[1, 0]) + abs(basis[2, 0]) + abs(basis[2, 1]) > 1e-6
    moves = np.zeros((len(points), 3))
    shortest = 1e9
    for j in range(3):
        shortest = min(shortest, np.sqrt(np.sum(basis[j] ** 2)))
    clearance = 1e9
    reduced = np.empty(3)
    vector = np.empty(3)
    for i in range(len(points)):
        clearance = min(clearance, shortest / usual[i, i])
        for m in range(len(owners)):
            owner = owners[m]
            if owner < i and reach == 0.0:
                continue
            for j in range(3):
                value = points[i, j] - shifts[m, j]
                for k in range(3):
                    value -= rotations[m, j, k] * points[owner, k]
                reduced[j] = value - np.round(value)
            contact = usual[i, owner]
            for corner in range(8 if oblique else 1):
                for j in range(3):
                    vector[j] = 0.0
                for j in range(3):
                    delta = reduced[j]
                    if (corner >> j) & 1:
                        delta -= 1.0 if delta > 0 else -1.0
                    for k in range(3):
                        vector[k] += delta * basis[j, k]
                distance = np.sqrt(np.sum(vector**2))
                if distance < 1e-6 and owner == i:
                    continue
                clearance = min(clearance, distance / contact)
                if 1e-6 < distance < reach * contact:
                    moves[i] += vector * (0.4 * (reach * contact - distance) / distance)
    return clearance, moves
