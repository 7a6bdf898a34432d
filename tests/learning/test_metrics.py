from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as theirs

from napari_diffraction.errors import InputError
from napari_diffraction.learning import metrics

Z, L, N = "2DZone", "3DLaueIntersections", "NoHit"
TRUTH = np.array([Z] * 4 + [L] * 6)
CALLED = np.array([Z, Z, Z, L, L, L, L, L, L, Z])


def test_confusion_matrix_has_truth_in_rows_and_every_class() -> None:
    confusion = metrics.confusion_matrix(TRUTH, CALLED, [Z, L, N])
    assert confusion.loc[Z].tolist() == [3, 1, 0]
    assert confusion.loc[L].tolist() == [1, 5, 0]
    assert confusion.loc[N].tolist() == [0, 0, 0]
    lopsided = metrics.confusion_matrix(np.array([Z]), np.array([L]), [Z, L])
    assert lopsided.loc[Z, L] == 1
    assert lopsided.loc[L, Z] == 0


def test_per_class_by_hand() -> None:
    figures = metrics.per_class(metrics.confusion_matrix(TRUTH, CALLED, [Z, L, N]))
    assert figures.loc[Z].tolist() == pytest.approx([3 / 4, 3 / 4, 3 / 4, 4])
    assert figures.loc[L].tolist() == pytest.approx([5 / 6, 5 / 6, 5 / 6, 6])
    assert figures.loc[N, ["precision", "recall", "f1"]].isna().all()
    assert figures.loc[N, "support"] == 0


def test_precision_at_natural_shares_by_hand() -> None:
    confusion = metrics.confusion_matrix(TRUTH, CALLED, [Z, L])
    figures = metrics.per_class(confusion, {Z: 0.03, L: 0.97})
    # of 1000 natural patterns 30 * 3/4 zones are found among 970 * 1/6 false ones
    precision = 22.5 / (22.5 + 970 / 6)
    assert figures.loc[Z, "precision"] == pytest.approx(precision)
    assert figures.loc[Z, "recall"] == pytest.approx(3 / 4)
    assert figures.loc[Z, "f1"] == pytest.approx(2 * precision * 0.75 / (precision + 0.75))
    assert figures.loc[Z, "support"] == 4


def test_share_weights_give_each_class_its_share() -> None:
    weights = metrics.share_weights(TRUTH, {Z: 0.1, L: 0.3, N: 0.6})
    assert weights[:4] == pytest.approx(10 * 0.25 / 4)
    assert weights[4:] == pytest.approx(10 * 0.75 / 6)
    assert metrics.share_weights(TRUTH, None).tolist() == [1.0] * 10
    with pytest.raises(InputError, match="shares name none"):
        metrics.share_weights(TRUTH, {N: 1.0})


def test_balanced_accuracy_is_the_mean_recall() -> None:
    assert metrics.balanced_accuracy(TRUTH, CALLED) == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert metrics.balanced_accuracy(np.array([1, 1, 0]), np.array([1, 2, 2])) == 0.25


def test_calibration_error_by_hand() -> None:
    curve = metrics.reliability([0.95, 0.95, 0.55, 0.55, 0.55, 0.55], [1, 0, 1, 1, 1, 0])
    assert len(curve) == 15
    full = curve[curve["patterns"] > 0]
    assert full["low"].tolist() == pytest.approx([8 / 15, 14 / 15])
    assert full["accuracy"].tolist() == [0.75, 0.5]
    # a third of the patterns is off by 0.45, two thirds by 0.20
    assert metrics.expected_calibration_error(curve) == pytest.approx(0.45 / 3 + 0.2 * 2 / 3)


def test_calibration_bins_hold_their_upper_edge_and_both_ends() -> None:
    curve = metrics.reliability([0.0, 0.5, 1.0], [0, 1, 1], bins=2)
    assert curve["patterns"].tolist() == [2, 1]
    assert curve["confidence"].tolist() == [0.25, 1.0]


def test_weights_change_the_calibration_error() -> None:
    curve = metrics.reliability([0.95, 0.55], [1, 1], weights=[3, 1])
    assert metrics.expected_calibration_error(curve) == pytest.approx(0.05 * 0.75 + 0.45 * 0.25)


def test_average_precision_and_precision_at_recall_by_hand() -> None:
    curve = metrics.precision_recall_curve([1, 0, 1, 0], [0.9, 0.8, 0.7, 0.6])
    assert curve["threshold"].tolist() == [0.9, 0.8, 0.7, 0.6]
    assert curve["precision"].tolist() == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert curve["recall"].tolist() == [0.5, 0.5, 1, 1]
    assert metrics.average_precision(curve) == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert metrics.precision_at_recall(curve, 0.5) == 1
    assert metrics.precision_at_recall(curve, 0.9) == pytest.approx(2 / 3)


def test_equal_probabilities_are_found_together() -> None:
    curve = metrics.precision_recall_curve([1, 0, 0, 1], [0.5, 0.5, 0.5, 0.5])
    assert curve["precision"].tolist() == [0.5]
    assert metrics.average_precision(curve) == 0.5


def test_patterns_without_a_probability_are_never_found() -> None:
    curve = metrics.precision_recall_curve([1, 1], [0.9, np.nan])
    assert curve["recall"].tolist() == [0.5]
    assert np.isnan(metrics.precision_at_recall(curve, 0.9))


def test_a_class_without_patterns_has_no_recall() -> None:
    with pytest.raises(InputError, match="no pattern of the class"):
        metrics.precision_recall_curve([0, 0], [0.1, 0.2])


@given(
    st.lists(
        st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.integers(0, 3)),
        min_size=1,
        max_size=12,
    ).filter(lambda rows: any(positive and weight for positive, _, weight in rows))
)
def test_a_whole_weight_is_the_same_as_that_many_patterns(
    rows: list[tuple[bool, float, int]],
) -> None:
    positive, score, weight = (np.array(column) for column in zip(*rows, strict=True))
    weighted = metrics.precision_recall_curve(positive, score, weight)
    repeated = metrics.precision_recall_curve(np.repeat(positive, weight), np.repeat(score, weight))
    assert metrics.average_precision(weighted) == pytest.approx(metrics.average_precision(repeated))
    assert metrics.precision_at_recall(weighted, 0.8) == pytest.approx(
        metrics.precision_at_recall(repeated, 0.8)
    )


def bootstrapped(values: np.ndarray, **options: Any) -> tuple[float, float]:
    draws = metrics.bootstrap_draws(len(values), **options)
    return metrics.percentile_interval([values[drawn].mean() for drawn in draws])


def test_bootstrap_interval_of_a_mean_has_the_known_width() -> None:
    values = np.tile([0.0, 1.0], 200)
    low, high = bootstrapped(values)
    # binomial: 1.96 * sqrt(0.25 / 400) = 0.049
    assert low == pytest.approx(0.451, abs=0.008)
    assert high == pytest.approx(0.549, abs=0.008)
    assert bootstrapped(values) == (low, high)


def test_bootstrap_draws_whole_groups() -> None:
    values = np.repeat([0.0, 1.0], 200)
    groups = np.repeat(["a", "b"], 200)
    assert bootstrapped(values, groups=groups, resamples=200) == (0, 1)


def test_draws_without_a_figure_are_left_out() -> None:
    nan = float("nan")
    low, high = metrics.percentile_interval([[nan, nan], [nan, 2.0], [nan, 2.0]])
    assert np.isnan(low[0])
    assert (low[1], high[1]) == (2, 2)


def test_wilson_interval_of_the_literature() -> None:
    low, high = metrics.wilson_interval([0.8, 1.0, np.nan], [10, 10, 0])
    assert low[:2] == pytest.approx([0.490, 0.722], abs=5e-4)
    assert high[:2] == pytest.approx([0.943, 1.0], abs=5e-4)
    assert np.isnan(low[2])


def test_coverage_curve_by_hand() -> None:
    curve = metrics.coverage_curve([0.9, 0.5, 0.9, 0.2], [1, 1, 0, 0])
    assert curve["threshold"].tolist() == [0.9, 0.5, 0.2]
    assert curve["patterns"].tolist() == [2, 3, 4]
    assert curve["coverage"].tolist() == pytest.approx([0.5, 0.75, 1])
    assert curve["accuracy"].tolist() == pytest.approx([0.5, 2 / 3, 0.5])
    heavy = metrics.coverage_curve([0.9, 0.5], [1, 0], [3, 1])
    assert heavy["coverage"].tolist() == pytest.approx([0.75, 1])


def test_a_long_coverage_curve_keeps_its_ends_and_its_shape() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(5000)
    correct = rng.random(5000) < confidence
    curve = metrics.coverage_curve(confidence, correct, rows=50)
    assert len(curve) <= 50
    assert curve["coverage"].iloc[-1] == 1
    assert curve["accuracy"].iloc[-1] == correct.mean()
    # at the threshold t the mean of t..1 is right
    middle = curve.iloc[25]
    assert middle["accuracy"] == pytest.approx((1 + middle["threshold"]) / 2, abs=0.03)


def test_the_threshold_for_an_accuracy_keeps_most() -> None:
    curve = metrics.coverage_curve([0.9, 0.8, 0.7, 0.6], [1, 0, 1, 0])
    row = metrics.threshold_for(curve, 0.6)
    assert row is not None
    assert row["threshold"] == 0.7
    assert metrics.threshold_for(curve.iloc[1:], 0.9) is None


def test_binned_curve_by_hand() -> None:
    curve = metrics.binned_curve(
        [0.1, 0.5, 0.7, 1.0, 1.2, np.nan], [0.2, 0.4, 0.8, 1.0, 9.0, 9.0], [0, 0.5, 0.8, 0.9, 1]
    )
    assert curve["patterns"].tolist() == [1, 2, 0, 1]
    assert curve["mean"].tolist() == pytest.approx([0.2, 0.6, np.nan, 1.0], nan_ok=True)
    assert curve["std"].tolist() == pytest.approx([0, 0.2, np.nan, 0], nan_ok=True)
    assert isinstance(curve, pd.DataFrame)


@given(st.integers(0, 10**6))
def test_figures_are_those_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = np.array(["a", "b", "c"])
    truth, said = names[rng.integers(3, size=60)], names[rng.integers(3, size=60)]
    truth[:3] = names
    counts = metrics.confusion_matrix(truth, said, names.tolist())
    np.testing.assert_array_equal(counts, theirs.confusion_matrix(truth, said, labels=names))
    mine = metrics.per_class(counts).to_numpy()
    other = theirs.precision_recall_fscore_support(truth, said, labels=names, zero_division=np.nan)
    np.testing.assert_allclose(mine[:, :2], np.transpose(other)[:, :2])
    assert metrics.balanced_accuracy(truth, said) == pytest.approx(
        theirs.balanced_accuracy_score(truth, said)
    )
    # Few values, so that some probabilities are equal.
    score, weight = rng.integers(9, size=60) / 9, rng.random(60)
    curve = metrics.precision_recall_curve(truth == "a", score, weight)
    assert metrics.average_precision(curve) == pytest.approx(
        theirs.average_precision_score(truth == "a", score, sample_weight=weight)
    )
