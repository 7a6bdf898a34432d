"""Arguments and options that several commands share, and how INPUT is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated

import typer

from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    from napari_diffraction.patterns.growing import Growing
    from napari_diffraction.patterns.readers import Look
    from napari_diffraction.patterns.stack import PatternStack
    from napari_diffraction.workers import Workers

Inputs = Annotated[
    list[str], typer.Argument(metavar="INPUT...", help="Files, folders of images or globs.")
]
Dataset = Annotated[
    str | None,
    typer.Option(help="Name of the data set in an HDF5 or Zarr file that holds several."),
]
Device = Annotated[str, typer.Option(help="Where the network runs: auto, cpu, cuda or mps.")]
Model = Annotated[str, typer.Option(help="Name of a model, or a .safetensors file; see models.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Patterns classified at a time.")]
Seed = Annotated[int, typer.Option(min=0, help="Same seed, same patterns.")]
Centre = Annotated[
    tuple[float, float, float] | None,
    typer.Option(
        "--pc",
        metavar="X Y Z",
        help="Pattern centre of an EBSD scan in Bruker's convention.",
        show_default="that of the file, or found",
    ),
]
SampleTilt = Annotated[
    float | None,
    typer.Option(
        metavar="DEG",
        min=0,
        max=90,
        help="Tilt of the sample of an EBSD scan, in degrees.",
        show_default="that of the file, or 70",
    ),
]
CameraTilt = Annotated[
    float | None,
    typer.Option(
        metavar="DEG",
        min=-90,
        max=90,
        help="Elevation of the EBSD camera, in degrees.",
        show_default="that of the file, or 0",
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(metavar="tcp://...", help="Scheduler of dask whose workers do the work."),
]
WorkerCount = Annotated[
    int | None,
    typer.Option(
        "--workers", min=1, help="Processes of this machine, of one thread each, that do the work."
    ),
]
Follow = Annotated[
    bool,
    typer.Option("--follow", help="Go on with what is added while it runs, until Ctrl-C."),
]
Idle = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0,
        help="With --follow: the input is finished when nothing was added for so long.",
        show_default="never",
    ),
]


def spare_inputs(outputs: Path | Sequence[Path], *inputs: str | Path | None) -> None:
    """Refuse to write over what is read, or among the files of a folder that is read.

    Parameters
    ----------
    outputs
        Files or folders to write.
    inputs
        What is read; ``None``: nothing.

    Raises
    ------
    InputError
        One of the outputs is, or would be taken for, a part of the inputs.
    """
    for output in [outputs] if isinstance(outputs, Path) else outputs:
        for one in inputs:
            if one is not None and _is_read(output, str(one)):
                raise InputError(
                    f"{output}: this is what is read, or would be read together with it: give the "
                    "output another name or folder."
                )


def _holds_labels(table: Path) -> bool:
    """Whether the table beside a file holds labels, and not what an earlier run has said."""
    try:
        with table.open(encoding="utf-8") as file:
            return "confidence" not in file.readline(2000)
    except (OSError, UnicodeDecodeError):
        return False


def _is_read(output: Path, name: str) -> bool:
    """Whether an output is an input or its labels, lies in it, or would be taken for its file."""
    from napari_diffraction.patterns.readers.files import find_inputs, literal_folders
    from napari_diffraction.patterns.readers.formats import by_name, is_folder_input

    written, read = output.resolve(), Path(name).resolve()
    if written == read or (written == Path(f"{read}.csv") and _holds_labels(written)):
        return True
    kind = by_name(output.name)
    if Path(name).is_dir():
        if is_folder_input(name):
            return read in written.parents
        if kind is None or written.parent != read:
            return False
        try:
            return kind == by_name(find_inputs(name).files[0])
        except InputError:  # which is said where the folder is opened
            return False
    if not Path(name).exists():  # a name with wildcards
        alike = PurePath(os.path.abspath(output)).match(literal_folders(os.path.abspath(name)))
        return kind is not None and alike
    return output.exists() and output.samefile(name)


def to_follow(
    inputs: str | Sequence[str],
    dataset: str | None,
    idle: float | None,
    *,
    follow: bool,
    elsewhere: bool,
) -> Growing | None:
    """Return INPUT as one that grows, having looked at it once: a bad one is refused at once.

    Parameters
    ----------
    inputs, dataset
        As of `napari_diffraction.patterns.growing.Growing`.
    idle
        What ``--idle`` says.
    follow
        Whether ``--follow`` is given; if not, ``None`` is returned.
    elsewhere
        Whether other processes are to do the work.

    Raises
    ------
    InputError
        The options do not go together, or there is no such INPUT.
    """
    if not follow:
        if idle is not None:
            raise InputError("--idle goes with --follow only: add it, or leave --idle out.")
        return None
    if elsewhere:
        raise InputError("--follow goes without --scheduler and --workers: leave them out.")
    from napari_diffraction.patterns.growing import Growing

    growing = Growing(inputs, dataset)
    growing.look()
    return growing


def look_at_inputs(inputs: Sequence[str], dataset: str | None = None) -> Look:
    """Look at INPUT, which is quicker than opening it: a bad file is refused at once."""
    from napari_diffraction.patterns.readers import look

    return look(inputs[0] if len(inputs) == 1 else list(inputs), dataset)


def open_inputs(
    inputs: Sequence[str] | Look,
    dataset: str | None = None,
    pc: tuple[float, float, float] | None = None,
) -> PatternStack:
    """Open INPUT, or what was looked at, with a pattern centre if one is given."""
    from napari_diffraction.patterns.readers import Look, as_stack

    seen = inputs if isinstance(inputs, Look) else look_at_inputs(inputs, dataset)
    stack = as_stack(seen)
    return stack if pc is None else stack.with_centre(pc)


@contextmanager
def crew(scheduler: str | None, workers: int | None) -> Iterator[Workers | None]:
    """Have the processes that ``--scheduler`` or ``--workers`` name; ``None`` without them.

    Raises
    ------
    InputError
        dask.distributed is not installed, or see `napari_diffraction.workers.workers`.
    """
    if scheduler is None and workers is None:
        yield None
        return
    try:
        from napari_diffraction import workers as processes
    except ImportError as error:
        raise InputError(
            "--scheduler and --workers need dask.distributed: pip install "
            "napari-diffraction[cluster]."
        ) from error
    with processes.workers(scheduler, workers) as them:
        yield them
