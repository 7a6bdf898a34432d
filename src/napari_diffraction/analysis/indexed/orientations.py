"""Orientations as other programs want them: Bunge's Euler angles in their frames.

The frames, each right-handed, as `CONVENTIONS` has them:

=======  =============================================  ==========================
program  sample                                         crystal
=======  =============================================  ==========================
edax     x down the slope, y to the right, z outwards   x along a, z along c*
orix     as edax                                        x along a, z along c*
oxford   x to the right, y up the slope, z outwards     x along a*, z along c
=======  =============================================  ==========================

"Down", "up" and "right" are those of the map on the screen.  The sample frames are those of
kikuchipy's tutorial on reference frames, where Oxford's is EDAX's turned by 90 degrees about the
normal, and of MTEX, whose readers turn the Euler angles of .ang files by 180 degrees about x + y
and those of .ctf files by 180 degrees about x to reach the axes of the map (x to the right, y
down).  Oxford's is the acquisition surface, CS0 in its files.

Crystal frames differ where axes are not at right angles.  Hexagonal and trigonal crystals have x
along a for EDAX, and y along b for Oxford, 30 degrees apart.  Of monoclinic and triclinic crystals
Oxford lays c along z.  For EDAX the frame of orix, EMsoft and PyEBSDIndex is used throughout;
MTEX, however, reads EDAX's monoclinic phases with b along y and c along z.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.analysis.maps.vendor_files import STEP_UNKNOWN
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import detector_to_sample, euler_angles

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap

FloatArray = NDArray[np.float64]

#: Tilts in degrees of sample and camera where the file does not tell.
USUAL_TILTS = (70.0, 0.0)


@dataclass(frozen=True, eq=False)
class Convention:
    """Frames of a program.

    Attributes
    ----------
    sample : ndarray of float64, (3, 3)
        Turns directions of EDAX's sample frame into the program's.
    crystal
        Which axes of the crystal lie along x and z: "a c*" or "a* c".
    """

    sample: FloatArray
    crystal: str


CONVENTIONS = {
    "edax": Convention(np.eye(3), "a c*"),
    "orix": Convention(np.eye(3), "a c*"),
    "oxford": Convention(np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]), "a* c"),
}


def crystal_frame(cell: UnitCell, program: str) -> FloatArray:
    """Matrix that turns directions of our crystal frame (a along x, c* along z) into a program's.

    Parameters
    ----------
    cell
        Conventional cell.
    program
        One of `CONVENTIONS`.

    Returns
    -------
    ndarray of float64, (3, 3)
    """
    if CONVENTIONS[program].crystal == "a c*":
        return np.eye(3)
    x = cell.reciprocal_basis[0] / np.linalg.norm(cell.reciprocal_basis[0])
    z = cell.basis[2] / np.linalg.norm(cell.basis[2])
    return np.array([x, np.cross(z, x), z])


def tilts(indexed: IndexedMap) -> tuple[float, float]:
    """Tilts of sample and camera in degrees, the usual ones where the file does not tell."""
    geometry = indexed.geometry
    told = (None, None) if geometry is None else (geometry.sample_tilt, geometry.camera_tilt)
    sample, camera = (
        usual if value is None else float(value)
        for value, usual in zip(told, USUAL_TILTS, strict=True)
    )
    return sample, camera


def assumptions(indexed: IndexedMap) -> tuple[str, ...]:
    """Sentences on the tilts, and on the step of a scan, that had to be assumed."""
    geometry = indexed.geometry
    told = (None, None) if geometry is None else (geometry.sample_tilt, geometry.camera_tilt)
    said = [
        f"The tilt of the {what} is not known: {usual:g} degrees are assumed for the orientations."
        for what, value, usual in zip(("sample", "camera"), told, USUAL_TILTS, strict=True)
        if value is None
    ]
    if indexed.is_scan and indexed.step is None:
        said.append(STEP_UNKNOWN)
    return tuple(said)


def orientations(indexed: IndexedMap, program: str = "edax") -> FloatArray:
    """Matrices that turn directions of the sample into the crystal's frame.

    Parameters
    ----------
    indexed
        The solution.
    program
        Whose frames, one of `CONVENTIONS`.

    Returns
    -------
    ndarray of float64, (n, 3, 3)
        NaN where a pattern is not indexed.
    """
    sample = CONVENTIONS[program].sample @ detector_to_sample(*tilts(indexed))
    turned = np.full((len(indexed), 3, 3), np.nan)
    for number, phase in enumerate(indexed.phases):
        here = indexed.phase == number
        frame = crystal_frame(phase.cell, program)
        turned[here] = frame @ indexed.rotation[here].astype(np.float64) @ sample.T
    return turned


def bunge_angles(indexed: IndexedMap, program: str = "edax") -> FloatArray:
    """Bunge's Euler angles phi1, Phi and phi2 in degrees.

    Parameters
    ----------
    indexed, program
        See `orientations`.

    Returns
    -------
    ndarray of float64, (n, 3)
        NaN where a pattern is not indexed.
    """
    return euler_angles(orientations(indexed, program))
