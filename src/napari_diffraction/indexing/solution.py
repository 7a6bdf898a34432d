"""What indexing finds out about a scan: centre, phases, and the orientation of every pattern."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.structure import laue_group
from napari_diffraction.crystal.symmetry import holohedry

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure
    from napari_diffraction.patterns.stack import KikuchiGeometry

#: Value in `IndexedMap.phase` of a pattern that matches nothing.
NOT_INDEXED = -1


@dataclass(frozen=True)
class Candidate:
    """A known material that may be a phase.

    Attributes
    ----------
    name
        Name of the material, or of the CIF file without its ending.
    score
        0 to 1; 1: cell and reflectors agree within their uncertainties.
    cell_misfit
        Largest relative difference of the lengths of the reduced cells.
    reflector_misfit
        1 - correlation of the seen strengths of the bands with the calculated amplitudes.
    """

    name: str
    score: float
    cell_misfit: float
    reflector_misfit: float


@dataclass(frozen=True)
class Reflector:
    """A family of equivalent planes of a phase, as seen in its grains.

    Attributes
    ----------
    hkl
        Miller indices in the conventional cell.
    multiplicity
        Planes of the family, one of each pair hkl and -h-k-l.
    possible, seen
        How often a band of the family lay well within a frame, and how often one was found there.
    strength
        Mean contrast of its bands, those not found counting as 0, the strongest family being 1.
    half_width_deg
        Mean half width of its bands in degrees; NaN where it was not measured.
    """

    hkl: tuple[int, int, int]
    multiplicity: int
    possible: int
    seen: int
    strength: float
    half_width_deg: float


@dataclass(frozen=True, eq=False)
class IndexedPhase:
    """A phase of a scan: found, or given.

    Attributes
    ----------
    name
        "phase 1" and so on until a person (or a phase list) names it.
    lattice
        Pearson letters of the Bravais lattice that the bands show best.
    lattice_probabilities
        Of all 14 lattices, by Pearson letters: by the shape of the lattice, by lattices of other
        sizes that bands hardly exclude, and by the opinion of a network, if it was asked.
    cell
        Conventional cell; its frame (a along x, b in the xy plane) is that of the rotations.
    cell_su
        Standard uncertainties of a, b, c (A) and alpha, beta, gamma (degrees); 0: fixed by the
        lattice.
    niggli
        Reduced primitive cell.
    scale_known
        Whether the lengths are absolute; else the cell is known up to a factor.
    grains, patterns
        How many grains (groups of alike patterns) and patterns have this phase.
    share
        Of all patterns, 0 to 1.
    misfit_deg
        Median over its patterns of the mean angle between bands and their reflectors, degrees.
    reflectors
        What was seen of each family of planes, the shortest first.
    candidates
        Known materials that it may be, the best first.
    structure
        Atoms, where the phase was given or a person named it.
    doubt
        One sentence on what the data cannot tell ("tetragonal with c/a 1.004 not excluded"), or
        empty.
    """

    name: str
    lattice: str
    lattice_probabilities: dict[str, float]
    cell: UnitCell
    cell_su: tuple[float, float, float, float, float, float]
    niggli: UnitCell
    scale_known: bool = True
    grains: int = 0
    patterns: int = 0
    share: float = 0.0
    misfit_deg: float = float("nan")
    reflectors: tuple[Reflector, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    structure: Structure | None = None
    doubt: str = ""

    @property
    def was_found(self) -> bool:
        """Whether the phase was found, so that its cell has uncertainties, and not given."""
        return any(self.cell_su)


@dataclass(frozen=True, eq=False)
class SecondBest:
    """The best answer for every pattern that is not its solution, nor equivalent to it.

    Attributes
    ----------
    phase : ndarray of int16, (n,)
        Number of the phase in `IndexedMap.phases`; -1: there is no other answer.
    rotation : ndarray of float32, (n, 3, 3)
        As that of `IndexedMap`.
    share : ndarray of float32, (n,)
        How much of the bands it explains, in parts of what the solution does, 0 to 1; of a pattern
        that is not indexed, in parts of what it would have to.
    """

    phase: NDArray[np.int16]
    rotation: NDArray[np.float32]
    share: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class IndexedMap:
    """Every pattern of a scan (or of a stack that is none), indexed.

    Attributes
    ----------
    name
        Short name of the scan.
    shape
        (rows, columns), or (n,) for a stack that is no scan.
    phases
        The largest first.
    phase : ndarray of int16, (n,)
        Number of the phase in `phases`; -1: not indexed.
    rotation : ndarray of float32, (n, 3, 3)
        Turns directions of the detector's frame (x to the right, y up, z from the sample to the
        screen) into the frame of the phase's conventional cell; NaN where nothing matches.
    misfit_deg : ndarray of float32, (n,)
        Mean angle between matched bands and their reflectors, in degrees; NaN where not indexed.
    bands : ndarray of int16, (n,)
        Bands matched.
    bands_found : ndarray of int16, (n,)
        Bands found in the pattern.
    confidence : ndarray of float32, (n,)
        0 to 1: how much better the solution is than the second-best phase or orientation.
    quality : ndarray of float32, (n,)
        Band contrast, 0 to 1.
    grain : ndarray of int32, (n,)
        Number of the group of alike patterns; -1: in none.
    done : ndarray of bool, (n,)
        Patterns that have been looked at; false for those that cannot be read.
    pattern_centre
        Bruker's convention, the mean of the scan.
    pattern_centre_su
        Standard uncertainties; 0 where it was given.
    pattern_centre_from
        "file", "given" or "found"; "assumed" where no phase was found.
    pc_gradient : ndarray of float64, (2, 3)
        Change of the centre per row and per column of the scan; zeros where drift does not matter.
    voltage
        Acceleration voltage in kV that was used.
    voltage_from
        "file", "given" or "assumed".
    geometry
        Calibration of the scan as the file told it.
    step
        Distance of rows and of columns in um, if known.
    sources
        Source file of every pattern, or one for all.
    notes
        Sentences for a person: what was found, what was assumed, what cannot be told.
    about
        Settings, software version, time, as plain JSON values.
    frame_shape
        Height and width of the patterns in pixels, if known.
    second
        The second-best answers, if known.
    finished
        Whether every pattern has been looked at; a cancelled run leaves some out.
    """

    name: str
    shape: tuple[int, ...]
    phases: tuple[IndexedPhase, ...]
    phase: NDArray[np.int16]
    rotation: NDArray[np.float32]
    misfit_deg: NDArray[np.float32]
    bands: NDArray[np.int16]
    bands_found: NDArray[np.int16]
    confidence: NDArray[np.float32]
    quality: NDArray[np.float32]
    grain: NDArray[np.int32]
    done: NDArray[np.bool_]
    pattern_centre: tuple[float, float, float]
    pattern_centre_su: tuple[float, float, float] = (0.0, 0.0, 0.0)
    pattern_centre_from: str = "found"
    pc_gradient: NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 3)))
    voltage: float = 20.0
    voltage_from: str = "assumed"
    geometry: KikuchiGeometry | None = None
    step: tuple[float, float] | None = None
    sources: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    about: dict[str, Any] = field(default_factory=dict)
    frame_shape: tuple[int, int] | None = None
    second: SecondBest | None = None
    finished: bool = True

    def __len__(self) -> int:
        return len(self.phase)

    @property
    def is_scan(self) -> bool:
        """Whether the patterns lie on a grid of rows and columns."""
        return len(self.shape) == 2

    @property
    def not_indexed(self) -> float:
        """Share of the patterns looked at that match nothing."""
        looked_at = int(self.done.sum())
        return float((self.phase[self.done] < 0).sum() / looked_at) if looked_at else 1.0

    def centre_at(self, index: int) -> tuple[float, float, float]:
        """Return the pattern centre of one pattern, Bruker's convention."""
        if not self.is_scan:
            return self.pattern_centre
        rows, columns = self.shape
        place = np.array([index // columns - (rows - 1) / 2, index % columns - (columns - 1) / 2])
        x, y, z = np.asarray(self.pattern_centre) + place @ self.pc_gradient
        return float(x), float(y), float(z)


def symmetry_note(phase: IndexedPhase) -> tuple[str, ...]:
    """Say up to which symmetry orientations are known, where the atoms have less of it.

    Parameters
    ----------
    phase
        A phase that may have atoms.
    """
    if phase.structure is None or not phase.was_found:
        return ()
    known, own = holohedry(phase.lattice), laue_group(phase.structure.space_group)
    if known == own:
        return ()
    return (
        f"{phase.name} has Laue group {own}, but was found by its lattice: its orientations are "
        f"known and compared up to {known}; index with {phase.name} given to tell more.",
    )


def scale_note(voltage: float, voltage_from: str) -> tuple[str, ...]:
    """Say what lengths of cells are worth: nothing to be said where somebody told the voltage.

    Parameters
    ----------
    voltage, voltage_from
        In kV; "file", "given" or "assumed".
    """
    if voltage_from != "assumed":
        return ()
    return (
        f"The voltage is not known: lengths of cells are those at {voltage:g} kV and proportional "
        "to the wavelength; give the voltage to know them.",
    )
