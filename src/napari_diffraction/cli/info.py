"""Patterns and models described in a few lines."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_diffraction.learning.model_card import ModelCard
    from napari_diffraction.patterns.readers import Look


def describe(seen: Look) -> list[str]:
    """Say what a stack holds, how it is calibrated, and what is assumed.

    Parameters
    ----------
    seen
        Patterns that were looked at.

    Returns
    -------
    list of str
        Lines for a terminal.
    """
    source = seen.source
    height, width = source.frame_shape
    number = f"{source.count}"
    if len(source.shape) == 4:
        rows, columns = source.shape[:2]
        number += f" (scan of {rows} rows x {columns} columns)"
    files = list(dict.fromkeys(source.sources or (source.path,)))
    lines = {
        "Name": seen.name,
        "Source": files[0] if len(files) == 1 else f"{len(files)} files, {files[0]} first",
        "Data set": source.dataset or "",
        "Patterns": number,
        "Frame": f"{width} x {height} pixels (width x height), {source.dtype}",
        "Step": _step(source.step),
    }
    return [f"{name + ':':<10}{value}" for name, value in lines.items() if value] + [*seen.notes]


def _step(step: tuple[float, float] | None) -> str:
    if step is None:
        return ""
    row, column = step
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
