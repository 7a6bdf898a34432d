"""Several models on the same patterns: figures side by side, and which differences are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import bdtr

from napari_diffraction.errors import InputError
from napari_diffraction.learning import metrics
from napari_diffraction.learning.evaluation.intervals import Figures, Judged
from napari_diffraction.learning.evaluation.result import Evaluation

#: What is set side by side, and of what the difference to the first model is given.
FIGURES = ("accuracy", "balanced_accuracy", "macro_f1", "expected_calibration_error")
DIFFERENCES = ("accuracy", "balanced_accuracy")


def compare(evaluations: Sequence[Evaluation]) -> pd.DataFrame:
    """Compare models on the patterns that all of them could judge.

    Parameters
    ----------
    evaluations
        Of the same stack and labels; the others are compared with the first.

    Returns
    -------
    DataFrame
        Indexed by model: ``patterns``, the figures accuracy, balanced_accuracy, macro_f1 and
        expected_calibration_error, each with ``_low`` and ``_high`` (95 %); for all but the first
        ``accuracy_difference`` and ``balanced_accuracy_difference``, its own less the first one's,
        with ``_low`` and ``_high`` from the same draws for both (paired bootstrap);
        ``only_right`` and ``only_first_right``, the patterns that only this model or only the
        first one names rightly; and ``mcnemar_p``, the probability of a split at least as uneven
        between equally good models (McNemar's exact test, which takes patterns as independent).

    Raises
    ------
    InputError
        Fewer than two models, or no pattern that all of them could judge.
    """
    if len(evaluations) < 2:
        raise InputError("One model cannot be compared: name another one.")
    first, *others = (Figures(judged) for judged in _common(evaluations))
    rows = [_row(first)]
    rows += [_row(other) | _difference(first, other) | _mcnemar(first, other) for other in others]
    return pd.DataFrame(rows, index=pd.Index(_unique(evaluations), name="model"))


def _common(evaluations: Sequence[Evaluation]) -> list[Judged]:
    """Return what the models said of the patterns that all of them could judge."""
    truths = [evaluation.table.set_index("index")["truth"] for evaluation in evaluations]
    shared = pd.concat(truths, axis=1, join="inner")
    shared = shared[shared.eq(shared.iloc[:, 0], axis=0).all(axis=1)]
    if shared.empty:
        raise InputError(
            "There is no pattern that all models could judge: compare models of the same classes."
        )
    grouped = all(evaluation.judged.groups is not None for evaluation in evaluations)
    return [
        _rows_of(evaluation.judged, truth.index.get_indexer(shared.index), grouped)
        for evaluation, truth in zip(evaluations, truths, strict=True)
    ]


def _rows_of(judged: Judged, rows: NDArray[np.intp], grouped: bool) -> Judged:
    return replace(
        judged,
        truth=judged.truth[rows],
        called=judged.called[rows],
        probabilities=judged.probabilities[rows],
        confidence=judged.confidence[rows],
        groups=judged.groups[rows] if grouped and judged.groups is not None else None,
    )


def _row(figures: Figures) -> dict[str, float]:
    table = figures.table()
    row: dict[str, float] = {"patterns": len(figures.judged)}
    for name in FIGURES:
        value, low, high = (float(end) for end in table.loc[[name]].to_numpy()[0])
        row |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return row


def _difference(first: Figures, other: Figures) -> dict[str, float]:
    row = {}
    for name in DIFFERENCES:
        a, b = first.names.index(name), other.names.index(name)
        low, high = metrics.percentile_interval(other.drawn[:, b] - first.drawn[:, a])
        row[f"{name}_difference"] = other.of()[b] - first.of()[a]
        row |= {f"{name}_difference_low": float(low), f"{name}_difference_high": float(high)}
    return row


def _mcnemar(first: Figures, other: Figures) -> dict[str, float]:
    mine, its = other.judged.correct, first.judged.correct
    only, only_first = int((mine & ~its).sum()), int((its & ~mine).sum())
    # Twice the smaller tail of a fair coin.
    p = min(1.0, 2 * float(bdtr(min(only, only_first), only + only_first, 0.5)))
    return {"only_right": only, "only_first_right": only_first, "mcnemar_p": p}


def _unique(evaluations: Sequence[Evaluation]) -> list[str]:
    """Name the models apart, also two files of one name."""
    names: list[str] = []
    for evaluation in evaluations:
        name, number = evaluation.name, 1
        while name in names:
            number += 1
            name = f"{evaluation.name} ({number})"
        names.append(name)
    return names
