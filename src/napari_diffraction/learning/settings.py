"""Settings that people write into files: pydantic checks them, one sentence says what is wrong."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from napari_diffraction.errors import InputError

#: Of all dataclasses of settings: no other keys, values of their own type, none infinite.
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

Seed = Annotated[int, Field(ge=0, le=90_000_000)]
#: A number of things of which there is at least one, or none at all.
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
CountOrNone = Annotated[int, Field(ge=0, le=1_000_000)]
BatchSize = Annotated[int, Field(ge=2, le=1_000_000)]
Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Minutes = Annotated[float, Field(ge=0, le=100_000)]

#: What pydantic says, and shorter words for it.
_SHORTER = (
    ("greater than or equal to", "at least"),
    ("less than or equal to", "at most"),
    ("be a valid", "be a"),
    ("be a integer", "be an integer"),
)

T = TypeVar("T")


def settings_of(kind: type[T], values: dict[str, Any], where: str) -> T:
    """Make settings of plain values, as TOML or JSON gives them.

    Parameters
    ----------
    kind
        A dataclass of pydantic with the configuration `STRICT`.
    values
        By the names of its fields; tables are dictionaries.
    where
        Where they were written, for messages.

    Raises
    ------
    InputError
        An unknown key, or a value of the wrong type or out of range.
    """
    try:
        return TypeAdapter(kind).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        raise InputError(f"{where}: {_said(kind, error)}") from error
    except InputError as error:
        raise InputError(f"{where}: {error}") from error


def beside(name: str, folder: str | Path) -> str:
    """Where a file is that a recipe names: beside the recipe, or else in the current folder.

    Parameters
    ----------
    name
        A CIF file or a model file; whatever else it is, such as the name of a model, stays as it
        is.
    folder
        That of the recipe.
    """
    path = Path(folder) / name
    is_file = name.lower().endswith((".cif", ".safetensors")) and path.is_file()
    return str(path) if is_file else name


def _said(kind: type[Any], error: ValidationError) -> str:
    """Say what is wrong first."""
    wrong = error.errors()[0]
    *tables, key = [part for part in wrong["loc"] if isinstance(part, str)]
    listed = any(isinstance(part, int) for part in wrong["loc"])
    inside = "".join(f" in [[{name}]]" if listed else f" in [{name}]" for name in tables)
    if wrong["type"] == "unexpected_keyword_argument":
        for name in tables:
            kind = _table(get_type_hints(kind)[name])
        keys = ", ".join(item.name for item in fields(kind))
        return f"unknown key '{key}'{inside}; the keys are {keys}."
    # where the table itself is wrong, the last name is the table's
    example = f"[[{key}]]" if listed else f"[{key}]"
    told = {
        "dataclass_type": f"write it as a table, {example}",
        "tuple_type": f"write it as a list in brackets, or a list of tables as [[{key}]]",
        "missing": "it has too few values",
    }
    plain = wrong["msg"].replace("Input", "it", 1)
    for long, short in _SHORTER:
        plain = plain.replace(long, short)
    return f"{key} is {wrong['input']!r}{inside}; {told.get(wrong['type'], plain)}."


def _table(hint: Any) -> Any:
    """Return the dataclass of a table, or of each of a list of tables."""
    return hint if isinstance(hint, type) else hint.__args__[0]
