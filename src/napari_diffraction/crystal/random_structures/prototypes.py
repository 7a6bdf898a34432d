"""Structure types from which random structures near real chemistry are made.

A table of common types, and ordered arrangements of two metals on close-packed and body-centred
lattices with or without interstitial anions, sorted by the lattice that spglib finds.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
import spglib
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import cell_of, find_symmetry, operations, orbit, pearson

FloatArray = NDArray[np.float64]

#: Number of random orderings looked at, and the most that are kept for one lattice.
_ORDERINGS = 2000
_MOST_KEPT = 150

_FCC = np.array([[0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
_BCC = np.array([[-0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.5, 0.5, -0.5]])
_HCP = np.array([[0.5, -np.sqrt(0.75), 0], [0.5, np.sqrt(0.75), 0], [0, 0, 1.63]])

#: Parents: lattice, atoms, and the interstitial site of an anion if it has one.
_PARENTS = (
    (_FCC, [[0.0, 0.0, 0.0]], None),
    (_BCC, [[0.0, 0.0, 0.0]], None),
    (_HCP, [[1 / 3, 2 / 3, 0.25], [2 / 3, 1 / 3, 0.75]], None),
    (_FCC, [[0.0, 0.0, 0.0]], [0.5, 0.5, 0.5]),
    (_FCC, [[0.0, 0.0, 0.0]], [0.25, 0.25, 0.25]),
)


@dataclass(frozen=True, eq=False)
class Prototype:
    """A structure type with places for elements.

    Attributes
    ----------
    name
        Strukturbericht symbol, a mineral or a compound.
    space_group
        Number from 1 to 230.
    cell
        Cell of the right shape; its size means nothing.
    slots
        Letter of every site: A to D for metals, X and Y for anions.
    points : ndarray of float64, (k, 3)
        Fractional coordinates of the sites.
    freedom : ndarray of float64, (k, 3, 3)
        Projection of a shift on what the site's symmetry allows.
    """

    name: str
    space_group: int
    cell: UnitCell
    slots: tuple[str, ...]
    points: FloatArray
    freedom: FloatArray


@lru_cache(maxsize=1)
def prototypes() -> dict[str, tuple[Prototype, ...]]:
    """All structure types of the table, by Pearson letters."""
    known: dict[str, list[Prototype]] = {}
    text = resources.files(__package__).joinpath("prototypes.txt").read_text("utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            prototype = _parse(line)
            known.setdefault(pearson(prototype.space_group), []).append(prototype)
    return {lattice: tuple(types) for lattice, types in known.items()}


@lru_cache(maxsize=1)
def orderings() -> dict[str, tuple[Prototype, ...]]:
    """Orderings of two metals on simple parents, by Pearson letters; takes a second or two once."""
    rng = np.random.default_rng(1)
    found: dict[str, list[Prototype]] = {}
    seen = set()
    for _ in range(_ORDERINGS):
        cell, kinds = _ordering(rng)
        dataset = find_symmetry(*cell, kinds, 1e-3)
        if dataset is None:
            continue
        lattice = pearson(int(dataset.number))
        key = (int(dataset.number), len(dataset.std_types), tuple(dataset.wyckoffs), tuple(kinds))
        kept = found.setdefault(lattice, [])
        if key in seen or len(kept) >= _MOST_KEPT or len(dataset.std_types) > 100:
            continue
        prototype = _standardised(dataset)
        if prototype is not None:
            seen.add(key)
            kept.append(prototype)
    return {lattice: tuple(types) for lattice, types in found.items()}


def _parse(line: str) -> Prototype:
    name, number, cell, sites = line.split("|")
    rows = [site.split() for site in sites.split(";")]
    points = np.array([row[1:] for row in rows], dtype=float)
    points = np.where(np.abs(points - 0.3333) < 1e-3, 1 / 3, points)
    points = np.where(np.abs(points - 0.6667) < 1e-3, 2 / 3, points)
    return _prototype(
        name,
        int(number),
        UnitCell(*map(float, cell.split())),
        tuple(row[0] for row in rows),
        points,
    )


def _prototype(
    name: str, space_group: int, cell: UnitCell, slots: tuple[str, ...], points: FloatArray
) -> Prototype:
    rotations, shifts = operations(space_group)
    freedom = []
    for point in points:
        moved = rotations @ point + shifts - point
        stabiliser = np.all(np.abs(moved - np.rint(moved)) < 2e-3, axis=1)
        freedom.append(rotations[stabiliser].mean(axis=0))
    return Prototype(name, space_group, cell, slots, points, np.array(freedom))


def _ordering(
    rng: np.random.Generator,
) -> tuple[tuple[FloatArray, FloatArray], NDArray[np.int64]]:
    """Colour a random supercell of a parent with two metals: (lattice, positions), kinds."""
    lattice, atoms, anion = _PARENTS[int(rng.integers(len(_PARENTS)))]
    while True:
        a, b, c = rng.integers(1, 5, 3)
        if 2 <= a * b * c <= 8:
            break
    supercell = np.array(
        [[a, 0, 0], [rng.integers(a), b, 0], [rng.integers(a), rng.integers(b), c]]
    )
    steps = np.array([[i, j, k] for i in range(a) for j in range(b) for k in range(c)], dtype=float)
    inverse = np.linalg.inv(supercell)
    metals = np.concatenate([(steps + atom) @ inverse for atom in np.array(atoms)])
    kinds = (np.arange(len(metals)) < rng.integers(1, max(2, len(metals) // 2 + 1))).astype(int)
    rng.shuffle(kinds)
    positions = metals
    if anion is not None:
        positions = np.concatenate([metals, (steps + np.array(anion)) @ inverse])
        kinds = np.concatenate([kinds, np.full(len(steps), 2)])
    return (supercell @ lattice, positions % 1.0), kinds


def _standardised(dataset: spglib.SpglibDataset) -> Prototype | None:
    """Turn what spglib found into a prototype, None where the settings disagree."""
    number = int(dataset.number)
    cell = cell_of(dataset.std_lattice)
    rotations, shifts = operations(number)
    slots: list[str] = []
    points: list[FloatArray] = []
    taken = np.empty((0, 3))
    for point, kind in zip(dataset.std_positions, dataset.std_types, strict=True):
        delta = taken - point
        if len(taken) and np.min(np.abs(delta - np.rint(delta)).max(axis=1)) < 1e-3:
            continue
        images = orbit(rotations, shifts, point, np.eye(3), 1e-3)
        taken = np.concatenate([taken, images])
        slots.append("ABX"[int(kind)])
        points.append(point)
    if len(taken) != len(dataset.std_types):
        return None
    return _prototype("ordered", number, cell, tuple(slots), np.array(points))
