"""How patterns are made into pictures for a network; known without PyTorch, as recipes need it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from napari_diffraction.errors import InputError
from napari_diffraction.learning.settings import STRICT, Share

#: How grey values are drawn out.
Grey = Literal["linear", "sqrt", "log"]


@dataclass(frozen=True, config=STRICT)
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

    size: Annotated[int, Field(ge=16, le=1024)] = 128
    grey: Grey = "linear"
    black: Annotated[float, Field(ge=0, le=99)] = 0.0
    white: Annotated[float, Field(ge=1, le=100)] = 100.0
    flatten: Share = 0.0

    def __post_init__(self) -> None:
        if self.black >= self.white:
            raise InputError("The percentile of black must lie below that of white.")
