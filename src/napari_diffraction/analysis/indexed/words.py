"""What indexing found, in a few lines for a person."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from napari_diffraction.analysis.indexed.orientations import assumptions
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.learning.palette import class_title

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase

_NAMES = ("a", "b", "c", "alpha", "beta", "gamma")
#: Which of the six cell parameters a crystal system leaves free.
_FREE = {
    "triclinic": (0, 1, 2, 3, 4, 5),
    "monoclinic": (0, 1, 2, 4),
    "orthorhombic": (0, 1, 2),
    "tetragonal": (0, 2),
    "trigonal": (0, 2),
    "hexagonal": (0, 2),
    "cubic": (0,),
}
#: Candidates named, and the least score of one.
_CANDIDATES, _LIKELY = 3, 0.2


def with_su(value: float, su: float) -> str:
    """Return a value with its standard uncertainty in its last digits, such as 3.524(3).

    Parameters
    ----------
    value
        The value.
    su
        Its standard uncertainty; where it is 0 or unknown, the value stands alone.
    """
    if not math.isfinite(su) or su <= 0:
        return f"{value:.5g}"
    # one digit, or two where the first is a 1; rounding may carry over to the next power of ten
    power = math.floor(math.log10(su))
    if round(su / 10.0 ** (power - 1)) < 20:
        power -= 1
    digits = max(0, -power)
    if power > 0:
        return f"{round(value, -power):.0f}({round(su / 10**power) * 10**power})"
    return f"{value:.{digits}f}({round(su * 10**digits)})"


def cell_text(phase: IndexedPhase) -> str:
    """Return the free parameters of a phase's conventional cell with their uncertainties."""
    lattice = BRAVAIS_LATTICES.get(phase.lattice)
    free = _FREE["triclinic" if lattice is None else lattice.system]
    parts = [
        f"{_NAMES[place]} = {with_su(phase.cell.parameters[place], phase.cell_su[place])}"
        + (" A" if place < 3 else " deg")
        for place in free
    ]
    text = ", ".join(parts)
    return text if phase.scale_known else f"{text} (known up to a common factor of the lengths)"


def summary(indexed: IndexedMap) -> list[str]:
    """Say what was found: centre, phases, what is not indexed, and what cannot be told.

    Parameters
    ----------
    indexed
        The solution.

    Returns
    -------
    list of str
        Lines for a terminal.
    """
    centre = ", ".join(
        with_su(value, su)
        for value, su in zip(indexed.pattern_centre, indexed.pattern_centre_su, strict=True)
    )
    lines = [
        f"Pattern centre ({centre}), {_FROM.get(indexed.pattern_centre_from, 'found')}; "
        f"{indexed.voltage:g} kV, {_FROM.get(indexed.voltage_from, 'assumed')}."
    ]
    if not indexed.phases:
        lines.append("No phase was found.")
    for phase in indexed.phases:
        lines += _phase(phase)
    lines.append(f"{indexed.not_indexed:.1%}  not indexed")
    return lines + [f"Note: {note}" for note in (*indexed.notes, *assumptions(indexed))]


_FROM = {"file": "from the file", "given": "as given", "found": "found", "assumed": "assumed"}


def _phase(phase: IndexedPhase) -> list[str]:
    title = class_title(phase.lattice)
    named = "" if phase.name == phase.lattice else f"{phase.name}: "
    sure = phase.lattice_probabilities.get(phase.lattice)
    probability = f" (p = {sure:.2f})" if sure is not None else ""
    misfit = f", misfit {phase.misfit_deg:.2f} deg" if math.isfinite(phase.misfit_deg) else ""
    # single patterns, and those of a scan that is still recorded, make no grains
    grains = f", {phase.grains} grain" + "s" * (phase.grains != 1) if phase.grains else ""
    lines = [
        f"{phase.share:.1%}  {named}{title}{probability}{grains}{misfit}",
        f"    {cell_text(phase)}",
    ]
    likely = [one for one in phase.candidates if one.score >= _LIKELY][:_CANDIDATES]
    if likely:
        listed = ", ".join(f"{one.name} ({one.score:.2f})" for one in likely)
        lines.append(f"    looks like: {listed}")
    if phase.doubt:
        lines.append(f"    in doubt: {phase.doubt}")
    return lines
