"""The commands that find peaks and unit cells: `peaks`, `unit-cell` and `solve`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_diffraction.cli.options import (
    Dataset,
    Device,
    Inputs,
    Scheduler,
    WorkerCount,
    crew,
    open_inputs,
    spare_inputs,
)
from napari_diffraction.cli.terminal import output_file

Zones = Annotated[
    Path | None,
    typer.Option(
        metavar="OUT.csv",
        help="Table of classify; its patterns 2DZone are the zones.",
        show_default="those that the model zones calls so",
    ),
]
PixelSize = Annotated[
    float | None,
    typer.Option(
        metavar="1/A",
        min=1e-6,
        max=1,
        help="Reciprocal length of a pixel.",
        show_default="that of the file, by its camera length and the wavelength where it tells "
        "these; else the cell comes up to scale",
    ),
]
Wavelength = Annotated[
    float | None,
    typer.Option(
        metavar="A",
        min=0.005,
        max=0.1,
        help="Electron wavelength.",
        show_default="that of the file",
    ),
]
Volume = Annotated[
    tuple[float, float] | None,
    typer.Option(
        metavar="MIN MAX", help="Volume of the primitive cell in A^3.", show_default="any"
    ),
]
Patterns = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        help="Patterns, evenly chosen, that are indexed by the cells; 0: zones only.",
        show_default="all",
    ),
]


def unit_cell(
    inputs: Inputs,
    output: Annotated[
        list[Path],
        typer.Option(
            metavar="OUT.json",
            help="What to write: .json, .csv, .cif, .cell or .p4p with cells, .sol with "
            "orientations, or a folder for all; may be repeated.",
        ),
    ],
    zones: Zones = None,
    pixel_size: PixelSize = None,
    wavelength: Wavelength = None,
    volume: Volume = None,
    patterns: Patterns = None,
    dataset: Dataset = None,
    scheduler: Scheduler = None,
    workers: WorkerCount = None,
) -> None:
    """Find the unit cell that explains the zones, with no other knowledge."""
    spare_inputs(output, *inputs, zones)
    stack = open_inputs(inputs, dataset)
    # these take seconds, which a bad file need not wait for
    from napari_diffraction.cli.cells.unit_cell import (
        check_outputs,
        solve_stack,
        write_result,
    )
    from napari_diffraction.cli.cells.zones import read_sorting

    check_outputs(output, stack, pixel_size=pixel_size, wavelength=wavelength, patterns=patterns)
    chosen = None if zones is None else read_sorting(zones, stack).zones
    with crew(scheduler, workers) as them:
        solved = solve_stack(
            stack,
            zones=chosen,
            pixel_size=pixel_size,
            wavelength=wavelength,
            volume=volume,
            patterns=patterns,
            workers=them,
        )
    for line in write_result(solved.result, output, stack):
        print(line)


def solve(
    inputs: Inputs,
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where all files go; made if absent.")
    ],
    zones: Zones = None,
    pixel_size: PixelSize = None,
    wavelength: Wavelength = None,
    volume: Volume = None,
    patterns: Patterns = None,
    device: Device = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Keep the classes that an interrupted run has found.")
    ] = False,
    dataset: Dataset = None,
    scheduler: Scheduler = None,
    workers: WorkerCount = None,
) -> None:
    """Sort the patterns, find the unit cell, write all files and a report of one page."""
    from napari_diffraction.cli.cells.solve import Wanted, solve_to_folder

    spare_inputs(output, *inputs)
    wanted = Wanted(zones, pixel_size, wavelength, volume, patterns)
    stack = open_inputs(inputs, dataset)
    with crew(scheduler, workers) as them:
        said = solve_to_folder(stack, output, wanted, device=device, resume=resume, workers=them)
    for line in said:
        print(line)


def peaks(
    inputs: Inputs,
    output: Annotated[Path, typer.Option(metavar="OUT.csv", help="The table to write.")],
    threshold: Annotated[
        float,
        typer.Option(min=0, help="Least height of a spot over the noise of a pixel."),
    ] = 2.5,
    dataset: Dataset = None,
) -> None:
    """Find the spots of every pattern: place, intensity, and whether they lie on its main net."""
    from napari_diffraction.cli.cells.peaks import peaks_to_csv

    output_file(output, (".csv",))
    spare_inputs(output, *inputs)
    print(peaks_to_csv(open_inputs(inputs, dataset), output, threshold))
