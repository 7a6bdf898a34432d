"""How patterns are made into pictures for a network; known without PyTorch, as recipes need it."""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_diffraction.errors import InputError

#: How grey values are drawn out.
GREYS = ("linear", "sqrt", "log")


@dataclass(frozen=True)
class Preprocessing:
    """How a pattern is made into a picture.

    Attributes
    ----------
    size
        Height and width of the picture; a pattern that is not square is padded.
    grey
        linear, sqrt or log: how the values between black and white are drawn out.
    black, white
        Percentiles of the pattern's values that become black and white.
    flatten
        Standard deviation of the Gaussian, as a share of the height, whose blurred picture is
        taken off as background; 0: nothing is.
    """

    size: int = field(default=128, metadata={"range": (16, 1024)})
    grey: str = field(default="linear", metadata={"choices": GREYS})
    black: float = field(default=0.0, metadata={"range": (0, 99)})
    white: float = field(default=100.0, metadata={"range": (1, 100)})
    flatten: float = field(default=0.0, metadata={"range": (0, 1)})

    def __post_init__(self) -> None:
        if self.black >= self.white:
            raise InputError("The percentile of black must lie below that of white.")
