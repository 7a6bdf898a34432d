"""Recipes: everything that makes a model, in one TOML file."""

from __future__ import annotations

import math
import tomllib
from dataclasses import Field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais.recipe import BravaisRecipe
from napari_diffraction.learning.phases.recipe import PhasesRecipe
from napari_diffraction.learning.pictures.recipe import PicturesRecipe
from napari_diffraction.learning.zones.recipe import ZoneRecipe

#: Least and greatest value; numbers that are not here are above 0.
_RANGES = {
    "seed": (0, 90_000_000),
    "clean": (0, 1),
    "batch_size": (2, 1_000_000),
    "minutes": (0, 100_000),
    "depths": (0, 50),
    "again": (0, 1000),
    "masters": (0, 1_000_000),
    "symmetric": (0, 1_000_000),
    "others": (0, 1_000_000),
}


#: By the key ``kind`` of the file.
RECIPES: dict[str, type[Any]] = {
    "zones": ZoneRecipe,
    "bravais": BravaisRecipe,
    "phases": PhasesRecipe,
    "pictures": PicturesRecipe,
}


#: Recipes that come with the program, by their name.
_SHIPPED = Path(__file__).parent / "recipes"


def read_recipe(path: str | Path) -> Any:
    """Read a recipe.

    Parameters
    ----------
    path
        The file, or the name of a recipe that comes with the program.

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
    if not path.is_file() and (_SHIPPED / f"{path}.toml").is_file():
        path = _SHIPPED / f"{path}.toml"
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"{path}: there is no such recipe; check the name.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{path} is not a recipe ({error}): write it as TOML, like "
            "learning/training/recipes/zones.toml of the package."
        ) from error
    kind = values.pop("kind", "zones")
    if kind not in RECIPES:
        raise InputError(f"{path}: unknown kind {kind!r}; the kinds are {', '.join(RECIPES)}.")
    recipe = _built(path, RECIPES[kind], values)
    return replace(recipe, folder=str(path.parent)) if hasattr(recipe, "folder") else recipe


def _built(path: Path, kind: type[Any], values: dict[str, Any], where: str = "") -> Any:
    """Make a recipe, or a part of it that is a table of its own, from the values of the file."""
    known = {item.name: item for item in fields(kind) if not item.metadata.get("hidden")}
    checked = {}
    for key, value in values.items():
        if key not in known:
            inside = f" in {where}" if where else ""
            raise InputError(
                f"{path}: unknown key '{key}'{inside}; the keys are {', '.join(known)}."
            )
        checked[key] = _value(path, known[key], value)
    try:
        return kind(**checked)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _value(path: Path, item: Field[Any], value: Any) -> Any:
    """Return the value of a field: a table, a list of tables, or plain values."""
    rows, table = item.metadata.get("of"), item.default
    if rows is not None:
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise InputError(f"{path}: write {item.name} as tables, [[{item.name}]].")
        return tuple(_built(path, rows, one, f"[[{item.name}]]") for one in value)
    if is_dataclass(table) and not isinstance(table, type):
        if not isinstance(value, dict):
            raise InputError(f"{path}: write {item.name} as a table, [{item.name}].")
        return _built(path, type(table), value, f"[{item.name}]")
    choices = item.metadata.get("choices", ())
    if choices and value not in choices:
        raise InputError(f"{path}: {item.name} is {value!r}; it must be {' or '.join(choices)}.")
    return _checked(path, item.name, value, item.default, item.metadata.get("range"))


def _checked(
    path: Path, key: str, value: Any, default: Any, limits: tuple[float, float] | None = None
) -> Any:
    """Return a value in the type of its default; raise `InputError` for one that cannot be."""
    kind = type(default)
    if kind is tuple and isinstance(value, list):
        if len(default) > 1 and len(value) != len(default):
            raise InputError(f"{path}: {key} must hold {len(default)} values.")
        if not default:
            return tuple(value)
        of = default if len(default) > 1 else default * len(value)
        return tuple(_checked(path, key, v, d, limits) for v, d in zip(value, of, strict=True))
    if kind is float and type(value) is int:
        value = float(value)
    elif type(value) is not kind:
        raise InputError(
            f"{path}: {key} is {value!r} where a value of type {kind.__name__} is needed."
        )
    limits = limits or _RANGES.get(key)
    if limits is not None:
        low, high = limits
        if not low <= value <= high:
            raise InputError(f"{path}: {key} is {value}; it must be from {low} to {high}.")
    elif kind in (int, float) and not 0 < value < math.inf:
        raise InputError(f"{path}: {key} is {value}; it must be a positive number.")
    return value
