"""What is known of a scan before it is indexed: by a person, by its file, or by nobody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.indexing.phases.opinion import Opinion

FloatArray = NDArray[np.float64]

#: Assumed where nobody tells it, in kV.
VOLTAGE = 20.0
#: Pattern centre of a usual camera.
USUAL = (0.5, 0.32, 0.62)


@dataclass(frozen=True, eq=False)
class IndexSettings:
    """What is known before, all of which may be left out.

    Attributes
    ----------
    pc
        Pattern centre, Bruker's convention; else that of the file; else it is found.
    voltage
        In kV; else that of the file; else 20 kV.
    phases
        Phases that are there; else they are found.
    refine_centre
        Whether a centre that is known is refined.
    candidates
        Structures that the phases found may be, besides the built-in materials.
    opinion
        A second opinion on lattices that bands hardly tell apart; see
        `napari_diffraction.learning.classification.opinion.NetworkOpinion`.
    """

    pc: tuple[float, float, float] | None = None
    voltage: float | None = None
    phases: tuple[Structure, ...] = ()
    refine_centre: bool = False
    candidates: Mapping[str, Structure] | None = None
    opinion: Opinion | None = None


@dataclass(frozen=True, eq=False)
class Known:
    """Centre, its change over the scan, and voltage, as far as known, and by whom.

    Attributes
    ----------
    pc : ndarray of float64, (3,), or None
        Pattern centre, Bruker's convention; ``None``: it has to be found.
    pc_from
        "file", "given" or "found" (that is, to be found).
    voltage, voltage_from
        In kV; "file", "given" or "assumed".
    gradient : ndarray of float64, (2, 3)
        Change of the centre per row and per column.
    """

    pc: FloatArray | None
    pc_from: str
    voltage: float
    voltage_from: str
    gradient: FloatArray


def what_is_known(stack: PatternStack, settings: IndexSettings) -> Known:
    """Centre and voltage: those given, else those of the file."""
    of_file = stack.geometry if isinstance(stack.geometry, KikuchiGeometry) else KikuchiGeometry()
    voltage, voltage_from = settings.voltage, "given"
    if voltage is None:
        voltage, voltage_from = of_file.voltage, "file"
    if voltage is None:
        voltage, voltage_from = VOLTAGE, "assumed"
    pc, pc_from = settings.pc, "given"
    if pc is None:
        pc, pc_from = of_file.pc, "file"
    gradient = np.zeros((2, 3))
    if pc_from == "file" and of_file.pc_map is not None:
        gradient = _plane(of_file.pc_map)
    if pc is None:
        return Known(None, "found", voltage, voltage_from, gradient)
    return Known(np.array(pc, float), pc_from, voltage, voltage_from, gradient)


def _plane(pc_map: FloatArray) -> FloatArray:
    """Change of the centre per row and per column."""
    rows, columns = pc_map.shape[:2]
    down = np.arange(rows) - (rows - 1) / 2
    right = np.arange(columns) - (columns - 1) / 2
    y, x = (one.ravel() for one in np.meshgrid(down, right, indexing="ij"))
    centres = pc_map.reshape(-1, 3)
    # files leave the centres of some points out
    there = np.isfinite(centres).all(axis=1)
    if not there.any():
        return np.zeros((2, 3))
    places = np.stack([np.ones_like(y), y, x], axis=1)[there]
    # the smallest slopes where points on one line do not tell both
    return np.asarray(np.linalg.lstsq(places, centres[there])[0][1:])


def centres_of(middle: FloatArray, gradient: FloatArray, shape: tuple[int, ...]) -> FloatArray:
    """Return the pattern centre of every pattern.

    Parameters
    ----------
    middle : ndarray of float64, (3,)
        That of the middle of the scan.
    gradient : ndarray of float64, (2, 3)
        Its change per row and per column.
    shape
        Rows and columns, or (n,) of a list, whose centre is one.

    Returns
    -------
    ndarray of float64, (n, 3)
    """
    count = int(np.prod(shape))
    if len(shape) != 2:
        return np.tile(middle, (count, 1))
    row, column = np.divmod(np.arange(count), shape[1])
    offset = np.stack([row - (shape[0] - 1) / 2, column - (shape[1] - 1) / 2], axis=1)
    return np.asarray(middle + offset @ gradient)


def settings_told(settings: IndexSettings) -> dict[str, Any]:
    """Return settings as plain JSON values."""
    return {
        "pc": settings.pc,
        "voltage": settings.voltage,
        "phases": [structure.name for structure in settings.phases],
        "refine_centre": settings.refine_centre,
        "candidates": sorted(settings.candidates or ()),
        "opinion": None if settings.opinion is None else settings.opinion.name,
    }
