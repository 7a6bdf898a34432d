"""How far an indexed scan agrees with another program's map: in phases, and in orientations."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations, product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.analysis.indexed.orientations import (
    CONVENTIONS,
    crystal_frame,
    orientations,
)
from napari_diffraction.analysis.indexed.phases import symmetry_of_phase
from napari_diffraction.analysis.maps.compare import (
    AGREE,
    TURNED,
    Comparison,
    OurPhase,
    compare_phases,
)
from napari_diffraction.crystal.orientation import euler_matrices
from napari_diffraction.crystal.symmetry import disorientation

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap
    from napari_diffraction.patterns.maps.vendor_map import VendorMap

FloatArray = NDArray[np.float64]

#: Orientations further apart than this, in degrees, are not the same.
SAME = 5.0
#: Other axes of the sample are tried with so many points, and taken where they bring the median
#: below this share of what it was.
_TRIED, _FAR_BETTER = 400, 0.5
#: Whose frames a file has, by the end of its name.
_PROGRAMS = {".ang": "edax", ".oh5": "edax", ".ctf": "oxford", ".h5oina": "oxford"}


@dataclass(frozen=True, eq=False)
class IndexedComparison(Comparison):
    """Two maps with orientations, point by point.

    Attributes
    ----------
    misorientation : ndarray of float32, (rows, columns)
        Smallest angle between the orientations, up to the symmetry of our phase, in degrees; NaN
        where the maps do not name the same phase, or the other one has no orientations.
    turned
        Whether the other map counts as if the axes of its sample were others than those that its
        kind of file has.
    """

    misorientation: NDArray[np.float32]
    turned: bool

    def sentences(self) -> list[str]:
        """Say the result in sentences."""
        said = super().sentences()
        known = self.misorientation[np.isfinite(self.misorientation)]
        if not len(known):
            return said
        said.append(
            f"Orientations where the phase is the same: median {np.median(known):.2f} deg apart, "
            f"{(known <= SAME).mean():.1%} within {SAME:g} deg."
        )
        if self.turned:
            said.append("The axes of its sample are others than usual: they were turned to fit.")
        return said


def program_of(path: str | Path) -> str:
    """Return whose frames a map has, one of `CONVENTIONS`, by the end of its file's name."""
    return _PROGRAMS.get(Path(path).suffix.lower(), "orix")


def compare_indexed(
    indexed: IndexedMap, other: VendorMap, program: str = "edax"
) -> IndexedComparison:
    """Compare an indexed scan with another program's map of it.

    A phase of the other map means that of ours with its name, else that of its Bravais lattice,
    else that of its cell.  Orientations are compared where both name the same phase; axes of the
    sample that are turned by right angles, as programs and settings have them, are found out.

    Parameters
    ----------
    indexed
        Ours.
    other
        The other map.
    program
        Whose frames its Euler angles have, one of
        `napari_diffraction.analysis.indexed.orientations.CONVENTIONS`.

    Raises
    ------
    InputError
        The maps differ in size.
    """
    ours = indexed.phase.reshape(indexed.shape).astype(np.int64)
    phases = [OurPhase(one.name, one.lattice, one.cell, one.scale_known) for one in indexed.phases]
    found = compare_phases(indexed.name, phases, ours, other)
    angle, turned = _misorientation(indexed, other, program, found.difference == AGREE)
    apart = angle > SAME  # false where it is not known
    difference = np.where((found.difference == AGREE) & apart, TURNED, found.difference)
    known = {one: getattr(found, one) for one in Comparison.__dataclass_fields__}
    known["difference"] = difference.astype(np.uint8)
    return IndexedComparison(**known, misorientation=angle.astype(np.float32), turned=turned)


def _misorientation(
    indexed: IndexedMap, other: VendorMap, program: str, same: NDArray[np.bool_]
) -> tuple[FloatArray, bool]:
    """Angles between orientations in degrees, and whether their sample had to be turned."""
    out = np.full(indexed.shape, np.nan)
    if other.euler is None:
        return out, False
    at = np.flatnonzero(same.ravel() & np.isfinite(other.euler).all(axis=-1).ravel())
    if not len(at):
        return out, False
    part = replace(indexed, phase=indexed.phase[at], rotation=indexed.rotation[at])
    ours = orientations(part)
    theirs = euler_matrices(other.euler.reshape(-1, 3)[at]) @ CONVENTIONS[program].sample
    for number, phase in enumerate(part.phases):
        here = part.phase == number
        theirs[here] = crystal_frame(phase.cell, program).T @ theirs[here]
    some = np.linspace(0, len(at) - 1, min(_TRIED, len(at))).astype(int)
    few = replace(part, phase=part.phase[some])
    medians = [float(np.median(_apart(few, ours[some], theirs[some] @ q))) for q in _TURNS]
    best = int(np.argmin(medians))
    turned = medians[0] > SAME and medians[best] < _FAR_BETTER * medians[0]
    out.ravel()[at] = _apart(part, ours, theirs @ _TURNS[best] if turned else theirs)
    return out, turned


def _apart(indexed: IndexedMap, ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """Angles between orientations up to the symmetry of each point's phase, in degrees."""
    out = np.full(len(indexed.phase), np.nan)
    for number, phase in enumerate(indexed.phases):
        here = indexed.phase == number
        out[here] = disorientation(ours[here], theirs[here], symmetry_of_phase(phase), phase.cell)
    return out


def _right_angles() -> FloatArray:
    """The 24 rotations by right angles, (24, 3, 3), the identity first."""
    turns = []
    for places in permutations(range(3)):
        for signs in product((1.0, -1.0), repeat=3):
            turn = np.zeros((3, 3))
            turn[range(3), places] = signs
            if np.linalg.det(turn) > 0:
                turns.append(turn)
    return np.array(turns)


_TURNS = _right_angles()
