"""The orientation of every pattern that a cell indexes, as a table and for CrystFEL."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.witness import phase_of

#: Third letter of CrystFEL's names of lattices: the unique axis of the conventional cell.
UNIQUE_AXES = {"m": "b", "t": "c", "h": "c"}
_NOTHING = (
    "No orientations are known, because no cell was found or only zones were looked at: let "
    "patterns be indexed, too."
)


def orientation_table(result: CellResult) -> pd.DataFrame:
    """Tabulate the patterns that were looked at.

    Returns
    -------
    DataFrame
        One row a pattern: ``index``; ``phase`` (counted from 1; 0: not indexed); ``peaks`` and how
        many of them are ``matched``; ``misfit``, the root mean square of their distances in 1/A;
        ``excess``, the logarithm of the odds against chance; Bunge's Euler angles ``phi1, Phi,
        phi2`` in degrees from the laboratory (x to the right, y down, z along the beam) to the
        crystal; and ``r11 ... r33``, the rotation from the crystal (a along x, b in the x-y plane)
        to the laboratory.  What is not indexed has no numbers there.

    Raises
    ------
    InputError
        Only zones were looked at.
    """
    if not result.matches:
        raise InputError(_NOTHING)
    phase = phase_of(result.matches)
    every, place = np.arange(len(phase)), np.maximum(phase, 0)

    def best(name: str) -> np.ndarray:
        return np.asarray(np.array([getattr(one, name) for one in result.matches])[place, every])

    peaks = result.matches[0].peaks
    table = pd.DataFrame({"index": peaks.patterns, "phase": phase + 1, "peaks": peaks.counts})
    numbers = {name: best(name) for name in ("matched", "misfit", "excess")}
    numbers |= dict(zip(("phi1", "Phi", "phi2"), best("euler").T, strict=True))
    turns = best("rotation").reshape(-1, 9).T
    numbers |= {f"r{k // 3 + 1}{k % 3 + 1}": values for k, values in enumerate(turns)}
    for name, values in numbers.items():
        table[name] = np.where(phase >= 0, values, np.nan)
    table["matched"] = table["matched"].astype("Int64")
    return table


def crystfel_solutions(result: CellResult) -> str:
    """Write the orientations as CrystFEL's ``indexamajig --indexing=file`` reads them.

    Each line holds file and event, the reciprocal axes in 1/nm in the laboratory frame of a
    geometry whose fast axis is +x and slow axis +y, no shift of the detector, and the lattice.

    Raises
    ------
    InputError
        There are no orientations, the patterns are in no file, or the scale is not known.
    """
    if not result.matches:
        raise InputError(_NOTHING)
    check_solutions(result.source, scale_known=result.scale_known, in_file=bool(result.names))
    lines = []
    for place, phase in enumerate(phase_of(result.matches).tolist()):
        if phase < 0:
            continue
        solution = result.found.phases[phase][0]
        axes = 10 * solution.cell.reciprocal_basis @ result.matches[phase].rotation[place].T
        numbers = " ".join(f"{value:.7f}" for value in axes.ravel())
        name = result.names[place]
        named = name if " //" in name else f"{name} //"
        lines.append(f"{named} {numbers} 0 0 {_lattice(solution.lattice)}\n")
    return "".join(lines)


def check_solutions(source: str, *, scale_known: bool, in_file: bool) -> None:
    """Check that orientations of a stack can be written for CrystFEL.

    Parameters
    ----------
    source
        Name of the stack.
    scale_known
        Whether the reciprocal length of a pixel is.
    in_file
        Whether the patterns are stored in a file.

    Raises
    ------
    InputError
        They cannot.
    """
    if not scale_known:
        raise InputError(
            "Without a scale there are no reciprocal axes in 1/nm, which a .sol file holds: give "
            "--pixel-size."
        )
    if not in_file:
        raise InputError(
            f"{source} is not stored in a file that CrystFEL could read: "
            "export the patterns as HDF5 first, then open that file."
        )


def _lattice(letters: str) -> str:
    """CrystFEL's name of a lattice; H stands for R in hexagonal axes."""
    return letters.replace("R", "H") + UNIQUE_AXES.get(letters[0], "")
