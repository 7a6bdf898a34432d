import numpy as np
import pandas as pd
import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.evaluation.comparison import compare
from napari_diffraction.learning.evaluation.result import Evaluation, evaluate
from napari_diffraction.learning.labels.ground_truth import Truth

TRUTH = np.repeat(["a", "b"], 100)


def model(name: str, wrong: list[int], truth: np.ndarray = TRUTH) -> Evaluation:
    called = TRUTH.copy()
    called[wrong] = np.where(TRUTH[wrong] == "a", "b", "a")
    table = pd.DataFrame({"index": np.arange(200), "label": called, "confidence": 0.8})
    for one in ("a", "b"):
        table[f"p_{one}"] = np.where(called == one, 0.8, 0.2)
    return evaluate(table, Truth.of(truth), name=name)


def test_a_real_difference_is_told_from_one_by_chance() -> None:
    first = model("first", list(range(40)))
    table = compare(
        [first, model("better", list(range(10))), model("other", list(range(150, 191)))]
    )
    assert table["patterns"].tolist() == [200] * 3
    assert table["accuracy"].tolist() == [0.8, 0.95, 0.795]
    assert np.isnan(table.loc["first", "mcnemar_p"])
    better, other = table.loc["better"], table.loc["other"]
    assert better["accuracy_difference"] == pytest.approx(0.15)
    assert better["balanced_accuracy_difference"] == pytest.approx(0.15)
    # all wrong ones of the better model are wrong ones of the first, too: 30 of 200, 1.96 sigma
    half = 1.96 * np.sqrt(0.15 * 0.85 / 200)
    assert better["accuracy_difference_low"] == pytest.approx(0.15 - half, abs=0.01)
    assert better["accuracy_difference_high"] == pytest.approx(0.15 + half, abs=0.01)
    assert (better["only_right"], better["only_first_right"]) == (30, 0)
    assert better["mcnemar_p"] == pytest.approx(2 * 0.5**30)
    assert other["accuracy_difference_low"] < 0 < other["accuracy_difference_high"]
    assert other["mcnemar_p"] > 0.9


def test_only_patterns_that_all_could_judge_count() -> None:
    half = np.where(np.arange(200) % 2 == 0, TRUTH, "")
    table = compare([model("first", [0, 1]), model("second", [], half)])
    assert table["patterns"].tolist() == [100, 100]
    assert table.loc["first", "accuracy"] == 0.99


def test_models_of_the_same_name_are_told_apart() -> None:
    made = compare([model("ours", [1]), model("ours", [2]), model("ours", [])])
    assert made.index.tolist() == ["ours", "ours (2)", "ours (3)"]


def test_what_cannot_be_compared_is_said() -> None:
    with pytest.raises(InputError, match="name another one"):
        compare([model("ours", [1])])
    without = np.where(np.arange(200) < 100, TRUTH, "")
    other = np.where(np.arange(200) < 100, "", TRUTH)
    with pytest.raises(InputError, match="no pattern that all models could judge"):
        compare([model("ours", [], without), model("theirs", [], other)])


@pytest.mark.parametrize("names", [["m", "m", "m"], ["m (1)", "m (1)"], ["m", "m", "m (2)"]])
def test_models_of_one_name_are_told_apart(names: list[str]) -> None:
    made = [model(name, [1, 2]) for name in names]
    assert compare(made).index.is_unique
