"""The commands.  Everything heavy is imported inside them, so that help comes at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from napari_diffraction.claims import release_claims
from napari_diffraction.cli.cells.commands import peaks, solve, unit_cell
from napari_diffraction.cli.models.commands import evaluate, explain, models, train
from napari_diffraction.cli.options import Dataset, Inputs, look_at_inputs
from napari_diffraction.cli.scans.commands import index, phase_map
from napari_diffraction.cli.simulation.commands import simulate
from napari_diffraction.cli.sorting.commands import classify
from napari_diffraction.cli.terminal import Interrupted, hearing_ctrl_c, hush_libraries, spell_out
from napari_diffraction.errors import InputError

#: Exit status after Ctrl-C, as of shells.
_STOPPED = 130

app = typer.Typer(
    help="Sort stacks of electron-diffraction patterns.  INPUT is a file, a folder of images or "
    "a glob.",
    invoke_without_command=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0, 2 with one line on stderr, or 130 after Ctrl-C."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status."""
    hush_libraries()
    spell_out()
    try:
        with hearing_ctrl_c():
            status = app(list(arguments), prog_name="napari-diffraction", standalone_mode=False)
        if status == _STOPPED:  # typer keeps Ctrl-C to itself and returns this without a word
            raise KeyboardInterrupt
    except (InputError, Interrupted) as error:
        message, status = str(error), _STOPPED if isinstance(error, Interrupted) else 2
    except typer.TyperException as error:
        message = f"{error.format_message().rstrip('.')}. See {_command(error)} --help."
        status = 2
    except (KeyboardInterrupt, typer.Abort):
        message, status = "Stopped.", _STOPPED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        message, status = f"{where}{error.strerror or error}.", 2
    except UnicodeEncodeError:  # files are written in UTF-8, which has all letters
        message, status = "A file's name is no text in UTF-8: rename the file.", 2
    except MemoryError:
        message, status = "Memory ran out: take a smaller --batch-size or fewer patterns.", 2
    else:
        return status if isinstance(status, int) else 0
    finally:
        release_claims()
    print(" ".join(message.split()), file=sys.stderr)
    return status


def _command(error: typer.TyperException) -> str:
    """Return the command that was being read, whose help tells its options."""
    context = getattr(error, "ctx", None)
    return "napari-diffraction" if context is None else str(context.command_path)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"napari-diffraction {version('napari-diffraction')}")
        raise typer.Exit


@app.callback()
def _program(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


def info(inputs: Inputs, dataset: Dataset = None) -> None:
    """Say what INPUT holds: shape, dtype, calibration, and what will be assumed."""
    from napari_diffraction.cli.info import describe

    for line in describe(look_at_inputs(inputs, dataset)):
        print(line)


def demo(
    output: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where tables and pictures go; without a window.")
    ] = Path("demo_output"),
    window: Annotated[
        bool | None,
        typer.Option(
            "--window/--no-window",
            help="Open napari, or write files.",
            show_default="a window where there is a display",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, help="Same seed, same patterns; without a window.")
    ] = 0,
) -> None:
    """Sort the built-in sample: opens napari, or without a display writes tables and pictures."""
    from napari_diffraction.cli.demo import can_open_window, to_files

    possible = can_open_window()
    if window and not possible:
        raise InputError(
            "No window can be opened, since there is no display or no Qt: leave --window out, or "
            "install napari-diffraction[qt] and run it on a desktop."
        )
    if possible if window is None else window:
        from napari_diffraction.ui.demo import show_demo

        show_demo()
    else:
        to_files(output, seed=seed)


# Help lists the commands in this order, and after them those that have commands of their own.
app.command("unit-cell")(unit_cell)
app.command()(solve)
app.command()(info)
app.command()(classify)
app.command()(peaks)
app.command()(train)
app.command()(evaluate)
app.command("phase-map")(phase_map)
app.command()(index)
app.command()(explain)
app.command()(demo)
app.add_typer(simulate, name="simulate")
app.add_typer(models, name="models")
