"""A phase as it is looked for in patterns: cell, frame, and where its bands lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.bravais import LatticeChoice, lattice_choices, probabilities
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.reduction import reduced_cell
from napari_diffraction.crystal.reflectors import reflectors
from napari_diffraction.crystal.symmetry import proper_rotations
from napari_diffraction.indexing.bands.directions import Directions, directions
from napari_diffraction.indexing.bands.families import BandFamilies
from napari_diffraction.indexing.bands.metric import DirectMetric
from napari_diffraction.indexing.bands.visible import Rival, VisibleLattice
from napari_diffraction.indexing.solution import IndexedPhase, Reflector
from napari_diffraction.patterns.geometry import electron_wavelength

if TYPE_CHECKING:
    from napari_diffraction.crystal.structure import Structure

FloatArray = NDArray[np.float64]

#: Directions in which bands of a phase are looked for.
_DIRECTIONS = 60
#: What was seen of a phase counts as much as what is usual where so many grains showed it.
_USUAL = 0.3
#: Lattices at least so probable are told as not excluded.
_EXCLUDED = 0.03
#: Families listed.
_LISTED = 24
#: Beams of a given structure that may show bands.
_REFLECTORS = 120
#: A lattice can be bent to fit fewer orientations than this, by so much of its metric.
_FEW, _BENT = 3, 0.05
#: Rhombohedral lattices of which one has so many times the volume of the other are turned by 60
#: degrees where their axes are the same: c or a is then twice as long.
_TURNED = (Fraction(2), Fraction(4), Fraction(1, 2), Fraction(1, 4))
#: No crystal repeats within so many A; graphite, diamond and beryllium do after 2.3 to 2.5.
_SHORTEST = 1.8


@dataclass(frozen=True, eq=False)
class Crystal:
    """A phase with the directions of its bands.

    Attributes
    ----------
    phase
        What is told of it.
    table
        Directions in the frame of the conventional cell, hkl in its axes.
    turn : ndarray of float64, (3, 3)
        Turns the frame of the lattice as it was fitted into that of the cell.
    rotations : ndarray of float64, (m, 3, 3)
        Proper rotations of its symmetry in the frame of the cell.
    """

    phase: IndexedPhase
    table: Directions
    turn: FloatArray
    rotations: FloatArray


def crystal_found(
    name: str,
    basis: FloatArray,
    covariance: FloatArray,
    seen: VisibleLattice,
    voltage: float,
    families: BandFamilies | None = None,
    *,
    scale_known: bool = True,
    orientations: int = _FEW,
    said: Mapping[str, float] | None = None,
    part: float | None = None,
) -> Crystal:
    """Describe a lattice that was found.

    Parameters
    ----------
    name
        Of the phase.
    basis : ndarray of float64, (3, 3)
        Columns: reciprocal vectors, volume 1.
    covariance : ndarray of float64, (6, 6)
        Of their metric.
    seen
        What the widths of bands tell.
    voltage
        In kV: turns Bragg angles into lengths.
    families
        What is seen along its directions.
    scale_known
        Whether the voltage is known, and with it the lengths.
    orientations
        In how many it was seen.
    said
        A second opinion: logarithms of the probabilities of lattices, by Pearson letters.
    part
        Volume of the cell of another phase over that of this one, where one lattice is part of the
        other.
    """
    if orientations < _FEW:
        covariance = covariance + _BENT**2 * np.eye(6)
    metric = DirectMetric.of(basis, covariance)
    # |g| = 2 sin(theta) / lambda of a reciprocal vector of length 1
    per_unit = 2 * np.sin(np.radians(seen.scale)) / electron_wavelength(voltage)
    choices = lattice_choices(metric.metric / per_unit**2, metric.covariance / per_unit**4)
    if said is not None:
        choices = _weighed(choices, said)
    best = choices[0]
    cell, lengths_su = best.cell, np.array(best.cell_su)
    lengths_su[:3] = np.hypot(lengths_su[:3], cell.lengths * seen.scale_su)
    to_conventional = metric.change @ best.to_conventional
    measured = metric.axes @ best.to_conventional
    turn = _nearest_rotation(cell.basis.T @ np.linalg.inv(measured / per_unit))
    table = directions(basis, _DIRECTIONS)
    hkl = table.hkl @ to_conventional
    share = table.share
    if families is not None:
        share = _USUAL * share + (1 - _USUAL) * _seen_share(table.hkl, families)
    niggli = reduced_cell(cell, best.pearson)
    phase = IndexedPhase(
        name,
        best.pearson,
        _judged(choices, seen.rival, said),
        cell,
        tuple(lengths_su.tolist()),
        niggli,
        scale_known=scale_known,
        doubt="; ".join(
            filter(
                None,
                (
                    _few(orientations),
                    _short(niggli),
                    _doubt(choices),
                    _hardly_excluded(seen.rival, best.pearson),
                    _twice(part),
                    _contradicted(best.pearson, said),
                ),
            )
        ),
    )
    if families is not None:
        phase = replace(phase, reflectors=_reflectors(families, to_conventional, seen.scale))
    return Crystal(
        phase,
        _in_cell(hkl, cell, share / share.sum()),
        turn,
        proper_rotations(best.pearson, cell),
    )


def crystal_given(structure: Structure) -> Crystal:
    """Describe a phase whose structure is known.

    Raises
    ------
    InputError
        The structure has no reflections; see `reflectors`.
    """
    known = reflectors(structure, _REFLECTORS)
    first: dict[tuple[int, ...], float] = {}
    for hkl, u in zip(known.hkl, known.u, strict=True):
        primitive = hkl // np.gcd.reduce(np.abs(hkl))
        if primitive[np.flatnonzero(primitive)[0]] < 0:
            primitive = -primitive
        first.setdefault(tuple(primitive.tolist()), float(u))
    hkl = np.array(list(first)[:_DIRECTIONS], dtype=np.int64)
    amplitude = np.array(list(first.values()))[:_DIRECTIONS]
    share = amplitude**2
    cell, lattice = structure.cell, structure.lattice
    phase = IndexedPhase(
        structure.name,
        lattice,
        {letters: float(letters == lattice) for letters in BRAVAIS_LATTICES},
        cell,
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        reduced_cell(cell, lattice),
        structure=structure,
    )
    return Crystal(
        phase,
        _in_cell(hkl, cell, share / share.sum()),
        np.eye(3),
        proper_rotations(structure.space_group, cell),
    )


def _in_cell(hkl: NDArray[np.int64], cell: UnitCell, share: FloatArray) -> Directions:
    """Directions of planes in the frame of a cell."""
    vectors = hkl @ cell.reciprocal_basis
    length = np.linalg.norm(vectors, axis=1)
    order = np.argsort(-share, kind="stable")
    unit = np.ascontiguousarray(vectors[order] / length[order, None])
    return Directions(unit, hkl[order], length[order], share[order])


def _nearest_rotation(matrix: FloatArray) -> FloatArray:
    """The rotation nearest to a matrix (polar decomposition)."""
    left, _, right = np.linalg.svd(matrix)
    turn = left @ right
    if np.linalg.det(turn) < 0:
        left[:, -1] *= -1
        turn = left @ right
    return np.asarray(turn)


def _seen_share(hkl: NDArray[np.int64], families: BandFamilies) -> FloatArray:
    """Probability that a band is that of a direction, by how strong bands there are."""
    strength = families.seen * families.edge
    of = {
        tuple(one): float(strength[number])
        for one, number in zip(families.hkl.tolist(), families.family, strict=True)
    }
    share = np.array([of.get(tuple(one), 0.0) for one in hkl.tolist()])
    return np.asarray(share / max(share.sum(), 1e-9))


def _reflectors(
    families: BandFamilies, to_conventional: NDArray[np.int64], scale: float
) -> tuple[Reflector, ...]:
    """List the families of planes, each direction once, in the shortest order that was seen."""
    listed = []
    first = np.unique(families.family, return_index=True)[1]
    strongest = max(float((families.seen * families.edge).max()), 1e-9)
    for number, place in enumerate(first[:_LISTED]):
        seen = bool(families.seen[number] > 0.5)
        width = float(families.half_width[number])
        order = max(1, round(width / (scale * families.length[place]))) if seen else 1
        hkl = families.hkl[place] @ to_conventional * order
        possible = int(families.possible[number])
        listed.append(
            Reflector(
                tuple(_leading_positive(hkl).tolist()),
                int((families.family == number).sum()),
                possible,
                round(possible * float(families.seen[number])),
                float(families.seen[number] * families.edge[number]) / strongest,
                width if seen else float("nan"),
            )
        )
    return tuple(listed)


def _leading_positive(hkl: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(hkl if hkl[np.flatnonzero(hkl)[0]] > 0 else -hkl)


def _few(orientations: int) -> str:
    """Say that a lattice was seen in few orientations."""
    if orientations >= _FEW:
        return ""
    seen = "one orientation" if orientations == 1 else f"{orientations} orientations"
    return f"seen in {seen} only, which many lattices can be bent to fit: take it for a guess"


def _short(cell: UnitCell) -> str:
    """Say that a reduced cell is too short for any crystal."""
    shortest = float(cell.lengths.min())
    if shortest >= _SHORTEST:
        return ""
    return f"no crystal repeats every {shortest:.1f} A: take it for a guess"


def _doubt(choices: list[LatticeChoice]) -> str:
    """Name other lattices that the metric does not exclude."""
    best = choices[0].pearson
    others = {
        one.pearson: one
        for one in reversed(choices)
        if one.pearson != best and one.probability >= _EXCLUDED
    }
    if not others:
        return ""
    told = [
        f"{name} (p = {one.probability:.2f}, {_shape(one)})"
        for name, one in sorted(others.items(), key=lambda item: -item[1].probability)
    ]
    system = BRAVAIS_LATTICES[best].system
    return f"{system} within its uncertainty; not excluded: {', '.join(told[:3])}"


def _weighed(choices: list[LatticeChoice], said: Mapping[str, float]) -> list[LatticeChoice]:
    """Multiply what the metric tells by a second opinion, which counts as one more observation."""
    weights = np.array([one.probability * np.exp(said[one.pearson]) for one in choices])
    weights /= weights.sum()
    weighed = [
        replace(one, probability=float(weight))
        for one, weight in zip(choices, weights, strict=True)
    ]
    return sorted(weighed, key=lambda one: -one.probability)


def _judged(
    choices: list[LatticeChoice], rival: Rival | None, said: Mapping[str, float] | None
) -> dict[str, float]:
    """Probabilities of the lattices, also by what the metric of the one seen cannot judge.

    The metric may be sure of its symmetry, but of the wrong lattice: where a second opinion is on
    one that the metric excludes, both count half.
    """
    of_metric = probabilities(choices)
    if said is not None and of_metric[max(said, key=lambda one: said[one])] < _EXCLUDED:
        total = sum(np.exp(list(said.values())))
        share, other = 0.5, {one: float(np.exp(value)) / total for one, value in said.items()}
    elif rival is not None:
        share, other = rival.share, {rival.letters: 1.0}
    else:
        return of_metric
    return {
        one: float((1 - share) * value + share * other.get(one, 0.0))
        for one, value in of_metric.items()
    }


def _hardly_excluded(rival: Rival | None, letters: str) -> str:
    """Name a lattice of another size that is nearly as well seen."""
    if rival is None:
        return ""
    told = f"bands hardly exclude {rival.letters} with {_fraction(rival.volume)} times the volume"
    if rival.letters == letters == "hR" and _fraction(rival.volume) in _TURNED:
        # what is obverse on the axes of the one is reverse on those of the other
        told += ", of which orientations differ by 60 degrees about c"
    return told


def _twice(part: float | None) -> str:
    """Say that another phase may be the same one."""
    if part is None:
        return ""
    return (
        f"another phase has the same lattice with {_fraction(part)} times the volume: both may be "
        "one phase"
    )


def _fraction(volume: float) -> Fraction:
    return Fraction(volume).limit_denominator(8)


def _contradicted(letters: str, said: Mapping[str, float] | None) -> str:
    """Say what a second opinion is that is not the same."""
    if said is None:
        return ""
    first = max(said, key=lambda one: said[one])
    if first == letters:
        return ""
    share = {one: np.exp(value - said[first]) for one, value in said.items()}
    total = sum(share.values())
    return (
        f"the network says {first} ({share[first] / total:.2f}, {letters} "
        f"{share[letters] / total:.2f})"
    )


def _shape(choice: LatticeChoice) -> str:
    a, b, c, alpha, beta, gamma = choice.cell.parameters
    system = BRAVAIS_LATTICES[choice.pearson].system
    ratios = f"c/a {c / a:.3f}" if system in ("tetragonal", "trigonal", "hexagonal") else (
        f"b/a {b / a:.3f}, c/a {c / a:.3f}"
    )  # fmt: skip
    if system == "monoclinic":
        return f"{ratios}, beta {beta:.1f}"
    if system == "triclinic":
        return f"{ratios}, angles {alpha:.1f} {beta:.1f} {gamma:.1f}"
    return ratios if system != "cubic" else "a = b = c"
