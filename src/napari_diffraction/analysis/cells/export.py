"""Files with unit cells: JSON with all that is known, a table, CIF, and orientations."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from napari_diffraction.analysis.cells.crystfel import cell_file
from napari_diffraction.analysis.cells.folder import make_folder
from napari_diffraction.analysis.cells.orientations import (
    crystfel_solutions,
    orientation_table,
)
from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.analysis.indexed.words import with_su
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.errors import InputError
from napari_diffraction.files import ANY_NAME, SHOWN, replacing
from napari_diffraction.indexing.zones.net_fit import shared_lens
from napari_diffraction.indexing.zones.solution import CellSolution

_CELLS = (".json", ".csv", ".cif", ".cell", ".p4p")
#: Table of a folder that holds no cells.
ORIENTATIONS = "orientations.csv"
_NAMES = ("a", "b", "c", "alpha", "beta", "gamma")
#: What formats for lengths in A have to say where the scale is not known.
UP_TO_SCALE = "Lengths are known up to a common factor only, not in A."


def _json(result: CellResult) -> str:
    def one(cell: CellSolution, phase: int) -> dict[str, Any]:
        return {
            "cell": [round(float(value), 6) for value in cell.cell.parameters],
            "cell_su": [round(float(value), 6) for value in cell.cell_su],
            "niggli": [round(float(value), 6) for value in cell.niggli.parameters],
            "niggli_su": [round(float(value), 6) for value in cell.niggli_su],
            "lattice": cell.lattice,
            "lattice_probabilities": {
                name: round(value, 6) for name, value in cell.lattice_probabilities.items()
            },
            "volume": round(cell.volume, 4),
            "volume_su": round(cell.volume_su, 4),
            "zones_explained": cell.zones_explained,
            "zones": [
                {
                    "pattern": result.patterns[zone.net],
                    "uvw": list(zone.uvw),
                    "hkl": [list(vector) for vector in zone.hkl],
                    "misfit": round(zone.misfit, 6),
                }
                for zone in cell.zones
            ],
            "patterns_indexed": _rounded(cell.patterns_indexed, 4),
            "patterns_gain": _rounded(cell.patterns_gain, 1),
            "misfit": round(cell.misfit, 6),
            "evidence": round(cell.evidence, 3),
            "supercell_of": cell.supercell_of,
            "phase": phase,
        }

    ellipse = result.nets.ellipse
    lens = shared_lens(result.nets.fits.values())
    nets = result.nets.nets(result.pixel_size)
    document = {
        "software": _program(),
        "source": result.source,
        "scale_known": result.scale_known,
        "pixel_size": result.pixel_size if result.scale_known else None,
        "wavelength": result.wavelength,
        "ellipticity": None
        if ellipse is None
        else {"stretch": round(ellipse.stretch, 5), "angle": round(ellipse.angle, 2)},
        "lens": None if lens is None else float(f"{lens:.4g}"),
        "cells": [
            one(cell, number)
            for number, phase in enumerate(result.found.phases, 1)
            for cell in phase
        ],
        "nets": [
            {
                "pattern": pattern,
                "lengths": [round(net.first, 6), round(net.second, 6)],
                "angle": round(net.angle, 3),
                "su": [round(float(value), 6) for value in net.su],
            }
            for pattern, net in zip(result.patterns, nets, strict=True)
        ],
        "left_over": [result.patterns[i] for i in result.found.left_over],
        "patterns_looked_at": len(result.matches[0].peaks) if result.matches else 0,
    }
    return json.dumps(document, indent=1) + "\n"


def _program() -> str:
    return f"napari-diffraction {version('napari-diffraction')}"


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _csv(result: CellResult) -> str:
    rows = []
    for number, phase in enumerate(result.found.phases, 1):
        for cell in phase:
            row: dict[str, Any] = {"phase": number}
            row |= dict(zip(_NAMES, cell.cell.parameters, strict=True))
            row |= {f"{name}_su": su for name, su in zip(_NAMES, cell.cell_su, strict=True)}
            row |= {
                "lattice": cell.lattice,
                "probability": cell.lattice_probabilities[cell.lattice],
                "volume": cell.volume,
                "volume_su": cell.volume_su,
                "zones_explained": cell.zones_explained,
                "zones": len(result.patterns),
                "patterns_indexed": cell.patterns_indexed,
                "misfit": cell.misfit,
                "supercell_of": cell.supercell_of,
                "scale_known": result.scale_known,
            }
            rows.append(row)
    table = pd.DataFrame(rows)
    if rows:
        table = table.astype({"supercell_of": "Int64"})
    return str(table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


def _cif(result: CellResult) -> str:
    blocks = []
    for number, phase in enumerate(result.found.phases, 1):
        for place, cell in enumerate(phase, 1):
            system = BRAVAIS_LATTICES[cell.lattice].system
            lines = [
                f"data_phase_{number}_cell_{place}",
                f"_audit_creation_method '{_program()}'",
                "_diffrn_radiation_probe electron",
                f"_space_group_crystal_system {system}",
                f"_cell_volume {with_su(cell.volume, cell.volume_su)}",
            ]
            tags = [f"length_{n}" for n in "abc"] + [f"angle_{n}" for n in _NAMES[3:]]
            lines += [
                f"_cell_{tag} {with_su(value, su)}"
                for tag, value, su in zip(tags, cell.cell.parameters, cell.cell_su, strict=True)
            ]
            if result.wavelength is not None:
                lines.append(f"_diffrn_radiation_wavelength {result.wavelength:.6g}")
            warnings = [] if result.scale_known else [UP_TO_SCALE]
            if cell.supercell_of is not None:
                better = f"phase_{number}_cell_{cell.supercell_of + 1}"
                warnings.append(f"This cell is a multiple of a better one, {better}.")
            if warnings:
                lines.append(f"_cell_special_details '{'  '.join(warnings)}'")
            blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def _cell(result: CellResult) -> str:
    notes = [] if result.scale_known else [UP_TO_SCALE]
    return cell_file(_best(result, ".cell"), notes)


def _p4p(result: CellResult) -> str:
    """The first cell as Bruker's programs and XPREP read it."""
    best = _best(result, ".p4p")
    system = BRAVAIS_LATTICES[best.lattice].system.capitalize()
    cell = [*best.cell.parameters, best.volume]
    su = [*best.cell_su, best.volume_su]
    lines = [
        f"FILEID {_program()}",
        f"TITLE  {'' if result.scale_known else f'{UP_TO_SCALE} '}{result.source}",
        "CELL   " + " ".join(f"{value:10.4f}" for value in cell),
        "CELLSD " + " ".join(f"{value:10.4f}" for value in su),
        f"BRAVAIS {system} ({best.lattice[1]})",
    ]
    if result.wavelength is not None:
        # target, mean wavelength, both lines of a tube and their ratio: electrons have one line
        lines.append("SOURCE E" + 3 * f" {result.wavelength:9.6f}" + f" {1:9.6f}")
    return "\n".join(lines) + "\n"


def _best(result: CellResult, kind: str) -> CellSolution:
    if not result.found.phases:
        raise InputError(f"No cell was found, so there is none for a {kind} file.")
    return result.found.phases[0][0]


def nets_table(result: CellResult) -> pd.DataFrame:
    """Tabulate the nets.

    Returns
    -------
    DataFrame
        One row a net: ``index`` of the pattern; lengths ``first``, ``second`` in 1/A and ``angle``
        in degrees with their uncertainties ``..._su``; ``phase`` whose first cell explains it (0:
        none), and its ``u``, ``v``, ``w`` there.
    """
    rows: list[dict[str, Any]] = []
    explained = {
        zone.net: (number, zone.uvw)
        for number, phase in reversed(list(enumerate(result.found.phases, 1)))
        for zone in phase[0].zones
    }
    for place, net in enumerate(result.nets.nets(result.pixel_size)):
        row: dict[str, Any] = {"index": result.patterns[place]}
        row |= {"first": net.first, "second": net.second, "angle": net.angle}
        names = ("first_su", "second_su", "angle_su")
        row |= dict(zip(names, net.su.tolist(), strict=True))
        phase, uvw = explained.get(place, (0, (None, None, None)))
        rows.append(row | {"phase": phase} | dict(zip("uvw", uvw, strict=True)))
    return pd.DataFrame(rows).astype(dict.fromkeys("uvw", "Int64"))


def _orientations(result: CellResult) -> str:
    table = orientation_table(result)
    return str(table.to_csv(index=False, float_format="%.6g", lineterminator="\n"))


#: What writes each kind of file.
WRITERS: dict[str, Callable[[CellResult], str]] = {
    ".json": _json,
    ".csv": _csv,
    ".cif": _cif,
    ".cell": _cell,
    ".p4p": _p4p,
    ".sol": crystfel_solutions,
}


def is_folder(output: Path) -> bool:
    """Whether all files go there: into a folder that there is, or one whose name has no end."""
    return output.is_dir() or not output.suffix


def write_cells(result: CellResult, outputs: Sequence[Path]) -> list[Path]:
    """Write files, or all of them into a folder, and leave all others there.

    ``.json``, ``.csv`` and ``.cif`` hold the cells, ``.cell`` and ``.p4p`` the first of them,
    ``.sol`` the orientations for CrystFEL; a folder gets these as a table, too.

    A folder gets no ``.sol`` where the scale is not known, since that has no reciprocal axes then.

    Returns
    -------
    list of Path
        What was written.

    Raises
    ------
    InputError
        A file cannot be written, or there is nothing that its format can hold; the others are
        written before.
    """
    written, refused = [], []
    for output in outputs:
        files = _of_folder(result, output) if is_folder(output) else {output: _writer(output)}
        for path, writer in files.items():
            try:
                if path != output:
                    make_folder(output)
                with replacing(path) as temporary:
                    # CrystFEL has to find the files that a list names, a person to read the others
                    errors = ANY_NAME if path.suffix == ".sol" else SHOWN
                    temporary.write_text(writer(result), encoding="utf-8", errors=errors)
                written.append(path)
            except InputError as error:
                refused.append(error)
    if refused:
        raise refused[0]
    return written


def _writer(path: Path) -> Callable[[CellResult], str]:
    return WRITERS[path.suffix.lower()]


def _of_folder(result: CellResult, folder: Path) -> dict[Path, Callable[[CellResult], str]]:
    """What a folder gets, and what writes it."""
    kinds = _CELLS if result.found.phases else _CELLS[:3]
    files = {folder / f"cells{suffix}": WRITERS[suffix] for suffix in kinds}
    if result.matches:
        files[folder / ORIENTATIONS] = _orientations
    if result.matches and result.names and result.scale_known:
        files[folder / "orientations.sol"] = crystfel_solutions
    return files
