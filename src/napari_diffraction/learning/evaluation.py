"""Compare a classification with the truth: tables, pictures and a summary in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.errors import InputError
from napari_diffraction.files import replacing, writing_error
from napari_diffraction.learning import metrics
from napari_diffraction.learning.classes import NATURAL_SHARES, UNREADABLE


def evaluate_table(
    table: pd.DataFrame,
    truth: Sequence[str] | pd.Series,
    folder: str | Path,
    *,
    shares: Mapping[str, float] | None = NATURAL_SHARES,
) -> dict[str, Any]:
    """Compare a classification with the truth and write the findings into a folder.

    Writes confusion.csv, confusion.png, per_class.csv, reliability.csv, reliability.png and
    summary.json.  Unreadable patterns are counted, and left out of every figure.

    Parameters
    ----------
    table
        A classification: columns label, confidence and one ``p_<class>`` for each class.
    truth
        True class of each row.
    folder
        Where to write; made if absent.
    shares
        Natural shares of the classes, for the precision that a user meets; ``None`` or shares that
        do not name every class of the table leave these figures out.

    Returns
    -------
    dict
        What summary.json holds; undefined figures are ``None``.

    Raises
    ------
    InputError
        Truth and table do not match, or the folder cannot be written.
    """
    classes, answer = _check(table, truth)
    readable = (table["label"] != UNREADABLE).to_numpy()
    label = table["label"].to_numpy(dtype=str)[readable]
    answer_read = answer[readable]
    correct = label == answer_read
    scores = table.loc[readable]
    true_codes, called_codes = (
        pd.Categorical(names, categories=classes).codes for names in (answer_read, label)
    )

    confusion = metrics.confusion_matrix(answer_read, label, classes)
    figures = metrics.per_class(confusion)
    curve = metrics.reliability(scores["confidence"], correct)
    figures["average_precision"] = [
        _average_precision(answer_read == name, scores[f"p_{name}"]) for name in classes
    ]
    summary: dict[str, Any] = {
        "patterns": len(table),
        "unreadable": int((~readable).sum()),
        "classes": classes,
        "accuracy": float(correct.mean()),
        "accuracy_95": _interval(lambda i: float(correct[i].mean()), len(correct)),
        "balanced_accuracy": metrics.balanced_accuracy(true_codes, called_codes),
        "balanced_accuracy_95": _interval(
            lambda i: metrics.balanced_accuracy(true_codes[i], called_codes[i]), len(correct)
        ),
        "expected_calibration_error": metrics.expected_calibration_error(curve),
    }
    if shares is not None and set(classes) <= set(shares):
        natural = metrics.share_weights(answer_read, shares)
        figures["precision_at_shares"] = metrics.per_class(confusion, shares)["precision"]
        figures["precision_at_shares_recall_0.9"] = [
            _precision_at_recall(answer_read == name, scores[f"p_{name}"], natural)
            for name in classes
        ]
        summary["shares"] = {name: float(shares[name]) for name in classes}
        summary["expected_calibration_error_at_shares"] = metrics.expected_calibration_error(
            metrics.reliability(scores["confidence"], correct, natural)
        )
    summary["per_class"] = figures.to_dict("index")
    summary = _plain(summary)
    _write(Path(folder), confusion, figures, curve, summary)
    return summary


def _check(
    table: pd.DataFrame, truth: Sequence[str] | pd.Series
) -> tuple[list[str], NDArray[np.str_]]:
    """Return the classes of the table and the truth as an array, or say what does not fit."""
    classes = [str(name)[2:] for name in table.columns if str(name).startswith("p_")]
    missing = {"label", "confidence"} - set(table.columns)
    if missing or not classes:
        wanted = ", ".join(sorted(missing)) or "p_<class>"
        raise InputError(f"The classification lacks the column {wanted}: run classify again.")
    if len(truth) != len(table):
        raise InputError(
            f"There are {len(table)} classified patterns but {len(truth)} true labels: "
            "give the labels of the same stack."
        )
    answer = pd.Series(truth)
    if answer.isna().any():
        raise InputError(
            f"{int(answer.isna().sum())} of {len(answer)} patterns have no true label: "
            "label them or leave them out."
        )
    for what, names in (("truth", answer), ("classification", table["label"])):
        known = [*classes, UNREADABLE] if what == "classification" else classes
        unknown = sorted({str(name) for name in names} - set(known))
        if unknown:
            raise InputError(
                f"The {what} names {', '.join(unknown)}, which the model does not know: "
                f"use its classes {', '.join(classes)}."
            )
    if not (table["label"] != UNREADABLE).any():
        raise InputError("Every pattern is unreadable: there is nothing to evaluate.")
    return classes, answer.to_numpy(dtype=str)


def _average_precision(positive: NDArray[np.bool_], score: pd.Series) -> float:
    if not positive.any():
        return float("nan")
    return metrics.average_precision(metrics.precision_recall_curve(positive, score))


def _precision_at_recall(
    positive: NDArray[np.bool_], score: pd.Series, weights: NDArray[np.float64]
) -> float:
    if not weights[positive].sum() > 0:
        return float("nan")
    return metrics.precision_at_recall(
        metrics.precision_recall_curve(positive, score, weights), 0.9
    )


def _interval(metric: Callable[[NDArray[np.int64]], float], n: int) -> list[float]:
    return list(metrics.bootstrap_interval(metric, n, resamples=300))


def _plain(value: Any) -> Any:
    """Turn NaN into ``None`` and NumPy numbers into Python ones, for JSON."""
    if isinstance(value, Mapping):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value


def _write(
    folder: Path,
    confusion: pd.DataFrame,
    figures: pd.DataFrame,
    curve: pd.DataFrame,
    summary: dict[str, Any],
) -> None:
    # Matplotlib takes long to import and only this needs it.
    from napari_diffraction.learning import plots

    def picture(figure: Any) -> Callable[[Path], object]:
        return lambda path: figure.savefig(path, format="png", dpi=150)

    writers: dict[str, Callable[[Path], object]] = {
        "confusion.csv": confusion.to_csv,
        "confusion.png": picture(plots.confusion_figure(confusion)),
        "per_class.csv": figures.to_csv,
        "reliability.csv": lambda path: curve.to_csv(path, index=False),
        "reliability.png": picture(plots.reliability_figure(curve)),
        "summary.json": lambda path: path.write_text(json.dumps(summary, indent=2) + "\n"),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise writing_error(folder, error) from error
    for name, write in writers.items():
        with replacing(folder / name) as part:
            write(part)
