"""Crystal structures: atoms in a conventional cell, and the symmetry that they have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import gemmi
import numpy as np
import spglib
from numba import njit
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.errors import InputError

FloatArray = NDArray[np.float64]

#: The eleven Laue groups, from the lowest to the highest symmetry.
LAUE_GROUPS = ("-1", "2/m", "mmm", "4/m", "4/mmm", "-3", "-3m", "6/m", "6/mmm", "m-3", "m-3m")

#: B in A^2 of an atom for which none is known.
DEFAULT_B = 0.5

#: Two images of a site closer than this (A) are one atom on a special position.
_SAME_SITE = 0.05

_HALF, _THIRD = 0.5, 1.0 / 3.0

#: Rows: vectors of a primitive cell in terms of the conventional one.
_PRIMITIVE = {
    "P": np.eye(3),
    "A": np.array([[1, 0, 0], [0, _HALF, -_HALF], [0, _HALF, _HALF]]),
    "C": np.array([[_HALF, -_HALF, 0], [_HALF, _HALF, 0], [0, 0, 1]]),
    "I": np.array([[-_HALF, _HALF, _HALF], [_HALF, -_HALF, _HALF], [_HALF, _HALF, -_HALF]]),
    "F": np.array([[0, _HALF, _HALF], [_HALF, 0, _HALF], [_HALF, _HALF, 0]]),
    "R": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) * _THIRD,
}
_SYSTEM_LETTER = {
    "triclinic": "a",
    "monoclinic": "m",
    "orthorhombic": "o",
    "tetragonal": "t",
    "trigonal": "h",
    "hexagonal": "h",
    "cubic": "c",
}


@dataclass(frozen=True, eq=False)
class Structure:
    """Every atom of a conventional unit cell.

    Attributes
    ----------
    name
        What people call it.
    cell
        Conventional cell in the standard setting: monoclinic with unique axis b, rhombohedral on
        hexagonal axes.  Its cartesian frame is ``cell.basis``.
    space_group
        Number from 1 to 230.
    species
        Element of every atom, n of them.
    positions : ndarray of float64, (n, 3)
        Fractional coordinates in [0, 1).
    occupancy : ndarray of float64, (n,)
        0 to 1.
    b_iso : ndarray of float64, (n,)
        Isotropic displacement parameter B in A^2.
    source
        Where cell and atoms were published.
    """

    name: str
    cell: UnitCell
    space_group: int
    species: tuple[str, ...]
    positions: FloatArray
    occupancy: FloatArray
    b_iso: FloatArray
    source: str = ""

    @property
    def lattice(self) -> str:
        """Pearson letters of the Bravais lattice that the space group says, for instance cF."""
        return pearson(self.space_group)

    @property
    def primitive_volume(self) -> float:
        """Volume of the primitive cell in A^3."""
        return self.cell.volume * abs(float(np.linalg.det(primitive_basis(self.space_group))))


@lru_cache(maxsize=230)
def pearson(space_group: int) -> str:
    """Pearson letters of the lattice of a space group from 1 to 230; A centring counts as C."""
    group = gemmi.find_spacegroup_by_number(space_group)
    centring = group.centring_type().replace("A", "C")
    return _SYSTEM_LETTER[group.crystal_system_str()] + centring


def laue_group(space_group: int) -> str:
    """Laue group of a space group from 1 to 230, one of `LAUE_GROUPS`."""
    return str(gemmi.find_spacegroup_by_number(space_group).laue_str())


@lru_cache(maxsize=230)
def reference_setting(space_group: int) -> str:
    """Extended symbol of the setting that International Tables take: of two origins the second."""
    settings = (one for one in gemmi.spacegroup_table() if one.number == space_group)
    return str(next(one for one in settings if one.is_reference_setting()).xhm())


@lru_cache(maxsize=256)
def operations(space_group: int, setting: str = "") -> tuple[FloatArray, FloatArray]:
    """Rotations (m, 3, 3) and translations (m, 3) of a space group, centring included.

    ``setting`` is an extended Hermann-Mauguin symbol; without it the setting is the one that gemmi
    takes for the number alone.
    """
    group = (
        gemmi.find_spacegroup_by_name(setting)
        if setting
        else gemmi.find_spacegroup_by_number(space_group)
    ).operations()
    rotations = np.array([op.rot for op in group.sym_ops], dtype=float) / gemmi.Op.DEN
    shifts = np.array([op.tran for op in group.sym_ops], dtype=float) / gemmi.Op.DEN
    centring = np.array(group.cen_ops, dtype=float) / gemmi.Op.DEN
    return (
        np.tile(rotations, (len(centring), 1, 1)),
        (centring[:, None, :] + shifts[None, :, :]).reshape(-1, 3) % 1.0,
    )


def primitive_basis(space_group: int) -> FloatArray:
    """Rows: vectors of a primitive cell in terms of the conventional one, shape (3, 3)."""
    return _PRIMITIVE[gemmi.find_spacegroup_by_number(space_group).centring_type()]


def expand(
    cell: UnitCell,
    space_group: int,
    sites: Iterable[Sequence[str | float]],
    name: str = "",
    source: str = "",
    setting: str = "",
) -> Structure:
    """Fill the conventional cell from the atoms of the asymmetric unit.

    Parameters
    ----------
    cell
        Conventional cell.
    space_group
        Number from 1 to 230.
    sites
        Rows ``(element, x, y, z[, occupancy[, B]])``; B in A^2.  A site within 0.05 A of a special
        position is moved onto it.  Sites of one element within 0.05 A, as of two of its ions, are
        one: their occupancies add up to 1 at most, and B is the mean.
    name, source
        Kept in the structure.
    setting
        As in `operations`; the atoms stay in this setting.

    Raises
    ------
    InputError
        Unknown element, or no site at all.
    """
    rotations, shifts = operations(space_group, setting)
    orbits: list[_Orbit] = []
    for symbol, x, y, z, *rest in sites:
        element = gemmi.Element(str(symbol)).name
        if element == "X":
            raise InputError(f"Unknown element '{symbol}' in {name or 'the structure'}.")
        occupancy, b_iso = (*map(float, rest), *(1.0, DEFAULT_B)[len(rest) :])
        point = np.array([x, y, z], dtype=float)
        images = orbit(rotations, shifts, point, cell.basis, _SAME_SITE)
        orbits.append(_Orbit(element, images, occupancy, b_iso))
    if not orbits:
        raise InputError(f"{name or 'The structure'} has no atoms.")
    orbits = _merged(orbits, cell.basis)
    counts = [len(one.images) for one in orbits]
    return Structure(
        name,
        cell,
        int(space_group),
        tuple(one.element for one in orbits for _ in one.images),
        np.concatenate([one.images for one in orbits]),
        np.repeat([one.occupancy for one in orbits], counts),
        np.repeat([one.b_iso for one in orbits], counts),
        source,
    )


@dataclass(eq=False)
class _Orbit:
    """The images of a site, (k, 3)."""

    element: str
    images: FloatArray
    occupancy: float
    b_iso: float


def _merged(orbits: list[_Orbit], basis: FloatArray) -> list[_Orbit]:
    """Make one of the orbits of one element that lie on each other."""
    alike: dict[tuple[str, int], list[_Orbit]] = {}
    for one in orbits:
        alike.setdefault((one.element, len(one.images)), []).append(one)
    merged = set()
    for group in alike.values():
        images = np.array([one.images for one in group])
        for i, one in enumerate(group[1:], start=1):
            away = images[:i] - one.images[0]
            distance = np.linalg.norm((away - np.rint(away)) @ basis, axis=-1).min(axis=-1)
            nearest = int(np.argmin(distance))
            if distance[nearest] < _SAME_SITE:
                same = group[nearest]
                both = same.occupancy + one.occupancy
                if both > 0:
                    same.b_iso += (one.b_iso - same.b_iso) * one.occupancy / both
                same.occupancy = min(both, 1.0)
                group[i] = same
                merged.add(id(one))
    return [one for one in orbits if id(one) not in merged]


def cell_of(basis: FloatArray) -> UnitCell:
    """Cell of a basis whose rows are a, b and c in A."""
    lengths = np.linalg.norm(basis, axis=1)
    unit = basis / lengths[:, None]
    cosines = [unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]
    return UnitCell(*lengths.tolist(), *np.degrees(np.arccos(cosines)).round(6).tolist())


@njit(cache=True)  # type: ignore[untyped-decorator]
def orbit(
    rotations: FloatArray,
    shifts: FloatArray,
    point: FloatArray,
    basis: FloatArray,
    tolerance: float,
) -> FloatArray:
    """All images of a point in the cell, (k, 3) in [0, 1), those closer than tolerance (A) merged.

    The point is first moved to the mean of its images within the tolerance, that is onto the
    special position beside it.
    """
    snapped = np.zeros(3)
    count = 0
    image = np.empty(3)
    delta = np.empty(3)
    for i in range(len(rotations)):
        for j in range(3):
            value = shifts[i, j]
            for k in range(3):
                value += rotations[i, j, k] * point[k]
            delta[j] = value - point[j]
            delta[j] -= np.round(delta[j])
        if _length(delta, basis) < tolerance:
            count += 1
            snapped += delta
    snapped = point + snapped / count
    found = np.empty((len(rotations), 3))
    n = 0
    for i in range(len(rotations)):
        for j in range(3):
            value = shifts[i, j]
            for k in range(3):
                value += rotations[i, j, k] * snapped[k]
            value -= np.floor(value)
            image[j] = 0.0 if value > 1 - 1e-9 else value
        new = True
        for m in range(n):
            for j in range(3):
                delta[j] = image[j] - found[m, j]
                delta[j] -= np.round(delta[j])
            if _length(delta, basis) < tolerance:
                new = False
                break
        if new:
            found[n] = image
            n += 1
    return found[:n]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _length(delta: FloatArray, basis: FloatArray) -> float:
    """Length in A of a vector in fractional coordinates."""
    total = 0.0
    for j in range(3):
        value = 0.0
        for k in range(3):
            value += delta[k] * basis[k, j]
        total += value * value
    return float(np.sqrt(total))


def primitive_atoms(structure: Structure) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """Lattice (3, 3), fractional positions (k, 3) and kinds (k,) of a primitive cell.

    Atoms of unlike element or occupancy are of unlike kind.
    """
    primitive = primitive_basis(structure.space_group)
    positions = structure.positions @ np.linalg.inv(primitive)
    codes: dict[tuple[str, float], int] = {}
    kinds = np.array(
        [
            codes.setdefault((element, round(float(occupancy), 3)), len(codes))
            for element, occupancy in zip(structure.species, structure.occupancy, strict=True)
        ]
    )
    kept = _unlike(positions, kinds)
    return primitive @ structure.cell.basis, positions[kept] % 1.0, kinds[kept]


@njit(cache=True)  # type: ignore[untyped-decorator]
def _unlike(positions: FloatArray, kinds: NDArray[np.int64]) -> NDArray[np.int64]:
    """Indices of the atoms that are no lattice translation of an earlier one."""
    kept = np.empty(len(positions), dtype=np.int64)
    n = 0
    for i in range(len(positions)):
        new = True
        for m in range(n):
            if kinds[kept[m]] != kinds[i]:
                continue
            worst = 0.0
            for j in range(3):
                delta = positions[i, j] - positions[kept[m], j]
                worst = max(worst, abs(delta - np.round(delta)))
            if worst < 1e-4:
                new = False
                break
        if new:
            kept[n] = i
            n += 1
    return kept[:n]


def find_symmetry(
    basis: FloatArray, positions: FloatArray, kinds: NDArray[np.int64], symprec: float
) -> spglib.SpglibDataset | None:
    """Ask spglib for the symmetry of atoms; None where it finds none.

    Rows of ``basis`` are the lattice vectors in A, ``positions`` are fractional, ``kinds`` are
    numbers that tell unlike atoms apart, and symprec is in A.
    """
    cell: Any = (basis, positions, kinds)  # spglib takes arrays but says sequences
    return spglib.get_symmetry_dataset(cell, symprec=symprec)


def spglib_number(structure: Structure, symprec: float = 0.02) -> int:
    """Space group number that spglib finds, 0 where it finds none; symprec in A."""
    dataset = find_symmetry(*primitive_atoms(structure), symprec)
    return 0 if dataset is None else int(dataset.number)


def spglib_lattice(structure: Structure, symprec: float = 0.02) -> str:
    """Pearson letters of the lattice that spglib finds, empty where it finds none.

    Parameters
    ----------
    structure
        The crystal.
    symprec
        Distance in A within which two atoms are taken for equivalent.
    """
    number = spglib_number(structure, symprec)
    return pearson(number) if number else ""
