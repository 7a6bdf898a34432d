"""From a stack of patterns to its unit cell by one command, for ten cells and a mixture.

Part ``end_to_end`` of `unit_cell_accuracy`:

    python benchmarks/unit_cell_accuracy.py --only end_to_end --patterns 3000 --resume

Each stack holds patterns of even orientations with the camera of the sample data (noise, halo, beam
stop, 4.6 % of stretch, off centre); a tenth shows two crystals and a tenth none.  Zones are as
frequent as the cell makes them.  The command ``unit-cell`` gets the file and nothing else; 300 of
the patterns, evenly chosen, are indexed by the cells that the zones suggest.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_diffraction.cli.app import run
from napari_diffraction.crystal.cell import UnitCell, random_cell
from napari_diffraction.crystal.reduction import cells_alike, matches, reduced_cell
from napari_diffraction.learning.classes import ZONE
from napari_diffraction.progress import finish
from napari_diffraction.simulation.files import save_simulated
from napari_diffraction.simulation.samples import (
    FIGURE_1,
    FIGURE_2,
    MONOCLINIC_1,
    MONOCLINIC_2,
    MONOCLINIC_GROUP,
    ORDINARY_CAMERA,
    ORDINARY_CONDITIONS,
    take,
)
from napari_diffraction.simulation.spots.dataset import SimulatedStack, simulate_spots

SEED = 71_100
#: Share of patterns with two crystals, and of those without any.
_DOUBLE, _EMPTY = 0.1, 0.1
#: Patterns by which the cells found are ranked and refined: spots of all would take minutes each.
INDEXED = 300
#: Wanted of the parameters of the reduced cell: sides (relative) and angles (degrees).
WANTED = (0.005, 0.5)


@dataclass(frozen=True)
class Crystal:
    """A cell with its space group, and its share of the patterns."""

    cell: UnitCell
    group: str = "P 1"
    share: float = 1.0


def _drawn(place: int, volume: float, system: str, group: str) -> Crystal:
    rng = np.random.default_rng([SEED, place])
    return Crystal(random_cell(volume, system, (1.2, 3.0), rng), group)


def experiments() -> dict[str, list[Crystal]]:
    """The paper's four cells, six drawn ones of 150 to 1,500 A^3, and a mixture."""
    return {
        "Fig. 1": [Crystal(FIGURE_1)],
        "Fig. 2": [Crystal(FIGURE_2)],
        "monoclinic 1": [Crystal(MONOCLINIC_1, MONOCLINIC_GROUP)],
        "monoclinic 2": [Crystal(MONOCLINIC_2, MONOCLINIC_GROUP)],
        "hexagonal, 150": [_drawn(0, 150, "hexagonal", "P 63/m m c")],
        "tetragonal, 300": [_drawn(1, 300, "tetragonal", "I 41/a m d")],
        "cubic, 530": [_drawn(2, 530, "cubic", "F d -3 m")],
        "orthorhombic, 900": [_drawn(3, 900, "orthorhombic", "P 21 21 21")],
        "trigonal, 1200": [_drawn(4, 1200, "trigonal", "R -3 c")],
        "monoclinic, 1500": [_drawn(5, 1500, "monoclinic", "C 1 2/c 1")],
        "Fig. 2, 70 %, and monoclinic 1, 30 %": [
            Crystal(FIGURE_2, share=0.7),
            Crystal(MONOCLINIC_1, MONOCLINIC_GROUP, 0.3),
        ],
    }


def experiment(crystals: list[Crystal], patterns: int) -> SimulatedStack:
    """Simulate a stack; patterns of all kinds in random order."""
    rng = np.random.default_rng([SEED, 99])
    parts = []
    for crystal in crystals:
        n = round(patterns * crystal.share)
        double, empty = round(_DOUBLE * n), round(_EMPTY * n)
        for count, orientations in ((1, n - double - empty), (2, double), (0, empty)):
            parts.append(
                finish(
                    simulate_spots(
                        [crystal.cell],
                        ORDINARY_CONDITIONS,
                        ORDINARY_CAMERA,
                        orientations=orientations,
                        space_group=crystal.group,
                        crystals=count,
                        seed=SEED,
                    )
                )
            )
            parts[-1].labels["cell"] = crystals.index(crystal)
    part = np.concatenate([np.full(len(one), i) for i, one in enumerate(parts)])
    index = np.concatenate([np.arange(len(one)) for one in parts])
    order = rng.permutation(len(part))
    return take(parts, part[order], index[order])


def solve(name: str, crystals: list[Crystal], patterns: int) -> dict[str, Any]:
    """Simulate, run the command, and compare with the truth."""
    with tempfile.TemporaryDirectory() as folder:
        stack = experiment(crystals, patterns)
        file, output = Path(folder) / "run.h5", Path(folder) / "cells.json"
        save_simulated(stack, file)
        start = time.perf_counter()
        status = run(["unit-cell", str(file), "--patterns", str(INDEXED), "--output", str(output)])
        seconds = time.perf_counter() - start
        said = json.loads(output.read_text(encoding="utf-8")) if status == 0 else {}
    return {
        "patterns": len(stack),
        "seconds": round(seconds, 1),
        **_zones(stack.labels, said),
        "phases": [_judge(crystal, said, place) for place, crystal in enumerate(crystals, 1)],
    }


def _zones(labels: pd.DataFrame, said: dict[str, Any]) -> dict[str, Any]:
    """How many zones there are, and how many of those that the model found are ones."""
    nets = [net["pattern"] for net in said.get("nets", [])]
    true = labels["label"].to_numpy() == ZONE
    return {
        "true_zones": int(true.sum()),
        "nets": len(nets),
        "nets_of_true_zones": int(true[nets].sum()) if nets else 0,
    }


def _judge(crystal: Crystal, said: dict[str, Any], phase: int) -> dict[str, Any]:
    """Compare the cells of a phase with a crystal."""
    true = reduced_cell(crystal.cell, _number(crystal.group))
    cells = [cell for cell in said.get("cells", []) if cell["phase"] == phase]
    right = [cells_alike(true, UnitCell(*cell["niggli"])) for cell in cells]
    out: dict[str, Any] = {
        "cells": len(cells),
        "on_top": any(right[:1]),
        "listed": right.index(True) + 1 if any(right) else None,
    }
    if cells:
        best = cells[0]
        out |= {name: best[name] for name in ("niggli", "lattice", "volume", "zones_explained")}
        out["patterns_indexed"] = best["patterns_indexed"]
        out["truth"] = [round(value, 4) for value in true.parameters]
    if any(right[:1]):
        match = matches(true, "aP", UnitCell(*best["niggli"]), "aP")[0]
        sides = abs(match.scale) + match.shape
        out["sides_off"], out["angles_off"] = round(sides, 5), round(match.angle, 3)
        out["within"] = sides <= WANTED[0] and match.angle <= WANTED[1]
    return out


def _number(group: str) -> int:
    from napari_diffraction.crystal.reflections import parse_space_group

    return int(parse_space_group(group).number)


def end_to_end(
    patterns: int, known: dict[str, Any], only: str | None = None
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Solve all experiments that are not known yet.

    Parameters
    ----------
    patterns
        Of each experiment.
    known
        Figures of those that are done.
    only
        Part of the name of those that are wanted.
    """
    for name, crystals in experiments().items():
        key = f"end to end: {name}"
        if key not in known and (only is None or only in name):
            yield key, solve(name, crystals, patterns)
