"""Find the unit cell that explains the zones of a stack, write it, and say it in a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_diffraction.cli.manners import output_file, with_bar
from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing

if TYPE_CHECKING:
    import pandas as pd

    from napari_diffraction.indexing.zones.pattern_nets import PatternNets
    from napari_diffraction.indexing.zones.search import CellsFound
    from napari_diffraction.indexing.zones.solution import CellSolution
    from napari_diffraction.learning.peak_tables import PeaksFound
    from napari_diffraction.patterns.stack import PatternStack

#: Root of the area of the smallest net, in 1/A, where the scale is not known.
_ANY_SCALE = 0.09
_NAMES = ("a", "b", "c", "alpha", "beta", "gamma")


@dataclass(frozen=True)
class Result:
    """What is written.

    Attributes
    ----------
    source
        Name of the stack.
    nets
        Nets of the zones.
    found
        Cells.
    patterns
        Number of the pattern of each net.
    pixel_size
        In 1/A, or what stands for it.
    scale_known
        Whether it is more than a guess.
    wavelength
        In A.
    """

    source: str
    nets: PatternNets
    found: CellsFound
    patterns: list[int]
    pixel_size: float
    scale_known: bool
    wavelength: float | None


def check_outputs(outputs: Sequence[Path]) -> None:
    """Check, before anything is read, that the files can be written.

    Raises
    ------
    InputError
        A name ends in something else, or its folder is missing.
    """
    for output in outputs:
        if output.suffix or not output.parent.is_dir():
            output_file(output, tuple(WRITERS))


def read_zones(path: Path, patterns: int) -> list[int]:
    """Numbers of the patterns that a table of `classify` calls zones.

    Raises
    ------
    InputError
        The file is no such table, calls none a zone, or belongs to another stack.
    """
    import pandas as pd

    from napari_diffraction.learning.classes import ZONE

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is no table of classes: give what classify writes.") from error
    if not {"index", "label"} <= set(table.columns):
        raise InputError(f"{path} has no columns index and label: give what classify writes.")
    chosen = table.loc[table["label"] == ZONE, "index"]
    if not len(chosen):
        raise InputError(f"{path} calls no pattern {ZONE}: without zones no cell can be found.")
    numbers = sorted(int(value) for value in chosen)
    if numbers[0] < 0 or numbers[-1] >= patterns:
        raise InputError(
            f"{path} speaks of pattern {numbers[-1]}, but INPUT has {patterns}: give the table of "
            "this stack."
        )
    return numbers


def sort_out_zones(stack: PatternStack) -> list[int]:
    """Numbers of the patterns that the model `zones` calls zones.

    Raises
    ------
    InputError
        It calls none so.
    """
    from napari_diffraction.cli.classification import usual_shares
    from napari_diffraction.learning.classes import ZONE
    from napari_diffraction.learning.inference import classify
    from napari_diffraction.learning.registry import load_model

    classifier = load_model("zones")
    table = with_bar(classify(stack, classifier, shares=usual_shares(classifier)))
    numbers = sorted(int(value) for value in table.loc[table["label"] == ZONE, "index"])
    if not numbers:
        raise InputError(
            f"The model zones calls no pattern of {stack.name} a zone, and without zones no cell "
            "can be found: review the classes and give them by --zones."
        )
    return numbers


def solve_stack(
    stack: PatternStack,
    *,
    zones: Sequence[int] | None = None,
    pixel_size: float | None = None,
    wavelength: float | None = None,
    volume: tuple[float, float] | None = None,
) -> Result:
    """Find the cells of a stack.

    Parameters
    ----------
    stack
        Spot patterns.
    zones
        Numbers of the patterns that are zones; ``None``: those that the model `zones` calls so.
    pixel_size, wavelength
        In 1/A and A, in place of what the file says.
    volume
        Least and greatest volume of the primitive cell in A^3.

    Raises
    ------
    InputError
        The patterns have no spots, or the zones are too few.
    """
    from napari_diffraction.indexing.zones.pattern_nets import nets_of_patterns
    from napari_diffraction.indexing.zones.search import find_cells
    from napari_diffraction.learning.peak_tables import find_in_stack
    from napari_diffraction.patterns.stack import SpotGeometry

    if not isinstance(stack.geometry, SpotGeometry):
        raise InputError(f"{stack.name} holds Kikuchi patterns, which have no zones of spots.")
    size = pixel_size or stack.geometry.pixel_size
    if volume is not None and size is None:
        raise InputError(
            "A range of volumes means nothing without a scale: give --pixel-size as well."
        )
    tables: dict[int, pd.DataFrame] = {}

    def keep(step: PeaksFound) -> None:
        tables.update({index: one.table for index, one in step.found.items()})

    chosen = sort_out_zones(stack) if zones is None else zones
    with_bar(find_in_stack(stack, indices=chosen), keep)
    nets = nets_of_patterns(tables)
    if not nets.fits:
        raise InputError(
            f"None of the {len(chosen)} zones of {stack.name} shows a net of spots: without nets "
            "no cell can be found."
        )
    known = size is not None
    if size is None:
        areas = [abs(float(np.linalg.det(fit.basis))) for fit in nets.fits.values()]
        size = _ANY_SCALE / min(areas) ** 0.5
    found = with_bar(find_cells(nets.nets(size), volume), unit="phase")
    return Result(
        stack.name, nets, found, sorted(nets.fits), size, known,
        wavelength or stack.geometry.wavelength,
    )  # fmt: skip


def write_result(result: Result, outputs: Sequence[Path]) -> list[str]:
    """Write the files and return lines for a person."""
    lines = []
    for output in outputs:
        if output.suffix:
            paths = [output]
        else:
            output.mkdir(exist_ok=True)
            paths = [output / f"cells{suffix}" for suffix in WRITERS]
        for path in paths:
            with replacing(path) as temporary:
                temporary.write_text(WRITERS[path.suffix.lower()](result), encoding="utf-8")
            lines.append(f"{path}: {sum(map(len, result.found.phases))} cells.")
    return lines + summary(result)


def summary(result: Result) -> list[str]:
    """What was found, for a person."""
    nets = len(result.patterns)
    lines = [f"Nets: {nets} patterns."]
    if result.nets.ellipse is not None:
        ellipse = result.nets.ellipse
        lines.append(
            f"The camera stretches patterns by {ellipse.stretch:.1%} along {ellipse.angle:.0f} "
            "degrees, which is taken off."
        )
    if not result.scale_known:
        lines.append(
            "The scale is not known: cells are right but for a common factor of all lengths; give "
            "--pixel-size."
        )
    if not result.found.phases:
        lines.append("No cell explains three different nets: sort out more zones.")
    for number, phase in enumerate(result.found.phases, 1):
        for place, cell in enumerate(phase[:3]):
            name = f"Phase {number}" if place == 0 else "  or"
            lines.append(f"{name}: {_words(cell, nets)}")
    if result.found.phases and result.found.left_over:
        lines.append(f"Not explained: {len(result.found.left_over)} nets.")
    return lines


def _words(cell: CellSolution, nets: int) -> str:
    numbers = " ".join(
        with_su(value, su) for value, su in zip(cell.cell.parameters, cell.cell_su, strict=True)
    )
    probability = cell.lattice_probabilities[cell.lattice]
    return (
        f"{numbers}, {cell.lattice} ({probability:.0%}), volume {cell.volume:.0f}, "
        f"{cell.zones_explained} of {nets} zones, misfit {cell.misfit:.2%}"
        + ("" if cell.supercell_of is None else ", a multiple of a better cell")
    )


def with_su(value: float, su: float) -> str:
    """Write a number with its standard uncertainty in brackets, as crystallographers do."""
    if not su > 0:
        return f"{value:g}"
    digits = max(0, 1 - int(np.floor(np.log10(su))))
    last = round(su * 10**digits)
    if last > 19:
        digits, last = max(0, digits - 1), max(1, round(su * 10 ** (max(0, digits - 1))))
    return f"{value:.{digits}f}({last})"


def _json(result: Result) -> str:
    def one(cell: CellSolution, phase: int) -> dict[str, Any]:
        return {
            "cell": [round(float(value), 6) for value in cell.cell.parameters],
            "cell_su": [round(float(value), 6) for value in cell.cell_su],
            "niggli": [round(float(value), 6) for value in cell.niggli.parameters],
            "niggli_su": [round(float(value), 6) for value in cell.niggli_su],
            "lattice": cell.lattice,
            "lattice_probabilities": {
                name: round(value, 6) for name, value in cell.lattice_probabilities.items()
            },
            "volume": round(cell.volume, 4),
            "volume_su": round(cell.volume_su, 4),
            "zones_explained": cell.zones_explained,
            "zones": [
                {
                    "pattern": result.patterns[zone.net],
                    "uvw": list(zone.uvw),
                    "hkl": [list(vector) for vector in zone.hkl],
                    "misfit": round(zone.misfit, 6),
                }
                for zone in cell.zones
            ],
            "patterns_indexed": None,
            "misfit": round(cell.misfit, 6),
            "evidence": round(cell.evidence, 3),
            "supercell_of": cell.supercell_of,
            "phase": phase,
        }

    ellipse = result.nets.ellipse
    nets = result.nets.nets(result.pixel_size)
    document = {
        "software": f"napari-diffraction {version('napari-diffraction')}",
        "source": result.source,
        "scale_known": result.scale_known,
        "pixel_size": result.pixel_size if result.scale_known else None,
        "wavelength": result.wavelength,
        "ellipticity": None
        if ellipse is None
        else {"stretch": round(ellipse.stretch, 5), "angle": round(ellipse.angle, 2)},
        "cells": [
            one(cell, number)
            for number, phase in enumerate(result.found.phases, 1)
            for cell in phase
        ],
        "nets": [
            {
                "pattern": pattern,
                "lengths": [round(net.first, 6), round(net.second, 6)],
                "angle": round(net.angle, 3),
                "su": [round(float(value), 6) for value in net.su],
            }
            for pattern, net in zip(result.patterns, nets, strict=True)
        ],
        "left_over": [result.patterns[i] for i in result.found.left_over],
    }
    return json.dumps(document, indent=1) + "\n"


def _csv(result: Result) -> str:
    import pandas as pd

    rows = []
    for number, phase in enumerate(result.found.phases, 1):
        for cell in phase:
            row: dict[str, Any] = {"phase": number}
            row |= dict(zip(_NAMES, cell.cell.parameters, strict=True))
            row |= {f"{name}_su": su for name, su in zip(_NAMES, cell.cell_su, strict=True)}
            row |= {
                "lattice": cell.lattice,
                "probability": cell.lattice_probabilities[cell.lattice],
                "volume": cell.volume,
                "zones_explained": cell.zones_explained,
                "misfit": cell.misfit,
                "scale_known": result.scale_known,
            }
            rows.append(row)
    return str(pd.DataFrame(rows).to_csv(index=False, float_format="%.6g"))


def _cif(result: Result) -> str:
    from napari_diffraction.crystal.lattice import BRAVAIS_LATTICES

    scale = "" if result.scale_known else "# The scale is not known.\n"
    blocks = []
    for number, phase in enumerate(result.found.phases, 1):
        for place, cell in enumerate(phase, 1):
            system = BRAVAIS_LATTICES[cell.lattice].system
            lines = [
                f"data_phase_{number}_cell_{place}",
                f"_space_group_crystal_system {system}",
                f"_cell_volume {with_su(cell.volume, cell.volume_su)}",
            ]
            tags = [f"length_{n}" for n in "abc"] + [f"angle_{n}" for n in _NAMES[3:]]
            lines += [
                f"_cell_{tag} {with_su(value, su)}"
                for tag, value, su in zip(tags, cell.cell.parameters, cell.cell_su, strict=True)
            ]
            blocks.append("\n".join(lines))
    return scale + "\n\n".join(blocks) + "\n"


#: What writes each kind of file.
WRITERS: dict[str, Callable[[Result], str]] = {".json": _json, ".csv": _csv, ".cif": _cif}
