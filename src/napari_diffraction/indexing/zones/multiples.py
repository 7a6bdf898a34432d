"""Multiples and parts of lattices: which there are, which a cell is of, which the peaks show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import PLACES, components
from napari_diffraction.crystal.reduction import cells_alike, primitive_cell
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.indexing.hermite import sublattices
from napari_diffraction.indexing.zones.solution import CellSolution, ExplainedZone, with_metric

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Share of the peaks on a part of the reciprocal lattice from which the rest is thought empty.
_EMPTY = 0.85
#: Volumes of cells that are alike do not differ by more than this (relative).
_VOLUMES = 0.06
#: Indices of parts that are looked at.
_PARTS = (3, 2)


def related_metrics(metric: FloatArray, indices: Sequence[int] = (2, 3)) -> list[FloatArray]:
    """Metrics of the sub- and superlattices of some indices of a reciprocal lattice."""
    out = []
    for index in indices:
        for change in sublattices(index):
            finer = np.linalg.inv(change)
            out += [change @ metric @ change.T, finer.T @ metric @ finer]
    return out


def with_multiples(cells: Sequence[CellSolution]) -> list[CellSolution]:
    """Cells, the best first, that know of which better one they are a multiple."""
    return [
        replace(cell, supercell_of=multiple_of(cell, cells[:place]))
        for place, cell in enumerate(cells)
    ]


def multiple_of(cell: CellSolution, better: Sequence[CellSolution]) -> int | None:
    """Place of a better cell of which this one is a multiple; ``None`` if of none."""
    for place, other in enumerate(better):
        ratio = cell.niggli.volume / other.niggli.volume
        times = round(ratio)
        if not 2 <= times <= 4 or abs(ratio / times - 1) > _VOLUMES:
            continue
        if any(
            cells_alike(cell_of(change @ other.niggli.basis), cell.niggli)
            for change in sublattices(times)
        ):
            return place
    return None


def part_shown(solution: CellSolution, hkl: IntArray) -> FloatArray | None:
    """Return the part of a reciprocal lattice on which nearly all peaks lie.

    Parameters
    ----------
    solution
        The lattice.
    hkl : ndarray of int64, (n, 3)
        Indices of peaks in its conventional cell.

    Returns
    -------
    ndarray of float64, (3, 3) or None
        Basis of the part in terms of the primitive reciprocal axes; ``None``: peaks need them all.
    """
    primitive = hkl @ primitive_cell(solution.cell, solution.lattice).T
    for times in _PARTS:
        shares = [_whole(primitive @ np.linalg.inv(one)).mean() for one in sublattices(times)]
        if len(hkl) and max(shares) > _EMPTY:
            return sublattices(times)[int(np.argmax(shares))]
    return None


def part_of(
    solution: CellSolution, change: FloatArray, axes: FloatArray, covariance: FloatArray
) -> CellSolution:
    """Return the smaller cell that a part of the reciprocal lattice has.

    Its evidence is that of the multiple; zones that it cannot explain are left out.

    Parameters
    ----------
    solution
        The multiple.
    change
        See `part_shown`.
    axes, covariance
        Of the multiple, see `napari_diffraction.indexing.zones.solution.with_metric`.
    """
    to_primitive = primitive_cell(solution.cell, solution.lattice)
    smaller = np.linalg.inv(change).T @ to_primitive
    units = np.zeros((6, 3, 3))
    for k, (i, j) in enumerate(PLACES):
        units[k, i, j] = units[k, j, i] = 1
    jacobian = np.array([components(smaller @ unit @ smaller.T) for unit in units]).T
    zones = []
    for zone in solution.zones:
        pair = np.array(zone.hkl) @ smaller.T
        if _whole(pair).all():
            zones.append(_zone(zone, pair))
    own = smaller @ axes
    bare = replace(solution, cell=cell_of(own), lattice="aP", zones=tuple(zones))
    return with_metric(bare, own, jacobian @ covariance @ jacobian.T)


def _zone(zone: ExplainedZone, pair: FloatArray) -> ExplainedZone:
    (a, b, c), (d, e, f) = np.rint(pair).astype(int).tolist()
    u, v, w = np.cross((a, b, c), (d, e, f)).tolist()
    return replace(zone, hkl=((a, b, c), (d, e, f)), uvw=(u, v, w))


def _whole(indices: FloatArray) -> NDArray[np.bool_]:
    return np.asarray(np.abs(indices - np.rint(indices)).max(axis=-1) < 1e-6)
