"""Figures of judged patterns with their intervals, from resampling patterns or groups of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_diffraction.learning import metrics
from napari_diffraction.learning.metrics import FloatArray

#: Draws of the bootstrap, and patterns drawn in all beyond which there are fewer draws.
_DRAWS, _FEWEST, _WORK = 1000, 200, 20_000_000
#: The true class counts as found among the first so many classes, at most.
_MOST_TOP = 5
PER_CLASS = ("precision", "recall", "f1")


@dataclass(frozen=True)
class Judged:
    """Patterns with their true classes and what a model said of them.

    Attributes
    ----------
    classes
        The classes of the model.
    truth, called : (n,) int
        Place of the true and of the assigned class among them.
    probabilities : (n, n_classes) float
    confidence : (n,) float
        Of the assigned class.
    groups
        (n,), what belongs together, the unit cell of each pattern, say; ``None``: nothing does.
    """

    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    called: NDArray[np.int64]
    probabilities: FloatArray
    confidence: FloatArray
    groups: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the assigned class is the true one, (n,)."""
        return np.asarray(self.truth == self.called)

    @property
    def rank(self) -> NDArray[np.int64]:
        """Number of classes that were given a higher probability than the true one, (n,)."""
        mine = self.probabilities[np.arange(len(self)), self.truth]
        return np.asarray((self.probabilities > mine[:, None]).sum(axis=1), dtype=np.int64)

    @property
    def draws(self) -> int:
        """How often patterns are drawn for the intervals."""
        return int(np.clip(_WORK // max(len(self), 1), _FEWEST, _DRAWS))

    def units(self) -> int:
        """Return how many things are drawn: groups, or patterns."""
        return len(self) if self.groups is None else len(np.unique(self.groups))


class Figures:
    """Computes all figures of judged patterns, also of some of them, drawn again and again."""

    def __init__(self, judged: Judged) -> None:
        self.judged = judged
        self.n_classes = len(judged.classes)
        self.tops = range(2, min(_MOST_TOP, self.n_classes - 1) + 1)
        self._cell = judged.truth * self.n_classes + judged.called
        self._rank = judged.rank
        edges = np.linspace(0, 1, metrics.CALIBRATION_BINS + 1)
        self._bin = (np.searchsorted(edges, judged.confidence) - 1).clip(0, len(edges) - 2)
        self._gap = judged.confidence - judged.correct
        self.names = [
            "accuracy",
            "balanced_accuracy",
            "macro_f1",
            "expected_calibration_error",
            *(f"top_{k}_accuracy" for k in self.tops),
            *(f"{what}_{name}" for what in PER_CLASS for name in judged.classes),
        ]

    def of(self, drawn: NDArray[np.int64] | slice = slice(None)) -> FloatArray:
        """Return the figures of drawn patterns, in the order of `names`; NaN where undefined."""
        c = self.n_classes
        cells = self._cell[drawn]
        counts = np.bincount(cells, minlength=c * c).reshape(c, c)
        true, called, hits = counts.sum(axis=1), counts.sum(axis=0), np.diag(counts)
        with np.errstate(invalid="ignore", divide="ignore"):
            recall, precision, f1 = hits / true, hits / called, 2 * hits / (true + called)
        ranks = np.bincount(self._rank[drawn], minlength=_MOST_TOP).cumsum() / max(len(cells), 1)
        gaps = np.bincount(self._bin[drawn], weights=self._gap[drawn])
        return np.array(
            [
                hits.sum() / max(len(cells), 1),
                _mean(recall),
                _mean(f1),
                np.abs(gaps).sum() / max(len(cells), 1),
                *(ranks[k - 1] for k in self.tops),
                *precision,
                *recall,
                *f1,
            ]
        )

    @cached_property
    def drawn(self) -> FloatArray:
        """The figures of many draws, (draws, figures).

        Judged patterns of the same number and groups are drawn alike, so that two models can be
        compared draw by draw.
        """
        judged = self.judged
        draws = metrics.bootstrap_draws(len(judged), groups=judged.groups, resamples=judged.draws)
        return np.array([self.of(drawn) for drawn in draws])

    def table(self) -> pd.DataFrame:
        """Return the figures, columns value, low and high (95 %), indexed by name."""
        value = self.of()
        low, high = (np.array(end) for end in metrics.percentile_interval(self.drawn))
        # Where no draw differs, as all are right, the bootstrap cannot say how sure that is.
        stuck = np.isfinite(value) & (high - low < 1e-12)
        error = self.names.index("expected_calibration_error")
        stuck[error] = False
        ends = metrics.wilson_interval(value, self._units())
        low, high = np.where(stuck, ends[0], low), np.where(stuck, ends[1], high)
        return pd.DataFrame({"value": value, "low": low, "high": high}, index=self.names)

    def _units(self) -> FloatArray:
        """Return of how many independent patterns or groups each figure is."""
        judged = self.judged
        groups = np.arange(len(judged)) if judged.groups is None else judged.groups
        by_truth = _distinct(judged.truth, groups, self.n_classes)
        by_call = _distinct(judged.called, groups, self.n_classes)
        whole = [judged.units()] * (len(self.names) - len(PER_CLASS) * self.n_classes)
        return np.array([*whole, *by_call, *by_truth, *by_truth], dtype=float)


def _mean(values: FloatArray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _distinct(codes: NDArray[np.int64], groups: NDArray[np.generic], n: int) -> list[int]:
    """Count the groups in which each class occurs."""
    return [len(np.unique(groups[codes == code])) for code in range(n)]
