"""From nets to unit cells, ranked, with a second phase from the nets left over."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.reduction import primitive_cell
from napari_diffraction.crystal.structure import cell_of
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.hypotheses import (
    Indexed,
    Observations,
    index_nets,
    propose,
    refine_many,
)
from napari_diffraction.indexing.zones.kernel import CUT, NOTHING
from napari_diffraction.indexing.zones.multiples import related_metrics, with_multiples
from napari_diffraction.indexing.zones.nets import ZoneNet, distinct, mean_net
from napari_diffraction.indexing.zones.solution import CellSolution, describe
from napari_diffraction.progress import Progress

FloatArray = NDArray[np.float64]

#: Fewest different nets from which a cell can be found.
FEWEST = 3
#: Different nets that the search looks at; the others are indexed by what it finds.
_SEARCHED = 16
#: Cells that are kept, and of how many sub- and superlattices are tried.
KEPT, _RELATED = 10, 4
#: Lattices of the search among which different ones are sought; they are alike if so many of their
#: shortest vectors have the same lengths within this share.
_LOOKED_AT, _SHORTEST, _ALIKE = 300, 13, 0.02
#: Share of the nets that the best cell of one phase explains; below it two phases are thought of.
_MOST_OF_THEM = 0.6
#: Evidence from which a further phase is believed.
_BELIEVED = 6.0
#: Most phases.
_PHASES = 3
#: Volumes may lie this part outside of the limits given.
_MARGIN = 0.03


@dataclass(frozen=True, eq=False)
class CellsFound:
    """Cells of a set of nets.

    Attributes
    ----------
    phases
        For each phase its candidates, best first; the first phase explains most nets.
    left_over
        Numbers of the nets that no phase explains.
    volumes
        Least and greatest volume of the primitive cell in A^3 that were asked for.
    """

    phases: tuple[tuple[CellSolution, ...], ...]
    left_over: tuple[int, ...]
    volumes: tuple[float, float] | None = None

    def allows(self, cell: CellSolution) -> bool:
        """Whether the volume of a cell is within what was asked for, and its uncertainty."""
        return bool(_within(cell.niggli.volume, self.volumes))


def find_cells(
    nets: Sequence[ZoneNet],
    volumes: tuple[float, float] | None = None,
    *,
    most: int = KEPT,
    phases: int = _PHASES,
) -> Generator[Progress, None, CellsFound]:
    """Find the unit cells that explain nets of zones.

    Parameters
    ----------
    nets
        One a pattern; some may be wrong or of another phase.
    volumes
        Least and greatest volume of the primitive cell in A^3; ``None``: any.
    most
        Candidates of each phase.
    phases
        Most phases that are sought.

    Yields
    ------
    Progress
        Before each phase.

    Returns
    -------
    CellsFound
        Without phases if no cell explains three different nets.

    Raises
    ------
    InputError
        There are fewer than three different nets, or the range of volumes is empty.
    """
    if volumes is not None and not 0 < volumes[0] < volumes[1]:
        raise InputError(
            f"No cell has a volume from {volumes[0]:g} to {volumes[1]:g} A^3: give the least and "
            "the greatest one."
        )
    groups = distinct(nets)
    if len(groups) < FEWEST:
        raise InputError(
            f"The zones show {len(groups)} different net{'s' if len(groups) != 1 else ''}, but a "
            f"unit cell needs at least {FEWEST}: sort more patterns, or give more zones by hand."
        )
    found: list[tuple[CellSolution, ...]] = []
    for phase in range(phases):
        yield Progress(phase, phases, "Searching cells")
        if len(groups) < FEWEST:
            break
        cells = _search(nets, groups, volumes, most)
        if not cells or (found and cells[0].evidence < _BELIEVED):
            break
        found.append(tuple(cells))
        explained = {zone.net for zone in cells[0].zones}
        groups = [group for group in groups if not explained.intersection(group)]
    return CellsFound(tuple(found), tuple(sorted(i for group in groups for i in group)), volumes)


def _within(volume: Any, volumes: tuple[float, float] | None) -> Any:
    if volumes is None:
        return volume > 0
    return (volume > (1 - _MARGIN) * volumes[0]) & (volume < (1 + _MARGIN) * volumes[1])


def _search(
    nets: Sequence[ZoneNet],
    groups: list[list[int]],
    volumes: tuple[float, float] | None,
    most: int,
) -> list[CellSolution]:
    """Candidates of one phase, best first."""
    means = [mean_net([nets[i] for i in group]) for group in groups]
    # nets seen more than once are trusted more, small ones tell more
    order = sorted(range(len(means)), key=lambda i: (len(groups[i]) < 2, means[i].second))
    few = [means[i] for i in order[:_SEARCHED]]
    every = Observations.of(means)
    indexed = _indexed(few, every, volumes, most)
    counts = np.array([len(group) for group in groups])
    if not indexed or counts[indexed[0].chi <= CUT].sum() < _MOST_OF_THEM * counts.sum():
        # the nets that the search started from may be of two phases
        indexed += _indexed(few, every, volumes, most, mixed=True)
    indexed.sort(key=lambda one: -one.evidence)
    kept = _different(
        np.array([one.evidence for one in indexed]),
        np.array([one.metric for one in indexed]).reshape(-1, 3, 3),
        most,
    )
    cells = [describe(indexed[i], means, groups) for i in kept]
    return with_multiples([cell for cell in cells if _within(cell.niggli.volume, volumes)])


def _indexed(
    few: Sequence[ZoneNet],
    every: Observations,
    volumes: tuple[float, float] | None,
    most: int,
    *,
    mixed: bool = False,
) -> list[Indexed]:
    """Lattices that some nets suggest, as they explain all; see `propose`."""
    evidence, metrics = propose(few, volumes, mixed=mixed)
    kept = metrics[_different(evidence, metrics, _RELATED)]
    related = [near for metric in kept for near in related_metrics(metric)]
    if related:
        more = np.concatenate([kept, np.array(related)])
        further = refine_many(more, Observations.of(few))
        evidence, metrics = np.append(evidence, further), np.concatenate([metrics, more])
    inside = _within(1 / np.sqrt(np.maximum(np.linalg.det(metrics), 1e-30)), volumes)
    evidence, metrics = evidence[inside], metrics[inside]
    found = [index_nets(metrics[i], every) for i in _different(evidence, metrics, most)]
    return [
        one for one in found if one.evidence > NOTHING and int((one.chi <= CUT).sum()) >= FEWEST
    ]


def _different(evidence: FloatArray, metrics: FloatArray, most: int) -> list[int]:
    """Places of the best metrics of different lattices, best first."""
    kept: list[int] = []
    known = np.zeros((0, _SHORTEST))
    volumes = 1 / np.sqrt(np.maximum(np.linalg.det(metrics), 1e-30))
    # the same lattice comes a hundred times, in other bases and with the same two numbers
    keys = np.round(np.column_stack([evidence / 0.01, np.log(volumes) / 2e-4]))
    order = np.argsort(-evidence, kind="stable")
    order = order[evidence[order] > NOTHING]
    _, first = np.unique(keys[order], axis=0, return_index=True)
    for place in order[np.sort(first)[:_LOOKED_AT]].tolist():
        if len(kept) >= most:
            break
        own = _shortest(np.linalg.inv(metrics[place]))
        if np.any(np.abs(known / own - 1).max(axis=1) < _ALIKE):
            continue
        kept.append(place)
        known = np.vstack([known, own])
    return kept


def _shortest(metric: FloatArray) -> FloatArray:
    """Lengths of the shortest vectors of a lattice, which know no basis, rising."""
    cell = cell_of(np.asarray(np.linalg.cholesky(metric), float))
    basis = primitive_cell(cell) @ cell.basis
    return np.sort(np.linalg.norm(_near_origin() @ basis, axis=1))[:_SHORTEST]


@lru_cache(maxsize=1)
def _near_origin() -> FloatArray:
    """Indices of the vectors next to the origin, one of +-, (62, 3)."""
    every = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    return every[63:].astype(float)
