"""The reciprocal lattice of a cell and the zones in it, as arrays to be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.indexing.zones.solution import ExplainedZone

FloatArray = NDArray[np.float64]

#: Lattice points that are drawn at most, and corners of the circle that stands for a plane.
_MOST, _CORNERS = 500, 72
#: Points lie in a plane within this share of the radius that is shown; rounding errors are less.
_IN_PLANE = 1e-6


@dataclass(frozen=True, eq=False)
class LatticeScene:
    """What the 3-D view shows; places are z, y, x in 1/A, as napari has them.

    Attributes
    ----------
    points : ndarray of float64, (n, 3)
        Lattice points within `radius`, without the origin.
    hkl : ndarray of int64, (n, 3)
        Their indices.
    on_zone : ndarray of bool, (n,)
        Whether some zone that was seen holds the point.
    axes : ndarray of float64, (3, 3)
        a*, b* and c*, rows.
    normals : ndarray of float64, (m, 3)
        Of the planes of the zones, of length 1.
    radius
        In 1/A.
    """

    points: FloatArray
    hkl: NDArray[np.int64]
    on_zone: NDArray[np.bool_]
    axes: FloatArray
    normals: FloatArray
    radius: float

    def of_plane(self, place: int) -> NDArray[np.bool_]:
        """Which points lie in a plane, by its place among the normals, (n,)."""
        away = np.abs(self.points @ self.normals[place])
        return np.asarray(away < _IN_PLANE * self.radius)

    def circle(self, place: int) -> FloatArray:
        """Corners of the circle in which a plane cuts the sphere that is shown, (corners, 3)."""
        normal = self.normals[place]
        first = np.cross(normal, np.eye(3)[np.abs(normal).argmin()])
        first /= np.linalg.norm(first)
        turn = 2 * np.pi * np.arange(_CORNERS) / _CORNERS
        second = np.cross(normal, first)
        return self.radius * (np.cos(turn)[:, None] * first + np.sin(turn)[:, None] * second)

    def circles(self) -> FloatArray:
        """Lines, start and step, of the circles of all planes, (lines, 2, 3)."""
        lines = []
        for place in range(len(self.normals)):
            corners = self.circle(place)
            lines.append(np.stack([corners, np.roll(corners, -1, axis=0) - corners], axis=1))
        return np.concatenate(lines) if lines else np.empty((0, 2, 3))

    def disc(self, place: int) -> tuple[FloatArray, NDArray[np.int64]]:
        """Corners and triangles of the disc of a plane."""
        numbers = np.arange(_CORNERS)
        triangles = [np.zeros(_CORNERS, int), 1 + numbers, 1 + (numbers + 1) % _CORNERS]
        return np.vstack([np.zeros((1, 3)), self.circle(place)]), np.column_stack(triangles)


def lattice_scene(cell: UnitCell, zones: Sequence[ExplainedZone], reach: float) -> LatticeScene:
    """Lay out the reciprocal lattice of a cell.

    Parameters
    ----------
    cell
        Conventional cell in A.
    zones
        Those that it explains.
    reach
        Distance from the origin up to which spots were seen, in 1/A; less is shown where there
        would be too many points.
    """
    basis = cell.reciprocal_basis
    # points in a sphere: its volume over that of the reciprocal cell
    crowded = float(np.cbrt(_MOST * 3 / (4 * np.pi * cell.volume)))
    radius = min(reach, crowded)
    most = np.ceil(radius * cell.lengths).astype(int)
    grid = np.stack(
        np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1
    ).reshape(-1, 3)
    places = grid @ basis
    length = np.linalg.norm(places, axis=1)
    inside = (length <= radius) & (length > 0)
    hkl, places = grid[inside].astype(np.int64), places[inside]
    axes = np.array([zone.uvw for zone in zones], float).reshape(-1, 3)
    normals = axes @ cell.basis
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return LatticeScene(
        np.ascontiguousarray(places[:, ::-1]),
        hkl,
        np.asarray((hkl @ axes.T == 0).any(axis=1), bool).reshape(-1),
        np.ascontiguousarray(basis[:, ::-1]),
        np.ascontiguousarray(normals[:, ::-1]),
        radius,
    )
