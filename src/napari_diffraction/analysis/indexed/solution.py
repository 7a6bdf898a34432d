"""The solution of a scan as JSON values and as a table."""

from __future__ import annotations

import math
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_diffraction.analysis.indexed.orientations import assumptions, bunge_angles, tilts
from napari_diffraction.review.store import now

if TYPE_CHECKING:
    from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase

NOT_INDEXED_NAME = "not indexed"
#: Columns of the table, in their order.
COLUMNS = (
    "index", "source", "row", "column", "phase", "lattice", "misfit_deg", "bands", "confidence",
    "phi1", "Phi", "phi2",
)  # fmt: skip


def provenance(indexed: IndexedMap) -> dict[str, Any]:
    """Return where a solution comes from, as JSON values."""
    facts: dict[str, Any] = plain(
        {
            "software": f"napari-diffraction {version('napari-diffraction')}",
            "exported": now(),
            "scan": indexed.name,
            "sources": sorted(set(indexed.sources)),
            "points": len(indexed),
            "points looked at": int(indexed.done.sum()),
            **_centre(indexed),
            "voltage": indexed.voltage,
            "voltage_from": indexed.voltage_from,
            "about": indexed.about,
        }
    )
    return facts


def solution(indexed: IndexedMap) -> dict[str, Any]:
    """Return the solution as JSON values: centre, voltage, phases, what is not indexed, notes."""
    sample, camera = tilts(indexed)
    facts: dict[str, Any] = plain(
        {
            **_centre(indexed),
            "pattern_centre_su": indexed.pattern_centre_su if is_known(indexed) else None,
            "pattern_centre_gradient": indexed.pc_gradient,
            "voltage": indexed.voltage,
            "voltage_from": indexed.voltage_from,
            "sample_tilt": sample,
            "camera_tilt": camera,
            "phases": [_phase(phase) for phase in indexed.phases],
            "not_indexed": indexed.not_indexed,
            "notes": [*indexed.notes, *assumptions(indexed)],
            "shape": indexed.shape,
            "step": indexed.step,
            **{
                name: value
                for name, value in provenance(indexed).items()
                if not name.startswith(("pattern_centre", "voltage"))
            },
        }
    )
    return facts


def is_known(indexed: IndexedMap) -> bool:
    """Whether the pattern centre was given, found or told by the file."""
    return indexed.pattern_centre_from != "assumed"


def _centre(indexed: IndexedMap) -> dict[str, Any]:
    """The pattern centre and where it is from; of a scan without phases nobody knows it.

    That of a usual camera, with which such a scan was looked at, is no finding: it is left out.
    """
    known = is_known(indexed)
    return {
        "pattern_centre": indexed.pattern_centre if known else None,
        "pattern_centre_from": indexed.pattern_centre_from if known else None,
    }


def _phase(phase: IndexedPhase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "lattice": phase.lattice,
        "lattice_probabilities": phase.lattice_probabilities,
        "cell": phase.cell.parameters,
        "cell_su": phase.cell_su,
        "scale_known": phase.scale_known,
        "niggli": phase.niggli.parameters,
        "space_group": phase.structure.space_group if phase.structure else None,
        "patterns": phase.patterns,
        "share": phase.share,
        "grains": phase.grains,
        "misfit_deg": phase.misfit_deg,
        "candidates": [vars(candidate) for candidate in phase.candidates],
        "reflectors": [vars(reflector) for reflector in phase.reflectors],
        "doubt": phase.doubt,
    }


def plain(value: Any) -> Any:
    """Return values as JSON knows them: numbers that are none become ``None``, the rest text."""
    if isinstance(value, dict):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def table_of(indexed: IndexedMap) -> pd.DataFrame:
    """Return one row a pattern that has been looked at.

    Columns: see `COLUMNS`.  Euler angles are Bunge's, in degrees and in the frames of EDAX and orix
    (`analysis.indexed.orientations`); empty where a pattern is not indexed.  ``row`` and
    ``column`` are empty where the stack is no scan.
    """
    index = np.flatnonzero(indexed.done)
    number = indexed.phase[index]
    found = number >= 0
    sources = indexed.sources or ("",)
    # -1, a pattern that matches nothing, counts from the end.
    names = np.array([*(phase.name for phase in indexed.phases), NOT_INDEXED_NAME], dtype=object)
    lattices = np.array([*(phase.lattice for phase in indexed.phases), ""], dtype=object)
    table = pd.DataFrame({"index": index})
    table["source"] = [sources[0] if len(sources) == 1 else sources[i] for i in index]
    if indexed.is_scan:
        table["row"], table["column"] = np.divmod(index, indexed.shape[1])
    else:
        table["row"] = table["column"] = ""
    table["phase"], table["lattice"] = names[number], lattices[number]
    table["misfit_deg"] = np.where(found, indexed.misfit_deg[index], np.nan)
    table["bands"] = indexed.bands[index]
    table["confidence"] = np.nan_to_num(indexed.confidence[index])
    angles = bunge_angles(indexed)[index].round(4)
    for name, values in zip(("phi1", "Phi", "phi2"), angles.T, strict=True):
        table[name] = values
    return table[list(COLUMNS)]
