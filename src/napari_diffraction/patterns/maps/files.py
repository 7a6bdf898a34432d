"""Maps that other programs made of a scan: .ang, .ctf, and HDF5 of orix and of EBSD systems."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.patterns.maps.hdf5 import read_hdf5
from napari_diffraction.patterns.maps.vendor_map import (
    Cell,
    MapPhase,
    MapPoints,
    VendorMap,
    assemble,
    hexagonal_error,
)
from napari_diffraction.patterns.readers.source import explained

_MOST_HEADER_LINES = 10_000


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
    if len(phases) <= 1 and (phase == 0).all():
        # with one phase only, EDAX counts from 0; a bare table names none
        phase = np.full(len(phase), next(iter(phases), 1))
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


_READERS: dict[str, Callable[[str], VendorMap]] = {
    ".ang": _read_ang,
    ".ctf": _read_ctf,
    ".h5": read_hdf5,
    ".hdf5": read_hdf5,
    ".h5oina": read_hdf5,
    ".oh5": read_hdf5,
    ".h5ebsd": read_hdf5,
}
