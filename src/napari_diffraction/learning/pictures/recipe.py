"""The recipe of a classifier that looks at whole pictures, with any of several networks."""

from __future__ import annotations

import json
from dataclasses import asdict, field
from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from napari_diffraction.errors import InputError
from napari_diffraction.learning.labels.labelled import LabelledSource
from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing
from napari_diffraction.learning.settings import (
    STRICT,
    BatchSize,
    Count,
    CountOrNone,
    Minutes,
    Positive,
    Seed,
    Share,
)

#: What is counted as a class of simulated Kikuchi patterns.
Label = Literal["lattice", "structure", "laue", "point"]
Name = Annotated[str, Field(min_length=1)]
_Centre = Annotated[float, Field(ge=-0.5, le=3.0)]


@dataclass(frozen=True, config=STRICT)
class SpotSource:
    """Spot patterns to simulate.

    Attributes
    ----------
    volume
        Volume of the random cells in A^3, or from and to.
    system
        Their crystal system.
    cells, orientations
        Number of random cells, and of patterns of each, evenly over the sphere.
    crystals
        Crystals in one pattern; 0 gives patterns without any.
    realistic
        Draw beam, camera and noise of each cell at random, instead of black and white spots.
    size
        Height and width of the patterns in pixels.
    """

    volume: tuple[Annotated[float, Field(ge=1, le=1e7)], ...] = (1000.0,)
    system: str = "triclinic"
    cells: Count = 4
    orientations: Count = 1000
    crystals: Annotated[int, Field(ge=0, le=3)] = 1
    realistic: bool = False
    size: Annotated[int, Field(ge=16, le=4096)] = 256

    def __post_init__(self) -> None:
        if len(self.volume) not in (1, 2):
            raise InputError("The volume of spots is one number in A^3, or two: from and to.")


@dataclass(frozen=True, config=STRICT)
class KikuchiSource:
    """Kikuchi patterns to simulate.

    Attributes
    ----------
    structures
        Names of known materials, or CIF files.
    patterns
        Number of patterns of each.
    label
        What the class is: lattice, structure, laue (group) or point (group).
    voltage, pc
        Acceleration voltage in kV, and pattern centre in Bruker's convention.
    realistic
        Draw camera and noise of each pattern at random.
    size
        Height and width of the patterns in pixels.
    """

    structures: tuple[Name, ...] = ()
    patterns: Count = 640
    label: Label = "lattice"
    voltage: Annotated[float, Field(ge=3, le=40)] = 20.0
    pc: tuple[_Centre, _Centre, _Centre] = (0.5, 0.3, 0.6)
    realistic: bool = True
    size: Annotated[int, Field(ge=8, le=4096)] = 128

    def __post_init__(self) -> None:
        if not self.structures:
            raise InputError("Kikuchi patterns need structures: name materials or CIF files.")


@dataclass(frozen=True, config=STRICT)
class Augmentation:
    """What is done to a picture at random, each time it is learned from.

    Attributes
    ----------
    mirror
        Mirror left and right.
    quarters
        Turn by quarters of a full turn, and mirror up and down.
    turn
        Greatest angle of a turn in degrees.
    shift, scale
        Greatest shift, as a share of the picture, and change of size.
    contrast
        Greatest change of brightness and contrast, as a share of white.
    noise
        Greatest standard deviation of added noise, as a share of white.
    """

    mirror: bool = True
    quarters: bool = True
    turn: Annotated[float, Field(ge=0, le=180)] = 0.0
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    scale: Annotated[float, Field(ge=0, le=0.9)] = 0.0
    contrast: Share = 0.0
    noise: Share = 0.0


@dataclass(frozen=True, config=STRICT)
class PicturesRecipe:
    """How a classifier of pictures is made.

    Attributes
    ----------
    name, title, summary
        What the model list shows; an empty title or summary is written from the classes.
    seed
        Of simulated patterns, split, weights and order.
    classes
        In the order of the outputs; empty: those of the labels, in alphabetical order.
    spots, kikuchi, labelled
        Where the patterns come from; any of them together.
    network
        One of `napari_diffraction.learning.networks.picture_networks.PICTURE_NETWORKS`.
    pretrained
        Start from weights that torchvision or timm offers, where they can be fetched.
    start
        Name or file of a model of the same network whose weights the training starts from.
    frozen
        Epochs at the beginning in which only the last layer learns.
    preprocessing, augmentation
        See there.
    optimiser
        adam or adamw.
    batch_size, learning_rate, weight_decay
        Of the optimiser.
    balanced
        Draw the patterns to learn from with a probability inverse to the size of their class.
    validation
        Share of the patterns to judge by, taken by unit cell, material or file.
    folds
        Where above 1, the training is repeated so that each pattern is judged once, the figures
        are the mean, and the best of the models is kept.  There are no more folds than the rarest
        class has groups.
    epochs
        Greatest number of them.
    patience, min_delta
        Training ends when the loss on the patterns to judge by has not fallen by `min_delta` for
        so many epochs; 0 epochs: never before the last one.
    minutes
        Where above 0, training ends after this time at the latest, but not before a model is there.
    precision
        bfloat16, float32, or auto: whichever is quicker on the machine.
    folder
        What paths are relative to; not part of the file.
    """

    name: str = "pictures"
    title: str = ""
    summary: str = ""
    seed: Seed = 1
    classes: tuple[Name, ...] = ()
    spots: tuple[SpotSource, ...] = ()
    kikuchi: tuple[KikuchiSource, ...] = ()
    labelled: tuple[LabelledSource, ...] = ()
    network: str = "compact"
    pretrained: bool = False
    start: str = ""
    frozen: CountOrNone = 0
    preprocessing: Preprocessing = Preprocessing()
    augmentation: Augmentation = Augmentation()
    optimiser: Literal["adam", "adamw"] = "adamw"
    batch_size: BatchSize = 32
    learning_rate: Positive = 1e-3
    weight_decay: Share = 0.01
    balanced: bool = True
    validation: Annotated[float, Field(ge=0.01, le=0.5)] = 0.2
    folds: Annotated[int, Field(ge=0, le=100)] = 0
    epochs: Count = 10
    patience: CountOrNone = 3
    min_delta: Annotated[float, Field(ge=0, le=10)] = 0.001
    minutes: Minutes = 0.0
    precision: Literal["auto", "bfloat16", "float32"] = "auto"
    folder: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if not (self.spots or self.kikuchi or self.labelled):
            raise InputError(
                "The recipe names no patterns: add a table [[labelled]] with a path, or [[spots]] "
                "or [[kikuchi]] to simulate."
            )
        if len(set(self.classes)) < len(self.classes):
            raise InputError("The recipe names a class twice: name each once.")
        if len(self.classes) == 1:
            raise InputError("The recipe names one class: name two or more, or none for all.")

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for the model's card and for checkpoints."""
        values: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        del values["folder"]
        return {"kind": "pictures"} | values

    def identity(self) -> str:
        """Return all that a training which goes on must not differ in; its time may."""
        return json.dumps(self.as_dict() | {"minutes": 0})
