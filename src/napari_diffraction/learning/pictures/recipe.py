"""The recipe of a classifier that looks at whole pictures, with any of several networks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from napari_diffraction.errors import InputError
from napari_diffraction.learning.labels.labelled import LabelledSource
from napari_diffraction.learning.networks.picture_preprocessing import Preprocessing

#: What is counted as a class of simulated Kikuchi patterns.
LABELS = ("lattice", "structure", "laue", "point")
OPTIMISERS = ("adam", "adamw")
PRECISIONS = ("auto", "bfloat16", "float32")


def _number(default: Any, low: float, high: float) -> Any:
    """Field of a number that lies in a range, its ends included."""
    return field(default=default, metadata={"range": (low, high)})


def _rows(of: type) -> Any:
    """Field of a list of tables."""
    return field(default=(), metadata={"of": of})


@dataclass(frozen=True)
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

    volume: tuple[float, ...] = field(default=(1000.0,), metadata={"range": (1, 1e7)})
    system: str = "triclinic"
    cells: int = _number(4, 1, 1_000_000)
    orientations: int = _number(1000, 1, 1_000_000)
    crystals: int = _number(1, 0, 3)
    realistic: bool = False
    size: int = _number(256, 16, 4096)

    def __post_init__(self) -> None:
        if len(self.volume) not in (1, 2):
            raise InputError("The volume of spots is one number in A^3, or two: from and to.")


@dataclass(frozen=True)
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

    structures: tuple[str, ...] = ()
    patterns: int = _number(640, 1, 1_000_000)
    label: str = field(default="lattice", metadata={"choices": LABELS})
    voltage: float = _number(20.0, 3, 40)
    pc: tuple[float, float, float] = field(default=(0.5, 0.3, 0.6), metadata={"range": (-0.5, 3.0)})
    realistic: bool = True
    size: int = _number(128, 8, 4096)

    def __post_init__(self) -> None:
        if not self.structures or not _are_names(self.structures):
            raise InputError("Kikuchi patterns need structures: name materials or CIF files.")


@dataclass(frozen=True)
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
    turn: float = _number(0.0, 0, 180)
    shift: float = _number(0.0, 0, 0.5)
    scale: float = _number(0.0, 0, 0.9)
    contrast: float = _number(0.0, 0, 1)
    noise: float = _number(0.0, 0, 1)


@dataclass(frozen=True)
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
        are the mean, and the best of the models is kept.
    epochs
        Greatest number of them.
    patience, min_delta
        Training ends when the loss on the patterns to judge by has not fallen by `min_delta` for
        so many epochs; 0 epochs: never before the last one.
    minutes
        Where above 0, training ends after this time at the latest.
    precision
        bfloat16, float32, or auto: whichever is quicker on the machine.
    folder
        What paths are relative to; not part of the file.
    """

    name: str = "pictures"
    title: str = ""
    summary: str = ""
    seed: int = 1
    classes: tuple[str, ...] = ()
    spots: tuple[SpotSource, ...] = _rows(SpotSource)
    kikuchi: tuple[KikuchiSource, ...] = _rows(KikuchiSource)
    labelled: tuple[LabelledSource, ...] = _rows(LabelledSource)
    network: str = "compact"
    pretrained: bool = False
    start: str = ""
    frozen: int = _number(0, 0, 1000)
    preprocessing: Preprocessing = Preprocessing()
    augmentation: Augmentation = Augmentation()
    optimiser: str = field(default="adamw", metadata={"choices": OPTIMISERS})
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = _number(0.01, 0, 1)
    balanced: bool = True
    validation: float = _number(0.2, 0.01, 0.5)
    folds: int = _number(0, 0, 100)
    epochs: int = _number(10, 1, 100_000)
    patience: int = _number(3, 0, 100_000)
    min_delta: float = _number(0.001, 0, 10)
    minutes: float = 0.0
    precision: str = field(default="auto", metadata={"choices": PRECISIONS})
    folder: str = field(default="", compare=False, metadata={"hidden": True})

    def __post_init__(self) -> None:
        if not (self.spots or self.kikuchi or self.labelled):
            raise InputError(
                "The recipe names no patterns: add a table [[labelled]] with a path, or [[spots]] "
                "or [[kikuchi]] to simulate."
            )
        if not _are_names(self.classes):
            raise InputError("Classes are names, each in quotes.")
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


def _are_names(values: tuple[Any, ...]) -> bool:
    return all(isinstance(value, str) and value for value in values)
