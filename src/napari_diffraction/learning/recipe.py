"""Recipes: everything that makes a model, in one TOML file."""

from __future__ import annotations

import math
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from napari_diffraction.errors import InputError

#: Least and greatest value; numbers that are not here are above 0.
_RANGES = {"seed": (0, 90_000_000), "clean": (0, 1), "batch_size": (2, 1_000_000)}


@dataclass(frozen=True)
class ZoneRecipe:
    """How a zone classifier is made.

    Attributes
    ----------
    name, title, summary
        What the model list shows; the summary is one sentence: what it knows, for what it is.
    seed
        Seed of the simulated patterns, of the weights and of the order of training.
    patterns, validation
        Number of simulated patterns to train on and to calibrate on; their unit cells differ.
    clean
        Share of unit cells whose patterns are clean.
    epochs, batch_size, learning_rate, weight_decay
        Of AdamW with a one-cycle schedule (Smith 2018).
    width
        Channels of the network's first stage.
    """

    name: str = "zones"
    title: str = "Zones in serial electron diffraction"
    summary: str = "Sorts spot patterns into zones, Laue patterns, no-hits and several crystals."
    seed: int = 1
    patterns: int = 100_000
    validation: int = 16_000
    clean: float = 0.35
    epochs: int = 8
    batch_size: int = 128
    learning_rate: float = 3e-3
    weight_decay: float = 0.02
    width: int = 16

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for the model's card."""
        return asdict(self)


def read_recipe(path: str | Path) -> ZoneRecipe:
    """Read a recipe.

    Raises
    ------
    InputError
        The file is missing, is not TOML, or has unknown keys, or values of the wrong kind
        or out of range.
    """
    path = Path(path)
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such recipe; check the name.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not a recipe ({error}): write it as TOML, like learning/recipes/zones.toml "
            "of the package."
        ) from error
    known = {item.name: item for item in fields(ZoneRecipe)}
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{path}: unknown key '{key}'; the keys are {', '.join(known)}.")
        kind = type(known[key].default)
        if kind is float and type(value) is int:
            values[key] = float(value)
        elif type(value) is not kind:
            raise InputError(
                f"{path}: {key} is {value!r} where a value of type {kind.__name__} is needed."
            )
        if key in _RANGES:
            low, high = _RANGES[key]
            if not low <= value <= high:
                raise InputError(f"{path}: {key} is {value}; it must be from {low} to {high}.")
        elif kind in (int, float) and not 0 < value < math.inf:
            raise InputError(f"{path}: {key} is {value}; it must be a positive number.")
    return ZoneRecipe(**values)
