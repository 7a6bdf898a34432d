"""The commands.  Everything heavy is imported inside them, so that help comes at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from napari_diffraction.claims import release_claims
from napari_diffraction.cli.cells.commands import solve, unit_cell
from napari_diffraction.cli.models.models import app as models
from napari_diffraction.cli.options import (
    BatchSize,
    Centre,
    Dataset,
    Device,
    Inputs,
    Scheduler,
    Seed,
    WorkerCount,
    crew,
    look_at_inputs,
    open_inputs,
)
from napari_diffraction.cli.terminal import (
    Interrupted,
    hush_libraries,
    output_file,
    with_bar,
)
from napari_diffraction.errors import InputError

if TYPE_CHECKING:
    pass

#: Exit status after Ctrl-C, as of shells.
_STOPPED = 130

app = typer.Typer(
    help="Sort stacks of electron-diffraction patterns.  INPUT is a file, a folder of images or "
    "a glob.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
simulate = typer.Typer(help="Simulate labelled patterns.", no_args_is_help=True)
app.add_typer(simulate, name="simulate")
app.add_typer(models, name="models")
app.command("unit-cell")(unit_cell)
app.command()(solve)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0, 2 with one line on stderr, or 130 after Ctrl-C."""
    sys.exit(run(sys.argv[1:] if arguments is None else arguments))


def run(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status."""
    hush_libraries()
    try:
        status = app(list(arguments), prog_name="napari-diffraction", standalone_mode=False)
        if status == _STOPPED:  # typer keeps Ctrl-C to itself and returns this without a word
            raise KeyboardInterrupt
    except (InputError, Interrupted) as error:
        message, status = str(error), _STOPPED if isinstance(error, Interrupted) else 2
    except typer.TyperException as error:
        message = f"{error.format_message()} See napari-diffraction --help."
        status = 2
    except (KeyboardInterrupt, typer.Abort):
        message, status = "Stopped.", _STOPPED
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        message, status = f"{where}{error.strerror or error}.", 2
    except MemoryError:
        message, status = "Memory ran out: take a smaller --batch-size or fewer patterns.", 2
    else:
        return status if isinstance(status, int) else 0
    finally:
        release_claims()
    print(" ".join(message.split()), file=sys.stderr)
    return status


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"napari-diffraction {version('napari-diffraction')}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


@app.command()
def info(inputs: Inputs, dataset: Dataset = None) -> None:
    """Say what INPUT holds: shape, dtype, calibration, and what will be assumed."""
    from napari_diffraction.cli.info import describe

    for line in describe(look_at_inputs(inputs, dataset)):
        print(line)


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
            show_default="triclinic",
        ),
    ] = None,
    cells: Annotated[int, typer.Option(min=1, help="How many random cells.")] = 1,
    space_group: Annotated[
        str | None,
        typer.Option(help="Number or symbol; its absences are left out.", show_default="none"),
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
        typer.Option("--realistic", help="Draw beam, camera and noise of an ordinary experiment."),
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
    from napari_diffraction.cli import simulation
    from napari_diffraction.simulation.files import save_simulated
    from napari_diffraction.simulation.spots.dataset import simulate_spots

    output_file(output, (".h5", ".hdf5", ".nxs", ".cxi", ".tif", ".tiff", ".npy"))
    unit_cells = simulation.cells(cell, random_cell, system, cells, seed)
    conditions, effects = simulation.settings(
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
            unit_cells,
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
    from napari_diffraction.cli import simulation
    from napari_diffraction.crystal.materials import load_structure
    from napari_diffraction.simulation.kikuchi.files import ENDINGS, save_kikuchi
    from napari_diffraction.simulation.kikuchi.patterns import simulate_kikuchi

    output_file(output, ENDINGS)
    structures = [load_structure(name) for name in structure]
    conditions, effects = simulation.kikuchi_settings(
        realistic=realistic,
        given={
            "voltage": voltage,
            **dict(zip(("pc_x", "pc_y", "pc_z"), pc or (None,) * 3, strict=True)),
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


@app.command()
def classify(
    inputs: Inputs,
    output: Annotated[Path, typer.Option(metavar="OUT.csv", help="The table to write.")],
    model: Annotated[
        str, typer.Option(help="Name of a model, or a .safetensors file; see models.")
    ] = "zones",
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
    follow: Annotated[
        bool,
        typer.Option("--follow", help="Go on with what is added to INPUT, until Ctrl-C."),
    ] = False,
    idle: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="With --follow: INPUT is finished when nothing was added for so long.",
            show_default="never",
        ),
    ] = None,
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
    if idle is not None and not follow:
        raise InputError("--idle goes with --follow only: add it, or leave --idle out.")
    if follow and (scheduler or workers):
        raise InputError("--follow goes without --scheduler and --workers: leave them out.")
    # before torch is imported, which takes seconds
    if follow:
        from napari_diffraction.patterns.growing import Growing

        growing = Growing(inputs, dataset)
        growing.look()
    else:
        seen = look_at_inputs(inputs, dataset)

    from napari_diffraction.cli.sorting.classification import (
        checked_border,
        classify_to_csv,
        expected_shares,
        usual_shares,
    )
    from napari_diffraction.learning.models.registry import load_model

    classifier = load_model(model)
    shares = expected_shares(share or [], usual_shares(classifier))
    start = time.perf_counter()
    with crew(scheduler, workers) as them:
        if follow:
            from napari_diffraction.cli.sorting.following import follow_to_csv

            classify_all = partial(follow_to_csv, growing, pc=pc, idle=idle)
        else:
            classify_all = partial(classify_to_csv, open_inputs(seen, pc=pc), workers=them)
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


@app.command()
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
    print(peaks_to_csv(open_inputs(inputs, dataset), output, threshold))


@app.command()
def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE.toml", help="What to train, and how.")],
    output: Annotated[
        Path, typer.Option(metavar="MODEL.safetensors", help="The model file to write.")
    ],
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an interrupted training stopped.")
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that simulate.", show_default="one per core"),
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(min=0, help="Time that it takes, at most.", show_default="that of the recipe"),
    ] = None,
) -> None:
    """Train a model of your own on simulated patterns, on your own labels, or on both.

    RECIPE.toml may also be the name of a recipe that comes with the program.  Until the model is
    finished, patterns and a checkpoint are kept in MODEL.safetensors.work.
    """
    from napari_diffraction.cli.models.training import train_model

    output = output_file(output, (".safetensors",))
    if said := train_model(recipe, output, resume=resume, workers=workers, minutes=minutes):
        print(said)


@app.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Name of a model, or a .safetensors file.")],
    data: Annotated[str, typer.Argument(help="Patterns with labels, as simulate writes them.")],
    output: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the report.")],
    compare: Annotated[
        list[str] | None,
        typer.Option(metavar="MODEL", help="Another model for comparison; may be repeated."),
    ] = None,
    share: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CLASS=SHARE",
            help="Expected share of a class, as for classify; may be repeated.",
            show_default="those of classify",
        ),
    ] = None,
    device: Device = "auto",
    batch_size: BatchSize = 64,
) -> None:
    """Compare a model with known labels: confusion matrix, figures with intervals, reliability."""
    from napari_diffraction.cli.models.evaluation import evaluate_file
    from napari_diffraction.cli.sorting.classification import expected_shares

    for line in evaluate_file(
        [model, *(compare or [])],
        data,
        output,
        device=device,
        batch_size=batch_size,
        shares=expected_shares(share or []),
    ):
        print(line)


@app.command("phase-map")
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
    model: Annotated[
        str, typer.Option(help="Name of a model, or a .safetensors file; see models.")
    ] = "bravais",
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
    pc: Centre = None,
    dataset: Dataset = None,
    scheduler: Scheduler = None,
    workers: WorkerCount = None,
) -> None:
    """Map the phases of a scan; without a phase list, each point gets its Bravais lattice."""
    stack = open_inputs([scan], dataset, pc)
    # these take seconds, which a bad file need not wait for
    from napari_diffraction.cli.scans.phase_map import check_first, map_scan, write_and_compare
    from napari_diffraction.learning.models.registry import load_model

    other = check_first(stack, output, compare)
    classifier = load_model(model)
    with crew(scheduler, workers) as them:
        made = map_scan(
            stack, classifier, device=device, batch_size=batch_size, regions=regions, workers=them
        )
    for line in write_and_compare(made, output, threshold, other):
        print(line)


@app.command("index")
def index_(
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
    dataset: Dataset = None,
    scheduler: Scheduler = None,
    workers: WorkerCount = None,
) -> None:
    """Find phases, cells, pattern centre and orientations of EBSD patterns, with nothing given."""
    stack = open_inputs(scan, dataset)
    # these take seconds, which a bad file need not wait for
    from napari_diffraction.cli.scans.index import check_outputs, index_to_files, read_candidates
    from napari_diffraction.crystal.materials import load_structure

    check_outputs(output)
    phases = tuple(load_structure(name) for name in phase or ())
    known, skipped = read_candidates(candidates)
    with crew(scheduler, workers) as them:
        said = index_to_files(
            stack,
            output,
            pc=pc,
            voltage=voltage,
            phases=phases,
            refine_centre=refine_centre,
            candidates=known,
            workers=them,
        )
    for line in said + skipped:
        print(line)


@app.command()
def explain(
    inputs: Inputs,
    index: Annotated[int, typer.Option(min=0, help="Number of the pattern, counted from 0.")],
    output: Annotated[Path, typer.Option(metavar="OUT.png", help="The picture to write.")],
    model: Annotated[
        str, typer.Option(help="Name of a model, or a .safetensors file; see models.")
    ] = "zones",
    class_: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Class to explain.",
            show_default="the one that the model gives",
        ),
    ] = None,
    method: Annotated[
        str | None,
        typer.Option(
            help="gradcam, gradcam++, hirescam or eigencam.",
            show_default="the one that says most about the model",
        ),
    ] = None,
    device: Device = "auto",
    pc: Centre = None,
    dataset: Dataset = None,
) -> None:
    """Draw over a pattern what the network looked at."""
    output_file(output, (".png",))
    stack = open_inputs(inputs, dataset, pc)
    # these take seconds, which a bad file need not wait for
    from napari_diffraction.cli.models.explain import explain_pattern
    from napari_diffraction.learning.models.registry import load_model

    print(
        explain_pattern(
            stack, load_model(model), index, output, label=class_, method=method, device=device
        )
    )


@app.command()
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
