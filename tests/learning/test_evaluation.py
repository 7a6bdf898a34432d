import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_diffraction.errors import InputError
from napari_diffraction.learning import metrics, plots
from napari_diffraction.learning.classes import UNREADABLE
from napari_diffraction.learning.evaluation import evaluate_table

Z, L, N, M = "2DZone", "3DLaueIntersections", "NoHit", "MultipleCrystals"
FILES = [
    "confusion.csv",
    "confusion.png",
    "per_class.csv",
    "reliability.csv",
    "reliability.png",
    "summary.json",
]


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
def truth() -> list[str]:
    return [Z] * 4 + [L] * 6 + [L]


def test_summary_holds_the_figures_and_counts_the_unreadable_apart(
    table: pd.DataFrame, truth: list[str], tmp_path: Path
) -> None:
    summary = evaluate_table(table, truth, tmp_path)
    assert summary["patterns"] == 11
    assert summary["unreadable"] == 1
    assert summary["accuracy"] == pytest.approx(0.8)
    assert summary["balanced_accuracy"] == pytest.approx((3 / 4 + 5 / 6) / 2)
    assert summary["expected_calibration_error"] == pytest.approx(0.1)
    low, high = summary["accuracy_95"]
    assert 0.3 < low < 0.8 < high <= 1
    zone = summary["per_class"][Z]
    assert zone["recall"] == pytest.approx(0.75)
    assert zone["support"] == 4
    # found together: 3 of 4 called zones, then all 10 patterns
    assert zone["average_precision"] == pytest.approx(0.75 * 0.75 + 0.25 * 0.4)
    # shares 0.03 and 0.77 of the default
    expected = 0.03 * 0.75 / (0.03 * 0.75 + 0.77 / 6)
    assert zone["precision_at_shares"] == pytest.approx(expected)
    assert zone["precision_at_shares_recall_0.9"] == pytest.approx(0.03 / 0.80)
    assert summary["per_class"][N]["recall"] is None


def test_files_agree_with_the_summary_and_nothing_else_is_left(
    table: pd.DataFrame, truth: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "made" / "here"
    summary = evaluate_table(table, truth, folder)
    assert sorted(path.name for path in folder.iterdir()) == FILES
    assert json.loads((folder / "summary.json").read_text()) == summary
    confusion = pd.read_csv(folder / "confusion.csv", index_col="truth")
    assert confusion.loc[Z, L] == 1
    assert confusion.to_numpy().sum() == 10
    classes = pd.read_csv(folder / "per_class.csv", index_col="class")
    assert classes.loc[L, "precision"] == pytest.approx(5 / 6)
    curve = pd.read_csv(folder / "reliability.csv")
    assert curve["patterns"].sum() == 10
    for name in ("confusion.png", "reliability.png"):
        with Image.open(folder / name) as image:
            # something is drawn on the white ground
            assert len(np.unique(np.asarray(image.convert("L")))) > 10


def test_without_shares_there_are_no_figures_at_shares(
    table: pd.DataFrame, truth: list[str], tmp_path: Path
) -> None:
    summary = evaluate_table(table, truth, tmp_path, shares=None)
    assert "shares" not in summary
    assert "precision_at_shares" not in summary["per_class"][Z]


def test_rows_count_not_the_index_of_the_frame(
    table: pd.DataFrame, truth: list[str], tmp_path: Path
) -> None:
    shuffled = table.iloc[::-1]
    labels = pd.Series(truth[::-1], index=range(50, 61))
    assert evaluate_table(shuffled, labels, tmp_path)["accuracy"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table, truth: (table, truth[:-1]), "11 classified patterns but 10 true labels"),
        (lambda table, truth: (table, [None, *truth[1:]]), "1 of 11 patterns have no true label"),
        (lambda table, truth: (table, ["Powder", *truth[1:]]), "truth names Powder"),
        (lambda table, truth: (table.replace(Z, "cF"), truth), "classification names cF"),
        (lambda table, truth: (table.drop(columns="confidence"), truth), "lacks the column conf"),
        (lambda table, truth: (table[["label", "confidence"]], truth), "lacks the column p_"),
        (lambda table, truth: (table.iloc[-1:], truth[-1:]), "Every pattern is unreadable"),
    ],
)
def test_what_does_not_fit_is_said_in_a_sentence(
    change, message: str, table: pd.DataFrame, truth: list[str], tmp_path: Path
) -> None:
    changed, labels = change(table, truth)
    with pytest.raises(InputError, match=message):
        evaluate_table(changed, labels, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made_is_an_input_error(
    table: pd.DataFrame, truth: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        evaluate_table(table, truth, tmp_path / "file" / "folder")


def test_a_failed_write_keeps_what_was_there(
    table: pd.DataFrame, truth: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "summary.json").write_text("of before")

    def full(self: Path, *_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="the disk is full"):
        evaluate_table(table, truth, tmp_path)
    assert (tmp_path / "summary.json").read_text() == "of before"
    assert not list(tmp_path.glob(".*"))


def test_the_reliability_diagram_shows_how_sure_each_point_is() -> None:
    curve = metrics.reliability([0.99] * 10, [1] * 8 + [0] * 2)
    upper = plots.reliability_figure(curve).axes[0]
    (bar,) = upper.collections[0].get_segments()
    # 95 % Wilson interval of 8 of 10, from the literature
    assert bar[:, 1] == pytest.approx([0.490, 0.943], abs=5e-4)
