"""Find the pattern centre: where one lattice serves the bands of all grains.

At a wrong centre the lattice of one grain is bent and fits no other; the merit of a single pattern
tells nothing, as any lattice can be bent to fit it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.indexing.bands.directions import Directions, directions
from napari_diffraction.indexing.bands.four_bands import (
    lattice_shape,
    lattices_of_pattern,
    reduced,
)
from napari_diffraction.indexing.bands.orientation import orient
from napari_diffraction.indexing.bands.refinement import Refined, observed, refine
from napari_diffraction.patterns.kikuchi.bands.lines import Lines
from napari_diffraction.progress import Progress

FloatArray = NDArray[np.float64]
#: Reciprocal basis (columns) of a crystal that is known, and its directions.
Known = tuple[FloatArray, Directions]

#: Where the centre of most cameras lies, and how far from it (x, y, logarithm of the distance).
_USUAL = np.array([0.5, 0.32, np.log(0.62)])
_SPREAD = np.array([0.06, 0.2, 0.3])
#: First grid of y and of the distance; x is near the middle of any camera.
_DOWN = np.arange(0.08, 0.72, 0.06)
_DISTANCES = 0.62 * 1.1 ** np.arange(-5, 8)
_ACROSS = (0.0, -0.07, 0.07)
#: Angular error of a band, in radians: on the grid, and its least.
COARSE, FINE = np.radians(0.8), np.radians(0.3)
#: Error of a band's place in pixels of a picture of 120 pixels.
_PIXELS = 0.42
#: Grains that judge a centre, and those whose lattices are tried.
_JUDGES, _SEEDS = 12, 3
#: Gain of a pattern that a lattice reaches by chance, per unit of its bands' weight, and spread.
CHANCE, CHANCE_BASE = 1.75, 4.0


@dataclass(frozen=True, eq=False)
class Solution:
    """A lattice and a centre at which it serves the grains.

    Attributes
    ----------
    pc : ndarray of float64, (3,)
    basis : ndarray of float64, (3, 3)
        Reduced reciprocal vectors, columns, volume 1.
    merit
        Sum over the grains of the gain above chance.
    refined
        What least squares gave, or ``None``.
    served : ndarray of bool, (g,)
        Grains that the lattice serves.
    rival
        Merit of the best centre elsewhere.
    table
        Directions of a crystal that is known; ``None``: those of the lattice.
    """

    pc: FloatArray
    basis: FloatArray
    merit: float
    refined: Refined | None = None
    served: NDArray[np.bool_] | None = None
    rival: float = 0.0
    table: Directions | None = None


def band_error(pc: FloatArray, shape: tuple[int, int]) -> float:
    """Angular error of a band in radians, by the size of a pixel at the screen's distance."""
    side = min(shape)
    return float(max(FINE, _PIXELS * (side / 120) ** 0.5 / (side * pc[2] * shape[0] / side)))


def above_chance(score: FloatArray, weights: FloatArray) -> FloatArray:
    """How far the gain of patterns is above what any lattice reaches by chance; at least 0."""
    chance = CHANCE * weights.sum(axis=-1) + CHANCE_BASE
    return np.asarray(np.maximum(score - chance, 0.0))


def band_weights(lines: Lines) -> FloatArray:
    """Weight of every band in the score: 1 for the first ones, less where the contrast is weak."""
    strength = lines.strength.astype(float)
    reference = strength[:, :6].mean(axis=1, keepdims=True)
    weight = np.clip(strength / np.maximum(0.6 * reference, 1e-9), 0.0, 1.0)
    return np.asarray(np.where(strength > 0, weight, 0.0))


def prior(pc: FloatArray) -> float:
    """Logarithm of how usual a centre is."""
    off = (np.array([pc[0], pc[1], np.log(pc[2])]) - _USUAL) / _SPREAD
    return float(-0.5 * np.sum(off**2))


def find_centre(
    lines: Lines, weights: FloatArray, known: Sequence[Known] = ()
) -> Generator[Progress, None, list[Solution]]:
    """Search the pattern centre of averages of grains.

    Parameters
    ----------
    lines
        Bands of the grains, those with the best patterns first.
    weights : ndarray of float64, (g, k)
        Of the bands.
    known
        Crystals that are there; others are not tried, and all grains judge, as any of them may be
        of these crystals.

    Yields
    ------
    Progress
        Centres tried.

    Returns
    -------
    list of Solution
        Refined, best first; empty where no lattice serves anything.
    """
    tried: list[Solution] = []
    grid = [np.array([0.5, y, z]) for y in _DOWN for z in _DISTANCES]
    total = len(grid) + 2 * 27 + 40
    for number, pc in enumerate(grid):
        tried.append(lattice_at(pc, lines, weights, COARSE, 2, known))
        yield Progress(number + 1, total, "Looking for the pattern centre")
    tried.sort(key=lambda one: -one.merit)
    done = len(grid)
    # off the middle, where the middle does well
    for one in _apart(tried, 2):
        for across in _ACROSS[1:]:
            for down in (-0.03, 0.03):
                for away in (0.95, 1.05):
                    pc = one.pc + np.array([across, down, 0.0])
                    pc[2] *= away
                    tried.append(lattice_at(pc, lines, weights, COARSE, 2, known))
                    done += 1
                    yield Progress(done, total, "Looking for the pattern centre")
    tried.sort(key=lambda one: -one.merit)
    solutions = []
    for one in _apart(tried, 8):
        solutions.append(improved(one, lines, weights))
        done += 1
        yield Progress(done, total, "Refining the pattern centre")
    solutions = [one for one in solutions if one.merit > 0]
    solutions.sort(key=lambda one: -one.merit)
    yield Progress(total, total, "Refining the pattern centre")
    return solutions


def _apart(solutions: list[Solution], most: int) -> list[Solution]:
    """The best solutions whose centres are not neighbours on the grid."""
    chosen: list[Solution] = []
    for one in solutions:
        if one.merit <= 0 or len(chosen) == most:
            break
        if all(np.abs((one.pc - other.pc) / [0.05, 0.05, 0.08]).max() > 1 for other in chosen):
            chosen.append(one)
    return chosen


def lattice_at(
    pc: FloatArray,
    lines: Lines,
    weights: FloatArray,
    sigma: float = COARSE,
    seeds: int = _SEEDS,
    known: Sequence[Known] = (),
) -> Solution:
    """Find the lattice of one of the first grains that serves the first grains best.

    Parameters
    ----------
    pc : ndarray of float64, (3,)
        Pattern centre.
    lines, weights
        As for `find_centre`.
    sigma
        Angular error of a band in radians.
    seeds
        Lattices of so many grains are tried.
    known
        Crystals that are there; others are not tried, and all grains judge.
    """
    judges = slice(0, len(weights) if known else _JUDGES)
    normals = lines[judges].normals(pc)
    weights = weights[judges]
    best = Solution(pc, np.eye(3), -1.0)
    for basis, table in known or _hypotheses(normals[:seeds], weights, sigma):
        matches = orient(
            table or directions(basis, 30), normals, weights, sigma, paired=5, pairs=20
        )
        merit = float(above_chance(matches.score, weights).sum())
        if merit > best.merit:
            best = Solution(pc, basis, merit, table=table)
    return best


def _hypotheses(
    normals: FloatArray, weights: FloatArray, sigma: float
) -> Iterator[tuple[FloatArray, None]]:
    """Lattices that explain single grains, each shape once; their directions are not known."""
    shapes: list[FloatArray] = []
    for seed in range(len(normals)):
        for _, basis in lattices_of_pattern(
            normals[seed], weights[seed], sigma, strongest=7, best=4
        ):
            shape = lattice_shape(basis)
            if not any(np.abs(shape - other).max() < 0.04 for other in shapes):
                shapes.append(shape)
                yield basis, None


def improved(
    solution: Solution,
    lines: Lines,
    weights: FloatArray,
    free_centre: bool = True,
) -> Solution:
    """Refine centre and lattice together, with more grains and a smaller error turn by turn.

    A crystal that is known stays as it is, and is judged by all grains.
    """
    pc, basis, table = solution.pc.copy(), solution.basis, solution.table
    judges = _JUDGES if table is None else len(weights)
    best = Solution(pc, basis, -1.0, table=table)
    for sigma, count in ((COARSE, judges), (0.0, 2 * judges), (0.0, 60), (0.0, 60)):
        some = lines[slice(0, count)]
        weight = weights[:count]
        error = sigma or band_error(pc, lines.shape)
        looked_at = table or directions(basis)
        matches = orient(looked_at, some.normals(pc), weight, error)
        gain = above_chance(matches.score, weight)
        merit = float(gain[:judges].sum()) + (prior(pc) if free_centre else 0.0)
        if not sigma and merit > best.merit:
            best = replace(best, pc=pc, basis=basis, merit=merit, served=gain > 0)
        used = gain > 0
        if used.sum() < 1:
            break
        chosen = np.flatnonzero(used)
        seen = observed(some, weight, chosen, np.zeros(len(used), np.int64), matches, [looked_at])
        fit = refine(
            seen,
            pc,
            [basis],
            matches.rotation[used],
            free_centre=free_centre,
            free_lattices=table is None,
        )
        pc, basis = fit.pc, reduced(fit.bases[0]) if table is None else basis
        if not best.merit < 0:
            best = replace(best, refined=fit)
    error = band_error(pc, lines.shape)
    matches = orient(
        table or directions(basis), lines[:judges].normals(pc), weights[:judges], error
    )
    gain = above_chance(matches.score, weights[:judges])
    merit = float(gain.sum()) + (prior(pc) if free_centre else 0.0)
    if merit >= best.merit:
        best = replace(best, pc=pc, basis=basis, merit=merit, served=gain > 0)
    return best
