"""The commands for EBSD scans: `index` and `phase-map`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_diffraction.cli.options import (
    BatchSize,
    CameraTilt,
    Centre,
    Dataset,
    Device,
    Follow,
    Idle,
    Model,
    SampleTilt,
    Scheduler,
    WorkerCount,
    crew,
    look_at_inputs,
    open_inputs,
    spare_inputs,
    to_follow,
)


def phase_map(
    scan: Annotated[str, typer.Argument(metavar="SCAN", help="A scan: patterns on a grid.")],
    output: Annotated[
        list[Path],
        typer.Option(
            metavar="OUT.h5",
            help="The map to write: .h5 (orix), .ang, .ctf, .png (figure) or .csv; "
            "may be repeated.",
        ),
    ],
    model: Model = "bravais",
    threshold: Annotated[
        float,
        typer.Option(min=0, max=1, help="Points with less confidence are not indexed."),
    ] = 0.5,
    regions: Annotated[
        bool,
        typer.Option("--regions", help="Let regions of alike neighbouring patterns vote."),
    ] = False,
    compare: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Another map of the scan: .ang, .ctf or .h5."),
    ] = None,
    device: Device = "auto",
    batch_size: BatchSize = 64,
    follow: Follow = False,
    idle: Idle = None,
    pc: Centre = None,
    sample_tilt: SampleTilt = None,
    camera_tilt: CameraTilt = None,
    dataset: Dataset = None,
    scheduler: Scheduler = None,
    workers: WorkerCount = None,
) -> None:
    """Map the phases of a scan; without a phase list, each point gets its Bravais lattice."""
    spare_inputs(output, scan, compare)
    elsewhere = scheduler is not None or workers is not None
    growing = to_follow(scan, dataset, idle, follow=follow, elsewhere=elsewhere)
    if growing is not None:
        from napari_diffraction.cli.scans.following import follow_map
        from napari_diffraction.cli.scans.phase_map import check_files
        from napari_diffraction.learning.models.registry import load_model

        said = follow_map(
            growing,
            output,
            other=check_files(output, compare),
            classifier=load_model(model),
            threshold=threshold,
            pc=pc,
            tilts=(sample_tilt, camera_tilt),
            device=device,
            batch_size=batch_size,
            regions=regions,
            idle=idle,
        )
        for line in said:
            print(line)
        return
    stack = open_inputs([scan], dataset, pc).with_tilts(sample_tilt, camera_tilt)
    # these take seconds, which a bad file need not wait for
    from napari_diffraction.cli.scans.phase_map import check_first, map_to_files
    from napari_diffraction.learning.models.registry import load_model

    other = check_first(stack, output, compare)
    classifier = load_model(model)
    with crew(scheduler, workers) as them:
        said = map_to_files(
            stack,
            classifier,
            output,
            threshold=threshold,
            other=other,
            device=device,
            batch_size=batch_size,
            regions=regions,
            workers=them,
        )
    for line in said:
        print(line)


def index(
    scan: Annotated[
        list[str],
        typer.Argument(metavar="SCAN...", help="A scan, or other EBSD patterns: files or globs."),
    ],
    output: Annotated[
        list[Path],
        typer.Option(
            metavar="OUT.json",
            help="What to write: .json (the solution), .csv (a row a pattern), .ang, .ctf, "
            ".h5 (orix) or .png (figure); may be repeated.",
        ),
    ],
    pc: Centre = None,
    voltage: Annotated[
        float | None,
        typer.Option(
            metavar="KV",
            min=1,
            max=1000,
            help="Acceleration voltage.",
            show_default="that of the file, or 20",
        ),
    ] = None,
    sample_tilt: SampleTilt = None,
    camera_tilt: CameraTilt = None,
    phase: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE.cif",
            help="A phase that is there, a built-in material or a CIF file; may be repeated.",
            show_default="phases are found",
        ),
    ] = None,
    candidates: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="CIF files of materials that the phases found may be."),
    ] = None,
    refine_centre: Annotated[
        bool,
        typer.Option("--refine-centre", help="Refine the pattern centre that is given or known."),
    ] = False,
    bands_only: Annotated[
        bool,
        typer.Option(
            "--bands-only",
            help="Do not ask the network for a second opinion on lattices that bands hardly tell "
            "apart.",
        ),
    ] = False,
    follow: Follow = False,
    idle: Idle = None,
    dataset: Dataset = None,
    scheduler: Scheduler = None,
    workers: WorkerCount = None,
) -> None:
    """Find phases, cells, pattern centre and orientations of EBSD patterns, with nothing given."""
    spare_inputs(output, *scan)
    elsewhere = scheduler is not None or workers is not None
    growing = to_follow(scan, dataset, idle, follow=follow, elsewhere=elsewhere)
    to_open = scan if growing else look_at_inputs(scan, dataset)
    # these take seconds, which a bad file need not wait for
    from napari_diffraction.cli.scans.index import check_outputs, index_to_files, read_candidates
    from napari_diffraction.crystal.given_structures import given_structures
    from napari_diffraction.indexing.known import IndexSettings
    from napari_diffraction.learning.classification.opinion import NetworkOpinion

    check_outputs(output)
    phases, notes = given_structures(phase or ())
    known, skipped = read_candidates(candidates)
    opinion = None if bands_only or phases else NetworkOpinion()
    settings = IndexSettings(pc, voltage, tuple(phases), refine_centre, known, opinion)
    if growing is not None:
        from napari_diffraction.cli.scans.following import follow_index

        said = follow_index(growing, output, settings, tilts=(sample_tilt, camera_tilt), idle=idle)
    else:
        stack = open_inputs(to_open).with_tilts(sample_tilt, camera_tilt)
        with crew(scheduler, workers) as them:
            said = index_to_files(stack, output, settings, them)
    for line in [*said, *(f"Note: {note}" for note in notes), *skipped]:
        print(line)
