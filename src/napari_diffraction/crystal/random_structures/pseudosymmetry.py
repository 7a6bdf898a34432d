"""Whether a structure has more symmetry than its space group says.

The same question as spglib's, answered some hundred times faster for the usual case: a lattice
without hidden translations, whose metric is no higher than its crystal system, is what it claims
to be.  Only the rest goes through spglib.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise, product

import gemmi
import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.crystal.structure import (
    Structure,
    find_symmetry,
    operations,
    pearson,
    primitive_atoms,
    primitive_basis,
    spglib_lattice,
)

FloatArray = NDArray[np.float64]

#: Atoms moved less than this (A) by an operation of the lattice count as symmetric.
_TOLERANCE = 0.05

#: The same for spglib, which is asked where the metric leaves a doubt.
_SYMPREC = 0.03

#: The same, where the lattice must show clearly in the intensities.
_CLEAR_TOLERANCE = 0.12

#: Obliquity in degrees up to which a metric may be of a higher system.
_MAX_OBLIQUITY = 1.5

#: Elements that differ by less than this share of the atomic number look alike.
_ALIKE = 0.15

#: Atoms with less than this share of the electrons of the cell do not show.
_UNSEEN = 0.12


#: Translations of halves and thirds are counted in this part of a cell edge.
_FINE = 6


def is_of_its_lattice(structure: Structure, clear: bool = False) -> bool:
    """Tell whether lattice and Laue group are those of the structure's space group.

    Parameters
    ----------
    structure
        The crystal.
    clear
        Also refuse a structure whose lattice shows only by small shifts, by elements of nearly
        equal atomic number, or by atoms that hardly scatter.
    """
    basis, positions, kinds = primitive_atoms(structure)
    identity = np.eye(3)
    positions, kinds = _rarest_first(positions, kinds)
    if _has_operation(identity, basis, positions, kinds, _TOLERANCE):
        return False
    if clear:
        seen = _visible_kinds(structure)
        kept = np.flatnonzero(seen[kinds] >= 0)
        if _has_operation(
            identity, basis, *_rarest_first(positions[kept], seen[kinds[kept]]), _CLEAR_TOLERANCE
        ):
            return False
    for rotation in _foreign_rotations(structure.space_group):
        if _has_operation(rotation, basis, positions, kinds, _TOLERANCE):
            return False
    lattice = structure.lattice
    if _metric_order(structure) > len(_holohedry(lattice)) // 2:
        return spglib_lattice(structure, _SYMPREC) == lattice
    return True


def hidden_ratio(structure: Structure, d_min: float = 0.6) -> float:
    """How strong the reflections are that tell the lattice from a simpler one.

    Translations that nearly map the structure onto itself hide its lattice if with them it were
    another one: rock salt with ordered vacancies looks like rock salt.  Of all such sets of
    translations the one counts whose strongest forbidden reflection is weakest.

    Parameters
    ----------
    structure
        The crystal.
    d_min
        Smallest plane spacing looked at, in A.

    Returns
    -------
    float
        Amplitude of that reflection in terms of the strongest one of all; 1 where no translations
        hide the lattice.  A metric that is nearly that of a higher lattice is not looked at.
    """
    table = reflectors(structure, count=100_000, d_min=d_min)
    primitive = primitive_basis(structure.space_group)
    hkl = np.rint(table.hkl @ primitive.T).astype(int)
    vectors = [
        np.array(v) * (_FINE // p) for p in (2, 3) for v in product(range(p), repeat=3) if any(v)
    ]
    broken = [hkl @ v % _FINE != 0 for v in vectors]
    ratios = np.array([table.u[b].max(initial=0.0) / table.u[0] for b in broken])
    for ratio in np.unique(ratios):
        translations = [v for v, r in zip(vectors, ratios, strict=True) if r <= ratio]
        if _lattice_with(translations, primitive @ structure.cell.basis) != structure.lattice:
            return float(ratio)
    return 1.0


def _lattice_with(translations: list[NDArray[np.int64]], basis: FloatArray) -> str:
    """Pearson letters of a lattice to which translations, in 1 / _FINE, are added."""
    points = {(0, 0, 0)}
    while True:
        more = {tuple(((np.array(p) + t) % _FINE).tolist()) for p in points for t in translations}
        if more <= points:
            break
        points |= more
    positions = np.array(sorted(points)) / _FINE
    dataset = find_symmetry(basis, positions, np.ones(len(points), dtype=np.int64), _SYMPREC)
    return pearson(int(dataset.number)) if dataset is not None else ""


def _metric_order(structure: Structure) -> int:
    """Number of proper rotations of the lattice's metric."""
    group = gemmi.find_spacegroup_by_number(structure.space_group)
    cell = gemmi.UnitCell(*structure.cell.parameters)
    return len(gemmi.find_lattice_symmetry(cell, group.centring_type(), _MAX_OBLIQUITY).sym_ops)


@lru_cache(maxsize=14)
def _holohedry(lattice: str) -> FloatArray:
    """Rotations of the point group of a lattice, proper and improper, (m, 3, 3)."""
    group = gemmi.find_spacegroup_by_name(BRAVAIS_LATTICES[lattice].space_group)
    return np.unique(operations(group.number)[0], axis=0)


@lru_cache(maxsize=230)
def _foreign_rotations(space_group: int) -> tuple[FloatArray, ...]:
    """Rotations of the lattice but not of the Laue group, in terms of the primitive cell."""
    to_conventional = primitive_basis(space_group).T
    own = operations(space_group)[0]
    laue = np.concatenate([own, -own])
    return tuple(
        np.linalg.inv(to_conventional) @ rotation @ to_conventional
        for rotation in _holohedry(pearson(space_group))
        if not np.any(np.all(np.isclose(laue, rotation), axis=(1, 2)))
    )


def _visible_kinds(structure: Structure) -> NDArray[np.int64]:
    """New kind of every kind of `primitive_atoms`: alike ones the same, unseen ones -1."""
    codes: dict[tuple[str, float], float] = {}
    for element, occupancy in zip(structure.species, structure.occupancy, strict=True):
        key = element, round(float(occupancy), 3)
        codes[key] = codes.get(key, 0.0) + gemmi.Element(element).atomic_number * float(occupancy)
    numbers = np.array([gemmi.Element(element).atomic_number * o for element, o in codes])
    electrons = np.array(list(codes.values()))
    seen = np.arange(len(numbers))
    order = np.argsort(numbers)
    for lower, upper in pairwise(order):
        if numbers[upper] - numbers[lower] < _ALIKE * numbers[upper]:
            seen[upper] = seen[lower]
    seen[electrons < _UNSEEN * electrons.sum()] = -1
    return seen


def _rarest_first(
    positions: FloatArray, kinds: NDArray[np.int64]
) -> tuple[FloatArray, NDArray[np.int64]]:
    """Sort the atoms by how many of their kind there are."""
    order = np.argsort(np.bincount(kinds)[kinds] * len(kinds) + kinds, kind="stable")
    return positions[order], kinds[order]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _has_operation(
    rotation: FloatArray,
    basis: FloatArray,
    positions: FloatArray,
    kinds: NDArray[np.int64],
    tolerance: float,
) -> bool:
    """Tell whether a rotation with some translation maps the atoms onto themselves.

    The identity counts with a translation only.  The rarest kind stands first.
    """
    n = len(positions)
    trivial = np.abs(rotation - np.eye(3)).max() < 1e-6
    moved = positions @ rotation.T
    for j in range(1 if trivial else 0, n):
        if kinds[j] != kinds[0]:
            break
        shift = positions[j] - moved[0]
        everyone = True
        for i in range(n):
            matched = False
            for m in range(n):
                if kinds[m] != kinds[i]:
                    continue
                total = 0.0
                d0 = moved[i, 0] + shift[0] - positions[m, 0]
                d1 = moved[i, 1] + shift[1] - positions[m, 1]
                d2 = moved[i, 2] + shift[2] - positions[m, 2]
                d0 -= np.round(d0)
                d1 -= np.round(d1)
                d2 -= np.round(d2)
                for k in range(3):
                    value = d0 * basis[0, k] + d1 * basis[1, k] + d2 * basis[2, k]
                    total += value * value
                if total < tolerance * tolerance:
                    matched = True
                    break
            if not matched:
                everyone = False
                break
        if everyone:
            return True
    return False
