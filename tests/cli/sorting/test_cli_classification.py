from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.cli.cells.zones import read_sorting
from napari_diffraction.cli.shares import expected_shares
from napari_diffraction.cli.sorting.classification import classify_to_csv
from napari_diffraction.cli.sorting.partial_table import PartialTable
from napari_diffraction.cli.terminal import Interrupted
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack


@pytest.fixture
def stack() -> PatternStack:
    return PatternStack(da.zeros((10, 16, 16), dtype=np.uint8), "run", ("run.h5",))


def stop_after(patterns: int, error: BaseException) -> Any:
    def check(done: int) -> None:
        if done >= patterns:
            raise error

    return check


def run(stack: PatternStack, learning: Any, output: Path, **settings: Any) -> pd.DataFrame:
    settings = {"batch_size": 2, "say": lambda text: None} | settings
    return classify_to_csv(stack, learning.load_model("zones"), output, **settings)


def test_the_table_has_the_columns_of_the_contract_and_says_how_it_came_about(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    run(stack, learning, tmp_path / "out.csv")
    header, first = (tmp_path / "out.csv").read_text().splitlines()[:2]
    assert header == (
        "index,source,label,confidence,p_2DZone,p_3DLaueIntersections,p_NoHit,p_MultipleCrystals"
    )
    assert first == "0,run.h5,2DZone,0.7,0.7,0.1,0.1,0.1"
    provenance = json.loads((tmp_path / "out.csv.json").read_text())
    assert provenance["model_sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert provenance["settings"] == {"device": "auto", "batch_size": 2}
    assert provenance["sources"] == ["run.h5"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.csv", "out.csv.json"]


def test_an_interrupted_run_keeps_its_batches_and_goes_on(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    learning.before_batch = stop_after(6, KeyboardInterrupt())
    with pytest.raises(Interrupted, match=r"6 patterns are kept in .*--resume"):
        run(stack, learning, output)
    assert not output.exists()
    learning.before_batch = lambda done: None
    learning.seen.clear()
    table = run(stack, learning, output, resume=True)
    assert learning.seen == [6, 7, 8, 9]
    assert table["index"].tolist() == list(range(10))
    whole = run(stack, learning, tmp_path / "whole.csv")
    pd.testing.assert_frame_equal(table, whole)
    assert output.read_text() == (tmp_path / "whole.csv").read_text()
    assert not output.with_name("out.csv.part").exists()


def test_names_of_files_that_are_not_in_utf_8_are_kept_and_shown(
    learning: Any, tmp_path: Path
) -> None:
    name = os.fsdecode(b"/data/m\xfcnchen.h5")  # as it was written where names were in Latin-1
    stack = PatternStack(da.zeros((10, 16, 16), dtype=np.uint8), "run", (name,))
    output = tmp_path / "out.csv"
    learning.before_batch = stop_after(6, KeyboardInterrupt())
    with pytest.raises(Interrupted, match="6 patterns are kept"):
        run(stack, learning, output)
    learning.before_batch = lambda done: None
    assert set(run(stack, learning, output, resume=True)["source"]) == {name}
    assert set(pd.read_csv(output)["source"]) == {r"/data/m\udcfcnchen.h5"}
    assert read_sorting(output, stack).zones == [0, 4, 8]


def test_what_is_kept_has_all_digits_so_that_a_border_is_moved_alike(tmp_path: Path) -> None:
    rows = pd.DataFrame({"index": [0], "source": "a", "label": "2DZone", "p_2DZone": 0.1 + 0.2})
    first = PartialTable(tmp_path / "out.csv.part", {})
    first.start(resume=False)
    first.append(rows)
    again = PartialTable(tmp_path / "out.csv.part", {})
    again.start(resume=True)
    assert again.table()["p_2DZone"].tolist() == [0.1 + 0.2]


def test_a_line_cut_short_by_a_kill_is_computed_again(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    output, part = tmp_path / "out.csv", tmp_path / "out.csv.part"
    learning.before_batch = stop_after(6, KeyboardInterrupt())
    with pytest.raises(Interrupted):
        run(stack, learning, output)
    part.write_text(part.read_text()[:-9])
    learning.before_batch = lambda done: None
    learning.seen.clear()
    assert len(run(stack, learning, output, resume=True)) == 10
    assert learning.seen == [5, 6, 7, 8, 9]


@pytest.mark.parametrize("keep", [0, 1, 40, 200])
def test_any_truncation_of_what_is_kept_can_be_resumed(
    stack: PatternStack, learning: Any, tmp_path: Path, keep: int
) -> None:
    output, part = tmp_path / "out.csv", tmp_path / "out.csv.part"
    learning.before_batch = stop_after(6, KeyboardInterrupt())
    with pytest.raises(Interrupted):
        run(stack, learning, output)
    part.write_text(part.read_text()[:keep])
    learning.before_batch = lambda done: None
    assert run(stack, learning, output, resume=True)["index"].tolist() == list(range(10))


def test_a_second_run_does_not_throw_away_what_the_first_one_kept(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    learning.before_batch = stop_after(6, KeyboardInterrupt())
    with pytest.raises(Interrupted):
        run(stack, learning, tmp_path / "out.csv")
    kept = (tmp_path / "out.csv.part").read_text()
    with pytest.raises(InputError, match="6 patterns of an interrupted run"):
        run(stack, learning, tmp_path / "out.csv")
    assert (tmp_path / "out.csv.part").read_text() == kept


def test_rows_of_another_stack_are_not_mixed_in(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    learning.before_batch = stop_after(6, KeyboardInterrupt())
    with pytest.raises(Interrupted):
        run(stack, learning, tmp_path / "out.csv")
    learning.before_batch = lambda done: None
    other = PatternStack(stack.data, "other", ("other.h5",))
    with pytest.raises(InputError, match="another run"):
        run(other, learning, tmp_path / "out.csv", resume=True)


def test_rows_of_another_model_are_not_mixed_in(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    learning.before_batch = stop_after(6, KeyboardInterrupt())
    with pytest.raises(Interrupted):
        run(stack, learning, tmp_path / "out.csv")
    learning.before_batch = lambda done: None
    learning.card.path.write_bytes(b"other weights")
    with pytest.raises(InputError, match=r"another run \(model_sha256 differ"):
        run(stack, learning, tmp_path / "out.csv", resume=True)


def test_rows_by_another_pattern_centre_are_not_mixed_in(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    learning.before_batch = stop_after(6, KeyboardInterrupt())
    one, other = stack.with_centre((0.5, 0.3, 0.6)), stack.with_centre((0.4, 0.4, 0.7))
    with pytest.raises(Interrupted):
        run(one, learning, tmp_path / "out.csv")
    learning.before_batch = lambda done: None
    with pytest.raises(InputError, match=r"another run \(geometry differ"):
        run(other, learning, tmp_path / "out.csv", resume=True)
    run(one, learning, tmp_path / "out.csv", resume=True)
    learning.seen.clear()
    run(other, learning, tmp_path / "out.csv", resume=True)
    assert len(learning.seen) == 10  # the finished table is of the other centre
    facts = tmp_path / "out.csv.json"
    said = json.loads(facts.read_text())
    assert said["geometry"] == {"pc_x": 0.4, "pc_y": 0.4, "pc_z": 0.7}
    del said["geometry"]  # as earlier versions wrote it
    facts.write_text(json.dumps(said))
    learning.seen.clear()
    run(other, learning, tmp_path / "out.csv", resume=True)
    assert learning.seen == []


def test_patterns_of_an_ebsd_camera_are_told_from_spot_patterns(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    said: list[str] = []
    run(stack, learning, tmp_path / "spots.csv", say=said.append)
    assert not said
    run(stack.with_centre((0.5, 0.3, 0.6)), learning, tmp_path / "ebsd.csv", say=said.append)
    assert "--model bravais" in said[0]


def test_a_finished_run_is_not_done_twice(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    first = run(stack, learning, tmp_path / "out.csv")
    learning.seen.clear()
    again = run(stack, learning, tmp_path / "out.csv", resume=True)
    assert learning.seen == []
    pd.testing.assert_frame_equal(first, again)


def test_a_centre_that_was_found_stands_beside_the_table(
    stack: PatternStack, learning: Any, tmp_path: Path, finding: Callable[[Any], None]
) -> None:
    finding(learning)
    run(stack, learning, tmp_path / "out.csv")
    facts = json.loads((tmp_path / "out.csv.json").read_text())
    assert facts["notes"] == ["Found: 0.65"]
    learning.seen.clear()
    run(stack, learning, tmp_path / "out.csv", resume=True)
    assert learning.seen == []  # the table is still that of this run


def test_a_finished_table_by_other_shares_is_made_anew(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    run(stack, learning, tmp_path / "out.csv")
    learning.seen.clear()
    run(stack, learning, tmp_path / "out.csv", resume=True, shares={"2DZone": 0.5})
    assert len(learning.seen) == 10
    assert json.loads((tmp_path / "out.csv.json").read_text())["shares"] == {"2DZone": 0.5}


def test_nothing_is_left_behind_when_nothing_was_computed(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    learning.before_batch = stop_after(0, InputError("No graphics card: choose --device cpu."))
    with pytest.raises(InputError, match="No graphics card"):
        run(stack, learning, tmp_path / "out.csv")
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_loses_nothing_computed(
    stack: PatternStack, learning: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_text = Path.write_text

    def full(path: Path, text: str, **settings: Any) -> int:
        if path.name.startswith(".out.") and ".json" not in path.name and "index" in text[:6]:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return write_text(path, text, **settings)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(InputError, match=r"disk is full.*10 patterns are kept"):
        run(stack, learning, tmp_path / "out.csv")
    monkeypatch.undo()
    assert not (tmp_path / "out.csv").exists()
    part = PartialTable(tmp_path / "out.csv.part", {})
    _, rows = part._read()
    assert rows["index"].tolist() == list(range(10))


@pytest.mark.parametrize(
    ("name", "words"),
    [("out.txt", "must end in .csv"), ("missing/out.csv", "no such folder"), ("d.csv", "a folder")],
)
def test_an_output_that_cannot_be_is_refused_before_anything_is_computed(
    stack: PatternStack, learning: Any, tmp_path: Path, name: str, words: str
) -> None:
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(InputError, match=words):
        run(stack, learning, tmp_path / name)
    assert learning.seen == []


def test_what_is_kept_of_something_else_is_named(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    (tmp_path / "out.csv.part").write_text("hello\nthis\nis a letter, not a table\n")
    with pytest.raises(InputError, match="delete it"):
        run(stack, learning, tmp_path / "out.csv", resume=True)


def test_classes_that_are_not_named_keep_their_proportions() -> None:
    shares = expected_shares(["2DZone=0.51"])
    assert shares is not None
    assert sum(shares.values()) == pytest.approx(1)
    assert shares["2DZone"] == 0.51
    assert shares["3DLaueIntersections"] / shares["NoHit"] == pytest.approx(7.7)
    assert expected_shares([]) is None


@pytest.mark.parametrize(
    "pairs",
    [
        ["2DZone"],
        ["2DZone=much"],
        ["2DZone=0"],
        ["2DZone=nan"],
        ["Kikuchi=0.2"],
        ["2DZone=0.6", "NoHit=0.6"],
        ["2DZone=0.1", "NoHit=0.1", "MultipleCrystals=0.1", "3DLaueIntersections=0.1"],
    ],
)
def test_shares_that_cannot_be_are_explained(pairs: list[str]) -> None:
    with pytest.raises(InputError, match="share"):
        expected_shares(pairs)


def test_rows_made_with_other_shares_are_not_mixed_in(
    stack: PatternStack, learning: Any, tmp_path: Path
) -> None:
    learning.before_batch = stop_after(6, KeyboardInterrupt())
    with pytest.raises(Interrupted):
        run(stack, learning, tmp_path / "out.csv")
    with pytest.raises(InputError, match="shares differ"):
        run(
            stack,
            learning,
            tmp_path / "out.csv",
            resume=True,
            shares=expected_shares(["2DZone=0.5"]),
        )
