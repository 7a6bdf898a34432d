"""Recipes: everything that makes a model, in one TOML file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from napari_diffraction.errors import InputError
from napari_diffraction.learning.bravais.recipe import BravaisRecipe
from napari_diffraction.learning.phases.recipe import PhasesRecipe
from napari_diffraction.learning.pictures.recipe import PicturesRecipe
from napari_diffraction.learning.settings import beside, settings_of
from napari_diffraction.learning.zones.recipe import ZoneRecipe

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
    if not isinstance(kind, str) or kind not in RECIPES:
        raise InputError(f"{path}: unknown kind {kind!r}; the kinds are {', '.join(RECIPES)}.")
    if kind == "pictures":
        if "folder" in values:
            raise InputError(f"{path}: unknown key 'folder'; write paths relative to the recipe.")
        values["folder"] = str(path.parent)
    else:
        _find(values, path.parent)
    return settings_of(RECIPES[kind], values, str(path))


def _find(values: dict[str, Any], folder: Path) -> None:
    """Replace the names of files by where they are, seen from the current folder."""
    start, phases = values.get("start"), values.get("phases")
    if isinstance(start, str):
        values["start"] = beside(start, folder)
    if isinstance(phases, list):
        values["phases"] = [beside(one, folder) if isinstance(one, str) else one for one in phases]
