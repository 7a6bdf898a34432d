"""Stacks and models described in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_diffraction.learning.registry import ModelCard
    from napari_diffraction.patterns.stack import PatternStack

_NOT_GIVEN = "not given in the file"


def describe(stack: PatternStack) -> list[str]:
    """Say what a stack holds, what is known of its geometry, and what is assumed.

    Parameters
    ----------
    stack
        Patterns.

    Returns
    -------
    list of str
        Lines for a terminal.
    """
    height, width = stack.frame_shape
    number = f"{len(stack)}"
    if stack.is_scan:
        rows, columns = stack.data.shape[:2]
        number += f" (scan of {rows} rows x {columns} columns)"
    files = len(set(stack.sources))
    geometry = stack.geometry
    centre = geometry.centre
    lines = {
        "Name": stack.name,
        "Source": stack.source(0) if files <= 1 else f"{files} files, {stack.source(0)} first",
        "Data set": stack.dataset or "",
        "Patterns": number,
        "Frame": f"{width} x {height} pixels (width x height), {stack.data.dtype}",
        "Wavelength": f"{geometry.wavelength:g} A" if geometry.wavelength else _NOT_GIVEN,
        "Pixel size": f"{geometry.pixel_size:g} 1/A" if geometry.pixel_size else _NOT_GIVEN,
        "Beam centre": f"x {centre[0]:g}, y {centre[1]:g} pixels" if centre else _NOT_GIVEN,
    }
    told = [f"{name + ':':<13}{value}" for name, value in lines.items() if value]
    return told + [f"{'Note:':<13}{note}" for note in stack.notes]


def describe_model(card: ModelCard) -> list[str]:
    """Say what a model knows and how well it did.

    Parameters
    ----------
    card
        The card of the model.

    Returns
    -------
    list of str
        Lines for a terminal, the last one empty.
    """
    lines = [f"{card.name}  {card.title}", f"  {card.summary}"]
    lines.append(f"  Classes: {', '.join(card.classes)}")
    lines += [f"  {name}: {_figure(value)}" for name, value in card.figures.items()]
    return [*lines, f"  File: {card.path}", ""]


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
