from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_diffraction.errors import InputError
from napari_diffraction.learning.models.calibration import (
    calibrate,
    calibrate_given,
    check_shares,
    probabilities,
)

CLASSES = ("a", "b", "c")


def softmax(z: np.ndarray) -> np.ndarray:
    e = np.exp(z - z.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("scale", "bias"), [(0.5, (0.8, -0.8, 0.0)), (2.0, (0.0, 0.0, 0.0))])
def test_a_known_scale_and_bias_are_found(scale: float, bias: tuple[float, ...]) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (20_000, 3))
    p = softmax(scale * logits + bias)
    label = (rng.uniform(size=(len(p), 1)) > p.cumsum(axis=1)).sum(axis=1)
    found, offsets = calibrate(logits, label)
    assert found == pytest.approx(scale, rel=0.05)
    np.testing.assert_allclose(offsets, bias, atol=0.06)
    assert offsets.sum() == pytest.approx(0, abs=1e-9)


def test_a_class_without_patterns_gets_a_finite_bias() -> None:
    rng = np.random.default_rng(1)
    label = rng.integers(0, 2, 500)
    logits = np.eye(3)[label] * 3 + rng.normal(0, 1, (500, 3))
    scale, bias = calibrate(logits, label)
    assert np.isfinite([scale, *bias]).all()
    assert probabilities(logits, scale, bias, CLASSES, {})[:, 2].mean() < 0.02
    # asked for even shares, it comes like the others
    seen = dict(zip(CLASSES, np.array([250, 250, 1]) / 501, strict=True))
    even = dict.fromkeys(CLASSES, 1 / 3)
    sure = probabilities(4 * np.eye(3), scale, bias, CLASSES, seen, even)
    assert sure.argmax(axis=1).tolist() == [0, 1, 2]
    assert np.ptp(np.diag(sure)) < 0.05


def test_groups_are_calibrated_apart() -> None:
    rng = np.random.default_rng(2)
    sharp = np.arange(20_000) % 2
    measures = np.stack([np.ones(len(sharp)), sharp], axis=1)
    logits = rng.normal(0, 2, (len(sharp), 3))
    target = softmax(np.where(sharp == 1, 2.0, 0.5)[:, None] * logits + np.outer(sharp, [1, 0, -1]))
    log_scale, bias = calibrate_given(logits, target, measures)
    np.testing.assert_allclose(np.exp(measures[:2] @ log_scale), [0.5, 2.0], rtol=0.02)
    np.testing.assert_allclose(bias, [[0, 0, 0], [1, 0, -1]], atol=0.03)


positive = st.tuples(*[st.floats(0.01, 1)] * 3)


@given(trained=positive, shares=positive, seed=st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_shares_change_probabilities_by_the_rule_of_bayes(
    trained: tuple[float, ...], shares: tuple[float, ...], seed: int
) -> None:
    logits = np.random.default_rng(seed).normal(0, 3, (5, 3))
    old, new = np.array(trained) / sum(trained), np.array(shares) / sum(shares)
    before = probabilities(logits, 1.3, (0.1, 0, -0.1), CLASSES, {})
    after = probabilities(
        logits, 1.3, (0.1, 0, -0.1), CLASSES, dict(zip(CLASSES, old, strict=True)),
        dict(zip(CLASSES, shares, strict=True)),
    )  # fmt: skip
    expected = before * new / old
    np.testing.assert_allclose(after, expected / expected.sum(axis=1, keepdims=True), rtol=1e-6)


def test_without_shares_those_of_the_calibration_stay() -> None:
    logits = np.array([[2.0, 0.0, -1.0]])
    shares = {"a": 0.2, "b": 0.5, "c": 0.3}
    np.testing.assert_allclose(
        probabilities(logits, 1, (0, 0, 0), CLASSES, shares, shares),
        probabilities(logits, 1, (0, 0, 0), CLASSES, shares),
        rtol=1e-6,
    )
    np.testing.assert_allclose(
        probabilities(logits, 1, (0, 0, 0), CLASSES, shares), softmax(logits)
    )


def test_a_class_with_no_share_is_all_but_excluded() -> None:
    p = probabilities(
        np.array([[3.0, 0.0, 0.0]]), 1, (0, 0, 0), CLASSES, dict.fromkeys(CLASSES, 1 / 3),
        {"a": 0, "b": 1, "c": 1},
    )  # fmt: skip
    assert 0 < p[0, 0] < 1e-3
    assert p.sum() == pytest.approx(1)


def test_huge_logits_give_probabilities() -> None:
    p = probabilities(np.array([[1e5, -1e5, 0.0]]), 20, (9, 0, -9), CLASSES, {})
    np.testing.assert_array_equal(p, [[1, 0, 0]])


def test_shares_are_brought_to_a_sum_of_one() -> None:
    np.testing.assert_allclose(check_shares({"c": 2, "a": 1, "b": 1}, CLASSES), [0.25, 0.25, 0.5])


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"a": 1, "b": 1}, "lack c"),
        ({"a": 0, "b": 0, "c": 0}, "not all 0"),
        ({"a": -1, "b": 1, "c": 1}, "at least 0"),
        ({"a": float("nan"), "b": 1, "c": 1}, "numbers"),
        ({"a": float("inf"), "b": 1, "c": 1}, "numbers"),
    ],
)
def test_shares_that_make_no_sense_are_refused(shares: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_shares(shares, CLASSES)
