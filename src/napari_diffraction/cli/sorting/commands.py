"""The command that sorts patterns: `classify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_diffraction.cli.options import (
    BatchSize,
    Centre,
    Dataset,
    Device,
    Follow,
    Idle,
    Inputs,
    Model,
    Scheduler,
    WorkerCount,
    crew,
    look_at_inputs,
    open_inputs,
    spare_inputs,
    to_follow,
)
from napari_diffraction.cli.terminal import output_file


def classify(
    inputs: Inputs,
    output: Annotated[Path, typer.Option(metavar="OUT.csv", help="The table to write.")],
    model: Model = "zones",
    device: Device = "auto",
    batch_size: BatchSize = 64,
    share: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=SHARE",
            help="Expected share of a class, for instance 2DZone=0.1; may be repeated.",
            show_default="that of an ordinary serial experiment",
        ),
    ] = None,
    preprocess: Annotated[
        str | None,
        typer.Option(
            help="What is done to the patterns before: redraw finds their peaks and draws them as "
            "clean patterns.",
            show_default="nothing",
        ),
    ] = None,
    border: Annotated[
        str,
        typer.Option(
            metavar="stack|all|sure|off",
            help="Where the border between zones and other patterns lies: where it suits the "
            "stack, so that all zones are found, so that only sure ones are, or as usual.  With "
            "--share it is as usual.",
        ),
    ] = "stack",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from what an interrupted run kept.")
    ] = False,
    follow: Follow = False,
    idle: Idle = None,
    pc: Centre = None,
    dataset: Dataset = None,
    scheduler: Scheduler = None,
    workers: WorkerCount = None,
) -> None:
    """Give every pattern a class and a confidence.

    While it runs, rows are kept in OUT.csv.part; beside OUT.csv, OUT.csv.json says which model
    and settings made it.
    """
    import time
    from functools import partial

    output_file(output, (".csv",))
    spare_inputs(output, *inputs)
    # before torch is imported, which takes seconds
    elsewhere = scheduler is not None or workers is not None
    growing = to_follow(inputs, dataset, idle, follow=follow, elsewhere=elsewhere)
    to_open = inputs if growing else look_at_inputs(inputs, dataset)

    from napari_diffraction.cli.shares import expected_shares, usual_shares
    from napari_diffraction.cli.sorting.classification import checked_border, classify_to_csv
    from napari_diffraction.learning.models.registry import load_model

    classifier = load_model(model)
    shares = expected_shares(share or [], usual_shares(classifier))
    start = time.perf_counter()
    with crew(scheduler, workers) as them:
        if growing is not None:
            from napari_diffraction.cli.sorting.following import follow_to_csv

            classify_all = partial(follow_to_csv, growing, pc=pc, idle=idle)
        else:
            classify_all = partial(classify_to_csv, open_inputs(to_open, pc=pc), workers=them)
        table = classify_all(
            classifier,
            output,
            device=device,
            batch_size=batch_size,
            shares=shares,
            preprocess=preprocess,
            border=checked_border(border, share),
            resume=resume,
        )
    print(f"{output}: {len(table)} patterns in {time.perf_counter() - start:.1f} s.")
    for label, count in table["label"].value_counts().items():
        print(f"  {label}  {count}  ({count / len(table):.1%})")
