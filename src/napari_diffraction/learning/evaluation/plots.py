"""Pictures of how good a classification is.  Figures are built directly, never through pyplot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_diffraction.learning.metrics import wilson_interval
from napari_diffraction.learning.palette import OKABE_ITO
from napari_diffraction.patterns.display import contrast_limits


def confusion_figure(confusion: pd.DataFrame) -> Figure:
    """Draw a confusion matrix: counts, coloured by the share of the true class.

    Parameters
    ----------
    confusion
        Counts with the truth in rows and the assigned class in columns.
    """
    counts = confusion.to_numpy()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    n_rows, n_columns = counts.shape
    figure = Figure(figsize=(2.6 + 0.95 * n_columns, 1.6 + 0.75 * n_rows), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(n_columns), _plain(confusion.columns), rotation=30, ha="right")
    axes.set_yticks(range(n_rows), _plain(confusion.index))
    axes.set_xlabel("assigned class")
    axes.set_ylabel("true class")
    for row in range(n_rows):
        for column in range(n_columns):
            text = f"{counts[row, column]}\n{shares[row, column]:.1%}"
            colour = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(image, ax=axes, label="share of the true class")
    return figure


def reliability_figure(curve: pd.DataFrame) -> Figure:
    """Draw a reliability diagram with 95 % intervals above a histogram of the confidences.

    Parameters
    ----------
    curve
        Columns low, high, patterns, confidence, accuracy; see `metrics.reliability`.
    """
    figure = Figure(figsize=(4.2, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    filled = curve[curve["patterns"] > 0]
    upper.plot([0, 1], [0, 1], color="0.6", linestyle="--", label="perfect")
    upper.plot(filled["confidence"], filled["accuracy"], marker="o", label="measured")
    upper.vlines(filled["confidence"], *wilson_interval(filled["accuracy"], filled["patterns"]))
    upper.set_ylabel("share that is right")
    upper.set_ylim(0, 1.02)
    upper.legend(loc="lower right", frameon=False)
    lower.bar(
        curve["low"], curve["patterns"], width=curve["high"] - curve["low"], align="edge", ec="w"
    )
    lower.set_xlabel("confidence")
    lower.set_ylabel("patterns")
    lower.set_xlim(0, 1)
    return figure


def coverage_figure(curves: Mapping[str, pd.DataFrame], thresholds: pd.DataFrame) -> Figure:
    """Draw how many patterns are right among those that a threshold keeps.

    Parameters
    ----------
    curves
        Columns coverage and accuracy by model, see `metrics.coverage_curve`.
    thresholds
        Points of the first curve that are marked with their threshold: columns threshold,
        coverage, accuracy.
    """
    figure = Figure(figsize=(4.6, 3.8), layout="constrained")
    axes = figure.add_subplot()
    for (name, curve), colour in zip(curves.items(), cycle(OKABE_ITO[4:] + OKABE_ITO[:4])):
        axes.step(
            curve["coverage"],
            curve["accuracy"],
            where="post",
            color=colour,
            label=_plain([name])[0],
        )
    columns = ["threshold", "coverage", "accuracy"]
    for threshold, kept, right in thresholds.reindex(columns=columns).drop_duplicates().to_numpy():
        axes.plot(kept, right, "o", color="black", markersize=4)
        axes.annotate(
            f"{threshold:.3f}",
            (kept, right),
            xytext=(-4, 5),
            textcoords="offset points",
            ha="right",
        )
    axes.set_xlabel("share of the patterns that is kept")
    axes.set_ylabel("share of these that is right")
    axes.set_xlim(0, 1.02)
    low = min(curve["accuracy"].iloc[len(curve) // 50 :].min() for curve in curves.values())
    axes.set_ylim(max(0.0, low - 0.05), 1.005)
    if len(curves) > 1:
        axes.legend(loc="lower left", frameon=False)
    return figure


def per_class_figure(per_class: pd.DataFrame) -> Figure:
    """Draw precision, recall and F1 of each class with their intervals.

    Parameters
    ----------
    per_class
        Columns precision, recall and f1, each with ``_low`` and ``_high``; indexed by class.
    """
    n = len(per_class)
    figure = Figure(figsize=(5.2, 1.2 + 0.42 * n), layout="constrained")
    axes = figure.add_subplot()
    shown = {"precision": OKABE_ITO[4], "recall": OKABE_ITO[5], "f1": OKABE_ITO[2]}
    for place, (what, colour) in enumerate(shown.items()):
        y = np.arange(n) + 0.22 * (place - 1)
        axes.hlines(y, per_class[f"{what}_low"], per_class[f"{what}_high"], color=colour)
        name = what.replace("f1", "F1")
        axes.plot(per_class[what], y, "o", color=colour, mec="0.3", mew=0.5, label=name)
    axes.set_yticks(range(n), _plain(per_class.index))
    axes.invert_yaxis()
    axes.set_xlim(-0.02, 1.02)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    return figure


def comparison_figure(table: pd.DataFrame) -> Figure:
    """Draw the balanced accuracy of several models with its intervals.

    Parameters
    ----------
    table
        See `napari_diffraction.learning.evaluation.comparison.compare`.
    """
    figure = Figure(figsize=(5.2, 0.9 + 0.35 * len(table)), layout="constrained")
    axes = figure.add_subplot()
    y = np.arange(len(table))
    axes.hlines(y, table["balanced_accuracy_low"], table["balanced_accuracy_high"])
    axes.plot(table["balanced_accuracy"], y, "o")
    axes.set_yticks(y, _plain(table.index))
    axes.invert_yaxis()
    axes.set_ylim(len(table) - 0.5, -0.5)
    axes.set_xlabel("balanced accuracy")
    axes.grid(axis="x", color="0.9")
    return figure


def patterns_figure(
    frames: Sequence[NDArray[Any]], titles: Sequence[str], columns: int = 6
) -> Figure:
    """Draw patterns side by side.

    Parameters
    ----------
    frames
        Patterns, (h, w) each.
    titles
        Text above each of them.
    columns
        Patterns in a row.
    """
    rows = max(1, -(-len(frames) // columns))
    figure = Figure(figsize=(1.7 * columns, 2.15 * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid:
        axes.axis("off")
    for axes, frame, title in zip(grid, frames, _plain(titles), strict=False):
        low, high = contrast_limits(frame)
        axes.imshow(frame, cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
        axes.set_title(title, fontsize=7)
    return figure


def _plain(names: Iterable[object]) -> list[str]:
    """Names as they are to be read: between two dollars, Matplotlib would take them for TeX."""
    return [str(name).replace("$", r"\$") for name in names]
