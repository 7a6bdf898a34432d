"""Which known material is it?  By its cell, and by which reflectors are strong.

A material is looked at when its lattice is that of the phase.  How well it fits is judged by the
cell, within its uncertainties, and by the correlation of the strengths of bands with the amplitudes
|U_g| of the material.  Bands that were clearly seen where it has none count against it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.crystal.reduction import CellMatch, matches
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.crystal.structure import operations
from napari_diffraction.crystal.symmetry import proper_rotations
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.solution import Candidate

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.indexing.solution import IndexedPhase

FloatArray = NDArray[np.float64]

#: Cells further apart than this (relative, and degrees) are not looked at.
_LENGTHS, _ANGLES = 0.05, 3.0
#: Shapes of cells are not known better than this (relative, and degrees), nor worse.
_LEAST, _MOST = (0.004, 0.3), (0.015, 1.0)
#: Uncertainty of the scale from half widths, relative.
_SCALE = 0.02
#: Worst deviation, in uncertainties, of a candidate.
_FARTHEST = 3.5
#: Families that lay so often in a frame have a strength, and so many are needed to compare.
_POSSIBLE, _FAMILIES = 3, 4
#: A band is clearly seen from this share on, and absent below this share of the greatest amplitude.
_SEEN, _ABSENT = 0.5, 0.02
#: What the cell alone is worth where reflectors cannot be compared.
_CELL_ALONE = 0.7


@dataclass(frozen=True, eq=False)
class _Family:
    """Planes that are equivalent in the lattice of the phase, and what was seen of them."""

    members: NDArray[np.int64]
    strength: float
    weight: float
    clear: bool


def rank_candidates(
    phase: IndexedPhase, structures: Mapping[str, Structure] | None = None, best: int = 8
) -> tuple[Candidate, ...]:
    """Rank known materials for a phase.

    Parameters
    ----------
    phase
        The phase, with its cell and reflectors.
    structures
        More materials, by name, besides the built-in ones.
    best
        Most candidates to return.

    Returns
    -------
    tuple of Candidate
        The best first; empty where no cell fits.
    """
    families = _families(phase)
    found = [
        candidate
        for name, structure in _known(structures)
        if (candidate := _candidate(name, structure, phase, families)) is not None
    ]
    return tuple(sorted(found, key=lambda one: -one.score)[:best])


def _known(structures: Mapping[str, Structure] | None) -> Iterator[tuple[str, Structure]]:
    """A person's own structures, and the built-in ones that have other names."""
    own = structures or {}
    yield from own.items()
    yield from ((name, MATERIALS[name]) for name in MATERIALS if name not in own)


def _candidate(
    name: str, structure: Structure, phase: IndexedPhase, families: list[_Family]
) -> Candidate | None:
    ways = matches(
        phase.cell, phase.lattice, structure.cell, structure.space_group, _LENGTHS, _ANGLES
    )
    ways = [way for way in ways if _deviation(way, phase) <= _FARTHEST]
    if not ways:
        return None
    nearest = ways[0]
    cell_misfit = nearest.shape + (abs(float(np.expm1(nearest.scale))) if phase.scale_known else 0)
    by_cell = np.exp(-(_deviation(nearest, phase) ** 2) / 4)
    if len(families) < _FAMILIES:
        return Candidate(name, float(by_cell * _CELL_ALONE), float(cell_misfit), float("nan"))
    try:
        amplitude = _amplitudes(structure)
    except InputError:  # an element without scattering factors
        return Candidate(name, float(by_cell * _CELL_ALONE), float(cell_misfit), float("nan"))
    best, misfit = 0.0, 1.0
    for way in _unlike(ways, structure):
        correlation, against = _agreement(way, families, amplitude)
        score = max(correlation, 0.0) * (1 - against) * np.exp(-(_deviation(way, phase) ** 2) / 4)
        if score >= best:
            best, misfit = float(score), 1 - correlation
    return Candidate(name, best, float(cell_misfit), float(misfit))


def _deviation(way: CellMatch, phase: IndexedPhase) -> float:
    """Largest deviation of a cell in uncertainties."""
    su = np.array(phase.cell_su)
    known = np.where(np.isfinite(su), su, 0)
    shape = np.clip((known[:3] / phase.cell.lengths).max(), _LEAST[0], _MOST[0])
    angle = np.clip(known[3:].max(), _LEAST[1], _MOST[1])
    worst = max(way.shape / shape, way.angle / angle)
    if phase.scale_known:
        worst = max(worst, abs(way.scale) / _SCALE)
    return float(worst)


def _unlike(ways: list[CellMatch], structure: Structure) -> list[CellMatch]:
    """Leave out ways that a symmetry of the structure turns into earlier ones."""
    rotations, _ = operations(structure.space_group)
    # Miller indices turn with the transposed matrices; a plane is also its own back.
    turns = np.unique(np.concatenate([rotations, -rotations]), axis=0).transpose(0, 2, 1)
    kept: list[CellMatch] = []
    seen: set[bytes] = set()
    for way in ways:
        key = (way.indices * 12).round().astype(np.int64)
        if key.tobytes() in seen:
            continue
        kept.append(way)
        seen |= {one.tobytes() for one in (turns @ way.indices * 12).round().astype(np.int64)}
    return kept


def _families(phase: IndexedPhase) -> list[_Family]:
    """The families of planes whose strength is known, with all their members."""
    in_axes = phase.cell.basis.T
    rotations = np.linalg.inv(in_axes) @ proper_rotations(phase.lattice, phase.cell) @ in_axes
    turns = rotations.round().astype(np.int64).transpose(0, 2, 1)
    return [
        _Family(
            np.unique(turns @ np.array(one.hkl), axis=0),
            one.strength,
            float(np.sqrt(one.possible)),
            one.seen >= _SEEN * one.possible,
        )
        for one in phase.reflectors
        if one.possible >= _POSSIBLE and np.isfinite(one.strength)
    ]


@lru_cache(maxsize=256)
def _amplitudes(structure: Structure) -> dict[tuple[int, ...], float]:
    """Amplitude of the strongest order of each direction, the greatest of all being 1."""
    table = reflectors(structure, count=600)
    found: dict[tuple[int, ...], float] = {}
    for hkl, u in zip(table.hkl, table.u / table.u.max(), strict=True):
        found.setdefault(_direction(hkl), float(u))  # the strongest come first
    return found


def _direction(hkl: NDArray[np.int64] | NDArray[np.int32]) -> tuple[int, ...]:
    """Indices without common divisor, the first that is not 0 being positive."""
    plain = hkl // np.gcd.reduce(np.abs(hkl))
    sign = plain[np.flatnonzero(plain)[0]]
    return tuple((plain if sign > 0 else -plain).tolist())


def _agreement(
    way: CellMatch, families: list[_Family], amplitude: dict[tuple[int, ...], float]
) -> tuple[float, float]:
    """Correlation of strengths and amplitudes, and the share of strength seen where none is."""
    wanted = np.empty(len(families))
    for place, family in enumerate(families):
        # in sixths, indices are whole whatever the centring
        planes = (family.members @ way.indices.T * 6).round().astype(np.int64)
        wanted[place] = np.mean([amplitude.get(_direction(plane), 0.0) for plane in planes])
    strength = np.array([family.strength for family in families])
    weight = np.array([family.weight for family in families])
    clear = np.array([family.clear for family in families])
    against = strength[clear & (wanted < _ABSENT)].sum() / max(strength.sum(), 1e-9)
    away = [values - np.average(values, weights=weight) for values in (strength, wanted)]
    spread = [np.average(one**2, weights=weight) for one in away]
    if min(spread) <= 1e-12:
        return 0.0, float(against)
    correlation = np.average(away[0] * away[1], weights=weight) / np.sqrt(spread[0] * spread[1])
    return float(correlation), float(against)
