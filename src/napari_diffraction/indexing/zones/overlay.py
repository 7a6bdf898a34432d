"""Nets where they lie in a pattern: their nodes, indices by a cell, corrections by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reduction import primitive_cell
from napari_diffraction.indexing.zones.ellipse import Ellipse
from napari_diffraction.indexing.zones.net_fit import NetFit, fit_net
from napari_diffraction.indexing.zones.patterns import ANY_WAVELENGTH, DEPTH, PatternMatches
from napari_diffraction.indexing.zones.solution import ExplainedZone

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Nodes are drawn so far beyond the farthest spot, as a share of its distance.
_BEYOND = 1.03
#: A spot belongs to a net set by hand within this share of its shorter vector.
_NEAR = 0.25
#: Shares of the spots, from the beam outwards, to which such a net is fitted one after the other.
_GROWTH = (0.2, 0.35, 0.5, 0.7, 0.85, 1.0, 1.0)
#: Changes of a reduced basis to another one that is nearly as short.
_CHANGES = tuple(
    np.array(four, float).reshape(2, 2)
    for four in product((-1, 0, 1), repeat=4)
    if abs(four[0] * four[3] - four[1] * four[2]) == 1
)


def nodes(fit: NetFit) -> tuple[FloatArray, IntArray]:
    """Return the nodes of a net as far as spots reach, without the direct beam.

    Returns
    -------
    ndarray of float64, (n, 2)
        x and y in pixels.
    ndarray of int64, (n, 2)
        Their indices on the net.
    """
    reach = _BEYOND * fit.reach
    # how many steps of each vector can lead back into the circle
    far = reach * np.hypot(*np.linalg.inv(fit.basis))
    most = np.ceil(far).astype(int)
    grid = np.mgrid[-most[0] : most[0] + 1, -most[1] : most[1] + 1].reshape(2, -1).T
    flat = grid @ fit.basis
    radius = np.hypot(*flat.T)
    inside = (radius > 0) & (radius <= reach)
    bent = 1 + fit.distortion * (radius[inside] / fit.reach) ** 2
    return fit.origin + flat[inside] * bent[:, None], grid[inside].astype(np.int64)


def predicted(
    fit: NetFit, zone: ExplainedZone, cell: UnitCell, pixel_size: float, ellipse: Ellipse | None
) -> tuple[NetFit, IntArray]:
    """Return the net that a cell has for a zone, laid upon the one that was measured.

    Parameters
    ----------
    fit
        The measured net.
    zone
        How the cell explains it.
    cell
        The conventional cell.
    pixel_size
        Reciprocal length of a pixel in 1/A, for which the cell was found.
    ellipse
        Stretch of the camera, if one was taken off.

    Returns
    -------
    NetFit
        With lengths and angle of the cell.
    ndarray of int64, (2, 3)
        Indices hkl of its two vectors.
    """
    measured = fit.basis if ellipse is None else ellipse.corrected(fit.basis)
    measured = measured * pixel_size
    hkl = np.asarray(zone.hkl, float)
    own = hkl @ cell.reciprocal_basis
    wanted = measured @ measured.T
    # Nets that are nearly square or hexagonal have several bases that are nearly reduced.
    change = min(_CHANGES, key=lambda m: _apart(m @ own @ own.T @ m.T, wanted))
    metric = change @ own @ own.T @ change.T
    plane = np.asarray(np.linalg.cholesky(metric), float)
    if np.linalg.det(plane) * np.linalg.det(measured) < 0:
        plane = plane * [1, -1]
    left, _, right = np.linalg.svd(plane.T @ measured)
    turn = left @ np.diag([1, np.sign(np.linalg.det(left @ right))]) @ right
    basis = plane @ turn / pixel_size
    if ellipse is not None:
        basis = basis @ ellipse.matrix.T
    return replace(fit, basis=basis), np.rint(change @ hkl).astype(np.int64)


def refitted(position: FloatArray, origin: FloatArray, basis: FloatArray) -> NetFit | None:
    """Fit a net that somebody has pointed out to the spots that lie on it.

    Parameters
    ----------
    position : ndarray of float64, (n, 2)
        x and y of all spots in pixels.
    origin : ndarray of float64, (2,)
        Direct beam.
    basis : ndarray of float64, (2, 2)
        Two vectors that span the net, rows, in pixels.

    Returns
    -------
    NetFit or None
        ``None`` where the vectors span no net, or too few spots lie on it.
    """
    span = np.vstack([basis, origin]).astype(float)
    distance = np.hypot(*(position - origin).T)
    for share in _GROWTH:
        if abs(np.linalg.det(span[:2])) < 1:
            return None
        steps = (position - span[2]) @ np.linalg.inv(span[:2])
        node = np.rint(steps)
        away = np.hypot(*((steps - node) @ span[:2]).T)
        zonal = away < _NEAR * np.hypot(*span[:2].T).min()
        # a hand is a little off, which far from the beam is more than a step of the net
        zonal &= distance <= np.quantile(distance, share)
        rows = np.column_stack([node, np.ones(len(node))])[zonal]
        if np.linalg.matrix_rank(rows) == 3:
            span = np.linalg.lstsq(rows, position[zonal], rcond=None)[0]
    return fit_net(position, node.astype(np.int64), zonal)


def oriented_spots(
    cell: UnitCell,
    lattice: str,
    match: PatternMatches,
    place: int,
    spots: FloatArray,
    pixel_size: float,
    ellipse: Ellipse | None,
    wavelength: float | None,
) -> tuple[FloatArray, IntArray]:
    """Return the spots that a crystal has in a pattern in which its orientation is known.

    Parameters
    ----------
    cell, lattice
        Conventional cell in A, and Pearson letters of its lattice.
    match
        Orientations.
    place
        Of the pattern among those that were oriented.
    spots : ndarray of float64, (n, 2)
        x and y of its spots in pixels, in the order of its table.
    pixel_size, ellipse, wavelength
        With which it was oriented.

    Returns
    -------
    ndarray of float64, (m, 2)
        x and y in pixels.
    ndarray of int64, (m, 3)
        Their indices hkl in the conventional cell.
    """
    own = match.of_pattern(place)
    seen, stretch = match.peaks.position[own], np.eye(2) if ellipse is None else ellipse.matrix
    # where the direct beam was taken to be is known from any spot
    origin = (spots[match.peaks.row[own]] - seen @ stretch.T / pixel_size).mean(axis=0)
    reach = _BEYOND * float(np.hypot(*seen.T).max())
    change = primitive_cell(cell, lattice)
    direct = change @ cell.basis
    most = [int(reach * length) + 1 for length in np.linalg.norm(direct, axis=1)]
    grid = np.stack(np.meshgrid(*(np.arange(-k, k + 1) for k in most), indexing="ij"), axis=-1)
    grid = grid.reshape(-1, 3)
    vectors = grid @ np.linalg.inv(direct).T @ match.rotation[place].T
    across = (vectors[:, :2] ** 2).sum(axis=1)
    sphere = -0.5 * (ANY_WAVELENGTH if wavelength is None else wavelength) * across
    near = (np.abs(vectors[:, 2] - sphere) < DEPTH) & (across < reach**2) & (across > 0)
    flat = (vectors[near, :2] + match.shift[place]) @ stretch.T / pixel_size
    hkl = np.rint(grid[near] @ np.linalg.inv(change).T)
    return origin + flat, hkl.astype(np.int64)


def _apart(one: FloatArray, other: FloatArray) -> float:
    return float(np.square(one - other).sum())
