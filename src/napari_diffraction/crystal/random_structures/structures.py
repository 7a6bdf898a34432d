"""Random crystal structures of each Bravais lattice, from near real chemistry to anything.

Half of the structures fill a random space group with a few or many orbits on random Wyckoff
positions; the other half are known structure types and ordered superstructures with other
elements, stretched cells and shifted atoms.  What spglib finds to be of another lattice is drawn
anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.random_structures.elements import (
    ANIONS,
    choose_elements,
    contacts,
    radius,
)
from napari_diffraction.crystal.random_structures.packing import Crowd, place
from napari_diffraction.crystal.random_structures.prototypes import Prototype, orderings, prototypes
from napari_diffraction.crystal.random_structures.pseudosymmetry import is_of_its_lattice
from napari_diffraction.crystal.random_structures.wyckoff import Wyckoff, wyckoff_positions
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
    points = kind.points + moves
    crowd = Crowd.of(kind.space_group, points, kind.freedom)
    counts = np.bincount(crowd.owners)
    usual = _usual_volume(species, counts)
    cell = cell.scaled(usual)
    clearance = crowd.clearance(cell, contacts(species))
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


@lru_cache(maxsize=14)
def _space_groups(lattice: str) -> tuple[int, ...]:
    return tuple(number for number in range(1, 231) if pearson(number) == lattice)


def _any_type(lattice: str, rng: np.random.Generator) -> Structure | None:
    """Fill a random space group; None where the atoms do not fit."""
    space_group = int(rng.choice(_space_groups(lattice)))
    positions = wyckoff_positions(space_group)
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
    points, clearance = place(space_group, cell, chosen, contacts(species), rng)
    if clearance < 0.4:
        return None
    volume = usual * max(rng.uniform(0.9, 1.2), (rng.uniform(0.78, 0.92) / clearance) ** 3)
    if volume > 1.7 * usual or not _sensible(volume, sum(counts)):
        return None
    return _assemble(space_group, cell.scaled(volume), points, species, rng)


def _choose_orbits(
    positions: tuple[Wyckoff, ...], target: float, most: int, rng: np.random.Generator
) -> list[Wyckoff]:
    """Draw Wyckoff positions until the cell holds about the target number of atoms."""
    bias = rng.uniform(0.0, 1.5)
    chosen: list[Wyckoff] = []
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


def _usual_volume(species: list[str], counts: Sequence[int] | NDArray[np.int64]) -> float:
    """Volume in A^3 that such atoms usually take: close packing, cations between anions."""
    number = np.array(counts, dtype=float)
    anion = np.array([element in ANIONS for element in species])
    if anion.all():
        anion[:] = False
    radii = np.array([radius(element) for element in species]) + 0.62 * anion
    hidden = 1 - 0.75 * min(1.0, number[anion].sum() / number[~anion].sum())
    return float(np.sum(5.66 * radii**3 * number * np.where(anion, 1.0, hidden)))


def _assemble(
    space_group: int,
    cell: UnitCell,
    points: FloatArray,
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
