"""Random crystal structures of each Bravais lattice, from near real chemistry to anything.

Half of the structures fill a random space group with a few or many orbits on random Wyckoff
positions; the other half are known structure types and ordered superstructures with other
elements, stretched cells and shifted atoms.  What spglib finds to be of another lattice is drawn
anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.elements import ANIONS, choose_elements, contacts, radius
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.prototypes import Prototype, orderings, prototypes
from napari_diffraction.crystal.pseudosymmetry import is_of_its_lattice
from napari_diffraction.crystal.structure import (
    Structure,
    operations,
    orbit,
    pearson,
    primitive_basis,
)
from napari_diffraction.errors import InputError

FloatArray = NDArray[np.float64]

#: Most atoms in the conventional and in the primitive cell.
MAX_ATOMS = 120
_MAX_PRIMITIVE = 60

#: Largest volume of a cell in A^3.
_MAX_VOLUME = 1900.0

#: Volumes of an atom in A^3 that occur.
_ATOM_VOLUMES = (5.5, 60.0)

#: Share of the structures whose lattice must show clearly in the intensities.
_CLEAR_SHARE = 0.85

_KNOWN_SHARE = 0.5
_SHIFTS = np.array(list(product((-1.0, 0.0, 1.0), repeat=3)))
_NO_SHIFT = np.zeros((1, 3))


@dataclass(frozen=True, eq=False)
class _Wyckoff:
    """Affine maps that send any point onto a special position of one multiplicity."""

    multiplicity: int
    matrices: FloatArray  # (k, 3, 3)
    offsets: FloatArray  # (k, 3)


def random_structure(lattice: str, rng: np.random.Generator) -> Structure:
    """Draw a structure whose Bravais lattice is the given one, as spglib confirms.

    Parameters
    ----------
    lattice
        Pearson letters, one of `napari_diffraction.crystal.lattice.BRAVAIS_LATTICES`.
    rng
        Source of randomness.

    Returns
    -------
    Structure
        At most 120 atoms in a conventional cell of some 10 to 1900 A^3.

    Raises
    ------
    InputError
        Unknown lattice.
    """
    if lattice not in BRAVAIS_LATTICES:
        raise InputError(f"Unknown lattice '{lattice}': use one of {', '.join(BRAVAIS_LATTICES)}.")
    known = rng.random() < _KNOWN_SHARE
    while True:
        structure = _known_type(lattice, rng) if known else _any_type(lattice, rng)
        if structure is not None and is_of_its_lattice(structure, rng.random() < _CLEAR_SHARE):
            return structure


def _known_type(lattice: str, rng: np.random.Generator) -> Structure | None:
    """Put random elements on a structure type; None where the atoms do not fit."""
    ordered = orderings().get(lattice, ())
    table = prototypes().get(lattice, ())
    share = len(table) / (len(table) + 8 * bool(ordered))
    types = table if rng.random() < share else ordered
    kind: Prototype = types[int(rng.integers(len(types)))]
    letters = sorted(set(kind.slots))
    n_anions = sum(letter in "XY" for letter in letters)
    cations, others = choose_elements(len(letters) - n_anions, n_anions, rng)
    elements = dict(zip(letters, cations + others, strict=True))
    species = [elements[slot] for slot in kind.slots]
    cell = _stretched(kind.cell, BRAVAIS_LATTICES[lattice].system, rng)
    size = rng.choice((0.003, 0.015, 0.03)) * (cell.volume / len(kind.points)) ** (1 / 3)
    moves = (kind.freedom @ rng.normal(0, size, (len(kind.points), 3, 1)))[..., 0] / cell.lengths
    points = list(kind.points + moves)
    rotations, shifts = operations(kind.space_group)
    counts = [len(orbit(rotations, shifts, point, cell.basis, 1e-3)) for point in points]
    usual = _usual_volume(species, counts)
    cell = cell.scaled(usual)
    clearance = _clearance(kind.space_group, cell, points, species)
    volume = usual * (rng.uniform(0.85, 1.0) / clearance) ** 3
    if not _sensible(volume, sum(counts)) or not 0.5 < volume / usual < 2.8:
        return None
    return _assemble(kind.space_group, cell.scaled(volume), points, species, rng, kind.name)


def _stretched(cell: UnitCell, system: str, rng: np.random.Generator) -> UnitCell:
    """Change the free parameters of a cell by a few per cent."""
    spread = rng.choice((0.01, 0.03, 0.06))
    a, b, c = np.exp(rng.normal(0, spread, 3)) * cell.lengths
    alpha, beta, gamma = cell.angles + rng.normal(0, 60 * spread, 3)
    if system == "cubic":
        return cell
    if system in ("tetragonal", "trigonal", "hexagonal"):
        return UnitCell(a, a * cell.b / cell.a, c, 90, 90, cell.gamma)
    if system == "orthorhombic":
        return UnitCell(a, b, c)
    if system == "monoclinic":
        return UnitCell(a, b, c, 90, beta, 90)
    return UnitCell(a, b, c, alpha, beta, gamma)


def _clearance(
    space_group: int, cell: UnitCell, points: list[FloatArray], species: list[str]
) -> float:
    """Smallest distance between atoms in terms of the usual one."""
    rotations, shifts = operations(space_group)
    usual = contacts(species)
    orbits = [orbit(rotations, shifts, point, cell.basis, 1e-3) for point in points]
    atoms = np.concatenate(orbits)
    kinds = np.repeat(np.arange(len(points)), [len(images) for images in orbits])
    neighbours = _NO_SHIFT if np.all(cell.angles == 90) else _SHIFTS
    worst = np.inf
    for i, point in enumerate(points):
        others = kinds > i
        _, room = _roomiest(
            point[None], rotations, shifts, cell.basis, neighbours, usual[i], atoms[others],
            kinds[others], usual[i, i],
        )  # fmt: skip
        worst = min(worst, room)
    return float(worst)


@lru_cache(maxsize=14)
def _space_groups(lattice: str) -> tuple[int, ...]:
    return tuple(number for number in range(1, 231) if pearson(number) == lattice)


def _any_type(lattice: str, rng: np.random.Generator) -> Structure | None:
    """Fill a random space group; None where the atoms do not fit."""
    space_group = int(rng.choice(_space_groups(lattice)))
    positions = _wyckoff(space_group)
    metals, anions = int(rng.choice(4, p=(0.0, 0.4, 0.42, 0.18))), int(rng.random() < 0.6)
    anions += int(anions and rng.random() < 0.15)
    cations, others = choose_elements(metals, anions, rng)
    elements = cations + others
    most = int(_MAX_PRIMITIVE / abs(np.linalg.det(primitive_basis(space_group))))
    target = np.exp(rng.uniform(np.log(1.0), np.log(min(MAX_ATOMS, most))))
    few = rng.random() < 0.5
    chosen = _choose_orbits(positions, target, 3 if few else 16, rng)
    kinds = np.arange(len(chosen)) % len(elements)
    if len(chosen) > len(elements):
        kinds[len(elements) :] = rng.integers(0, len(elements), len(chosen) - len(elements))
    rng.shuffle(kinds)
    species = [elements[kind] for kind in kinds]
    counts = [wyckoff.multiplicity for wyckoff in chosen]
    cell = _random_shape(BRAVAIS_LATTICES[lattice].system, rng)
    usual = _usual_volume(species, counts)
    cell = cell.scaled(usual)
    placed = _place(space_group, cell, chosen, species, rng)
    if placed is None:
        return None
    points, clearance = placed
    volume = usual * max(rng.uniform(0.9, 1.2), (rng.uniform(0.78, 0.92) / clearance) ** 3)
    if volume > 1.7 * usual or not _sensible(volume, sum(counts)):
        return None
    return _assemble(space_group, cell.scaled(volume), points, species, rng)


def _choose_orbits(
    positions: tuple[_Wyckoff, ...], target: float, most: int, rng: np.random.Generator
) -> list[_Wyckoff]:
    """Draw Wyckoff positions until the cell holds about the target number of atoms."""
    bias = rng.uniform(0.0, 1.5)
    chosen: list[_Wyckoff] = []
    total = 0
    while len(chosen) < most:
        fitting = [w for w in positions if total + w.multiplicity <= max(target, 1.0)]
        if not fitting:
            break
        weights = np.array([float(w.multiplicity) ** bias for w in fitting])
        chosen.append(fitting[int(rng.choice(len(fitting), p=weights / weights.sum()))])
        total += chosen[-1].multiplicity
    return chosen or [positions[0]]


def _sensible(volume: float, atoms: int) -> bool:
    return volume < _MAX_VOLUME and _ATOM_VOLUMES[0] < volume / atoms < _ATOM_VOLUMES[1]


def _random_shape(system: str, rng: np.random.Generator) -> UnitCell:
    """Draw a cell of any volume, now and then close to a higher metric."""
    near = rng.random() < 0.15
    spread = 0.05 if near else 0.45
    ratios = np.exp(np.clip(rng.normal(0, spread, 2), -1.1, 1.1))
    a, b, c = 1.0, float(ratios[0]), float(ratios[1])
    if system == "cubic":
        return UnitCell(1, 1, 1)
    if system == "tetragonal":
        return UnitCell(1, 1, c)
    if system in ("trigonal", "hexagonal"):
        return UnitCell(1, 1, c * float(rng.choice((1.0, 1.63, 2.5))), gamma=120)
    if system == "orthorhombic":
        b = float(np.sqrt(3.0) * b) if rng.random() < 0.1 else b
        return UnitCell(a, b, c)
    if system == "monoclinic":
        return UnitCell(a, b, c, beta=90 + float(rng.uniform(0.5, 3) if near else rng.gamma(3, 5)))
    angles = rng.normal(90, 3 if near else 11, 3).clip(62, 118)
    try:
        return UnitCell(a, b, c, *angles.tolist())
    except InputError:
        return UnitCell(a, b, c, 85, 95, 100)


def _usual_volume(species: list[str], counts: list[int]) -> float:
    """Volume in A^3 that such atoms usually take: close packing, cations between anions."""
    number = np.array(counts, dtype=float)
    anion = np.array([element in ANIONS for element in species])
    if anion.all():
        anion[:] = False
    radii = np.array([radius(element) for element in species]) + 0.62 * anion
    hidden = 1 - 0.75 * min(1.0, number[anion].sum() / number[~anion].sum())
    return float(np.sum(5.66 * radii**3 * number * np.where(anion, 1.0, hidden)))


def _place(
    space_group: int,
    cell: UnitCell,
    chosen: list[_Wyckoff],
    species: list[str],
    rng: np.random.Generator,
) -> tuple[list[FloatArray], float] | None:
    """Set every orbit where it has the most room among a few random points.

    Returns the points and the smallest distance in terms of the usual one, or None where two
    orbits fall together.
    """
    rotations, shifts = operations(space_group)
    usual = contacts(species)
    atoms = np.empty((sum(w.multiplicity for w in chosen), 3))
    kinds = np.empty(len(atoms), dtype=np.int64)
    neighbours = _NO_SHIFT if np.all(cell.angles == 90) else _SHIFTS
    filled, worst = 0, np.inf
    points = []
    for kind, wyckoff in enumerate(chosen):
        picks = rng.integers(0, len(wyckoff.matrices), 12)
        tries = wyckoff.matrices[picks] @ rng.random((len(picks), 3, 1))
        candidates = tries[..., 0] + wyckoff.offsets[picks]
        best, room = _roomiest(
            candidates, rotations, shifts, cell.basis, neighbours, usual[kind], atoms[:filled],
            kinds[:filled], usual[kind, kind],
        )  # fmt: skip
        if room < 0.35:
            return None
        images = orbit(rotations, shifts, candidates[best], cell.basis, 1e-3)
        atoms[filled : filled + len(images)] = images
        kinds[filled : filled + len(images)] = kind
        filled += len(images)
        worst = min(worst, room)
        points.append(candidates[best])
    return points, worst


@njit(cache=True)
def _roomiest(
    candidates: FloatArray,
    rotations: FloatArray,
    shifts: FloatArray,
    basis: FloatArray,
    neighbours: FloatArray,
    usual: FloatArray,
    atoms: FloatArray,
    kinds: NDArray[np.int64],
    own: float,
) -> tuple[int, float]:
    """Index and clearance of the candidate that is farthest from atoms and its own images.

    The clearance is the smallest distance in terms of the usual distance of the two elements.
    """
    best, most = 0, -1.0
    shortest = 1e9
    for j in range(3):
        shortest = min(shortest, np.sqrt(np.sum(basis[j] ** 2)))
    image = np.empty(3)
    for i in range(len(candidates)):
        room = shortest / own
        for m in range(len(atoms)):
            distance = _distance(candidates[i], atoms[m], basis, neighbours, 0.0)
            room = min(room, distance / usual[kinds[m]])
            if room < most:
                break
        for m in range(len(rotations)):
            if room < most:
                break
            for j in range(3):
                image[j] = shifts[m, j]
                for k in range(3):
                    image[j] += rotations[m, j, k] * candidates[i, k]
            distance = _distance(candidates[i], image, basis, neighbours, 1e-3)
            room = min(room, distance / own)
        if room > most:
            best, most = i, room
    return best, most


@njit(cache=True)
def _distance(
    first: FloatArray, second: FloatArray, basis: FloatArray, neighbours: FloatArray, least: float
) -> float:
    """Shortest distance in A between lattice images of two points that is at least `least`."""
    shortest = 1e9
    for n in range(len(neighbours)):
        x, y, z = 0.0, 0.0, 0.0
        for j in range(3):
            delta = first[j] - second[j]
            delta += neighbours[n, j] - np.round(delta)
            x += delta * basis[j, 0]
            y += delta * basis[j, 1]
            z += delta * basis[j, 2]
        squared = x * x + y * y + z * z
        if squared < shortest and squared >= least * least:
            shortest = squared
    return float(np.sqrt(shortest))


def _assemble(
    space_group: int,
    cell: UnitCell,
    points: list[FloatArray],
    species: list[str],
    rng: np.random.Generator,
    name: str = "random",
) -> Structure:
    rotations, shifts = operations(space_group)
    orbits = [orbit(rotations, shifts, point, cell.basis, 1e-3) for point in points]
    counts = [len(images) for images in orbits]
    everyone = [element for element, n in zip(species, counts, strict=True) for _ in range(n)]
    b_iso = np.repeat(rng.uniform(0.2, 1.2) * rng.uniform(0.7, 1.4, len(points)), counts)
    return Structure(
        name,
        cell,
        space_group,
        tuple(everyone),
        np.concatenate(orbits),
        np.ones(len(everyone)),
        b_iso.clip(0.2, 1.2),
    )


@lru_cache(maxsize=230)
def _wyckoff(space_group: int) -> tuple[_Wyckoff, ...]:
    """Special and general positions of a space group, by multiplicity.

    Every special position is fixed by a rotation or mirror, or is a point; and each of them passes
    through a point whose coordinates are multiples of 1/8 or 1/12.
    """
    rotations, shifts = operations(space_group)
    steps = np.unique(np.concatenate([np.arange(8) / 8, np.arange(12) / 12]))
    grid = np.array(list(product(steps, repeat=3)))
    maps = {_key(np.eye(3), np.zeros(3)): (np.eye(3), np.zeros(3))}
    moved = np.einsum("mij,nj->nmi", rotations, grid) + shifts
    fixed = np.all(np.abs(moved - grid[:, None] - np.round(moved - grid[:, None])) < 1e-6, axis=2)
    cyclic = np.array([_cyclic_mean(rotation) for rotation in rotations])
    _, groups = np.unique(fixed, axis=0, return_inverse=True)
    for group in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups.ravel() == group)
        stabiliser = np.flatnonzero(fixed[members[0]])
        if len(stabiliser) == 1:
            continue
        means = [rotations[stabiliser].mean(axis=0), *cyclic[stabiliser]]
        means = [mean for mean in means if abs(np.trace(mean) - 3) > 1e-6]
        for point in grid[members[:24]]:
            for mean in means:
                offset = point - mean @ point
                maps.setdefault(_key(mean, offset), (mean, offset))
    return _by_multiplicity(list(maps.values()), rotations, shifts)


def _cyclic_mean(rotation: FloatArray) -> FloatArray:
    """Mean of the powers of a rotation: the projection on what it leaves alone."""
    powers = [rotation]
    while not np.allclose(powers[-1], np.eye(3)):
        powers.append(powers[-1] @ rotation)
    return np.asarray(np.mean(powers, axis=0))


def _key(matrix: FloatArray, offset: FloatArray) -> tuple[int, ...]:
    return tuple(np.rint(240 * np.append(matrix.ravel(), offset % 1.0)).astype(int).tolist())


def _by_multiplicity(
    maps: list[tuple[FloatArray, FloatArray]], rotations: FloatArray, shifts: FloatArray
) -> tuple[_Wyckoff, ...]:
    """Sort the maps by the multiplicity and the freedom of their positions."""
    generic = np.array([0.1234, 0.2718, 0.3779])
    sorted_maps: dict[tuple[int, int], list[tuple[FloatArray, FloatArray]]] = {}
    for matrix, offset in maps:
        images = orbit(rotations, shifts, matrix @ generic + offset, np.eye(3), 1e-4)
        key = len(images), round(float(np.trace(matrix)))
        sorted_maps.setdefault(key, []).append((matrix, offset))
    return tuple(
        _Wyckoff(key[0], np.array([m for m, _ in group]), np.array([v for _, v in group]))
        for key, group in sorted(sorted_maps.items(), key=lambda item: item[0])
    )
