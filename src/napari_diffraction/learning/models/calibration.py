"""Turn logits into probabilities that mean what they say, at any class shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from napari_diffraction.errors import InputError

FloatArray = NDArray[np.float64]


def calibrate(
    logits: NDArray[np.floating], label: NDArray[np.integer]
) -> tuple[float, NDArray[np.float64]]:
    """Fit one scale and one bias per class to patterns drawn at their natural shares.

    Bias-corrected temperature scaling (Alexandari, Kundaje and Shrikumar 2020): least negative log
    likelihood of softmax(scale * logits + bias).

    Parameters
    ----------
    logits : ndarray, (n, n_classes)
    label : ndarray of int, (n,)

    Returns
    -------
    scale : float
    bias : ndarray, (n_classes,)
        With a mean of 0.  A class without patterns, of which they tell nothing, has the bias that
        the others have on average, but for its share, which is taken as that of one pattern.
    """
    from scipy.optimize import minimize  # slow to import, and only training needs it

    there = np.unique(label)
    if len(there) < np.shape(logits)[1]:
        whole = np.zeros(np.shape(logits)[1])
        scale, whole[there] = calibrate(logits[:, there], np.searchsorted(there, label))
        counts = np.bincount(label, minlength=len(whole))
        whole[counts == 0] = -np.log(counts[there]).mean()
        return scale, whole - whole.mean()
    z = np.asarray(logits, dtype=float)
    rows = np.arange(len(z))

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        scale, bias = parameters[0], parameters[1:]
        log_p = _log_softmax(scale * z + bias)
        error = np.exp(log_p)
        error[rows, label] -= 1
        gradient = np.concatenate([[np.mean(np.sum(error * z, axis=1))], error.mean(axis=0)])
        # A class of few patterns must not run away.
        return (
            float(-log_p[rows, label].mean() + 1e-4 * np.sum(bias**2)),
            gradient + np.concatenate([[0.0], 2e-4 * bias]),
        )

    start = np.concatenate([[1.0], np.zeros(z.shape[1])])
    best = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(0.05, 20)] + [(-9, 9)] * z.shape[1]
    )
    bias = np.asarray(best.x[1:] - best.x[1:].mean())
    return float(best.x[0]), bias


def calibrate_scale(logits: NDArray[np.floating], label: NDArray[np.integer]) -> float:
    """Fit one scale to few patterns, every class counting alike (temperature scaling).

    Least negative log likelihood of softmax(scale * logits), the scale held near 1 by a log-normal
    prior of width 0.7 (Guo et al. 2017 have none, but some thousand patterns).

    Parameters
    ----------
    logits : ndarray, (n, n_classes)
    label : ndarray of int, (n,)
    """
    z = np.asarray(logits, dtype=float)
    weight = 1 / np.bincount(label)[label]
    weight *= len(label) / weight.sum()
    scales = np.geomspace(0.1, 10, 200)
    rows = np.arange(len(z))
    loss = [-np.sum(weight * _log_softmax(scale * z)[rows, label]) for scale in scales]
    return float(scales[np.argmin(np.array(loss) + np.log(scales) ** 2 / (2 * 0.7**2))])


def calibrate_given(
    logits: NDArray[np.floating], target: NDArray[np.floating], given: NDArray[np.floating]
) -> tuple[FloatArray, FloatArray]:
    """Fit a scale and biases that are linear functions of measures of the pattern.

    Least cross entropy of softmax(exp(given @ log_scale) * logits + given @ bias), held to small
    values where the patterns do not tell.

    Parameters
    ----------
    logits : ndarray, (n, n_classes)
    target : ndarray, (n, n_classes)
        Probabilities of the classes; 0 and 1 where they are known.
    given : ndarray, (n, m)
        The measures; one of them is 1.

    Returns
    -------
    log_scale : ndarray, (m,)
    bias : ndarray, (m, n_classes)
    """
    from scipy.optimize import minimize

    z, g, y = (np.asarray(values, dtype=float) for values in (logits, given, target))
    n, m = g.shape

    def loss(parameters: FloatArray) -> tuple[float, FloatArray]:
        log_scale, bias = parameters[:m], parameters[m:].reshape(m, -1)
        scaled = np.exp(g @ log_scale)[:, None] * z
        log_p = _log_softmax(scaled + g @ bias)
        error = np.exp(log_p) - y
        gradient = np.concatenate([g.T @ np.sum(error * scaled, axis=1), (g.T @ error).ravel()])
        return (
            float(-np.sum(y * log_p) / n + 1e-4 * np.sum(parameters**2)),
            gradient / n + 2e-4 * parameters,
        )

    best = minimize(loss, np.zeros(m * (1 + z.shape[1])), jac=True, method="L-BFGS-B")
    return best.x[:m], best.x[m:].reshape(m, -1)


def probabilities(
    logits: NDArray[np.floating],
    scale: float,
    bias: Sequence[float],
    classes: Sequence[str],
    trained: Mapping[str, float],
    shares: Mapping[str, float] | None = None,
) -> FloatArray:
    """Calibrated probabilities, corrected to other class shares.

    By Bayes' rule the odds of a class change by the ratio of its shares (Saerens, Latinne and
    Decaestecker 2002).

    Parameters
    ----------
    logits : ndarray, (n, n_classes)
    scale, bias
        From `calibrate`.
    classes
        Names in the order of the columns.
    trained
        Shares of the classes among the patterns of the calibration.
    shares
        Shares to correct to; ``None`` leaves those of the calibration.

    Returns
    -------
    ndarray, (n, n_classes)

    Raises
    ------
    InputError
        A class without a share, or shares that are negative or all nought.
    """
    z = scale * np.asarray(logits, dtype=float) + np.asarray(bias)
    if shares is not None:
        z = (
            z
            + np.log(check_shares(shares, classes))
            - np.log(np.maximum([trained[name] for name in classes], 1e-4))
        )
    return np.exp(_log_softmax(z))


def check_shares(shares: Mapping[str, float], classes: Sequence[str]) -> FloatArray:
    """Return the shares in the order of the classes, with a sum of 1, none below 1e-6."""
    missing = [name for name in classes if name not in shares]
    if missing:
        raise InputError(f"The class shares lack {', '.join(missing)}: give a share to each class.")
    values = np.array([float(shares[name]) for name in classes])
    if not np.all(np.isfinite(values)) or values.min() < 0 or values.sum() <= 0:
        raise InputError("Class shares are numbers of at least 0, and not all 0.")
    return np.asarray(np.maximum(values / values.sum(), 1e-6))


def _log_softmax(z: FloatArray) -> FloatArray:
    z = z - z.max(axis=1, keepdims=True)
    return np.asarray(z - np.log(np.exp(z).sum(axis=1, keepdims=True)))
