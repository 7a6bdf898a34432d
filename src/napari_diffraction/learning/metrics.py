"""Figures that say how good a classification is; plain functions of labels and probabilities.

Those that scikit-learn has as well are compared with it by a test: importing it takes longer than
all that is done here.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_diffraction.errors import InputError

FloatArray = NDArray[np.float64]
Labels = NDArray[Any]

#: Bins of the reliability diagram and of the expected calibration error.
CALIBRATION_BINS = 15


def confusion_matrix(
    truth: Labels, predicted: Labels, classes: Sequence[str], rows: Sequence[str] | None = None
) -> pd.DataFrame:
    """Count patterns by true class (rows) and assigned class (columns).

    Parameters
    ----------
    truth, predicted
        Class names, shape (n,).
    classes
        Order of rows and columns.
    rows
        Order of the rows, where the true classes are others than the assigned ones.
    """
    order = pd.Index(classes if rows is None else rows, name="truth")
    counts = pd.crosstab(pd.Series(truth), pd.Series(predicted))
    counts = counts.reindex(index=order, columns=pd.Index(classes, name="label"), fill_value=0)
    return counts.astype(int)


def share_weights(truth: Labels, shares: Mapping[str, float] | None) -> FloatArray:
    """Weigh patterns so that the classes count as much as their shares say.

    Parameters
    ----------
    truth
        True class names, shape (n,).
    shares
        Wanted share of each class; classes of `truth` that are not named weigh nothing, and
        classes without a pattern are left out.  ``None``: every pattern weighs 1.

    Returns
    -------
    ndarray, (n,)
        Weights with a mean of 1.

    Raises
    ------
    InputError
        No class of `truth` has a share above 0.
    """
    if shares is None:
        return np.ones(len(truth))
    names, inverse, counts = np.unique(truth, return_inverse=True, return_counts=True)
    wanted = np.array([max(shares.get(str(name), 0.0), 0.0) for name in names])
    if not wanted.sum() > 0:
        raise InputError(
            f"The class shares name none of the true classes {', '.join(map(str, names))}: "
            "give at least one of them a share above 0."
        )
    return np.asarray((wanted / counts)[inverse] * (len(truth) / wanted.sum()))


def per_class(confusion: pd.DataFrame, shares: Mapping[str, float] | None = None) -> pd.DataFrame:
    """Precision, recall, F1 and support of each class, from counts.

    Parameters
    ----------
    confusion
        Counts with the truth in rows, see `confusion_matrix`.
    shares
        Shares of the classes at which the precision is wanted; ``None``: as counted.

    Returns
    -------
    DataFrame
        Indexed by class, columns precision, recall, f1, support; NaN where a figure is undefined:
        the recall of a class without patterns, the precision of a class never assigned.
    """
    counts = confusion.to_numpy(dtype=float)
    support = counts.sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        if shares is not None:
            wanted = np.array([shares.get(name, 0.0) for name in confusion.index])
            counts = np.where(support > 0, wanted / support, 0.0)[:, None] * counts
        hits, true = np.diag(counts), counts.sum(axis=1)
        precision = hits / counts.sum(axis=0)
        recall = np.diag(confusion.to_numpy()) / support
        f1 = 2 * hits / (true + counts.sum(axis=0))
    return pd.DataFrame(
        {"precision": precision, "recall": recall, "f1": f1, "support": support.astype(int)},
        index=confusion.index.rename("class"),
    )


def balanced_accuracy(truth: Labels, predicted: Labels) -> float:
    """Mean recall over the classes that occur in the truth (names or numbers, shape (n,))."""
    codes, _ = pd.factorize(truth)
    hits = np.bincount(codes, weights=truth == predicted)
    return float(np.mean(hits / np.bincount(codes)))


def reliability(
    confidence: ArrayLike,
    correct: ArrayLike,
    weights: ArrayLike | None = None,
    bins: int = CALIBRATION_BINS,
) -> pd.DataFrame:
    """Compare the confidence of the assigned class with how often it is right.

    Parameters
    ----------
    confidence
        Largest probability of each pattern, shape (n,).
    correct
        Whether the assigned class is the true one, shape (n,).
    weights
        Weight of each pattern; ``None``: 1.
    bins
        Number of equally wide bins, closed on the right as usual for this figure.

    Returns
    -------
    DataFrame
        One row a bin: low, high, patterns, weight (share of the whole), confidence, accuracy;
        the latter two NaN in empty bins.
    """
    values = np.asarray(confidence, dtype=float)
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    edges = np.linspace(0, 1, bins + 1)
    which = np.clip(np.searchsorted(edges, values, side="left") - 1, 0, bins - 1)

    def total(amounts: FloatArray) -> FloatArray:
        return np.bincount(which, weights=amounts, minlength=bins).astype(float)

    mass = total(weight)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean_confidence = total(weight * values) / mass
        accuracy = total(weight * np.asarray(correct, dtype=float)) / mass
    return pd.DataFrame(
        {
            "low": edges[:-1],
            "high": edges[1:],
            "patterns": np.bincount(which, minlength=bins),
            "weight": mass / mass.sum() if mass.sum() else mass,
            "confidence": mean_confidence,
            "accuracy": accuracy,
        }
    )


def expected_calibration_error(curve: pd.DataFrame) -> float:
    """Mean distance of confidence and accuracy over the bins of a `reliability` curve."""
    gap = (curve["confidence"] - curve["accuracy"]).abs()
    return float((gap * curve["weight"]).sum())


def coverage_curve(
    confidence: ArrayLike, correct: ArrayLike, weights: ArrayLike | None = None, rows: int = 500
) -> pd.DataFrame:
    """Share of the patterns at or above each confidence, and how many of them are right.

    Parameters
    ----------
    confidence
        Largest probability of each pattern, shape (n,).
    correct
        Whether the assigned class is the true one, shape (n,).
    weights
        Weight of each pattern; ``None``: 1.
    rows
        Rows at most; the thresholds left are spread evenly over the coverage.

    Returns
    -------
    DataFrame
        Columns threshold (falling), patterns, coverage (rising to 1) and accuracy.
    """
    values = np.asarray(confidence, dtype=float)
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    order = np.argsort(-values, kind="stable")
    kept = np.cumsum(weight[order])
    right = np.cumsum(weight[order] * np.asarray(correct, dtype=float)[order])
    # Patterns of equal confidence are kept together: the last of each run stands for it.
    last = np.flatnonzero(np.append(np.diff(values[order]) != 0, True)[: len(order)] & (kept > 0))
    if len(last) > rows:
        wanted = np.linspace(0, kept[-1], rows)
        last = np.unique(last[np.searchsorted(kept[last], wanted).clip(max=len(last) - 1)])
    return pd.DataFrame(
        {
            "threshold": values[order][last],
            "patterns": last + 1,
            "coverage": kept[last] / kept[-1] if len(kept) else kept,
            "accuracy": right[last] / kept[last],
        }
    )


def threshold_for(curve: pd.DataFrame, accuracy: float) -> pd.Series | None:
    """Find the row of a `coverage_curve` that keeps most at a wanted accuracy; ``None``: no row."""
    good = curve[curve["accuracy"] >= accuracy - 1e-12]
    return None if good.empty else good.iloc[-1]


def precision_recall_curve(
    positive: ArrayLike, score: ArrayLike, weights: ArrayLike | None = None
) -> pd.DataFrame:
    """Precision and recall of one class for every threshold on its probability.

    Parameters
    ----------
    positive
        Whether each pattern truly is of the class, shape (n,).
    score
        Its probability, the column ``p_<class>``; patterns with NaN are never found.
    weights
        Weight of each pattern, see `share_weights`.

    Returns
    -------
    DataFrame
        Columns threshold (falling), precision, recall; empty if no pattern has a probability.

    Raises
    ------
    InputError
        No pattern of the class, so that there is no recall.
    """
    is_positive = np.asarray(positive, dtype=bool)
    values = np.asarray(score, dtype=float)
    weight = np.ones(len(values)) if weights is None else np.asarray(weights, dtype=float)
    whole = weight[is_positive].sum()
    if not whole > 0:
        raise InputError("The truth holds no pattern of the class whose recall is asked for.")
    order = np.argsort(-values, kind="stable")
    order = order[np.isfinite(values[order])]
    found = np.cumsum(weight[order] * is_positive[order])
    called = np.cumsum(weight[order])
    # Patterns of equal probability are found together: keep the last of each run.
    last = np.append(np.diff(values[order]) != 0, True)[: len(order)] & (called > 0)
    return pd.DataFrame(
        {
            "threshold": values[order][last],
            "precision": found[last] / called[last],
            "recall": found[last] / whole,
        }
    )


def precision_at_recall(curve: pd.DataFrame, recall: float) -> float:
    """Best precision that keeps at least the given recall; NaN if no threshold reaches it."""
    reached = curve.loc[curve["recall"] >= recall - 1e-12, "precision"]
    return float(reached.max()) if len(reached) else float("nan")


def average_precision(curve: pd.DataFrame) -> float:
    """Area under a `precision_recall_curve`, as a step function of the recall."""
    steps = np.diff(curve["recall"].to_numpy(), prepend=0.0)
    return float(np.sum(steps * curve["precision"].to_numpy()))


def wilson_interval(share: ArrayLike, count: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """95 % interval of measured shares, sound for few patterns, too (Wilson 1927).

    Parameters
    ----------
    share
        What was measured, 0 to 1.
    count
        Of how many; broadcasts with `share`.

    Returns
    -------
    tuple of ndarray
        Lower and upper ends; NaN where `count` is 0.
    """
    share, count = np.asarray(share, dtype=float), np.asarray(count, dtype=float)
    with np.errstate(invalid="ignore", divide="ignore"):
        z2 = 1.96**2 / count
        centre = (share + z2 / 2) / (1 + z2)
        half = np.sqrt(z2 * share * (1 - share) + z2**2 / 4) / (1 + z2)
    return np.asarray(centre - half), np.asarray(centre + half)


def bootstrap_draws(
    n: int, *, groups: ArrayLike | None = None, resamples: int = 1000, seed: int = 0
) -> Iterator[NDArray[np.int64]]:
    """Draw patterns, or whole groups of patterns, with replacement.

    Parameters
    ----------
    n
        Number of patterns.
    groups
        What to draw instead of single patterns, shape (n,): the unit cell of each pattern, say, as
        patterns of one cell are alike.
    resamples, seed
        Number of draws and seed; the same seed draws the same patterns.

    Yields
    ------
    ndarray
        Numbers of the drawn patterns.
    """
    rng = np.random.default_rng(seed)
    members = None
    if groups is not None:
        _, inverse = np.unique(np.asarray(groups), return_inverse=True)
        members = np.split(np.argsort(inverse, kind="stable"), np.cumsum(np.bincount(inverse))[:-1])
    for _ in range(resamples):
        if members is None:
            yield rng.integers(0, n, n)
        else:
            picks = rng.integers(0, len(members), len(members))
            yield np.concatenate([members[i] for i in picks])


def percentile_interval(
    figures: ArrayLike, level: float = 0.95
) -> tuple[FloatArray | float, FloatArray | float]:
    """Interval that holds the middle share of bootstrapped figures; NaN draws are left out.

    Parameters
    ----------
    figures
        Shape (draws,) or (draws, k).
    level
        Coverage.

    Returns
    -------
    tuple
        Lower and upper end, floats or shape (k,); NaN where no draw gave a figure.
    """
    values = np.asarray(figures, dtype=float)
    values = np.where(np.isfinite(values), values, np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a column without any figure
        low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2], axis=0)
    return low, high


def binned_curve(values: ArrayLike, score: ArrayLike, edges: ArrayLike) -> pd.DataFrame:
    """Mean score in bins of a value: the confidence against the dominant-zone fraction.

    Parameters
    ----------
    values
        What is binned, shape (n,).
    score
        What is averaged, shape (n,).
    edges
        Rising bin edges; a bin holds low <= value < high, the last one also its upper edge.

    Returns
    -------
    DataFrame
        One row a bin: low, high, patterns, mean and std (NaN where there is no pattern).
    """
    limits = np.asarray(edges, dtype=float)
    x = np.asarray(values, dtype=float)
    which = np.searchsorted(limits, x, side="right") - 1
    which[x == limits[-1]] = len(limits) - 2
    grouped = pd.Series(np.asarray(score, dtype=float)).groupby(which)
    rows = range(len(limits) - 1)
    return pd.DataFrame(
        {
            "low": limits[:-1],
            "high": limits[1:],
            "patterns": grouped.count().reindex(rows, fill_value=0).to_numpy(),
            "mean": grouped.mean().reindex(rows).to_numpy(),
            "std": grouped.std(ddof=0).reindex(rows).to_numpy(),
        }
    )
