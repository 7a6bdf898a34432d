import numpy as np
import pandas as pd
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning import metrics
from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.learning.evaluation import plots
from napari_diffraction.learning.evaluation.result import evaluate
from napari_diffraction.learning.labels.ground_truth import Truth

Z, L, N, M = "2DZone", "3DLaueIntersections", "NoHit", "MultipleCrystals"


def classification(labels: list[str], confidence: float = 0.7) -> pd.DataFrame:
    """Return a table in which every pattern has the same confidence in its label."""
    rest = (1 - confidence) / 3
    table = pd.DataFrame({"index": range(len(labels)), "source": "run.h5", "label": labels})
    table["confidence"] = confidence
    for name in (Z, L, N, M):
        table[f"p_{name}"] = np.where(table["label"] == name, confidence, rest)
    lost = table["label"] == UNREADABLE
    table.loc[lost, "confidence"] = 0.0
    table.loc[lost, [f"p_{name}" for name in (Z, L, N, M)]] = np.nan
    return table


@pytest.fixture
def table() -> pd.DataFrame:
    return classification([Z, Z, Z, L, L, L, L, L, L, Z, UNREADABLE])


@pytest.fixture
def truth() -> Truth:
    return Truth.of([Z] * 4 + [L] * 6 + [L])


def test_summary_holds_the_figures_and_counts_the_unreadable_apart(
    table: pd.DataFrame, truth: Truth
) -> None:
    summary = evaluate(table, truth).summary
    assert (summary["patterns"], summary["unreadable"], summary["judged"]) == (11, 1, 10)
    assert summary["accuracy"] == pytest.approx(0.8)
    assert summary["balanced_accuracy"] == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert summary["expected_calibration_error"] == pytest.approx(0.1)
    low, high = summary["accuracy_95"]
    assert 0.3 < low < 0.8 < high <= 1
    zone = summary["per_class"][Z]
    assert zone["recall"] == pytest.approx(0.75)
    assert zone["support"] == 4
    assert zone["recall_low"] < 0.75 < zone["recall_high"]
    # found together: 3 of 4 called zones, then all 10 patterns
    assert zone["average_precision"] == pytest.approx(0.75 * 0.75 + 0.25 * 0.4)
    # shares 0.03 and 0.77 of the default
    expected = 0.03 * 0.75 / (0.03 * 0.75 + 0.77 / 6)
    assert zone["precision_at_shares"] == pytest.approx(expected)
    assert zone["precision_at_shares_recall_0.9"] == pytest.approx(0.03 / 0.80)
    assert summary["per_class"][N]["recall"] is None


def test_figures_agree_with_the_plain_functions(table: pd.DataFrame, truth: Truth) -> None:
    made = evaluate(table, truth)
    plain = metrics.per_class(made.confusion)
    for name in ("precision", "recall", "f1", "support"):
        assert made.per_class[name].tolist() == pytest.approx(plain[name].tolist(), nan_ok=True)
    error = metrics.expected_calibration_error(made.reliability)
    assert made.summary["expected_calibration_error"] == pytest.approx(error)
    assert made.summary["macro_f1"] == pytest.approx(plain["f1"].mean())


def test_the_true_class_is_looked_for_among_the_first_ones() -> None:
    table = classification([Z, Z, Z, Z])
    table["p_" + L] = 0.2
    table["p_" + N] = 0.06
    table["p_" + M] = 0.04
    summary = evaluate(table, Truth.of([Z, L, N, M])).summary
    assert summary["accuracy"] == 0.25
    assert summary["top_2_accuracy"] == 0.5
    assert summary["top_3_accuracy"] == 0.75
    assert "top_4_accuracy" not in summary  # all four classes: always right


def test_patterns_in_groups_make_wider_intervals(truth: Truth) -> None:
    labels = [Z] * 40 + [L] * 40
    table = classification([Z] * 30 + [L] * 50)
    alone = evaluate(table, Truth.of(labels))
    groups = np.repeat([f"cell {i}" for i in range(16)], 5)
    grouped = evaluate(table, Truth(np.array(labels), groups, "unit cell"))
    width = [
        made.summary["accuracy_95"][1] - made.summary["accuracy_95"][0] for made in (alone, grouped)
    ]
    assert width[1] > 1.3 * width[0]
    assert "by unit cell (16 of them)." in grouped.notes[-1]
    assert "single patterns" in alone.notes[-1]
    one = evaluate(table, Truth(np.array(labels), np.full(80, "a"), "unit cell"))
    assert "all are of one unit cell" in one.notes[-1]
    assert one.summary["accuracy_95"] == alone.summary["accuracy_95"]
    each = evaluate(table, Truth(np.array(labels), np.array(labels), "crystal structure"))
    assert "each class is of one crystal structure only" in each.notes[-1]
    assert each.summary["accuracy_95"] == alone.summary["accuracy_95"]


def test_where_all_are_right_the_interval_is_not_a_point() -> None:
    made = evaluate(classification([Z] * 20 + [L] * 5), Truth.of([Z] * 20 + [L] * 5))
    assert made.summary["accuracy_95"] == pytest.approx(
        [float(end) for end in metrics.wilson_interval(1.0, 25)]
    )
    assert made.per_class.loc[L, "recall_low"] == pytest.approx(
        float(metrics.wilson_interval(1.0, 5)[0])
    )


def test_what_is_left_out_is_said(table: pd.DataFrame) -> None:
    labels = ["Powder", "Powder", "", *[L] * 8]
    made = evaluate(table, Truth.of(labels))
    assert made.summary["judged"] == 7
    assert made.summary["unknown"] == {"Powder": 2}
    assert made.notes[:3] == (
        "1 of 11 patterns cannot be read: left out of every figure.",
        "1 of 11 patterns bear no label: left out of every figure.",
        "2 of 11 patterns are of Powder, which the model does not know: left out of every figure.",
    )
    assert made.unknown.loc["Powder", Z] == 2
    assert "no pattern of 2DZone, NoHit, MultipleCrystals" in made.notes[3]


def test_the_patterns_of_a_cell_and_the_worst_and_least_certain_ones() -> None:
    table = classification([Z, L, L, Z, L])
    table["index"] = [10, 11, 12, 13, 14]
    table["confidence"] = [0.9, 0.6, 0.8, 0.5, 0.7]
    made = evaluate(table, Truth.of([L, Z, Z, Z, L]))
    assert made.cell(Z, L).tolist() == [12, 11]
    assert made.cell(N, M).tolist() == []
    assert made.worst().tolist() == [10, 12, 11]
    assert made.least_certain(2).tolist() == [13, 11]


def test_without_shares_there_are_no_figures_at_shares(table: pd.DataFrame, truth: Truth) -> None:
    summary = evaluate(table, truth, shares=None).summary
    assert "shares" not in summary
    assert "precision_at_shares" not in summary["per_class"][Z]


def test_rows_count_not_the_index_of_the_frame(table: pd.DataFrame, truth: Truth) -> None:
    labels = pd.Series(truth.labels[::-1], index=range(50, 61))
    made = evaluate(table.iloc[::-1], Truth.of(labels))
    assert made.summary["accuracy"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table, truth: (table, truth[:-1]), "11 classified patterns but 10 true labels"),
        (lambda table, truth: (table, ["Powder"] * 11), "labels name Powder, of which the model"),
        (lambda table, truth: (table, [None] * 11), "No pattern that can be read bears"),
        (lambda table, truth: (table.replace(Z, "cF"), truth), "classification names cF"),
        (lambda table, truth: (table.drop(columns="confidence"), truth), "lacks the column conf"),
        (lambda table, truth: (table[["label", "confidence"]], truth), "lacks the column p_"),
        (lambda table, truth: (table.iloc[-1:], truth[-1:]), "Every pattern is unreadable"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(
    change, message: str, table: pd.DataFrame, truth: Truth
) -> None:
    changed, labels = change(table, truth.labels)
    with pytest.raises(InputError, match=message):
        evaluate(changed, Truth.of(labels))


def test_the_reliability_diagram_shows_how_sure_each_point_is() -> None:
    curve = metrics.reliability([0.99] * 10, [1] * 8 + [0] * 2)
    upper = plots.reliability_figure(curve).axes[0]
    (bar,) = upper.collections[0].get_segments()
    # 95 % Wilson interval of 8 of 10, from the literature
    assert bar[:, 1] == pytest.approx([0.490, 0.943], abs=5e-4)
