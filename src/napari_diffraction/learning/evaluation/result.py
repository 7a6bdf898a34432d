"""Compare a classification with the truth: what was right, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.learning import metrics
from napari_diffraction.learning.classes import NATURAL_SHARES, UNREADABLE
from napari_diffraction.learning.evaluation.intervals import PER_CLASS, Figures, Judged
from napari_diffraction.learning.labels.ground_truth import Truth, leave_out

#: Accuracies for which the threshold is looked up.
_TARGETS = (0.9, 0.95, 0.99)
#: With fewer groups than this, intervals are rough.
_FEW_GROUPS = 10


@dataclass(frozen=True)
class Evaluation:
    """How good a classification is.

    Attributes
    ----------
    name
        The model.
    table
        The patterns that were judged: the classification's columns, ``truth``, ``correct``,
        ``rank`` (number of classes held more probable than the true one) and ``group``.
    judged
        The same as arrays.
    confusion
        Counts with the truth in rows and the assigned class in columns.
    unknown
        Counts of the patterns whose true class the model does not know, by the class it gave.
    per_class
        Indexed by class: precision, recall and f1, each with ``_low`` and ``_high`` (95 %),
        support, average_precision, and where shares are known, precision_at_shares and
        precision_at_shares_recall_0.9.
    reliability, coverage
        See `napari_diffraction.learning.metrics.reliability` and ``coverage_curve``.
    thresholds
        Confidence thresholds for wanted accuracies: wanted, threshold, coverage, accuracy.
    summary
        All figures as plain values for JSON; undefined ones are ``None``.
    notes
        Sentences: what was left out, how the intervals were drawn.
    """

    name: str
    table: pd.DataFrame
    judged: Judged
    confusion: pd.DataFrame
    unknown: pd.DataFrame
    per_class: pd.DataFrame
    reliability: pd.DataFrame
    coverage: pd.DataFrame
    thresholds: pd.DataFrame
    summary: dict[str, Any]
    notes: tuple[str, ...]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of the model."""
        return self.judged.classes

    def cell(self, truth: str, label: str) -> NDArray[np.int64]:
        """Return the numbers of the patterns in a cell of the confusion matrix, surest first."""
        inside = self.table[(self.table["truth"] == truth) & (self.table["label"] == label)]
        return _numbers(inside.sort_values("confidence", ascending=False, kind="stable"))

    def worst(self, most: int = 100) -> NDArray[np.int64]:
        """Return the numbers of wrong patterns, those first of which the model is surest."""
        wrong = self.table[~self.table["correct"]]
        return _numbers(wrong.nlargest(most, "confidence"))

    def least_certain(self, most: int = 100) -> NDArray[np.int64]:
        """Return the numbers of the patterns with the least confidence, right or wrong."""
        return _numbers(self.table.nsmallest(most, "confidence"))

    def noted(self, *notes: str, **facts: Any) -> Evaluation:
        """Return the same with more notes, and more facts in the summary."""
        together = (*self.notes, *notes)
        return replace(
            self, notes=together, summary={**self.summary, **facts, "notes": list(together)}
        )


def evaluate(
    table: pd.DataFrame,
    truth: Truth,
    *,
    name: str = "model",
    shares: Mapping[str, float] | None = NATURAL_SHARES,
) -> Evaluation:
    """Compare a classification with the truth.

    Patterns that cannot be read, that bear no label, or whose true class the model does not know
    are left out of every figure, and counted in the notes.

    Parameters
    ----------
    table
        A classification: columns label, confidence and one ``p_<class>`` for each class.
    truth
        True class of each row.
    name
        Of the model.
    shares
        Natural shares of the classes, for the precision that a user meets; ``None`` or shares that
        do not name every class of the table leave these figures out.

    Raises
    ------
    InputError
        Truth and table do not match, or nothing is left to judge.
    """
    classes = _check(table, truth)
    left_out = leave_out(table, truth, classes)
    table, truth = left_out.table, left_out.truth
    judged = _judged(table, truth, classes)
    drawn_by, drawn_note = _drawn_by(judged, truth.grouped_by)
    figures = Figures(drawn_by).table()
    confusion = metrics.confusion_matrix(truth.labels, table["label"].to_numpy(dtype=str), classes)
    curve = metrics.reliability(judged.confidence, judged.correct)
    coverage = metrics.coverage_curve(judged.confidence, judged.correct)
    per_class = _per_class(judged, confusion, figures)
    thresholds = _thresholds(coverage)
    summary: dict[str, Any] = {
        "model": name,
        **left_out.counts,
        "classes": list(classes),
        **_with_intervals(figures, len(PER_CLASS) * len(classes)),
        "intervals": {"drawn": truth.grouped_by, "number": drawn_by.units()},
    }
    if shares is not None and set(classes) <= set(shares):
        per_class = per_class.join(_at_shares(judged, confusion, shares))
        weights = metrics.share_weights(truth.labels, shares)
        summary["shares"] = {one: float(shares[one]) for one in classes}
        summary["expected_calibration_error_at_shares"] = metrics.expected_calibration_error(
            metrics.reliability(judged.confidence, judged.correct, weights)
        )
    summary |= {
        "per_class": per_class.to_dict("index"),
        "thresholds": thresholds.to_dict("records"),
    }
    notes = (*truth.notes, *left_out.notes, *_absent(confusion), drawn_note)
    judged_table = table.assign(
        truth=truth.labels,
        correct=judged.correct,
        rank=judged.rank,
        group="" if truth.groups is None else truth.groups,
    )
    return Evaluation(
        name,
        judged_table,
        drawn_by,
        confusion,
        left_out.unknown,
        per_class,
        curve,
        coverage,
        thresholds,
        plain(summary),
        (),
    ).noted(*notes)


def _check(table: pd.DataFrame, truth: Truth) -> tuple[str, ...]:
    """Return the classes of the table, or say what does not fit."""
    classes = tuple(str(name)[2:] for name in table.columns if str(name).startswith("p_"))
    missing = {"label", "confidence"} - set(table.columns)
    if missing or not classes:
        wanted = ", ".join(sorted(missing)) or "p_<class>"
        raise InputError(f"The classification lacks the column {wanted}: run classify again.")
    if len(truth) != len(table):
        raise InputError(
            f"There are {len(table)} classified patterns but {len(truth)} true labels: "
            "give the labels of the same stack."
        )
    strange = sorted(set(table["label"].astype(str)) - {*classes, UNREADABLE})
    if strange:
        raise InputError(
            f"The classification names {', '.join(strange)}, which the model does not know: "
            f"use its classes {', '.join(classes)}."
        )
    return classes


def _judged(table: pd.DataFrame, truth: Truth, classes: tuple[str, ...]) -> Judged:
    order = {name: place for place, name in enumerate(classes)}
    return Judged(
        classes,
        np.array([order[name] for name in truth.labels], dtype=np.int64),
        np.array([order[name] for name in table["label"]], dtype=np.int64),
        table[[f"p_{name}" for name in classes]].to_numpy(dtype=float),
        table["confidence"].to_numpy(dtype=float),
        truth.groups,
    )


def _drawn_by(judged: Judged, grouped_by: str) -> tuple[Judged, str]:
    """Return what to draw for the intervals, and a sentence on it."""
    start = "Intervals (95 %) are bootstrapped by "
    if judged.groups is None:
        return judged, (
            f"{start}single patterns, as the data do not say which belong together; if several are "
            "of one crystal, the true ones are wider."
        )
    number = judged.units()
    if number == 1:
        return replace(judged, groups=None), (
            f"{start}single patterns, as all are of one {grouped_by}: they say nothing of another."
        )
    if max(len(np.unique(judged.groups[judged.truth == k])) for k in set(judged.truth)) == 1:
        return replace(judged, groups=None), (
            f"{start}single patterns, as each class is of one {grouped_by} only: they say nothing "
            "of another."
        )
    rough = "; so few give a rough estimate only" if number < _FEW_GROUPS else ""
    return judged, f"{start}{grouped_by} ({number} of them){rough}."


def _per_class(judged: Judged, confusion: pd.DataFrame, figures: pd.DataFrame) -> pd.DataFrame:
    found: dict[str, Any] = {}
    for what in PER_CLASS:
        rows = figures.loc[[f"{what}_{name}" for name in judged.classes]]
        found |= {f"{what}{end}": rows[column].to_numpy() for end, column in _ENDS}
    table = pd.DataFrame(found, index=confusion.index.rename("class"))
    table["support"] = confusion.sum(axis=1)
    table["average_precision"] = [
        _average_precision(judged.truth == code, judged.probabilities[:, code])
        for code in range(len(judged.classes))
    ]
    return table


_ENDS = (("", "value"), ("_low", "low"), ("_high", "high"))


def _at_shares(
    judged: Judged, confusion: pd.DataFrame, shares: Mapping[str, float]
) -> pd.DataFrame:
    weights = metrics.share_weights(np.array(judged.classes)[judged.truth], shares)
    at_recall = [
        _precision_at_recall(judged.truth == code, judged.probabilities[:, code], weights)
        for code in range(len(judged.classes))
    ]
    return pd.DataFrame(
        {
            "precision_at_shares": metrics.per_class(confusion, shares)["precision"],
            "precision_at_shares_recall_0.9": at_recall,
        },
        index=confusion.index.rename("class"),
    )


def _average_precision(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    if not positive.any():
        return float("nan")
    return metrics.average_precision(metrics.precision_recall_curve(positive, score))


def _precision_at_recall(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64]
) -> float:
    if not weights[positive].sum() > 0:
        return float("nan")
    return metrics.precision_at_recall(
        metrics.precision_recall_curve(positive, score, weights), 0.9
    )


def _with_intervals(figures: pd.DataFrame, n_per_class: int) -> dict[str, Any]:
    """Return the figures of the whole, each with its interval as ``NAME_95``."""
    whole = figures.iloc[: len(figures) - n_per_class]
    found: dict[str, Any] = {}
    for name, row in whole.iterrows():
        found[str(name)] = row["value"]
        found[f"{name}_95"] = [row["low"], row["high"]]
    return found


def _thresholds(coverage: pd.DataFrame) -> pd.DataFrame:
    rows = []
    for wanted in _TARGETS:
        row = metrics.threshold_for(coverage, wanted)
        if row is not None:
            rows.append({"wanted": wanted, **row[["threshold", "coverage", "accuracy"]]})
    return pd.DataFrame(rows, columns=["wanted", "threshold", "coverage", "accuracy"])


def _absent(confusion: pd.DataFrame) -> list[str]:
    absent = [str(name) for name, count in confusion.sum(axis=1).items() if count == 0]
    if not absent:
        return []
    return [f"The data hold no pattern of {', '.join(absent)}, whose recall stays unknown."]


def _numbers(table: pd.DataFrame) -> NDArray[np.int64]:
    return table["index"].to_numpy(dtype=np.int64)


def plain(value: Any) -> Any:
    """Turn NaN into ``None`` and NumPy numbers into Python ones, for JSON."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.integer | np.bool_):
        return value.item()
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value
