"""What speaks against the cell that stands first, in sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_diffraction.indexing.zones.ellipse import FEWEST as NETS_FOR_A_STRETCH
from napari_diffraction.indexing.zones.patterns import CHANCE
from napari_diffraction.indexing.zones.search import FEWEST

if TYPE_CHECKING:
    from napari_diffraction.analysis.unit_cells import CellResult

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
