"""`index --follow` and `phase-map --follow`: rows as they come, and the files of a plain run."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from napari_diffraction.analysis.maps.export import export_map
from napari_diffraction.cli.app import run
from napari_diffraction.cli.scans.following import follow_index, follow_map
from napari_diffraction.cli.scans.index import index_to_files
from napari_diffraction.cli.scans.phase_map import map_scan, write_and_compare
from napari_diffraction.cli.terminal import Interrupted
from napari_diffraction.crystal.materials import load_structure
from napari_diffraction.crystal.orientation import euler_angles, random_orientations
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.known import IndexSettings
from napari_diffraction.patterns.growing import Growing
from napari_diffraction.patterns.maps.files import read_map
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import Progress, finish
from napari_diffraction.simulation.kikuchi.effects import KikuchiEffects
from napari_diffraction.simulation.kikuchi.patterns import KikuchiConditions, simulate_kikuchi

PC = (0.52, 0.28, 0.55)
ROWS, COLUMNS, PIXELS = 8, 8, 64
Step = Callable[[], object]


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four grains of nickel."""
    grain = (np.arange(ROWS)[:, None] // 4) * 2 + np.arange(COLUMNS) // 4
    angles = euler_angles(random_orientations(4, np.random.default_rng(5)))[grain.ravel()]
    conditions = KikuchiConditions(pc_x=PC[0], pc_y=PC[1], pc_z=PC[2])
    effects = KikuchiEffects(contrast=0.2, noise=0.1)
    work = simulate_kikuchi(
        [load_structure("Ni")], conditions, effects, size=PIXELS, orientations=angles
    )
    path = tmp_path_factory.mktemp("frames") / "frames.npy"
    np.save(path, finish(work).images.reshape(ROWS, COLUMNS, PIXELS, PIXELS))
    return path


@pytest.fixture
def detector(
    tmp_path: Path, frames: Path, detector_of: Callable[..., Any]
) -> Iterator[tuple[Path, Callable[[str], Step]]]:
    """Another process that writes these patterns to an HDF5 file, some rows at a time."""
    with detector_of(tmp_path / "live.h5", frames) as made:
        yield made


def settings() -> IndexSettings:
    return IndexSettings(pc=PC, voltage=20.0, phases=(load_structure("Ni"),))


def waiting(steps: list[Step]) -> Callable[[float], None]:
    """Do the steps, one whenever it is waited."""
    left = iter(steps)

    def wait(seconds: float) -> None:
        if (step := next(left, None)) is not None:
            step()

    return wait


def following(
    path: Path, outputs: list[Path], steps: list[Step], idle: float = 3.0
) -> tuple[list[str], list[str]]:
    said: list[str] = []
    growing = Growing(str(path))
    lines = follow_index(
        growing, outputs, settings(), idle=idle, wait=waiting(steps), say=said.append
    )
    return lines, said


def nothing() -> None:
    """Let it look once more."""


def stop() -> None:
    raise KeyboardInterrupt


def solution(path: Path) -> dict[str, Any]:
    """Return what a file says but for the time at which it was written."""
    read: dict[str, Any] = json.loads(path.read_text())
    return {name: value for name, value in read.items() if name not in ("exported", "finished")}


def plain(path: Path, tmp_path: Path) -> tuple[list[str], Path, Path]:
    outputs = [tmp_path / "plain.csv", tmp_path / "plain.json"]
    lines = index_to_files(open_stack(str(path)), outputs, settings())
    return lines, *outputs


def test_a_scan_is_indexed_while_another_process_writes_it(
    detector: tuple[Path, Callable[[str], Step]], tmp_path: Path
) -> None:
    path, order = detector
    outputs = [tmp_path / "out.csv", tmp_path / "out.json"]
    counts: list[int] = []

    def count() -> None:
        table = pd.read_csv(outputs[0])
        assert (table["phase"] == "Ni").mean() > 0.9
        assert json.loads(outputs[1].read_text())["phases"][0]["name"] == "Ni"
        counts.append(len(table))

    steps = [
        order("add 4"), nothing, nothing, count,
        order("room 3"), nothing, nothing, count,
        order("fill"), nothing, count,
        order("add 1"), nothing, nothing, count,
        order("close"),
    ]  # fmt: skip
    lines, said = following(path, outputs, steps, idle=6.0)
    assert counts == [32, 32, 56, 64]
    assert said[0].startswith("Waiting: ")
    assert said[1] == "32 points: Ni 100.0%, not indexed 0.0%."
    expected, table, told = plain(path, tmp_path)
    assert outputs[0].read_text() == table.read_text()
    assert solution(outputs[1]) == solution(told)
    assert lines[2:] == expected[2:]


def test_an_acquisition_that_was_interrupted_is_no_error(
    detector: tuple[Path, Callable[[str], Step]], tmp_path: Path
) -> None:
    path, order = detector
    output = tmp_path / "out.csv"
    # room for more, which was never filled, in a file that was never closed
    following(path, [output], [order("add 3"), nothing, nothing, order("room 2")])
    _, table, _ = plain(path, tmp_path)
    assert output.read_text() == table.read_text()
    assert len(pd.read_csv(output)) > 3 * COLUMNS


def test_ctrl_c_keeps_what_is_done(frames: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "scan.npy", tmp_path / "out.csv"
    np.save(path, np.load(frames)[:3])
    with pytest.raises(Interrupted, match=r"^Stopped\. What .* in .*out\.csv, .*out\.ang; without"):
        following(path, [output, tmp_path / "out.ang"], [nothing, nothing, stop])
    assert len(pd.read_csv(output)) == 3 * COLUMNS
    assert (tmp_path / "out.ang").exists()
    with pytest.raises(Interrupted, match=r"^Stopped\.$"):
        following(path, [tmp_path / "none.csv"], [stop])
    assert not (tmp_path / "none.csv").exists()


def test_a_file_that_is_gone_at_the_end_leaves_what_was_done(frames: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "scan.npy", tmp_path / "out.csv"
    np.save(path, np.load(frames)[:3])
    lines, said = following(path, [output], [nothing, nothing, path.unlink])
    assert said[-1].startswith("The input cannot be opened any more: ")
    assert lines[0] == f"{output}: 3 x 8 points."


def test_a_list_is_no_map(tmp_path: Path) -> None:
    np.save(tmp_path / "list.npy", np.ones((4, 16, 16), np.uint8) * np.arange(16, dtype=np.uint8))
    with pytest.raises(InputError, match="the patterns are a list"):
        following(tmp_path / "list.npy", [tmp_path / "out.ang"], [])


def mapped(
    learning: Any, path: Path, output: Path, steps: list[Step], **others: Any
) -> tuple[list[str], list[str]]:
    said: list[str] = []
    lines = follow_map(
        Growing(str(path)),
        [output],
        learning.load_model("zones"),
        threshold=0.5,
        idle=3.0,
        wait=waiting(steps),
        say=said.append,
        **others,
    )
    return lines, said


def plain_map(learning: Any, path: Path, output: Path, **others: Any) -> list[str]:
    made = map_scan(open_stack(str(path)), learning.load_model("zones"), **others)
    return write_and_compare(made, [output], 0.5, None)


def noise(rows: int) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 255, (6, 4, 32, 32), dtype=np.uint8)[:rows]


@pytest.mark.parametrize("regions", [False, True])
def test_a_map_fills_row_by_row(learning: Any, tmp_path: Path, regions: bool) -> None:
    path, output = tmp_path / "scan.npy", tmp_path / "map.csv"
    np.save(path, noise(2))
    counts: list[int] = []

    def more(rows: int) -> Step:
        def step() -> None:
            counts.append(len(pd.read_csv(output)))
            np.save(path, noise(rows))

        return step

    steps: list[Step] = [nothing, more(3), nothing, nothing, more(6)]
    lines, said = mapped(learning, path, output, steps, regions=regions)
    assert counts == [8, 12]
    assert learning.seen == list(range(24))  # each pattern once
    assert [one.split(":")[0] for one in said] == ["8 points", "12 points", "24 points"]
    assert lines[0] == f"{output}: 6 x 4 points."
    expected = plain_map(learning, path, tmp_path / "plain.csv", regions=regions)
    assert lines[1:] == expected[1:]
    assert output.read_text() == (tmp_path / "plain.csv").read_text()


def test_a_map_of_another_size_is_refused_when_ours_is_written(
    learning: Any, tmp_path: Path
) -> None:
    """As of a scan that ends early: without its regions, hours of work were left half done."""
    path, output = tmp_path / "scan.npy", tmp_path / "map.csv"
    np.save(path, noise(6))
    export_map(map_scan(open_stack(str(path)), learning.load_model("zones")), tmp_path / "all.h5")
    np.save(path, noise(3))
    with pytest.raises(InputError, match="has 6 x 4 points"):
        mapped(learning, path, output, [], regions=True, other=read_map(str(tmp_path / "all.h5")))
    plain_map(learning, path, tmp_path / "plain.csv", regions=True)
    assert output.read_text() == (tmp_path / "plain.csv").read_text()


def test_a_model_that_needs_all_patterns_maps_them_together_at_the_end(
    learning: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scan.npy"
    classifier = learning.load_model("zones")

    def complete(stack: PatternStack, model: Any) -> Generator[Progress, None, PatternStack]:
        yield Progress(0, 0, "Looking for the pattern centre")
        return stack

    kind = type(classifier.kind)(complete=complete)
    monkeypatch.setattr(learning, "load_model", lambda name: type(classifier)(learning.card, kind))
    np.save(path, noise(2))
    mapped(learning, path, tmp_path / "one.csv", [])
    assert learning.seen == list(range(8))  # nothing came: nothing is to be judged anew
    learning.seen.clear()
    steps: list[Step] = [nothing, nothing, lambda: np.save(path, noise(3))]
    _, said = mapped(learning, path, tmp_path / "out.csv", steps)
    assert learning.seen == [*range(8), *range(8, 12), *range(12)]
    assert "judged anew" in said[-1]


def test_a_centre_that_was_found_stands_in_the_map_that_grows(
    learning: Any, tmp_path: Path, finding: Callable[[Any], None]
) -> None:
    finding(learning)
    path, output = tmp_path / "scan.npy", tmp_path / "map.csv"
    np.save(path, noise(2))
    facts: list[dict[str, float]] = []

    def read() -> None:
        facts.append(json.loads((tmp_path / "map.csv.json").read_text())["geometry"])

    mapped(learning, path, output, [nothing, read, lambda: np.save(path, noise(3))])
    read()
    assert facts == [{"pc_x": 0.5, "pc_y": 0.3, "pc_z": 0.65}] * 2


def test_ctrl_c_within_a_look_keeps_what_is_judged(learning: Any, tmp_path: Path) -> None:
    """A first look at a scan that is nearly done takes as long as all of it."""
    path, output = tmp_path / "scan.npy", tmp_path / "map.csv"
    np.save(path, noise(3))

    def stop_at(count: int) -> Callable[[int], None]:
        def check(done: int) -> None:
            if len(learning.seen) >= count:
                raise KeyboardInterrupt

        return check

    learning.before_batch = stop_at(8)
    with pytest.raises(Interrupted, match=r"8 of 12 points are in .*map\.csv, the others"):
        mapped(learning, path, output, [], batch_size=4)
    assert pd.read_csv(output)["index"].tolist() == list(range(8))
    # a map of an earlier run may be a whole one
    output.write_text("a whole map")
    learning.seen.clear()
    with pytest.raises(Interrupted, match=r"8 of 12 points are in .*map\.part\.csv"):
        mapped(learning, path, output, [], batch_size=4)
    assert output.read_text() == "a whole map"
    # one of this run has less
    learning.seen.clear()
    learning.before_batch = stop_at(16)
    steps: list[Step] = [nothing, nothing, lambda: np.save(path, noise(6))]
    with pytest.raises(Interrupted, match=r"16 of 24 points are in .*map\.csv"):
        mapped(learning, path, output, steps, batch_size=4)
    assert pd.read_csv(output)["index"].tolist() == list(range(16))


def test_tilts_stand_in_the_files_of_a_followed_scan(learning: Any, tmp_path: Path) -> None:
    path, output = tmp_path / "scan.npy", tmp_path / "map.csv"
    np.save(path, noise(2))
    mapped(learning, path, output, [], tilts=(60.0, 8.0))
    facts = json.loads((tmp_path / "map.csv.json").read_text())["geometry"]
    assert facts == {"sample_tilt": 60.0, "camera_tilt": 8.0}
    lines = follow_index(
        Growing(str(path)),
        [tmp_path / "out.json"],
        IndexSettings(pc=PC, voltage=20.0, phases=(load_structure("Ni"),)),
        tilts=(None, 8.0),
        idle=0.0,
        wait=waiting([]),
    )
    assert json.loads((tmp_path / "out.json").read_text())["camera_tilt"] == 8.0
    assert not any("camera is not known" in line for line in lines)


def test_pictures_become_a_map_when_they_lie_on_a_grid(learning: Any, tmp_path: Path) -> None:
    folder, output = tmp_path / "frames", tmp_path / "map.csv"
    folder.mkdir()

    def pictures(row: int) -> None:
        for column, frame in enumerate(noise(6)[row]):
            Image.fromarray(frame).save(folder / f"scan_y{row}_x{column}.png")

    pictures(0)
    pictures(1)
    counts: list[int] = []
    steps: list[Step] = [
        nothing,
        nothing,
        lambda: (counts.append(len(pd.read_csv(output))), pictures(2)),
        nothing,
        nothing,
        lambda: counts.append(len(pd.read_csv(output))),
    ]
    mapped(learning, folder, output, steps)
    assert counts == [8, 12]
    plain_map(learning, folder, tmp_path / "plain.csv")
    assert output.read_text() == (tmp_path / "plain.csv").read_text()


def test_the_commands_follow_and_say_what_does_not_go_together(
    learning: Any,
    frames: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("napari_diffraction.cli.watching.EVERY", 0.0)
    scan = tmp_path / "scan.npy"
    np.save(scan, np.load(frames)[:2])
    pc = [str(value) for value in PC]
    index = ["index", str(scan), "--pc", *pc, "--phase", "Ni", "--output", str(tmp_path / "i.csv")]
    mapping = ["phase-map", str(scan), "--model", "zones", "--output", str(tmp_path / "m.csv")]
    for words, output in ((index, "i.csv"), (mapping, "m.csv")):
        assert run([*words, "--follow", "--idle", "0"]) == 0
        assert f"{output}: 2 x 8 points." in capsys.readouterr().out
        assert run([*words, "--idle", "5"]) == 2
        assert "--idle goes with --follow" in capsys.readouterr().err
        assert run([*words, "--follow", "--workers", "2"]) == 2
        assert "--follow goes without" in capsys.readouterr().err
        words[1] = str(tmp_path / "no.npy")
        assert run([*words, "--follow"]) == 2
        assert "does not exist" in capsys.readouterr().err
