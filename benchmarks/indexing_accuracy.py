"""How well scans are indexed with nothing given: phases, lattices, cells, centres, orientations.

Only patterns that the program did not simulate count here: dynamical ones made by another program
(`dynamical_patterns.py`, `indexing_sets.py`) and measured ones.  Parts:

singles   20 noisy single patterns of each crystal before one camera, with its centre and without
scans     grains of one to three phases, boundaries, drift of the centre
controls  noise, masks, amorphous films, powders: no phase may be found
nickel    the scan of a Ni superalloy in NAPARI_DIFFRACTION_REAL, beside PyEBSDIndex's centre
others    single measured patterns in NAPARI_DIFFRACTION_REAL, as they are

    python benchmarks/indexing_accuracy.py --masters masters --real REAL singles scans controls

The figures go to `figures/indexing.json`, part by part, and from there into the documentation.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from indexing_sets import CONTROLS, Known, control, dynamical_scan, load_known, singles
from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES
from napari_diffraction.crystal.reduction import matches
from napari_diffraction.crystal.symmetry import disorientation
from napari_diffraction.indexing.scan import IndexSettings, index_scan
from napari_diffraction.indexing.solution import IndexedMap, IndexedPhase
from napari_diffraction.learning.classification.opinion import NetworkOpinion
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

FIGURES = Path(__file__).parent / "figures" / "indexing.json"
NICKEL = "ebsd/ni_superalloy_64x80x120x120.h5"
NICKEL_PC = (0.5088, 0.3409, 0.6276)  # PyEBSDIndex 0.3.10, told fcc Ni
OTHERS = ("fe3c_1040px.tif", "gan_1344px.png", "si_480px/si_in.h5", "si_480px/si_out5mm.h5")
COUNT, SIZE, SEED = 20, 120, 1
#: The network's second opinion on lattices; not asked for where BANDS_ONLY is set.
OPINION = None if os.environ.get("BANDS_ONLY") else NetworkOpinion()
#: Sides (relative) and angles (degrees) within which a cell is that of the crystal.
LENGTHS, ANGLES = 0.02, 1.5
SCANS = (
    ("Ni_EMsoft",),
    ("W", "WC"),
    ("Al2O3", "CuWO4", "TiO2_anatase"),
    ("Fe", "Ti"),
    ("Cu", "Cu2O"),
    ("TiO2_rutile",),
    ("Mg", "Si"),
    ("ZrO2",),
    ("Bi", "CrB"),
    ("Al", "MoSi2", "Ti"),
)


def solve(stack: PatternStack, pc: tuple[float, ...] | None = None) -> tuple[IndexedMap, float]:
    """Index patterns; return the solution and the seconds that it took."""
    began = time.monotonic()
    settings = IndexSettings(pc=None if pc is None else (pc[0], pc[1], pc[2]), opinion=OPINION)
    return finish(index_scan(stack, settings)), time.monotonic() - began


def compared(phase: IndexedPhase, known: Known) -> dict[str, Any]:
    """Compare a phase with the crystal that it is."""
    structure = known.structure
    ways = matches(
        phase.cell, phase.lattice, structure.cell, structure.space_group, LENGTHS, ANGLES
    )
    system = BRAVAIS_LATTICES[phase.lattice].system == BRAVAIS_LATTICES[known.lattice].system
    out: dict[str, Any] = {
        "crystal": known.name,
        "lattice": known.lattice,
        "found": phase.lattice,
        "probability": round(phase.lattice_probabilities[phase.lattice], 3),
        "system": system,
        "cell": bool(ways),
    }
    if ways:
        best = ways[0]
        out |= {
            "lengths": round(best.shape, 4),
            "angles": round(best.angle, 2),
            "scale": round(float(np.exp(-best.scale)), 3),
        }
    return out


def part_singles(folder: Path, every: int) -> list[dict[str, Any]]:
    """Single patterns of each crystal, with and without the centre."""
    rows = []
    for known in load_known(folder)[::every]:
        stack, truth = singles(known, COUNT, SIZE, seed=SEED)
        row: dict[str, Any] = {"crystal": known.name, "lattice": known.lattice}
        for way, pc in (("with centre", tuple(truth.centre)), ("without", None)):
            solution, seconds = solve(stack, pc)
            phases = solution.phases
            facts = compared(phases[0], known) if phases else {"system": False, "cell": False}
            facts["seconds"] = round(seconds, 1)
            facts["phases"] = len(phases)
            if pc is None and phases:
                error = np.abs(np.array(solution.pattern_centre) - truth.centre).max()
                facts["centre error"] = round(float(error), 4)
            row[way] = facts
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def part_scans(folder: Path, shape: tuple[int, int]) -> list[dict[str, Any]]:
    """Scans of grains of one to three phases."""
    rows = []
    for number, names in enumerate(SCANS):
        known = load_known(folder, names)
        stack, truth = dynamical_scan(known, shape, 80, 30, seed=number + 1)
        solution, seconds = solve(stack)
        counts = np.zeros((len(names) + 1, len(solution.phases) + 1), int)
        np.add.at(counts, (truth.phase, solution.phase), 1)
        right, phases, taken = 0, [], set()
        for place, phase in enumerate(solution.phases):
            crystal = int(counts[:-1, place].argmax())
            facts = compared(phase, known[crystal])
            if crystal not in taken:
                right += int(counts[crystal, place])
                taken.add(crystal)
            facts |= _orientations(solution, truth, place, crystal, phase, known[crystal])
            phases.append(facts)
        row = {
            "crystals": names,
            "phases": phases,
            "number right": len(solution.phases) == len(names),
            "points right": round(right / int((truth.phase >= 0).sum()), 4),
            "centre error": round(
                float(np.abs(np.array(solution.pattern_centre) - truth.centre).max()), 4
            ),
            "seconds": round(seconds, 1),
        }
        print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def _orientations(
    solution: IndexedMap, truth: Any, place: int, crystal: int, phase: IndexedPhase, known: Known
) -> dict[str, float]:
    """How far orientations are off, where the cell is right."""
    structure = known.structure
    ways = matches(
        phase.cell, phase.lattice, structure.cell, structure.space_group, LENGTHS, ANGLES
    )
    ours = (solution.phase == place) & (truth.phase == crystal)
    if not ways or not ours.any():
        return {}
    change = structure.cell.reciprocal_basis.T @ ways[0].indices
    left, _, right = np.linalg.svd(change @ np.linalg.inv(phase.cell.reciprocal_basis.T))
    turned = (left @ right) @ solution.rotation[ours]
    angle = disorientation(turned, truth.rotation[ours], known.lattice, structure.cell)
    return {"orientation": round(float(np.median(angle)), 3)}


def part_controls(folder: Path) -> list[dict[str, Any]]:
    """Patterns in which nothing can be indexed."""
    powder = load_known(folder, ["Ni_EMsoft"])[0]
    rows = []
    for kind in CONTROLS:
        for seed in (1, 2):
            stack = control(kind, (20, 20), 80, seed, powder if kind == "powder" else None)
            solution, _ = solve(stack)
            rows.append({"control": kind, "seed": seed, "phases": len(solution.phases)})
            print(json.dumps(rows[-1]), flush=True)
    return rows


def _facts(solution: IndexedMap) -> dict[str, Any]:
    return {
        "centre": [round(value, 4) for value in solution.pattern_centre],
        "phases": [
            {
                "lattice": phase.lattice,
                "probability": round(phase.lattice_probabilities[phase.lattice], 3),
                "cell": [round(value, 3) for value in phase.cell.parameters],
                "share": round(phase.share, 4),
                "misfit": round(phase.misfit_deg, 3),
                "grains": phase.grains,
            }
            for phase in solution.phases
        ],
        "not indexed": round(solution.not_indexed, 4),
    }


def part_nickel(real: Path) -> dict[str, Any]:
    """The measured nickel scan, nothing given."""
    solution, seconds = solve(open_stack(str(real / NICKEL)))
    facts = _facts(solution)
    off = np.array(solution.pattern_centre) - NICKEL_PC
    within = np.nan_to_num(solution.misfit_deg, nan=np.inf) <= 1.0
    facts |= {
        "from PyEBSDIndex": [round(float(value), 4) for value in off],
        "within 1 deg": round(float(within.mean()), 4),
        "seconds": round(seconds, 1),
    }
    print(json.dumps(facts), flush=True)
    return facts


def part_others(real: Path) -> dict[str, Any]:
    """Single measured patterns: what is said of one pattern, without its centre."""
    out = {}
    for name in OTHERS:
        solution, _ = solve(open_stack(str(real / "ebsd" / name)))
        out[name] = _facts(solution) | {"note": solution.notes[-1] if solution.notes else ""}
        print(name, json.dumps(out[name]), flush=True)
    return out


def main() -> None:
    """Measure the parts asked for and keep their figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="+")
    parser.add_argument("--masters", type=Path, default=Path("masters"))
    parser.add_argument(
        "--real", type=Path, default=Path(os.environ.get("NAPARI_DIFFRACTION_REAL", "."))
    )
    parser.add_argument("--every", type=int, default=1, help="take every so many crystals")
    parser.add_argument("--shape", type=int, nargs=2, default=(40, 40), help="of the scans")
    given = parser.parse_args()
    for part in given.parts:
        if part == "singles":
            found: Any = part_singles(given.masters, given.every)
        elif part == "scans":
            found = part_scans(given.masters, tuple(given.shape))
        elif part == "controls":
            found = part_controls(given.masters)
        elif part == "nickel":
            found = part_nickel(given.real)
        elif part == "others":
            found = part_others(given.real)
        else:
            parser.error(f"no such part: {part}")
        kept = json.loads(FIGURES.read_text()) if FIGURES.exists() else {}
        kept[part] = found
        FIGURES.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
