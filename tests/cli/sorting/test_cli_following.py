"""`classify --follow`: what comes while it runs, and the same table as without."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_diffraction.cli.app import run
from napari_diffraction.cli.sorting.classification import classify_to_csv
from napari_diffraction.cli.sorting.following import follow_to_csv
from napari_diffraction.cli.terminal import Interrupted
from napari_diffraction.errors import InputError
from napari_diffraction.learning.classes import ZONE_CLASSES, called
from napari_diffraction.patterns.growing import Growing
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress

Step = Callable[[], object]


@pytest.fixture
def judged(learning: Any) -> list[int]:
    """Have patterns judged by their first pixel; return the list of those that were judged."""
    seen: list[int] = []

    def classify(
        stack: Any, classifier: Any, *, batch_size: int = 64, skip: Any = (), **_: Any
    ) -> Generator[Any, None, pd.DataFrame]:
        todo = [index for index in range(len(stack)) if index not in skip]
        for start in range(0, len(todo), batch_size):
            batch = todo[start : start + batch_size]
            p = np.full((len(batch), 4), np.nan)
            for row, frame in zip(p, stack.frames(batch), strict=True):
                if frame is not None:
                    first = int(frame[0, 0])
                    seen.append(first)
                    row[:] = (1 - 1 / (1.5 + first)) / 3 * np.ones(4)
                    row[first % 4] = 1 / (1.5 + first)
            label, confidence = called(p, ZONE_CLASSES)
            rows = pd.DataFrame(
                {
                    "index": batch,
                    "source": [stack.source(index) for index in batch],
                    "label": label,
                    "confidence": confidence,
                }
            )
            rows[[f"p_{name}" for name in ZONE_CLASSES]] = p
            if stack.is_scan:
                rows["row"], rows["column"] = np.divmod(np.array(batch), stack.data.shape[1])
            yield Done(start + len(batch), len(todo), "Classifying", rows)
        return pd.DataFrame()

    inference = sys.modules["napari_diffraction.learning.classification.inference"]
    Done = inference.BatchDone
    inference.classify = classify  # type: ignore[attr-defined]
    return seen


def picture(path: Path, first: int) -> None:
    image = np.full((16, 16), 200, np.uint8)
    image[0, 0] = first
    Image.fromarray(image).save(path)


def following(
    learning: Any, inputs: Path, output: Path, steps: list[Step], **settings: Any
) -> tuple[pd.DataFrame, list[str]]:
    """Follow an input while the steps are done, one whenever it waits."""
    said: list[str] = []
    left = iter(steps)

    def wait(seconds: float) -> None:
        if (step := next(left, None)) is not None:
            step()

    settings = {"batch_size": 2, "idle": 3.0, "say": said.append, "wait": wait} | settings
    growing = Growing(str(inputs))
    table = follow_to_csv(growing, learning.load_model("zones"), output, **settings)
    return table, said


def plain(learning: Any, inputs: Path, output: Path, **settings: Any) -> str:
    settings = {"batch_size": 2, "say": lambda text: None} | settings
    classify_to_csv(open_stack(inputs), learning.load_model("zones"), output, **settings)
    return output.read_text()


def nothing() -> None:
    """Let it look once more."""


def test_a_folder_that_fills_gives_the_table_of_a_plain_run(
    learning: Any, judged: list[int], tmp_path: Path
) -> None:
    folder, output = tmp_path / "run", tmp_path / "out.csv"
    folder.mkdir()
    picture(folder / "a5.png", 5)
    picture(folder / "a9.png", 9)
    tables: list[list[str]] = []

    def look() -> None:
        # valid and complete at any time
        table = pd.read_csv(output)
        assert table["index"].tolist() == list(range(len(table)))
        tables.append([Path(source).name for source in table["source"]])

    steps: list[Step] = [
        nothing,
        lambda: (look(), picture(folder / "a7.png", 7)),  # between the two others
        nothing,
        lambda: (look(), picture(folder / "a10.png", 10), picture(folder / "a1.png", 1)),
        nothing,
        look,
    ]
    table, said = following(learning, folder, output, steps)
    assert tables == [
        ["a5.png", "a9.png"],
        ["a5.png", "a7.png", "a9.png"],
        ["a1.png", "a5.png", "a7.png", "a9.png", "a10.png"],
    ]
    assert judged == [5, 9, 7, 1, 10]  # each once
    assert table["index"].tolist() == [0, 1, 2, 3, 4]
    assert [line.split(":")[0] for line in said] == ["2 patterns", "3 patterns", "5 patterns"]
    assert output.read_text() == plain(learning, folder, tmp_path / "plain.csv")
    about, usual = (
        json.loads((tmp_path / f"{name}.csv.json").read_text()) for name in ("out", "plain")
    )
    assert {**about, "finished": ""} == {**usual, "finished": ""}
    assert not (tmp_path / "out.csv.part").exists()


def test_a_half_written_file_is_tried_again_and_told_at_the_end(
    learning: Any, judged: list[int], tmp_path: Path
) -> None:
    folder, output = tmp_path / "run", tmp_path / "out.csv"
    folder.mkdir()
    for number in (1, 2, 3):
        picture(folder / f"a{number}.png", number)
    contents = {number: (folder / f"a{number}.png").read_bytes() for number in (2, 3)}
    for number, content in contents.items():
        (folder / f"a{number}.png").write_bytes(content[:40])
    counts: list[int] = []
    steps: list[Step] = [
        nothing,
        nothing,  # both have kept still, but are no pictures
        lambda: (
            counts.append(len(pd.read_csv(output))),
            (folder / "a2.png").write_bytes(contents[2]),
        ),
        nothing,
        lambda: counts.append(len(pd.read_csv(output))),
    ]
    table, said = following(learning, folder, output, steps)
    assert counts == [1, 2]
    assert table["label"].tolist()[2] == "Unreadable"
    assert said[-1] == "1 pattern never became readable: a3.png."
    assert output.read_text() == plain(learning, folder, tmp_path / "plain.csv")


def test_a_picture_that_is_written_anew_is_judged_anew(
    learning: Any, judged: list[int], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    picture(folder / "a.png", 1)
    picture(folder / "b.png", 2)
    steps: list[Step] = [nothing, nothing, lambda: picture(folder / "b.png", 33)]
    following(learning, folder, tmp_path / "out.csv", steps)
    assert judged == [1, 2, 33]
    expected = plain(learning, folder, tmp_path / "plain.csv")
    assert (tmp_path / "out.csv").read_text() == expected


def test_an_empty_folder_is_waited_for_and_refused_when_nothing_ever_came(
    learning: Any, judged: list[int], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    with pytest.raises(InputError, match="no file that can be read"):
        following(learning, folder, tmp_path / "out.csv", [])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    table, said = following(
        learning, folder, tmp_path / "out.csv", [nothing, lambda: picture(folder / "a.png", 3)]
    )
    assert len(table) == 1
    assert said[0].startswith("Waiting: ")


@pytest.fixture
def detector(
    tmp_path: Path, detector_of: Callable[..., Any]
) -> Iterator[tuple[Path, Callable[[str], Step]]]:
    """Another process that writes an HDF5 file, step by step."""
    with detector_of(tmp_path / "live.h5") as made:
        yield made


def test_an_hdf5_file_is_sorted_while_another_process_writes_it(
    learning: Any,
    judged: list[int],
    detector: tuple[Path, Callable[[str], Step]],
    tmp_path: Path,
) -> None:
    path, order = detector
    output = tmp_path / "out.csv"
    counts: list[int] = []

    def count() -> None:
        counts.append(len(pd.read_csv(output)))

    steps = [
        order("add 3"), nothing, nothing, count,
        order("room 3"), nothing, nothing, count,
        order("fill"), nothing, count,
        order("add 7"), nothing, nothing, count,
        order("close"),
    ]  # fmt: skip
    table, said = following(learning, path, output, steps, idle=6.0)
    assert counts == [3, 3, 6, 13]
    assert judged == list(range(1, 14))
    assert said[0].startswith("Waiting: ")  # nothing was ever written yet
    assert len(table) == 13
    assert output.read_text() == plain(learning, path, tmp_path / "plain.csv")


def test_an_acquisition_that_was_interrupted_is_no_error(
    learning: Any,
    judged: list[int],
    detector: tuple[Path, Callable[[str], Step]],
    tmp_path: Path,
) -> None:
    path, order = detector
    steps = [order("add 4"), nothing, nothing, order("room 5")]  # and never closed
    table, said = following(learning, path, tmp_path / "out.csv", steps)
    expected = plain(learning, path, tmp_path / "plain.csv")
    assert (tmp_path / "out.csv").read_text() == expected
    assert len(table) == 9
    assert said[-1] == "5 patterns never became readable: live.h5."


def stop() -> None:
    raise KeyboardInterrupt


def test_ctrl_c_keeps_the_table_and_resume_goes_on(
    learning: Any, judged: list[int], tmp_path: Path
) -> None:
    folder, output = tmp_path / "run", tmp_path / "out.csv"
    folder.mkdir()
    for number in (1, 2, 3):
        picture(folder / f"a{number}.png", number)
    with pytest.raises(Interrupted, match=r"3 patterns are in .*out.csv: .* --resume"):
        following(learning, folder, output, [nothing, nothing, stop])
    assert len(pd.read_csv(output)) == 3
    assert json.loads((tmp_path / "out.csv.json").read_text())["followed"]
    judged.clear()
    picture(folder / "a2.png", 22)  # what changed meanwhile is not taken as known
    picture(folder / "a4.png", 4)
    with pytest.raises(InputError, match="--resume"):
        following(learning, folder, output, [])
    following(learning, folder, output, [], resume=True)
    assert judged == [22, 4]
    assert output.read_text() == plain(learning, folder, tmp_path / "plain.csv")


def test_a_centre_that_was_found_stands_beside_the_table_that_grows(
    learning: Any, tmp_path: Path, finding: Callable[[Any], None]
) -> None:
    finding(learning)
    folder, beside = tmp_path / "run", tmp_path / "out.csv.json"
    folder.mkdir()
    picture(folder / "a1.png", 1)
    notes: list[list[str]] = []

    def read() -> None:
        notes.append(json.loads(beside.read_text())["notes"][-1:])

    def more() -> None:
        picture(folder / "a2.png", 2)

    following(learning, folder, tmp_path / "out.csv", [nothing, nothing, read, more])
    read()
    assert notes == [["Found: 0.65"]] * 2


def test_the_border_is_that_of_the_whole_stack(
    learning: Any, judged: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, output = tmp_path / "run", tmp_path / "out.csv"
    folder.mkdir()

    def moved(table: pd.DataFrame, wanted: str) -> tuple[pd.DataFrame, Any]:
        from napari_diffraction.learning.classification.adaptation import Border

        # as any border: a matter of all patterns together
        return table.assign(confidence=table["confidence"] / len(table)), Border(0.5, 7)

    for module in ("cli.sorting.following", "learning.classification.adaptation"):
        monkeypatch.setattr(f"napari_diffraction.{module}.suited", moved)
    picture(folder / "a1.png", 1)
    steps: list[Step] = [nothing, nothing, lambda: picture(folder / "a2.png", 2)]
    _, said = following(learning, folder, output, steps, border="stack")
    assert output.read_text() == plain(learning, folder, tmp_path / "plain.csv", border="stack")
    assert "about 7 zones" in said[-1]
    assert json.loads((tmp_path / "out.csv.json").read_text())["settings"]["border_shift"] == 0.5


def test_a_model_that_needs_all_patterns_judges_them_together_at_the_end(
    learning: Any, judged: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    picture(folder / "a1.png", 1)
    classifier = learning.load_model("zones")

    def complete(stack: PatternStack, model: Any) -> Generator[Progress, None, PatternStack]:
        yield Progress(0, 0, "Looking for the pattern centre")
        return stack

    kind = type(classifier.kind)(complete=complete)
    monkeypatch.setattr(learning, "load_model", lambda name: type(classifier)(learning.card, kind))
    following(learning, folder, tmp_path / "one.csv", [])
    assert judged == [1]  # nothing came: nothing is to be judged anew
    judged.clear()
    steps: list[Step] = [nothing, nothing, lambda: picture(folder / "a2.png", 2)]
    following(learning, folder, tmp_path / "out.csv", steps)
    assert judged == [1, 2, 1, 2]
    assert len(pd.read_csv(tmp_path / "out.csv")) == 2


def test_the_command_says_what_it_is_asked_for(
    learning: Any,
    judged: list[int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_diffraction.cli.watching.EVERY", 0.0)
    folder, output = tmp_path / "run", tmp_path / "out.csv"
    folder.mkdir()
    picture(folder / "a1.png", 1)
    common = ["classify", str(folder), "--output", str(output)]
    assert run([*common, "--follow", "--idle", "0"]) == 0
    assert "out.csv: 1 patterns in" in capsys.readouterr().out
    assert run([*common, "--idle", "5"]) == 2
    assert "--idle goes with --follow" in capsys.readouterr().err
    assert run(["classify", str(tmp_path / "no"), "--follow", "--output", str(output)]) == 2
    assert "does not exist" in capsys.readouterr().err
