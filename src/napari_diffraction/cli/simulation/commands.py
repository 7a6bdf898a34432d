"""The commands that simulate labelled patterns: `simulate spots` and `simulate kikuchi`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_diffraction.cli.options import (
    Scheduler,
    Seed,
    WorkerCount,
    crew,
)
from napari_diffraction.cli.terminal import output_file, with_bar

#: Share of no-hits above which nobody wants them who asked for crystals.
_MOST = 0.5

simulate = typer.Typer(help="Simulate labelled patterns.")


@simulate.callback(invoke_without_command=True)
def _simulate(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@simulate.command()
def spots(
    output: Annotated[
        Path,
        typer.Option(help="What to write: .h5 with labels and spots, or .tif or .npy with a CSV."),
    ],
    cell: Annotated[
        tuple[float, float, float, float, float, float] | None,
        typer.Option(metavar="A B C ALPHA BETA GAMMA", help="Unit cell in A and degrees."),
    ] = None,
    random_cell: Annotated[
        float | None, typer.Option(metavar="VOLUME", help="Random cells of this volume in A^3.")
    ] = None,
    system: Annotated[
        str | None,
        typer.Option(
            help="Crystal system of the random cells: triclinic, monoclinic, orthorhombic, "
            "tetragonal, trigonal, hexagonal or cubic.",
            show_default="that of the space group, or triclinic",
        ),
    ] = None,
    cells: Annotated[int, typer.Option(min=1, help="How many random cells.")] = 1,
    space_group: Annotated[
        str | None,
        typer.Option(
            help="Number or symbol, which the cell has to fit; its absences are left out.",
            show_default="none",
        ),
    ] = None,
    wavelength: Annotated[
        float | None, typer.Option(help="Electron wavelength in A.", show_default="0.0251")
    ] = None,
    resolution: Annotated[
        float | None, typer.Option(help="Smallest plane spacing in A.", show_default="1.0")
    ] = None,
    excitation_error: Annotated[
        float | None,
        typer.Option(
            help="Largest distance of a reflection from the Ewald sphere in 1/A.",
            show_default="0.01",
        ),
    ] = None,
    intensities: Annotated[
        str | None, typer.Option(help="equal, random or kinematical.", show_default="equal")
    ] = None,
    orientations: Annotated[
        int, typer.Option(min=1, help="Orientations of every cell, evenly over the sphere.")
    ] = 1000,
    crystals: Annotated[
        int, typer.Option(min=0, max=3, help="Crystals in one pattern; 0 gives no-hits.")
    ] = 1,
    realistic: Annotated[
        bool,
        typer.Option(
            "--realistic",
            help="Draw beam, camera and noise of an ordinary experiment, and of wavelength, "
            "resolution, excitation error and intensities what is not given.",
        ),
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any condition or effect, for instance jitter=2; may be repeated.",
            show_default=False,
        ),
    ] = None,
    size: Annotated[int, typer.Option(min=16, max=4096, help="Frame size in pixels.")] = 256,
    seed: Seed = 0,
    scheduler: Scheduler = None,
    workers: WorkerCount = None,
) -> None:
    """Simulate spot patterns of a cell in many orientations, each with its label."""
    from napari_diffraction.cli.simulation.settings import spot_settings, unit_cells
    from napari_diffraction.simulation.classes import NO_HIT
    from napari_diffraction.simulation.files import save_simulated
    from napari_diffraction.simulation.spots.dataset import simulate_spots

    output_file(output, (".h5", ".hdf5", ".nxs", ".cxi", ".tif", ".tiff", ".npy"))
    wanted = unit_cells(cell, random_cell, system, cells, seed, space_group)
    conditions, effects = spot_settings(
        realistic=realistic,
        given={
            "wavelength": wavelength,
            "resolution": resolution,
            "excitation_error": excitation_error,
            "intensities": intensities,
        },
        pairs=set_ or [],
        size=size,
        seed=seed,
    )
    with crew(scheduler, workers) as them:
        work = simulate_spots(
            wanted,
            conditions,
            effects,
            orientations=orientations,
            size=size,
            space_group=space_group,
            crystals=crystals,
            seed=seed,
            workers=them,
        )
        stack = with_bar(work)
    save_simulated(stack, output)
    print(f"{output}: {len(stack.labels)} patterns of {size} x {size} pixels.")
    for label, count in stack.labels["label"].value_counts().items():
        print(f"  {label}  {count}  ({count / len(stack.labels):.1%})")
    if crystals and (stack.labels["label"] == NO_HIT).mean() > _MOST:
        print(
            "Note: most patterns have a crystal but too few visible spots for a hit: take a "
            "smaller --resolution or a larger --excitation-error, and see that the cell is in A."
        )


@simulate.command()
def kikuchi(
    output: Annotated[
        Path,
        typer.Option(help="What to write: .h5 or .npz with labels, or .tif or .npy with a CSV."),
    ],
    structure: Annotated[
        list[str],
        typer.Option(
            metavar="NAME|FILE.cif", help="A built-in material or a CIF file; may be repeated."
        ),
    ],
    patterns: Annotated[int, typer.Option(min=1, help="Patterns of each crystal.")] = 1000,
    size: Annotated[int, typer.Option(min=8, max=4096, help="Frame size in pixels.")] = 128,
    voltage: Annotated[
        float | None, typer.Option(help="Acceleration voltage in kV.", show_default="20")
    ] = None,
    pc: Annotated[
        tuple[float, float, float] | None,
        typer.Option(
            metavar="X Y Z", help="Pattern centre as Bruker gives it.", show_default="0.5 0.3 0.6"
        ),
    ] = None,
    sample_tilt: Annotated[
        float | None,
        typer.Option(metavar="DEG", help="Tilt of the sample, in degrees.", show_default="70"),
    ] = None,
    camera_tilt: Annotated[
        float | None,
        typer.Option(metavar="DEG", help="Elevation of the camera, in degrees.", show_default="0"),
    ] = None,
    realistic: Annotated[
        bool, typer.Option("--realistic", help="Draw camera and noise of every pattern.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help="Any condition or effect, for instance blur=0.01; may be repeated.",
            show_default=False,
        ),
    ] = None,
    seed: Seed = 0,
    scheduler: Scheduler = None,
    workers: WorkerCount = None,
) -> None:
    """Simulate EBSD patterns of crystals in random orientations, each with its label."""
    from napari_diffraction.cli.simulation.settings import kikuchi_settings
    from napari_diffraction.crystal.given_structures import given_structures
    from napari_diffraction.simulation.kikuchi.files import ENDINGS, save_kikuchi
    from napari_diffraction.simulation.kikuchi.patterns import simulate_kikuchi

    output_file(output, ENDINGS)
    structures, notes = given_structures(structure)
    conditions, effects = kikuchi_settings(
        realistic=realistic,
        given={
            "voltage": voltage,
            **dict(zip(("pc_x", "pc_y", "pc_z"), pc or (None,) * 3, strict=True)),
            "sample_tilt": sample_tilt,
            "camera_tilt": camera_tilt,
        },
        pairs=set_ or [],
        patterns=patterns * len(structures),
        seed=seed,
    )
    with crew(scheduler, workers) as them:
        work = simulate_kikuchi(
            structures,
            conditions,
            effects,
            patterns=patterns,
            size=size,
            seed=seed,
            workers=them,
        )
        stack = with_bar(work)
    save_kikuchi(stack, output)
    print(f"{output}: {len(stack)} patterns of {size} x {size} pixels.")
    for crystal in structures:
        print(f"  {crystal.lattice}  {crystal.name}  {patterns}")
    for note in notes:
        print(f"Note: {note}")
