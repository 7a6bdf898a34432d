"""Maps that other programs made of a scan: .ang, .ctf, and HDF5 of orix and of EBSD systems."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gemmi
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.readers.source import explained

NOT_INDEXED = "not indexed"
#: Edges in A and angles in degrees.
Cell = tuple[float, float, float, float, float, float]
_MOST_HEADER_LINES = 10_000
_MOST_POINTS = 50_000_000
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


def read_map(path: str | Path) -> VendorMap:
    """Read a map: .ang of EDAX, .ctf of Oxford, HDF5 of orix, EDAX, Oxford, Bruker or kikuchipy.

    A map that ends early is filled up with points that are not indexed.

    Raises
    ------
    InputError
        The file is no such map, lies on a hexagonal grid or is damaged.
    """
    name = str(path)
    reader = _READERS.get(Path(path).suffix.lower())
    if reader is None:
        raise InputError(
            f"{name} is no map that can be read: its name should end in {', '.join(_READERS)}."
        )
    with explained(name, "a map"):
        return reader(name)


# --- what all formats share


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
        Rows and columns; ``None``: as many as there are.
    """
    if not len(points.x):
        raise InputError(f"{path} holds no points; choose another map.")
    dy = step[0] if step and step[0] > 0 else _spacing(points.y)
    dx = step[1] if step and step[1] > 0 else _spacing(points.x)
    row = np.rint((points.y - points.y.min()) / dy).astype(np.int64)
    column = np.rint((points.x - points.x.min()) / dx).astype(np.int64)
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


def _spacing(values: NDArray[np.float64]) -> float:
    """The step between rows or columns: the usual difference of neighbouring values."""
    steps = np.diff(np.unique(values))
    steps = steps[steps > 1e-6]
    return float(np.median(steps)) if len(steps) else 1.0


def _lines(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8", errors="replace") as file:
        for _, line in zip(range(_MOST_HEADER_LINES), file, strict=False):
            yield line.rstrip("\r\n")


def _numbers(text: str) -> list[float]:
    return [float(part) for part in re.findall(r"-?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?", text)]


def _cell(text: str) -> Cell | None:
    """The cell that a text holds, edges first, if it holds one."""
    numbers = _numbers(text)
    if len(numbers) < 6 or min(numbers[:6]) <= 0:
        return None
    a, b, c, alpha, beta, gamma = numbers[:6]
    return a, b, c, alpha, beta, gamma


def _table(path: str, skip: int, columns: int, **options: Any) -> NDArray[np.float64]:
    """Read a table of numbers; a last line that was cut off is left out."""
    table = pd.read_csv(path, skiprows=skip, header=None, encoding_errors="replace", **options)
    if table.shape[1] < columns:
        raise InputError(
            f"{path} has {table.shape[1]} columns where at least {columns} belong; export it again."
        )
    table = table.apply(pd.to_numeric, errors="coerce")
    whole = table.iloc[:, :columns].notna().all(axis=1)
    return np.asarray(table.loc[whole].to_numpy(np.float64))


# --- .ang


def _read_ang(path: str) -> VendorMap:
    header, skip = [], 0
    for line in _lines(path):
        if line.strip() and not line.startswith("#"):
            break
        header.append(line.lstrip("# \t"))
        skip += 1
    phases, facts = _ang_header(header)
    if str(facts.get("GRID", "")).lower().startswith("hex"):
        raise hexagonal_error(path)
    table = _table(path, skip, 8, sep=r"\s+", comment="#")
    phase = table[:, 7].astype(np.int64)
    if len(phases) == 1 and (phase == 0).all():
        # with one phase only, EDAX counts from 0
        phase = np.full(len(phase), next(iter(phases)))
    # -1 is EDAX's and orix's mark; 4 pi that of points without orientation
    not_indexed = (table[:, 6] == -1) | (np.abs(table[:, 0] - 4 * np.pi) < 1e-3)
    if 0 not in phases:
        not_indexed |= phase == 0
    points = MapPoints(
        table[:, 3],
        table[:, 4],
        np.where(not_indexed, -1, phase),
        np.degrees(table[:, :3]),
        table[:, 6],
    )
    numbers = {name: _numbers(str(facts.get(name, ""))) for name in ("XSTEP", "YSTEP", "NROWS")}
    columns = max(_numbers(f"{facts.get('NCOLS_ODD', '')} {facts.get('NCOLS_EVEN', '')}") or [0])
    step = None
    if numbers["XSTEP"] and numbers["YSTEP"]:
        step = numbers["YSTEP"][0], numbers["XSTEP"][0]
    shape = None
    if numbers["NROWS"] and numbers["NROWS"][0] >= 1 and columns >= 1:
        shape = int(numbers["NROWS"][0]), int(columns)
    return assemble(path, points, phases, step, shape)


def _ang_header(lines: Iterable[str]) -> tuple[dict[int, MapPhase], dict[str, str]]:
    phases: dict[int, MapPhase] = {}
    facts: dict[str, str] = {}
    number = None
    for line in lines:
        phase = re.match(r"Phase\s*:?\s*(\d+)", line)
        name = re.match(r"MaterialName\s+(\S.*)", line)
        cell = re.match(r"LatticeConstants\s+(.*)", line)
        fact = re.match(r"(GRID|XSTEP|YSTEP|NCOLS_ODD|NCOLS_EVEN|NROWS)\s*:\s*(.+)", line)
        if phase:
            number = int(phase[1])
            phases[number] = MapPhase()
        elif name and number is not None:
            phases[number] = MapPhase(name[1].strip())
        elif cell and number is not None:
            phases[number] = replace(phases[number], cell=_cell(cell[1]))
        elif fact:
            facts[fact[1]] = fact[2].strip()
    return phases, facts


# --- .ctf


def _read_ctf(path: str) -> VendorMap:
    header, skip, found = [], 0, False
    for line in _lines(path):
        skip += 1
        if re.match(r"Phase\s+X\s+Y", line):
            found = True
            break
        header.append(line)
    if not found:
        raise InputError(f"{path} is no .ctf map: the line that names its columns is missing.")
    phases, facts = _ctf_header(header)
    first = next((line for n, line in enumerate(_lines(path)) if n >= skip), "")
    decimal = "," if "," in first else "."
    table = _table(path, skip, 8, sep=r"\s+", decimal=decimal)
    phase = table[:, 0].astype(np.int64)
    points = MapPoints(
        table[:, 1],
        table[:, 2],
        np.where(phase < 1, -1, phase),
        table[:, 5:8],
        table[:, 9] if table.shape[1] > 9 else None,
    )
    step = shape = None
    if facts.get("XStep", 0) > 0 and facts.get("YStep", 0) > 0:
        step = facts["YStep"], facts["XStep"]
    if facts.get("XCells", 0) >= 1 and facts.get("YCells", 0) >= 1:
        shape = int(facts["YCells"]), int(facts["XCells"])
    return assemble(path, points, phases, step, shape)


def _ctf_header(lines: Sequence[str]) -> tuple[dict[int, MapPhase], dict[str, float]]:
    phases: dict[int, MapPhase] = {}
    facts: dict[str, float] = {}
    expected = 0
    for line in lines:
        fields = line.split("\t")
        if expected > len(phases):
            values = _numbers(fields[4]) if len(fields) > 4 else []
            group = int(values[0]) if values else 0
            name = fields[2].strip() if len(fields) > 2 else ""
            sizes = " ".join(fields[:2]).replace(",", ".")
            phases[len(phases) + 1] = MapPhase(name, group, _cell(sizes.replace(";", " ")))
        elif fields[0] in ("XCells", "YCells", "XStep", "YStep", "Phases") and len(fields) > 1:
            values = _numbers(fields[1].replace(",", "."))
            facts[fields[0]] = values[0] if values else 0.0
            expected = int(facts.get("Phases", 0))
    return phases, facts


# --- HDF5


def _read_hdf5(path: str) -> VendorMap:
    from napari_diffraction.patterns.ebsd_maps_hdf5 import read_hdf5

    return read_hdf5(path)


_READERS: dict[str, Callable[[str], VendorMap]] = {
    ".ang": _read_ang,
    ".ctf": _read_ctf,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    ".h5oina": _read_hdf5,
    ".oh5": _read_hdf5,
    ".h5ebsd": _read_hdf5,
}
