"""Text files for CrystFEL: cell, geometry, list of patterns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_diffraction.analysis.cells.orientations import UNIQUE_AXES
from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.patterns import ANY_WAVELENGTH
from napari_diffraction.indexing.zones.solution import CellSolution

#: Pixels of a metre.  Only its ratio to the camera length matters, which follows from both.
_RESOLUTION = 10_000.0


def cell_file(solution: CellSolution, notes: Sequence[str] = ()) -> str:
    """Write a cell as CrystFEL's ``.cell`` file.

    Rhombohedral lattices stand in hexagonal axes, which CrystFEL calls centring H.

    Parameters
    ----------
    solution
        The cell.
    notes
        Sentences that stand in the file as comments.
    """
    letters = solution.lattice
    lines = [
        "CrystFEL unit cell file version 1.0",
        "",
        *(f"; {note}" for note in notes),
        f"lattice_type = {_lattice_type(letters)}",
        f"centering = {letters[1].replace('R', 'H')}",
    ]
    if letters[0] in UNIQUE_AXES:
        lines.append(f"unique_axis = {UNIQUE_AXES[letters[0]]}")
    lines.append("")
    parameters = solution.cell.parameters
    lines += [f"{n} = {v:.4f} A" for n, v in zip("abc", parameters[:3], strict=True)]
    lines += [f"{n} = {v:.3f} deg" for n, v in zip(("al", "be", "ga"), parameters[3:], strict=True)]
    return "\n".join(lines) + "\n"


def _lattice_type(letters: str) -> str:
    return "hexagonal" if letters[0] == "h" else BRAVAIS_LATTICES[letters].system


def geometry_file(
    result: CellResult,
    shape: tuple[int, int],
    beam: tuple[float, float],
    *,
    data: str,
    peaks: str,
    notes: Sequence[str] = (),
) -> str:
    """Write a camera as CrystFEL's ``.geom`` file, for an HDF5 file of many patterns.

    The fast axis is +x and the slow axis +y, but for the camera's stretch, which is taken off.
    CrystFEL counts places from the corner of the first pixel, we from its centre.

    Parameters
    ----------
    result
        Knows scale, wavelength and stretch.
    shape
        Height and width of a pattern in pixels.
    beam
        x and y of the direct beam in pixels.
    data, peaks
        Where patterns and peaks lie in the file.
    notes
        Sentences that stand in the file as comments.

    Raises
    ------
    InputError
        The scale is not known.
    """
    if not result.scale_known:
        raise InputError("Without a scale there is no camera length: give --pixel-size.")
    wavelength = result.wavelength or ANY_WAVELENGTH
    length = 1 / (wavelength * result.pixel_size * _RESOLUTION)
    ellipse = result.nets.ellipse
    straight = np.eye(2) if ellipse is None else np.linalg.inv(ellipse.matrix)
    corner = -straight @ (np.asarray(beam) + 0.5)
    height, width = shape
    lines = [
        *(f"; {note}" for note in notes),
        f"wavelength = {wavelength:.6f} A",
        f"clen = {length:.8f} m",
        f"res = {_RESOLUTION:.1f}",
        "adu_per_photon = 1",
        f"data = {data}",
        "dim0 = %",
        "dim1 = ss",
        "dim2 = fs",
        f"peak_list = {peaks}",
        "peak_list_type = cxi",
        "",
        "camera/min_fs = 0",
        f"camera/max_fs = {width - 1}",
        "camera/min_ss = 0",
        f"camera/max_ss = {height - 1}",
        f"camera/fs = {straight[0, 0]:+.8f}x {straight[1, 0]:+.8f}y",
        f"camera/ss = {straight[0, 1]:+.8f}x {straight[1, 1]:+.8f}y",
        f"camera/corner_x = {corner[0]:.4f}",
        f"camera/corner_y = {corner[1]:.4f}",
    ]
    return "\n".join(lines) + "\n"


def pattern_list(names: Sequence[str]) -> str:
    """Write the list of patterns that ``indexamajig -i`` reads, one a line."""
    return "".join(f"{name}\n" for name in names)
