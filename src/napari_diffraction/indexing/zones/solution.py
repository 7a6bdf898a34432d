"""What is found: unit cells with all that speaks for them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import PLACES, probabilities
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reduction import primitive_cell
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.indexing.zones.hypotheses import Indexed
from napari_diffraction.indexing.zones.kernel import CUT
from napari_diffraction.indexing.zones.lattices import (
    components,
    constrained,
    weigh_lattices,
)
from napari_diffraction.indexing.zones.nets import ZoneNet

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ExplainedZone:
    """A net as a zone of a crystal.

    Attributes
    ----------
    net
        Its number among the nets that were given.
    uvw
        Zone axis in the conventional cell.
    hkl : tuple of two tuples
        Indices of the net's two vectors in the conventional cell.
    misfit
        Root mean square of the relative deviations of its lengths and that of its angle in radians.
    """

    net: int
    uvw: tuple[int, int, int]
    hkl: tuple[tuple[int, int, int], tuple[int, int, int]]
    misfit: float


@dataclass(frozen=True, eq=False)
class CellSolution:
    """A unit cell that may explain the nets.

    Attributes
    ----------
    cell
        Conventional cell of the most probable Bravais lattice, in A.
    cell_su
        Standard uncertainties of its lengths and angles; 0 where the lattice fixes them.
    niggli
        Niggli's reduced primitive cell.
    niggli_su
        Its standard uncertainties.
    lattice
        Pearson letters of the most probable Bravais lattice.
    lattice_probabilities
        Of all 14 lattices.
    volume, volume_su
        Of the conventional cell, in A^3.
    zones
        The nets that it explains.
    misfit
        Root mean square of theirs.
    evidence
        Logarithm of the probability of the nets if this is the cell, over that if they are of
        anything; by it cells are ranked.
    supercell_of
        Place, in the ranking, of a better cell of which this one is a multiple; ``None`` if of
        none.
    """

    cell: UnitCell
    cell_su: tuple[float, ...]
    niggli: UnitCell
    niggli_su: tuple[float, ...]
    lattice: str
    lattice_probabilities: dict[str, float]
    volume: float
    volume_su: float
    zones: tuple[ExplainedZone, ...]
    misfit: float
    evidence: float
    supercell_of: int | None = None

    @property
    def zones_explained(self) -> int:
        """Number of nets that the cell explains."""
        return len(self.zones)


def describe(indexed: Indexed, nets: list[ZoneNet], groups: list[list[int]]) -> CellSolution:
    """Make a solution of a lattice that explains nets.

    Parameters
    ----------
    indexed
        The lattice, and the nets as indexed by it.
    nets
        The different nets.
    groups
        The numbers of the nets that each of them stands for.
    """
    explained = np.flatnonzero(indexed.chi <= CUT)
    excess = float(indexed.chi[explained].sum()) / max(3 * len(explained) - 6, 1)
    direct = np.asarray(np.linalg.inv(indexed.metric), float)
    reduced = primitive_cell(cell_of(_basis(direct)))
    metric = reduced @ direct @ reduced.T
    spread = _reduced_covariance(indexed, direct, reduced) * max(excess, 1.0)
    choices = weigh_lattices(metric, spread)
    choice = choices[0]
    axes = choice.to_conventional.astype(float)
    symmetric, narrow = constrained(metric, spread, choice.operations)
    cell, su, volume_su = _cell_with_su(axes.T, symmetric, narrow)
    su = np.where(np.array(choice.cell_su) == 0, 0.0, su)
    _, niggli_su, _ = _cell_with_su(np.eye(3), metric, spread)
    to_cell = axes.T @ reduced
    zones = []
    for k in explained:
        hkl = np.rint(indexed.pairs[k] @ to_cell.T).astype(int)
        axis = np.cross(*indexed.pairs[k]) @ np.linalg.inv(to_cell) * round(np.linalg.det(axes))
        uvw = _without_divisor(np.rint(axis).astype(int))
        misfit = _misfit(indexed.pairs[k], indexed.metric, nets[k])
        zones += [ExplainedZone(i, uvw, _pair(hkl), misfit) for i in groups[k]]
    misfits = np.array([zone.misfit for zone in zones])
    return CellSolution(
        UnitCell(*_snapped(cell, choice.cell_su)),
        tuple(su.tolist()),
        cell_of(_basis(metric)),
        tuple(niggli_su.tolist()),
        choice.pearson,
        probabilities(choices),
        UnitCell(*cell).volume,
        volume_su,
        tuple(sorted(zones, key=lambda zone: zone.net)),
        float(np.sqrt(np.mean(misfits**2))),
        indexed.evidence,
    )


def _reduced_covariance(indexed: Indexed, direct: FloatArray, change: FloatArray) -> FloatArray:
    """Covariance of the direct metric's components after a change of basis."""
    jacobian = np.zeros((6, 6))
    for column, (i, j) in enumerate(PLACES):
        unit = np.zeros((3, 3))
        unit[i, j] = unit[j, i] = 1
        moved = -change @ direct @ unit @ direct @ change.T
        jacobian[:, column] = components(moved)
    return np.asarray(jacobian @ indexed.covariance @ jacobian.T)


def _cell_with_su(
    axes: FloatArray, metric: FloatArray, spread: FloatArray
) -> tuple[FloatArray, FloatArray, float]:
    """Cell of some axes (rows), the uncertainties of its parameters and of its volume."""

    def parameters(one: FloatArray) -> FloatArray:
        moved = axes @ one @ axes.T
        lengths = np.sqrt(np.diag(moved))
        cosines = [moved[i, j] / (lengths[i] * lengths[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
        volume = np.sqrt(np.linalg.det(moved))
        return np.array([*lengths, *np.degrees(np.arccos(np.clip(cosines, -1, 1))), volume])

    step = 1e-5 * np.trace(metric) / 3
    jacobian = np.zeros((7, 6))
    for column, (i, j) in enumerate(PLACES):
        unit = np.zeros((3, 3))
        unit[i, j] = unit[j, i] = step
        jacobian[:, column] = (parameters(metric + unit) - parameters(metric - unit)) / (2 * step)
    su = np.sqrt(np.maximum(np.diag(jacobian @ spread @ jacobian.T), 0))
    return parameters(metric)[:6], su[:6], float(su[6])


def _basis(metric: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.cholesky(metric), float)


def _snapped(cell: FloatArray, fixed: tuple[float, ...]) -> list[float]:
    """Angles that the lattice fixes, without rounding errors."""
    return [
        float(round(value) if su == 0 and place > 2 else value)
        for place, (value, su) in enumerate(zip(cell, fixed, strict=True))
    ]


def _misfit(pair: NDArray[np.int64], metric: FloatArray, net: ZoneNet) -> float:
    products = pair @ metric @ pair.T
    lengths = np.sqrt(np.diag(products))
    angle = np.arccos(np.clip(products[0, 1] / lengths.prod(), -1, 1))
    away = (
        lengths[0] / net.first - 1,
        lengths[1] / net.second - 1,
        angle - np.radians(net.angle),
    )
    return float(np.sqrt(np.mean(np.square(away))))


def _without_divisor(uvw: NDArray[np.int64]) -> tuple[int, int, int]:
    uvw = uvw // max(int(np.gcd.reduce(uvw)), 1)
    if next((value for value in uvw if value), 0) < 0:
        uvw = -uvw
    return int(uvw[0]), int(uvw[1]), int(uvw[2])


def _pair(hkl: NDArray[np.int64]) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    (a, b, c), (d, e, f) = hkl.tolist()
    return (a, b, c), (d, e, f)
