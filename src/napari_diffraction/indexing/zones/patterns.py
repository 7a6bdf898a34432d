"""Patterns of any kind, zones or not, indexed by a cell, and whether that is more than chance.

A large cell puts some of the peaks of every pattern on lattice points.  How many is found out with
deliberately wrong cells of the same volume, searched in the same way in the same patterns; a
pattern counts as indexed only if it gains more than nearly all of these do.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell, random_cell
from napari_diffraction.crystal.orientation import euler_angles
from napari_diffraction.crystal.reduction import primitive_cell
from napari_diffraction.indexing.zones.pattern_kernel import ORIENTATIONS, ROUNDS, orient_patterns
from napari_diffraction.indexing.zones.pattern_nets import PatternNets
from napari_diffraction.progress import Progress

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Fewest peaks of a pattern that is looked at.  What few peaks gain is much only by small cells.
FEWEST = 5
#: Half of the thickness of the Ewald sphere in 1/A: by so much a reflection may be off it.
DEPTH = 0.012
#: Wavelength in A that stands for one that is not known: 200 kV.
ANY_WAVELENGTH = 0.0251
#: Standard uncertainty of a peak's place across the beam in pixels.
_SIGMA = 0.3
#: Peaks of a pattern that are looked at, the strongest ones.
_PEAKS = 120
#: Longest lattice vectors that are paired, in 1/A, and how many of them at most.
_REACH, _VECTORS = 0.9, 20000
#: Share of wrong cells' patterns that gain more than what is called chance.
CHANCE = 0.05
#: Patterns in which wrong cells are tried, times the number of wrong cells, and these numbers.
_TRIALS, _SAMPLE, _DECOYS = 100, 50, (2, 8)
_BATCH = 64


@dataclass(frozen=True, eq=False)
class PeakLists:
    """Peaks of ``n`` patterns, ``m`` in all, as reciprocal vectors across the beam.

    Attributes
    ----------
    patterns : ndarray of int64, (n,)
        Numbers of the patterns.
    start : ndarray of int64, (n + 1,)
        Pattern i owns the entries ``start[i]:start[i + 1]`` of the others.
    position : ndarray of float64, (m, 2)
        x to the right and y down from the direct beam in 1/A, from the inside outwards.
    row : ndarray of int64, (m,)
        Row of the peak in the table of its pattern.
    sigma
        Standard uncertainty of a coordinate in 1/A.
    """

    patterns: IntArray
    start: IntArray
    position: FloatArray
    row: IntArray
    sigma: float

    def __len__(self) -> int:
        return len(self.patterns)

    @property
    def counts(self) -> IntArray:
        """Number of peaks of each pattern, (n,)."""
        return np.diff(self.start)

    def chosen(self, places: IntArray) -> PeakLists:
        """Return the lists of some patterns, given by their places."""
        counts = self.counts[places]
        start = np.concatenate([[0], np.cumsum(counts)])
        entries = np.arange(start[-1]) - np.repeat(start[:-1] - self.start[places], counts)
        return replace(
            self,
            patterns=self.patterns[places],
            start=start,
            position=self.position[entries],
            row=self.row[entries],
        )

    def freed(self, camera: FloatArray) -> PeakLists:
        """Return the peaks without faults of the camera, (3,): see `RefinedMetric.camera`."""
        x, y = self.position.T
        bent = camera[2] * (x * x + y * y)
        moved = np.column_stack(
            [(camera[0] + bent) * x + camera[1] * y, camera[1] * x + (bent - camera[0]) * y]
        )
        return replace(self, position=self.position - moved)

    def points(self, wavelength: float | None) -> FloatArray:
        """Return the points of the Ewald sphere that the peaks stand for, (m, 3), in 1/A."""
        squares = (self.position**2).sum(axis=1)
        z = -0.5 * (ANY_WAVELENGTH if wavelength is None else wavelength) * squares
        return np.column_stack([self.position, z])


def gather_peaks(
    tables: Mapping[int, pd.DataFrame],
    centres: Mapping[int, tuple[float, float]],
    nets: PatternNets,
    pixel_size: float,
) -> PeakLists:
    """Make reciprocal vectors of the peaks of patterns.

    Parameters
    ----------
    tables
        By the number of the pattern, a row a peak: ``x``, ``y`` in pixels and ``intensity``.
    centres
        x and y of the direct beam of each in pixels, as estimated from the pattern alone.
    nets
        Nets of the zones among them: where these have one beam, it is that of all; their stretch
        is taken off.
    pixel_size
        In 1/A.
    """
    beam = steady_beam(nets)
    numbers, positions, rows = [], [], []
    for number, table in tables.items():
        strongest = np.argsort(-table["intensity"].to_numpy(float), kind="stable")[:_PEAKS]
        fit = nets.fits.get(number)
        centre = fit.origin if fit is not None else beam if beam is not None else centres[number]
        away = table[["x", "y"]].to_numpy(float)[strongest] - np.asarray(centre)
        if nets.ellipse is not None:
            away = nets.ellipse.corrected(away)
        order = np.argsort((away**2).sum(axis=1), kind="stable")
        numbers.append(number)
        positions.append(away[order] * pixel_size)
        rows.append(strongest[order])
    return PeakLists(
        np.array(numbers, np.int64),
        np.concatenate([[0], np.cumsum([len(one) for one in rows])]).astype(np.int64),
        np.concatenate([np.zeros((0, 2)), *positions]),
        np.concatenate([np.zeros(0, np.int64), *rows]),
        _SIGMA * pixel_size,
    )


def steady_beam(nets: PatternNets) -> FloatArray | None:
    """Place of the direct beam that all zones have in common; ``None`` where it moves."""
    if len(nets.fits) < 3:
        return None
    origins = np.array([fit.origin for fit in nets.fits.values()])
    middle = np.median(origins, axis=0)
    off = np.median(np.hypot(*(origins - middle).T))
    return np.asarray(middle) if off < 1.0 else None


@dataclass(frozen=True, eq=False)
class PatternMatches:
    """Orientation of one crystal in ``n`` patterns with ``m`` peaks.

    Attributes
    ----------
    peaks
        What was indexed.
    rotation : ndarray of float64, (n, 3, 3)
        From the frame of `UnitCell.basis` (a along x, b in the x-y plane) to that of the
        laboratory: x to the right, y down, z along the beam.  Where little but the Ewald sphere's
        curvature tells, the pattern turned by 180 degrees about the beam fits nearly as well.
    shift : ndarray of float64, (n, 2)
        Place of the direct beam in the frame of the peaks, in 1/A.
    hkl : ndarray of int64, (m, 3)
        Indices of each peak in the conventional cell; 0 0 0: on no lattice point.
    matched : ndarray of int64, (n,)
        Number of peaks on lattice points.
    misfit : ndarray of float64, (n,)
        Root mean square of their distance from these across the beam in 1/A.
    gain : ndarray of float64, (n,)
        Logarithm of the probability of the peaks by the lattice in this orientation, over that of
        peaks anywhere.
    excess : ndarray of float64, (n,)
        `gain` less what chance gains; above 0 the pattern counts as indexed.
    """

    peaks: PeakLists
    rotation: FloatArray
    shift: FloatArray
    hkl: IntArray
    matched: IntArray
    misfit: FloatArray
    gain: FloatArray
    excess: FloatArray

    @property
    def indexed(self) -> NDArray[np.bool_]:
        """Whether the cell explains the pattern by more than chance, (n,)."""
        return np.asarray(self.excess > 0)

    @property
    def euler(self) -> FloatArray:
        """Bunge's Euler angles from the laboratory to the crystal in degrees, (n, 3)."""
        return euler_angles(self.rotation.transpose(0, 2, 1))

    def of_pattern(self, place: int) -> slice:
        """Return the slice of the entries of ``hkl`` that belong to a pattern."""
        return slice(int(self.peaks.start[place]), int(self.peaks.start[place + 1]))


def index_patterns(
    cell: UnitCell,
    lattice: str,
    peaks: PeakLists,
    wavelength: float | None = None,
    chance: float | None = None,
    *,
    rounds: int = ROUNDS,
) -> Generator[Progress, None, PatternMatches]:
    """Find the orientation of a crystal in each of some patterns.

    Parameters
    ----------
    cell
        Conventional cell in A.
    lattice
        Pearson letters of its lattice.
    peaks
        Of the patterns.
    wavelength
        In A; ``None``: that of 200 kV, whose sphere is nearly flat as those of all electrons are.
    chance
        See `chance_level`; ``None``: found out.
    rounds
        Times that other peaks are paired where the first ones fail; one finds nine of ten, and
        takes a third of the time that a wrong cell takes in all.

    Yields
    ------
    Progress
        Patterns done.

    Returns
    -------
    PatternMatches
    """
    change = primitive_cell(cell, lattice)
    direct = change @ cell.basis
    if chance is None:
        chance = chance_level(float(np.linalg.det(direct)), peaks, wavelength)
    n, counts = len(peaks), peaks.counts
    out = _nothing(n, len(peaks.position))
    points, sorted_vectors = peaks.points(wavelength), _vectors(direct)
    for first in range(0, n, _BATCH):
        part = slice(first, min(first + _BATCH, n))
        own = slice(int(peaks.start[part.start]), int(peaks.start[part.stop]))
        start = peaks.start[part.start : part.stop + 1] - own.start
        _orient(direct, sorted_vectors, start, points[own], peaks.sigma, out, part, own, rounds)
        yield Progress(part.stop, n, "Indexing patterns")
    few = counts < FEWEST
    out["gain"][few], out["matched"][few] = -np.inf, 0
    out["hkl"][np.repeat(few, counts)] = 0
    hkl = np.rint(out.pop("hkl") @ np.linalg.inv(change).T).astype(np.int64)
    excess = out["gain"] - ORIENTATIONS - chance * counts
    return PatternMatches(peaks, hkl=hkl, excess=excess, **out)


def chance_level(volume: float, peaks: PeakLists, wavelength: float | None = None) -> float:
    """Gain per peak, beside that of a free orientation, that wrong cells seldom exceed.

    Parameters
    ----------
    volume
        Of the primitive cell in A^3; the wrong cells have it, too.
    peaks, wavelength
        As for `index_patterns`.

    Returns
    -------
    float
        A share `CHANCE` of the patterns gain more by wrong cells.
    """
    places = np.flatnonzero(peaks.counts >= FEWEST)
    if not len(places):
        return 0.0
    places = places[:: max(len(places) // _SAMPLE, 1)][:_SAMPLE]
    some, rng = peaks.chosen(places), np.random.default_rng(0)
    points, gains = some.points(wavelength), []
    for _ in range(int(np.clip(_TRIALS // len(some), *_DECOYS))):
        wrong = random_cell(volume, "triclinic", (1.2, 3.0), rng).basis
        out = _nothing(len(some), len(points))
        every = slice(0, len(some)), slice(0, len(points))
        _orient(wrong, _vectors(wrong), some.start, points, some.sigma, out, *every)
        gains.append((out["gain"] - ORIENTATIONS) / some.counts)
    return max(float(np.quantile(np.concatenate(gains), 1 - CHANCE)), 0.0)


def _nothing(n: int, m: int) -> dict[str, NDArray[Any]]:
    return {
        "rotation": np.tile(np.eye(3), (n, 1, 1)),
        "shift": np.zeros((n, 2)),
        "hkl": np.zeros((m, 3), np.int64),
        "matched": np.zeros(n, np.int64),
        "misfit": np.zeros(n),
        "gain": np.zeros(n),
    }


def _orient(
    direct: FloatArray,
    sorted_vectors: tuple[FloatArray, FloatArray],
    start: IntArray,
    points: FloatArray,
    sigma: float,
    out: dict[str, NDArray[Any]],
    part: slice,
    own: slice,
    rounds: int = ROUNDS,
) -> None:
    """Fill in the orientations of some patterns, ``part``, whose peaks are ``own``."""
    orient_patterns(
        start, points, *sorted_vectors, direct, sigma, DEPTH, rounds,
        out["rotation"][part], out["shift"][part], out["hkl"][own], out["matched"][part],
        out["misfit"][part], out["gain"][part],
    )  # fmt: skip


def _vectors(direct: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Reciprocal lattice vectors, (k, 3), and their lengths, rising."""
    # a sphere of this radius holds so many lattice points
    reach = min(_REACH, float(np.cbrt(3 * _VECTORS / (4 * np.pi * abs(np.linalg.det(direct))))))
    most = [int(reach * length) for length in np.linalg.norm(direct, axis=1)]
    grid = np.meshgrid(*[np.arange(-k, k + 1) for k in most], indexing="ij")
    hkl = np.stack([one.ravel() for one in grid], axis=1)
    vectors = hkl @ np.linalg.inv(direct).T
    lengths = np.linalg.norm(vectors, axis=1)
    order = np.argsort(lengths, kind="stable")
    order = order[(lengths[order] > 0) & (lengths[order] < reach)]
    return vectors[order], lengths[order]
