"""What the card of a model file must be, as the file may be anybody's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from napari_diffraction.learning.model_card import ModelCard
from napari_diffraction.learning.settings import STRICT, Positive, Share

_Name = Annotated[str, Field(min_length=1)]


@dataclass(frozen=True, config=STRICT)
class _Checked(ModelCard):
    """A card whose values are of their types, and fit to each other."""

    name: _Name
    classes: Annotated[tuple[_Name, ...], Field(min_length=2)]
    scale: Positive
    shares: dict[str, Share]

    def __post_init__(self) -> None:
        if len(set(self.classes)) < len(self.classes) or len(self.bias) != len(self.classes):
            raise ValueError("each class has one name and one bias")
        if not set(self.classes) <= set(self.shares):
            raise ValueError("each class has a share")


def check_card(values: Mapping[str, Any]) -> None:
    """Check the values of a card.

    Parameters
    ----------
    values
        Plain values by the names of the fields of `ModelCard`.

    Raises
    ------
    ValueError
        One is missing, of another type, not finite, or too many or few of them.
    """
    TypeAdapter(_Checked).validate_json(json.dumps(values))
