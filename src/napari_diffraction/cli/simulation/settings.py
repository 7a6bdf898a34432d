"""What ``simulate`` was asked for, as crystals, conditions and effects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import Field, fields, replace
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.crystal.cell import UnitCell, random_cell
from napari_diffraction.crystal.reflections import parse_space_group
from napari_diffraction.errors import InputError
from napari_diffraction.simulation.conditions import (
    DetectorEffects,
    SpotConditions,
    realistic_conditions,
    realistic_effects,
)
from napari_diffraction.simulation.kikuchi.effects import COLUMNS, KikuchiEffects, realistic_rows
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions

Settings = TypeVar("Settings", SpotConditions, DetectorEffects, KikuchiConditions, KikuchiEffects)

#: No crystal has a smaller cell; in A^3.
_LEAST_VOLUME = 10.0
_TRUE = ("true", "yes", "on", "1")
_FALSE = ("false", "no", "off", "0")


def unit_cells(
    cell: Sequence[float] | None,
    volume: float | None,
    system: str | None,
    number: int,
    seed: int,
    space_group: str | None = None,
) -> list[UnitCell]:
    """Return the cells to simulate: the one that is given, or random ones.

    Parameters
    ----------
    cell
        Six parameters in A and degrees.
    volume
        Volume of random cells in A^3.
    system
        Crystal system of random cells; by default that of the space group, triclinic without one.
    number
        How many random cells.
    seed
        Seed of the random cells.
    space_group
        Number or symbol.

    Raises
    ------
    InputError
        Neither or both ways are asked for, or no cell can be like this.
    """
    if (cell is None) == (volume is None):
        raise InputError(
            "Give the unit cell with --cell A B C ALPHA BETA GAMMA, or --random-cell VOLUME "
            "for random ones; one of the two."
        )
    if cell is not None:
        if system is not None or number != 1:
            raise InputError(
                "--system and --cells are for random cells: leave them out beside --cell."
            )
        return [UnitCell(*cell)]
    assert volume is not None
    if not volume >= _LEAST_VOLUME:
        raise InputError(
            f"--random-cell {volume:.3g}: no crystal has a cell of less than {_LEAST_VOLUME:g} "
            "A^3; give the volume in A^3."
        )
    rng = np.random.default_rng(seed)
    if system is None:
        group = parse_space_group(1 if space_group is None else space_group)
        system = group.crystal_system_str()
    return [random_cell(volume, system, rng=rng) for _ in range(number)]


def spot_settings(
    *,
    realistic: bool,
    given: Mapping[str, float | str | None],
    pairs: Sequence[str],
    size: int,
    seed: int,
) -> tuple[SpotConditions, DetectorEffects]:
    """Return the conditions and effects to simulate with.

    Parameters
    ----------
    realistic
        Start from the camera and beam of an ordinary experiment, drawn with ``seed``, instead of
        from clean patterns.
    given
        Conditions that have an option of their own; ``None``: not given.
    pairs
        Any condition or effect as ``NAME=VALUE``.
    size
        Frame size in pixels.
    seed
        Seed of the drawn settings.

    Raises
    ------
    InputError
        A name is unknown, or a value is not of its kind or range.
    """
    rng = np.random.default_rng(seed)
    conditions = realistic_conditions(rng) if realistic else SpotConditions()
    effects = realistic_effects(rng, size) if realistic else DetectorEffects()
    wanted = {name: value for name, value in given.items() if value is not None}
    wanted |= _pairs(pairs, (*fields(conditions), *fields(effects)))
    return _with(conditions, wanted), _with(effects, wanted)


def kikuchi_settings(
    *,
    realistic: bool,
    given: Mapping[str, float | None],
    pairs: Sequence[str],
    patterns: int,
    seed: int,
) -> tuple[KikuchiConditions, KikuchiEffects | NDArray[np.float32]]:
    """Return the conditions and effects of Kikuchi patterns.

    Parameters
    ----------
    realistic
        Draw the effects of each pattern from the range of real cameras, instead of showing clean
        bands, and let the pattern centre scatter a little.
    given
        Conditions that have an option of their own; ``None``: not given.
    pairs
        Any condition or effect as ``NAME=VALUE``; an effect then is the same in every pattern.
    patterns
        Number of patterns in all.
    seed
        Seed of the drawn settings.

    Raises
    ------
    InputError
        A name is unknown, or a value is not of its kind or range.
    """
    conditions = KikuchiConditions(pc_spread=0.02 if realistic else 0.0)
    effects = KikuchiEffects()
    wanted = {name: value for name, value in given.items() if value is not None}
    wanted |= _pairs(pairs, (*fields(conditions), *fields(effects)))
    conditions, effects = _with(conditions, wanted), _with(effects, wanted)
    if not realistic:
        return conditions, effects
    rows = realistic_rows(patterns, np.random.default_rng(seed))
    for column, name in enumerate(COLUMNS):
        if name in wanted:
            rows[:, column] = getattr(effects, name)
    return conditions, rows


def _pairs(pairs: Sequence[str], settings: Sequence[Field[Any]]) -> dict[str, Any]:
    """Read ``NAME=VALUE``, NAME being one of the settings."""
    known = {field.name: field for field in settings}
    wanted = {}
    for pair in pairs:
        name, equals, text = (part.strip() for part in pair.partition("="))
        if not equals or name not in known:
            raise InputError(
                f"--set {pair}: write --set NAME=VALUE, NAME being one of {', '.join(known)}."
            )
        wanted[name] = _value(known[name], text)
    return wanted


def _with(settings: Settings, wanted: Mapping[str, Any]) -> Settings:
    own = {field.name for field in fields(settings)}
    return replace(settings, **{name: value for name, value in wanted.items() if name in own})


def _value(field: Field[Any], text: str) -> bool | float | str:
    """Read a value in the type of its setting's default."""
    if isinstance(field.default, str):
        return text
    if isinstance(field.default, bool):
        if text.lower() not in _TRUE + _FALSE:
            raise InputError(f"--set {field.name}={text}: write true or false.")
        return text.lower() in _TRUE
    try:
        return int(text) if isinstance(field.default, int) else float(text)
    except ValueError:
        raise InputError(f"--set {field.name}={text}: '{text}' is not a number.") from None
