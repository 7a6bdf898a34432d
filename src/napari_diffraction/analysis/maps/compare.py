"""How far two maps of one scan agree: ours, and that of a vendor's program or a Hough transform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.analysis.maps.phase_map import (
    DEFAULT_THRESHOLD,
    NO_PHASES,
    NOT_INDEXED,
    PhaseMap,
)
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    from napari_diffraction.crystal.cell import UnitCell
    from napari_diffraction.patterns.maps.vendor_map import Cell, VendorMap

#: Values of `Comparison.difference`.
NOT_COMPARED, AGREE, DIFFER, TURNED = 0, 1, 2, 3
#: Cells are alike where no length differs by more than this part, no angle by more degrees.
_LENGTHS, _ANGLES = 0.05, 1.5


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two maps, point by point.

    Attributes
    ----------
    matrix : DataFrame
        Number of points, the other map's phases in rows, our classes in columns; "not indexed"
        stands last in both.
    points
        Points that both maps index; agreement and kappa are those of these points.
    agreement
        Share of these points at which the maps name the same phase, 0 to 1; NaN without points, and
        where none of them has a phase of the other map that means one of ours.
    kappa
        Cohen's kappa: 0 as much as by chance, 1 complete; NaN where chance alone would give 1.
    difference : ndarray of uint8, (rows, columns)
        0: one of the maps does not index the point, or there is no agreement to speak of; 1: they
        agree; 2: they name different phases; 3: they name one phase in orientations that differ, if
        orientations were compared.
    matched
        For each phase of the other map our class that means the same, or ``None``.
    untold
        Phases of the other map whose lattice its file does not tell, as that of EDAX's .ang.
    """

    matrix: pd.DataFrame
    points: int
    agreement: float
    kappa: float
    difference: NDArray[np.uint8]
    matched: dict[str, str | None]
    untold: tuple[str, ...]

    def sentences(self) -> list[str]:
        """Say the result in sentences."""
        if not self.points:
            return ["No point is indexed in both maps."]
        if np.isfinite(self.agreement):
            said = [
                f"Agreement {self.agreement:.1%} of {self.points:,} points indexed in both maps."
            ]
        else:
            said = [
                f"The maps cannot be compared: at the {self.points:,} points indexed in both, the "
                "other one names no phase that means one of those here."
            ]
        if np.isfinite(self.kappa):
            said.append(f"Cohen's kappa {self.kappa:.2f}.")
        said += [
            f"The other map's phase {name} is none of those here"
            + (", as far as its file tells: it lacks the lattice." if name in self.untold else ".")
            for name, ours in self.matched.items()
            if ours is None
        ]
        return said


@dataclass(frozen=True)
class OurPhase:
    """One of our phases, or of the classes of a model, as it is looked for in another map.

    Attributes
    ----------
    name
        Its name.
    lattice
        Pearson letters, where it has a lattice.
    cell
        Its conventional cell, where it is known.
    scale_known
        Whether the lengths of the cell are absolute.
    """

    name: str
    lattice: str | None = None
    cell: UnitCell | None = None
    scale_known: bool = True


def compare(
    phase_map: PhaseMap, other: VendorMap, threshold: float = DEFAULT_THRESHOLD
) -> Comparison:
    """Compare a map with another program's map of the same scan.

    A phase of the other map means the class of its own name or, where there is none, that of its
    Bravais lattice.  Points without a pattern ("NoPattern") count as not indexed.

    Parameters
    ----------
    phase_map
        Ours.
    other
        The other map.
    threshold
        Confidence below which a point of ours is not indexed.

    Raises
    ------
    InputError
        The maps differ in size.
    """
    classes = [name for name in phase_map.classes if name not in NO_PHASES]
    labels = phase_map.labels(threshold)
    ours = np.full(labels.shape, -1)
    for place, name in enumerate(classes):
        ours[labels == phase_map.classes.index(name) + 1] = place
    phases = [OurPhase(name, _lattice_of(phase_map, name)) for name in classes]
    return compare_phases(phase_map.name, phases, ours, other)


def compare_phases(
    name: str, phases: Sequence[OurPhase], ours: NDArray[np.int64], other: VendorMap
) -> Comparison:
    """Compare phases point by point.

    Parameters
    ----------
    name
        Of the scan, for messages.
    phases
        Ours.
    ours : ndarray of int, (rows, columns)
        Number of the phase in ``phases``; -1: not indexed.
    other
        The other map.

    Raises
    ------
    InputError
        The maps differ in size.
    """
    check_size(name, ours.shape, other)
    classes = [phase.name for phase in phases]
    names = list(other.names[1:])
    cells = list(other.cells[1:]) or [None] * len(names)
    ours = np.where(ours < 0, len(classes), ours)
    theirs = np.where(other.phase > 0, other.phase.astype(np.int64) - 1, len(names))
    matrix = np.zeros((len(names) + 1, len(classes) + 1), np.int64)
    np.add.at(matrix, (theirs.ravel(), ours.ravel()), 1)
    match = [
        _match(one, lattice, cell, phases)
        for one, lattice, cell in zip(names, other.lattices[1:], cells, strict=True)
    ]
    meant = np.array([-1 if place is None else place for place in match] + [-2])[theirs]
    both = (ours < len(classes)) & (theirs < len(names))
    counts = matrix[:-1, :-1]
    agreement, kappa = _agreement(counts, match)
    both &= np.isfinite(agreement)
    difference = np.where(both, np.where(meant == ours, AGREE, DIFFER), NOT_COMPARED)
    return Comparison(
        matrix=pd.DataFrame(matrix, [*names, NOT_INDEXED], [*classes, NOT_INDEXED]),
        points=int(counts.sum()),
        agreement=agreement,
        kappa=kappa,
        difference=difference.astype(np.uint8),
        matched={
            one: None if place is None else classes[place]
            for one, place in zip(names, match, strict=True)
        },
        untold=tuple(
            one for one, kind in zip(names, other.lattices[1:], strict=True) if kind is None
        ),
    )


def check_size(name: str, shape: Sequence[int], other: VendorMap) -> None:
    """Refuse a map that is of another size than the scan.

    Raises
    ------
    InputError
        The map has other rows or columns.
    """
    if tuple(other.phase.shape) != tuple(shape):
        raise InputError(
            f"The other map has {_size(other.phase.shape)} points, {name} has {_size(shape)}: "
            "choose the map of the same scan."
        )


def _agreement(counts: NDArray[np.int64], match: Sequence[int | None]) -> tuple[float, float]:
    """Return the share of points that agree, and Cohen's kappa."""
    total = counts.sum()
    pairs = [(row, place) for row, place in enumerate(match) if place is not None]
    if not sum(counts[row].sum() for row, _ in pairs):
        return float("nan"), float("nan")
    agree = sum(counts[row, place] for row, place in pairs) / total
    # Several phases of the other map may mean the same class: their shares add up.
    chance = sum(counts[row].sum() * counts[:, place].sum() for row, place in pairs) / total**2
    kappa = (agree - chance) / (1 - chance) if chance < 1 else float("nan")
    return float(agree), float(kappa)


def _match(
    name: str, lattice: str | None, cell: Cell | None, phases: Sequence[OurPhase]
) -> int | None:
    """Return which of our phases is one of the other map: by name, lattice, or cell."""
    classes = [phase.name for phase in phases]
    if name in classes:
        return classes.index(name)
    # Titanium, Ti, is not the lattice tI: Pearson letters are taken by the letter.
    plain = ["" if one in BRAVAIS_LATTICES else _plain(one) for one in classes]
    if _plain(name) and _plain(name) in plain:
        return plain.index(_plain(name))
    lattices = [phase.lattice for phase in phases]
    if lattice is not None and lattices.count(lattice) == 1:
        return lattices.index(lattice)
    if cell is None:
        return None
    away = [
        _cells_apart(cell, phase) if lattice in (None, phase.lattice) else np.inf
        for phase in phases
    ]
    best = int(np.argmin(away)) if away else 0
    return best if away and away[best] <= 1 else None


def _cells_apart(cell: Cell, phase: OurPhase) -> float:
    """How far a cell is from that of a phase, 1 being the farthest that counts as alike."""
    if phase.cell is None:
        return np.inf
    ratio = np.array(cell[:3]) / phase.cell.lengths
    if not phase.scale_known:
        ratio /= np.prod(ratio) ** (1 / 3)
    angle = np.abs(np.array(cell[3:]) - phase.cell.angles).max()
    return float(max(np.abs(ratio - 1).max() / _LENGTHS, angle / _ANGLES))


def _plain(name: str) -> str:
    return "".join(sign for sign in name.casefold() if sign.isalnum())


def _lattice_of(phase_map: PhaseMap, name: str) -> str | None:
    if name in BRAVAIS_LATTICES:
        return name
    structure = phase_map.structures.get(name)
    return None if structure is None else structure.lattice


def _size(shape: Sequence[int]) -> str:
    return " x ".join(str(size) for size in shape)
