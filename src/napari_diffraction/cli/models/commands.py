"""The commands around models: `train`, `evaluate`, `explain`, and `models` with its own ones."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from napari_diffraction.cli.options import (
    BatchSize,
    Centre,
    Dataset,
    Device,
    Inputs,
    Model,
    open_inputs,
    spare_inputs,
)
from napari_diffraction.cli.terminal import output_file, with_bar
from napari_diffraction.errors import InputError

models = typer.Typer(help="List the models that can be used, take some in, and give some out.")

OneModel = Annotated[str, typer.Argument(metavar="MODEL", help="Name of a model, or a file.")]
Name = Annotated[
    str, typer.Option(help="What the model is called in the list.", show_default="as in the file")
]


@models.callback(invoke_without_command=True)
def list_(context: typer.Context) -> None:
    """List the models that can be used, with the figures measured for them."""
    if context.invoked_subcommand is not None:
        return
    from napari_diffraction.cli.info import describe_model
    from napari_diffraction.learning.models.registry import list_models

    cards = list_models()
    for card in cards:
        for line in describe_model(card):
            print(line)
    if not cards:
        print("No model is installed; train makes one.")


@models.command("import")
def import_(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|URL", help="A model file, https://... or doi:.../FILE."),
    ],
    sha256: Annotated[
        str,
        typer.Option(metavar="HEX", help="SHA-256 that the file must have.", show_default=False),
    ] = "",
    name: Name = "",
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace a model of yours that has this name.")
    ] = False,
) -> None:
    """Take a model into the list, from a file or an address."""
    from napari_diffraction.learning.models.files import Taken, importing

    taken: Taken = "replace" if replace else "refuse"
    card = with_bar(importing(source, sha256, name, taken), unit="byte")
    print(f"{card.name}: {card.title}; use it with classify --model {card.name}.")


@models.command()
def export(
    model: OneModel,
    output: Annotated[Path, typer.Option(metavar="MODEL.safetensors", help="The file to write.")],
) -> None:
    """Write a model as one file for others, who import it or name it as --model."""
    from napari_diffraction.learning.models.files import export_model

    card = export_model(model, output_file(output, (".safetensors",)))
    print(f"{output}: the model {card.name}; models import {output.name} takes it in.")


@models.command()
def onnx(
    model: OneModel,
    output: Annotated[Path, typer.Option(metavar="MODEL.onnx", help="The file to write.")],
) -> None:
    """Write a model as ONNX, and check that onnxruntime gives the same probabilities."""
    output_file(output, (".onnx",))
    from napari_diffraction.learning.models.onnx_export import export_onnx
    from napari_diffraction.learning.models.registry import load_model

    off = export_onnx(load_model(model), output)
    print(f"{output}: probabilities differ by {off:.1g} at most.")


@models.command()
def convert(
    checkpoint: Annotated[Path, typer.Argument(metavar="FILE.pt", help="Weights of PyTorch.")],
    network: Annotated[str, typer.Option(help="The network that was trained, as in recipes.")],
    class_: Annotated[
        list[str],
        typer.Option(
            "--class", metavar="NAME", help="A class, in the order of the outputs; repeat it."
        ),
    ],
    output: Annotated[
        Path, typer.Option(metavar="MODEL.safetensors", help="The model file to write.")
    ],
    size: Annotated[
        int, typer.Option(min=16, max=1024, help="Height and width of the network's pictures.")
    ],
    grey: Annotated[
        str, typer.Option(help="How grey values were drawn out: linear, sqrt or log.")
    ] = "linear",
    black: Annotated[
        float, typer.Option(min=0, max=99, help="Percentile of a pattern that is black.")
    ] = 0.0,
    white: Annotated[
        float, typer.Option(min=1, max=100, help="Percentile of a pattern that is white.")
    ] = 100.0,
    raw: Annotated[
        bool,
        typer.Option("--raw", help="Grey went in from 0 to 1, not scaled as for photographs."),
    ] = False,
    name: Name = "",
) -> None:
    """Make a model of weights that were trained with PyTorch elsewhere."""
    from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
    from napari_diffraction.learning.settings import settings_of

    output_file(output, (".safetensors",))
    settings = {"size": size, "grey": grey, "black": black, "white": white}
    made = settings_of(Preprocessing, settings, "The options")
    from napari_diffraction.learning.pictures.checkpoints import from_state_dict

    from_state_dict(
        checkpoint, network, class_, output, preprocessing=made, normalised=not raw, name=name
    )
    print(
        f"{output}: the model; check it with evaluate, as its probabilities are not calibrated.  "
        "models import takes it into the list."
    )


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

    for line in evaluate_file(
        [model, *(compare or [])],
        data,
        output,
        device=device,
        batch_size=batch_size,
        share=share or [],
    ):
        print(line)


def explain(
    inputs: Inputs,
    index: Annotated[int, typer.Option(min=0, help="Number of the pattern, counted from 0.")],
    output: Annotated[Path, typer.Option(metavar="OUT.png", help="The picture to write.")],
    model: Model = "zones",
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
    spare_inputs(output, *inputs)
    stack = open_inputs(inputs, dataset, pc)
    if index >= len(stack):
        raise InputError(
            f"There is no pattern {index} among {len(stack)}: they are counted from 0."
        )
    # these take seconds, which bad input need not wait for
    from napari_diffraction.cli.models.explain import explain_pattern
    from napari_diffraction.learning.models.registry import load_model

    print(
        explain_pattern(
            stack, load_model(model), index, output, label=class_, method=method, device=device
        )
    )
