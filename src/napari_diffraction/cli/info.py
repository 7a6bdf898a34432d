"""Stacks and models described in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_diffraction.learning.registry import ModelCard
    from napari_diffraction.patterns.stack import PatternStack


def describe(stack: PatternStack) -> list[str]:
    """Say what a stack holds, how it is calibrated, and what is assumed.

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
    lines = {
        "Name": stack.name,
        "Source": stack.source(0) if files <= 1 else f"{files} files, {stack.source(0)} first",
        "Data set": stack.dataset or "",
        "Patterns": number,
        "Frame": f"{width} x {height} pixels (width x height), {stack.data.dtype}",
        "Step": _step(stack),
    }
    return [f"{name + ':':<10}{value}" for name, value in lines.items() if value] + [*stack.notes]


def _step(stack: PatternStack) -> str:
    if stack.step is None:
        return ""
    row, column = stack.step
    return f"{column:g} x {row:g} um (between columns x between rows)"


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
