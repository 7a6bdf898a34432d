"""What is found: unit cells with all that speaks for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import (
    PLACES,
    components,
    lattice_choices,
    probabilities,
    with_floor,
)
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reduction import primitive_cell
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.indexing.zones.hypotheses import Indexed
from napari_diffraction.indexing.zones.kernel import CUT
from napari_diffraction.indexing.zones.nets import ZoneNet

FloatArray = NDArray[np.float64]

#: Components of a metric of volume 1 are not known better than this: nets of zones tell a lattice
#: from one that it only resembles much better than bands of Kikuchi patterns do.
_FLOOR = 0.0007


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
    patterns_indexed
        Share of all patterns that were looked at, zones or not, which it indexes by more than
        chance, and the first cell of a phase better than another phase does; of the other cells by
        a hundred of the patterns.  ``None``: none was looked at.
    patterns_gain
        Logarithm of the odds of all these patterns by the cell over peaks anywhere, where above 0,
        summed up; of the first cell of a phase only.
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
    patterns_indexed: float | None = None
    patterns_gain: float | None = None

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
    lattice = _Lattice.of(
        reduced @ direct @ reduced.T,
        _reduced_covariance(indexed, direct, reduced) * max(excess, 1.0),
    )
    axes = lattice.axes
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
        **lattice.numbers,
        zones=tuple(sorted(zones, key=lambda zone: zone.net)),
        misfit=float(np.sqrt(np.mean(misfits**2))),
        evidence=indexed.evidence,
    )


def with_metric(solution: CellSolution, axes: FloatArray, covariance: FloatArray) -> CellSolution:
    """Return a solution whose metric is better known, with its lattice weighed anew.

    Parameters
    ----------
    solution
        What was known.
    axes : ndarray of float64, (3, 3)
        Its conventional axes, rows, in A, as they are known now.
    covariance : ndarray of float64, (6, 6)
        Of the components 11, 22, 33, 23, 13, 12 of their metric, in A^4.
    """
    centred = primitive_cell(solution.cell, solution.lattice)
    reduced = primitive_cell(cell_of(centred @ axes)) @ centred
    jacobian = np.array([components(reduced @ unit @ reduced.T) for unit in _units()]).T
    lattice = _Lattice.of(reduced @ axes @ axes.T @ reduced.T, jacobian @ covariance @ jacobian.T)
    change = lattice.axes.T @ reduced
    zones = []
    for zone in solution.zones:
        hkl = np.rint(np.array(zone.hkl) @ change.T).astype(int)
        axis = np.array(zone.uvw) @ np.linalg.inv(change)
        # the determinant makes indices of another centring whole
        uvw = _without_divisor(np.rint(axis * round(np.linalg.det(lattice.axes))).astype(int))
        zones.append(replace(zone, hkl=_pair(hkl), uvw=uvw))
    return replace(solution, zones=tuple(zones), **lattice.numbers)


@dataclass(frozen=True, eq=False)
class _Lattice:
    """What a metric says of its lattice.

    Attributes
    ----------
    axes : ndarray of float64, (3, 3)
        Columns: conventional axes in terms of the reduced ones.
    numbers
        Those fields of a `CellSolution` that follow from the metric.
    """

    axes: FloatArray
    numbers: dict[str, Any]

    @classmethod
    def of(cls, metric: FloatArray, spread: FloatArray) -> _Lattice:
        """Weigh the lattices of the metric of a reduced primitive cell with its covariance."""
        choices = lattice_choices(metric, spread, _FLOOR)
        choice = choices[0]
        axes = choice.to_conventional.astype(float)
        niggli_su, volume_su = _su(metric, with_floor(metric, spread, _FLOOR))
        times = float(np.linalg.det(axes))
        numbers = {
            "cell": choice.cell,
            "cell_su": choice.cell_su,
            "niggli": cell_of(_basis(metric)),
            "niggli_su": tuple(niggli_su.tolist()),
            "lattice": choice.pearson,
            "lattice_probabilities": probabilities(choices),
            "volume": choice.cell.volume,
            "volume_su": volume_su * times,
        }
        return cls(axes, numbers)


def _reduced_covariance(indexed: Indexed, direct: FloatArray, change: FloatArray) -> FloatArray:
    """Covariance of the direct metric's components after a change of basis."""
    jacobian = np.array(
        [components(-change @ direct @ unit @ direct @ change.T) for unit in _units()]
    ).T
    return np.asarray(jacobian @ indexed.covariance @ jacobian.T)


def _units() -> FloatArray:
    """Metrics with one component, in the order of `PLACES`, (6, 3, 3)."""
    units = np.zeros((6, 3, 3))
    for k, (i, j) in enumerate(PLACES):
        units[k, i, j] = units[k, j, i] = 1
    return units


def _su(metric: FloatArray, spread: FloatArray) -> tuple[FloatArray, float]:
    """Uncertainties of the parameters of a metric, (6,), and of its volume."""

    def parameters(one: FloatArray) -> FloatArray:
        return np.array([*cell_of(_basis(one)).parameters, np.sqrt(np.linalg.det(one))])

    step = 1e-5 * np.trace(metric) / 3
    jacobian = np.array(
        [
            (parameters(metric + step * unit) - parameters(metric - step * unit)) / (2 * step)
            for unit in _units()
        ]
    ).T
    su = np.sqrt(np.maximum(np.diag(jacobian @ spread @ jacobian.T), 0))
    return su[:6], float(su[6])


def _basis(metric: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.cholesky(metric), float)


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
