"""Pictures of how good a classification is.  Figures are built directly, never through pyplot."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure


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
    axes.set_xticks(range(n_columns), confusion.columns, rotation=30, ha="right")
    axes.set_yticks(range(n_rows), confusion.index)
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
    upper.vlines(filled["confidence"], *_wilson(filled["accuracy"], filled["patterns"]))
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


def _wilson(share: pd.Series, count: pd.Series) -> tuple[pd.Series, pd.Series]:
    """95 % interval of measured shares, sound for few patterns, too (Wilson 1927)."""
    z2 = 1.96**2 / count
    centre = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(z2 * share * (1 - share) + z2**2 / 4) / (1 + z2)
    return centre - half, centre + half
