import json
import re
from base64 import b64decode
from pathlib import Path

import dask.array as da
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_diffraction.errors import InputError
from napari_diffraction.learning.evaluation.report import write_report
from napari_diffraction.learning.evaluation.result import Evaluation, evaluate
from napari_diffraction.learning.labels.ground_truth import Truth
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish

CLASSES = ("a", "b", "c<d>")
FIGURES = ("confusion", "coverage", "per_class", "reliability")
TABLES = (*FIGURES, "confusion_normalised", "patterns", "thresholds")


def evaluated(name: str = "ours", wrong: int = 4, seed: int = 0) -> Evaluation:
    rng = np.random.default_rng(seed)
    truth = np.repeat(CLASSES, 10)
    called = truth.copy()
    called[:wrong] = "b"
    confidence = rng.uniform(0.5, 1, 30)
    table = pd.DataFrame({"index": range(30), "source": "", "label": called})
    table["confidence"] = confidence
    for one in CLASSES:
        table[f"p_{one}"] = np.where(called == one, confidence, (1 - confidence) / 2)
    return evaluate(table, Truth.of(truth), name=name)


@pytest.fixture
def stack() -> PatternStack:
    frames = np.random.default_rng(0).integers(0, 255, (30, 16, 16), dtype=np.uint8)
    return PatternStack(da.from_array(frames, chunks=(1, 16, 16)), "run42")


def test_tables_and_figures_agree_with_the_evaluation(tmp_path: Path, stack: PatternStack) -> None:
    folder, made = tmp_path / "made" / "here", evaluated()
    page = finish(write_report([made], folder, stack, {"Data": "run42.h5"}))
    wanted = {f"{name}.csv" for name in TABLES} | {"report.html", "summary.json"}
    wanted |= {f"{name}.{kind}" for name in FIGURES for kind in ("png", "svg")}
    assert {path.name for path in folder.iterdir()} == wanted | {"worst.png", "least_certain.png"}
    assert json.loads((folder / "summary.json").read_text()) == made.summary
    confusion = pd.read_csv(folder / "confusion.csv", index_col="truth")
    assert confusion.loc["a"].tolist() == [6, 4, 0]
    shares = pd.read_csv(folder / "confusion_normalised.csv", index_col="truth")
    assert shares.loc["a"].tolist() == [0.6, 0.4, 0]
    patterns = pd.read_csv(folder / "patterns.csv")
    assert patterns["correct"].tolist() == [False] * 4 + [True] * 26
    for name in (*FIGURES, "worst"):
        with Image.open(folder / f"{name}.png") as image:
            # something is drawn on the white ground
            assert len(np.unique(np.asarray(image.convert("L")))) > 10
    assert page == folder / "report.html"


def test_the_page_needs_no_other_file_and_holds_every_figure(
    tmp_path: Path, stack: PatternStack
) -> None:
    page = finish(write_report([evaluated()], tmp_path, stack, {"Data": "a<b>.h5"})).read_text()
    images = re.findall(r'src="data:image/(svg\+xml|png);base64,([^"]+)"', page)
    assert [kind for kind, _ in images] == ["svg+xml"] * 4 + ["png"] * 2
    for kind, content in images:
        assert b64decode(content).startswith(b"<?xml" if kind == "svg+xml" else b"\x89PNG")
    assert not re.findall(r'(?:src|href)="(?!data:)', page)
    assert "c&lt;d&gt;" in page
    assert "a&lt;b&gt;.h5" in page
    assert "c<d>" not in page
    assert "0.867" in page  # 26 of 30 are right
    assert "single patterns" in page


def test_several_models_stand_side_by_side(tmp_path: Path) -> None:
    made = [evaluated(), evaluated("theirs", wrong=0)]
    page = finish(write_report(made, tmp_path)).read_text()
    table = pd.read_csv(tmp_path / "comparison.csv", index_col="model")
    assert table.index.tolist() == ["ours", "theirs"]
    assert (tmp_path / "comparison_coverage.svg").exists()
    other = json.loads((tmp_path / "2_theirs" / "summary.json").read_text())
    assert other["accuracy"] == 1
    assert "Evaluation of ours and theirs" in page
    assert page.index("Comparison") < page.index("Model ours") < page.index("Model theirs")


def test_no_comparison_of_an_earlier_report_stays(tmp_path: Path) -> None:
    finish(write_report([evaluated(), evaluated("theirs", wrong=0)], tmp_path))
    (tmp_path / "comparison_of_mine.csv").touch()
    finish(write_report([evaluated()], tmp_path))
    assert [one.name for one in tmp_path.glob("comparison*")] == ["comparison_of_mine.csv"]


def test_files_of_people_in_a_folder_without_a_report_stay(tmp_path: Path) -> None:
    for name in ("comparison.csv", "unknown.csv"):
        (tmp_path / name).write_text("mine")
    finish(write_report([evaluated()], tmp_path))
    assert (tmp_path / "comparison.csv").read_text() == "mine"
    assert (tmp_path / "unknown.csv").read_text() == "mine"


def test_patterns_of_the_training_stand_out(tmp_path: Path) -> None:
    made = evaluated().noted("3 of 30 patterns were in the training.", training_patterns_here=3)
    page = finish(write_report([made], tmp_path)).read_text()
    assert '<li class="warning">3 of 30 patterns were in the training.</li>' in page
    assert made.summary["notes"][-1].startswith("3 of 30")


def test_a_folder_that_cannot_be_made_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be written"):
        finish(write_report([evaluated()], tmp_path / "file" / "folder"))


def test_a_failed_write_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "summary.json").write_text("of before")

    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match="the disk is full"):
        finish(write_report([evaluated()], tmp_path))
    assert (tmp_path / "summary.json").read_text() == "of before"
    assert not list(tmp_path.glob(".*"))


def test_a_models_name_never_leads_out_of_the_folder(tmp_path: Path) -> None:
    made = [evaluated(name) for name in ("ours", "x/../../../evil", str(tmp_path / "absolute"))]
    finish(write_report(made, tmp_path / "a" / "report"))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["report"]
    inside = {path.name for path in (tmp_path / "a" / "report").iterdir() if path.is_dir()}
    assert "2_x_.._.._.._evil" in inside
    assert len(inside) == 2


def test_names_with_dollars_are_drawn_as_they_are(
    tmp_path: Path, stack: PatternStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "CLASSES", (r"$\foo$", "b", r"\$x$"))
    finish(write_report([evaluated(r"$\bar$"), evaluated("$m$")], tmp_path, stack))
    assert r"$\foo$" in (tmp_path / "report.html").read_text()
