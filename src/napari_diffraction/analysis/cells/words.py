"""What is said of the unit cells that were found, and what speaks against the first of them."""

from __future__ import annotations

import numpy as np

from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.analysis.indexed.words import with_su
from napari_diffraction.indexing.zones.ellipse import FEWEST as NETS_FOR_A_STRETCH
from napari_diffraction.indexing.zones.patterns import CHANCE
from napari_diffraction.indexing.zones.search import FEWEST
from napari_diffraction.indexing.zones.solution import CellSolution

#: Fewer zones than this, and less than this share of all, are few; and so is this share of the
#: patterns, of which a right cell indexes nearly all that show enough spots.
_FEW, _SHARE, _PATTERNS = 5, 0.5, 0.3


def doubts(result: CellResult | None) -> list[str]:
    """Say what speaks against the first cell, or why there is none; empty where nothing does."""
    if result is None:
        return []
    nets = len(result.patterns)
    lines = []
    if not result.scale_known:
        lines.append(
            "The scale is not known: lengths are right but for a common factor, and volumes for "
            "its cube; give the pixel size."
        )
    if not result.found.phases:
        lines.append(
            f"No cell explains {FEWEST} different nets of the {nets}: sort out more zones, or look "
            "whether the nets lie on their spots."
        )
        return lines
    best = result.found.phases[0][0]
    if result.nets.ellipse is None and nets < NETS_FOR_A_STRETCH:
        lines.append(
            f"{nets} nets cannot tell whether the camera stretches the patterns, for which "
            f"{NETS_FOR_A_STRETCH} are needed: if it does, this cell is off or wrong."
        )
    if best.zones_explained < _FEW:
        lines.append(
            f"Only {best.zones_explained} zones explain the first cell: other cells may explain "
            "them as well."
        )
    explained = sum(phase[0].zones_explained for phase in result.found.phases)
    if explained < _SHARE * nets:
        lines.append(f"The cells explain only {explained} of {nets} nets.")
    lines += _by_patterns(result, best.patterns_indexed or 0.0)
    return lines


def _by_patterns(result: CellResult, share: float) -> list[str]:
    if not result.matches:
        return ["No pattern but the zones was looked at: the cells have no second witness."]
    if share < 3 * CHANCE:
        return [
            f"The first cell indexes {share:.0%} of the patterns, no more than wrong cells may."
        ]
    indexed = sum(phase[0].patterns_indexed or 0.0 for phase in result.found.phases)
    if indexed < _PATTERNS:
        return [
            f"The cells index only {indexed:.0%} of the patterns: a right one does so where "
            "patterns show few spots, or there are other crystals; look at its spots over patterns."
        ]
    return []


def summary(result: CellResult) -> list[str]:
    """Say what was found, in lines for a person."""
    nets = len(result.patterns)
    lines = [f"Nets: {nets} patterns."]
    if result.nets.ellipse is not None:
        ellipse = result.nets.ellipse
        lines.append(
            f"The camera stretches patterns by {ellipse.stretch:.1%} along {ellipse.angle:.0f} "
            "degrees, which is taken off; lengths are by the mean scale of all directions."
        )
    for number, phase in enumerate(result.found.phases, 1):
        for place, cell in enumerate(phase[:3]):
            name = f"Phase {number}" if place == 0 else "  or"
            lines.append(f"{name}: {cell_words(cell, nets, scale_known=result.scale_known)}")
    if result.found.phases and result.found.left_over:
        lines.append(f"Not explained: {len(result.found.left_over)} nets.")
    if result.matches:
        indexed = np.any([one.indexed for one in result.matches], axis=0)
        lines.append(f"Indexed: {indexed.sum()} of {len(indexed)} patterns.")
    return lines + [f"Doubt: {one}" for one in doubts(result)]


def cell_words(cell: CellSolution, nets: int, *, scale_known: bool = True) -> str:
    """Say of a cell all that speaks for it, in a line; ``nets`` is the number of all nets.

    Without a scale lengths and volume have no unit, since they are right but for a factor.
    """
    numbers = [
        with_su(value, su) for value, su in zip(cell.cell.parameters, cell.cell_su, strict=True)
    ]
    length, volume = (" A", " A^3") if scale_known else ("", "")
    probability = cell.lattice_probabilities[cell.lattice]
    return (
        f"{' '.join(numbers[:3])}{length}, {' '.join(numbers[3:])} deg, "
        f"{cell.lattice} ({probability:.0%}), volume {cell.volume:.0f}{volume}, "
        f"{cell.zones_explained} of {nets} zones, misfit {cell.misfit:.2%}"
        + ("" if cell.patterns_indexed is None else f", {cell.patterns_indexed:.0%} of patterns")
        + ("" if cell.supercell_of is None else ", a multiple of a better cell")
    )
