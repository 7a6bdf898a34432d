"""A map of phases and orientations as another program made it, and how its points are laid out."""

from __future__ import annotations

import math
from dataclasses import dataclass

import gemmi
import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError

NOT_INDEXED = "not indexed"
#: Edges in A and angles in degrees.
Cell = tuple[float, float, float, float, float, float]
_MOST_POINTS = 50_000_000
#: Where more of the points than this part lie beyond the map, its size is not theirs; fewer are
#: damaged and left out.
_STRAY = 0.01
_SYSTEM_LETTERS = {
    "triclinic": "a", "monoclinic": "m", "orthorhombic": "o", "tetragonal": "t", "trigonal": "h",
    "hexagonal": "h", "cubic": "c",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class VendorMap:
    """A map of phases and orientations as another program wrote it.

    Attributes
    ----------
    phase : ndarray of uint8, (rows, columns)
        0: not indexed; k: the phase `names[k]`.
    names
        Names of the phases, "not indexed" first.
    lattices
        Pearson letters of each phase's Bravais lattice, ``None`` where the file does not tell.
    step
        Distance of rows and of columns, in um unless the program used another unit.
    euler : ndarray of float32, (rows, columns, 3), or None
        Bunge's Euler angles in degrees; NaN where there is no point.
    quality : ndarray of float32, (rows, columns), or None
        The program's own figure of how well it indexed: confidence index, band contrast, score.
    cells
        Cell of each phase, a, b, c in A and the angles in degrees; ``None`` where the file does not
        tell.
    """

    phase: NDArray[np.uint8]
    names: tuple[str, ...]
    lattices: tuple[str | None, ...]
    step: tuple[float, float] | None = None
    euler: NDArray[np.float32] | None = None
    quality: NDArray[np.float32] | None = None
    cells: tuple[Cell | None, ...] = ()


@dataclass(frozen=True)
class MapPhase:
    """Name, space group (0: unknown) and cell (``None``: unknown) of a phase."""

    name: str = ""
    space_group: int = 0
    cell: Cell | None = None


@dataclass(frozen=True)
class MapPoints:
    """Points of a map in any order.

    Attributes
    ----------
    x, y : ndarray, (n,)
        Where they are.
    phase : ndarray of int, (n,)
        Number of the phase as in the file; negative: not indexed.
    euler : ndarray, (n, 3), or None
        Euler angles in degrees.
    quality : ndarray, (n,), or None
        Figure of quality.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    phase: NDArray[np.int64]
    euler: NDArray[np.float64] | None
    quality: NDArray[np.float64] | None


def lattice_of(space_group: int) -> str | None:
    """Return the Pearson letters of a space group's Bravais lattice; ``None``: no such group."""
    group = gemmi.find_spacegroup_by_number(space_group) if 1 <= space_group <= 230 else None
    if group is None:
        return None
    letter = _SYSTEM_LETTERS[group.crystal_system_str()]
    centring = group.centring_type()
    return letter + ("C" if letter in "mo" and centring in "AB" else centring)


def hexagonal_error(path: str) -> InputError:
    """Return the error for a map whose rows are shifted."""
    return InputError(f"{path} lies on a hexagonal grid; export it on a square grid to compare it.")


def assemble(
    path: str,
    points: MapPoints,
    phases: dict[int, MapPhase],
    step: tuple[float, float] | None,
    shape: tuple[int, int] | None,
) -> VendorMap:
    """Lay points out on their grid.

    Parameters
    ----------
    path
        For messages.
    points
        The points.
    phases
        The phases by their number in the file.
    step
        Distance of rows and columns; ``None``: as the points lie.
    shape
        Rows and columns; ``None``: as many as there are, and so where many points lie beyond.
    """
    if not len(points.x):
        raise InputError(f"{path} holds no points; choose another map.")
    dy = step[0] if step and step[0] > 0 else _spacing(points.y)
    dx = step[1] if step and step[1] > 0 else _spacing(points.x)
    row, column = _steps(points.y, dy), _steps(points.x, dx)
    if shape is not None and np.mean((row >= shape[0]) | (column >= shape[1])) > _STRAY:
        # the header is not of these points, as that of a map from which others were cut
        dy, dx, shape = _spacing(points.y), _spacing(points.x), None
        row, column = _steps(points.y, dy), _steps(points.x, dx)
    if shape is None:
        shape = int(row.max()) + 1, int(column.max()) + 1
    if math.prod(shape) > min(_MOST_POINTS, 100 * len(row) + 100):
        raise InputError(f"{path} has points far apart from all others: it is damaged.")
    inside = (row < shape[0]) & (column < shape[1])
    place = row[inside], column[inside]
    numbers = sorted(set(phases) | set(np.unique(points.phase[points.phase >= 0]).tolist()))
    if len(numbers) > 255:
        raise InputError(f"{path} names more than 255 phases: it is damaged.")
    value = np.zeros(len(row), np.uint8)
    for k, number in enumerate(numbers, start=1):
        value[points.phase == number] = k
    phase = np.zeros(shape, np.uint8)
    phase[place] = value[inside]
    known = [phases.get(number, MapPhase()) for number in numbers]
    return VendorMap(
        phase=phase,
        names=(
            NOT_INDEXED,
            *(one.name or f"Phase {n}" for n, one in zip(numbers, known, strict=True)),
        ),
        lattices=(None, *(lattice_of(one.space_group) for one in known)),
        step=(dy, dx),
        euler=_on_grid(points.euler, shape, place, inside),
        quality=_on_grid(points.quality, shape, place, inside),
        cells=(None, *(one.cell for one in known)),
    )


def _on_grid(
    values: NDArray[np.float64] | None,
    shape: tuple[int, int],
    place: tuple[NDArray[np.int64], NDArray[np.int64]],
    inside: NDArray[np.bool_],
) -> NDArray[np.float32] | None:
    if values is None:
        return None
    grid = np.full((*shape, *values.shape[1:]), np.nan, np.float32)
    grid[place] = values[inside]
    return grid


def _steps(values: NDArray[np.float64], step: float) -> NDArray[np.int64]:
    """How many steps each value is beyond the least one."""
    return np.asarray(np.rint((values - values.min()) / step).astype(np.int64))


def _spacing(values: NDArray[np.float64]) -> float:
    """The step between rows or columns: the usual difference of neighbouring values."""
    steps = np.diff(np.unique(values))
    steps = steps[steps > 1e-6]
    return float(np.median(steps)) if len(steps) else 1.0
