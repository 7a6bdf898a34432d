"""Recipes: everything that makes a model, in one TOML file."""

from __future__ import annotations

import math
import tomllib
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from napari_diffraction.errors import InputError
from napari_diffraction.learning.phases_recipe import PhasesRecipe

#: Least and greatest value; numbers that are not here are above 0.
_RANGES = {
    "seed": (0, 90_000_000),
    "clean": (0, 1),
    "batch_size": (2, 1_000_000),
    "minutes": (0, 100_000),
    "depths": (0, 50),
}


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
    start
        Name or file of a model whose weights the training starts from; empty: random ones.
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
    start: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for the model's card."""
        return asdict(self)


@dataclass(frozen=True)
class BravaisRecipe:
    """How a Bravais classifier is made.

    Attributes
    ----------
    name, title, summary
        What the model list shows.
    seed
        Seed of structures, patterns and weights.
    structures
        Number of random structures to train on.
    patterns
        Number of patterns to train on, each made once and thrown away.
    minutes
        Where above 0, training ends after this time at the latest, and the learning rate falls
        accordingly; the card tells the number of patterns reached.
    batch_size, learning_rate, weight_decay
        Of AdamW, with a warm-up and a cosine.
    widths, depths
        Of `napari_diffraction.learning.bravais_network.BravaisNetwork`.
    warm_up
        Share of the training over which noise and geometry widen to their full range.
    """

    name: str = "bravais"
    title: str = "Bravais lattices of Kikuchi patterns"
    summary: str = "Names the Bravais lattice of a Kikuchi pattern without a phase list."
    seed: int = 1
    structures: int = 98_000
    patterns: int = 3_000_000
    minutes: float = 0.0
    batch_size: int = 256
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.03
    widths: tuple[int, ...] = (24, 48, 96, 160)
    depths: tuple[int, ...] = (0, 1, 2, 2)
    warm_up: float = 0.6

    def as_dict(self) -> dict[str, Any]:
        """Return the recipe as plain values, for the model's card and for checkpoints."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


#: By the key ``kind`` of the file.
RECIPES: dict[str, type[Any]] = {
    "zones": ZoneRecipe,
    "bravais": BravaisRecipe,
    "phases": PhasesRecipe,
}


def read_recipe(path: str | Path) -> Any:
    """Read a recipe.

    Returns
    -------
    dataclass
        The one of `RECIPES` that the key ``kind`` names, `ZoneRecipe` where it is left out.

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
    kind = values.pop("kind", "zones")
    if kind not in RECIPES:
        raise InputError(f"{path}: unknown kind {kind!r}; the kinds are {', '.join(RECIPES)}.")
    recipe = RECIPES[kind]
    known = {item.name: item for item in fields(recipe)}
    for key, value in values.items():
        if key not in known:
            raise InputError(f"{path}: unknown key '{key}'; the keys are {', '.join(known)}.")
        values[key] = _checked(path, key, value, known[key].default)
    return recipe(**values)


def _checked(path: Path, key: str, value: Any, default: Any) -> Any:
    """Return a value in the type of its default; raise `InputError` for one that cannot be."""
    kind = type(default)
    if kind is tuple and isinstance(value, list):
        if len(value) != len(default) and default:
            raise InputError(f"{path}: {key} must hold {len(default)} values.")
        if not default:
            return tuple(value)
        return tuple(_checked(path, key, v, d) for v, d in zip(value, default, strict=True))
    if kind is float and type(value) is int:
        value = float(value)
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
    return value
