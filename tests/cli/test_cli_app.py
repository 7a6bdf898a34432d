"""The manners of the command line: exit status, one line on stderr, nothing lost."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_diffraction.cli.app import run


def refused(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> str:
    """Run a command that must be refused, and return its one line."""
    assert run([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_help_names_the_commands() -> None:
    command = [sys.executable, "-m", "napari_diffraction.cli", "--help"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    for name in ("info", "classify", "index", "unit-cell", "solve", "phase-map", "explain"):
        assert name in answer.stdout


@pytest.mark.parametrize("group", [[], ["simulate"]])
def test_without_a_command_there_is_the_help(
    capsys: pytest.CaptureFixture[str], group: list[str]
) -> None:
    assert run([*group, "--help"]) == 0
    wanted = capsys.readouterr().out
    assert run(group) == 0
    assert capsys.readouterr() == (wanted, "")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from napari_diffraction.cli.app import run; run(['--help']); "
        "print(*{'torch', 'numpy', 'pandas', 'napari', 'dask', 'matplotlib'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert answer.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize(
    "arguments",
    [
        "info good.npy",
        "info bad.tif",
        "classify bad.tif --output o.csv",
        "explain bad.tif --index 0 --output o.png",
        "phase-map bad.tif --output o.h5",
        "index bad.tif --output o.json",
        "unit-cell bad.tif --output o.json",
        "solve bad.tif --output o",
        "train none.toml --output o.safetensors",
    ],
)
def test_a_look_at_the_input_does_not_wait_for_torch(arguments: str, tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.ones((2, 16, 16), "u1"))
    (tmp_path / "bad.tif").write_text("no picture")
    code = (
        f"import sys; from napari_diffraction.cli.app import run; run({arguments.split()!r}); "
        "print(*{'torch', 'dask'} & set(sys.modules))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert answer.stdout.splitlines()[-1] == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["sort"], "No such command"),
        (["info"], "Missing argument"),
        (["classify", "x.npy"], "Missing option"),
        (["classify", "x.npy", "--output", "o.csv", "--batch-size", "0"], "--batch-size"),
        (["simulate", "spots", "--cell", "1", "2", "3", "--output", "o.h5"], "--cell"),
        (["simulate", "spots", "--output", "o.h5"], "--random-cell VOLUME"),
        (["simulate", "spots", "--random-cell", "big", "--output", "o.h5"], "--random-cell"),
        (["simulate", "spots", "--random-cell", "500", "--output", "o.doc"], "must end in .h5"),
        (["info", "no_such_file.tif"], "no_such_file.tif"),
    ],
)
def test_a_wrong_command_gets_one_line_and_status_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    assert words in refused(capsys, *arguments)


def test_info_tells_shape_and_dtype(capsys: pytest.CaptureFixture[str], patterns: Path) -> None:
    assert run(["info", str(patterns)]) == 0
    told = capsys.readouterr().out
    assert "10" in told
    assert "32 x 32 pixels (width x height), uint8" in told
    assert "wavelength 0.0251 A (200 kV) is assumed" in told


def test_classify_writes_the_table_and_counts(
    capsys: pytest.CaptureFixture[str], learning: Any, patterns: Path
) -> None:
    output = patterns.with_name("out.csv")
    assert run(["classify", str(patterns), "--output", str(output)]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "2DZone  3  (30.0%)" in captured.out
    assert len(output.read_text().splitlines()) == 11


def test_several_inputs_are_one_stack(learning: Any, tmp_path: Path) -> None:
    from PIL import Image

    for number in range(3):
        frame = np.full((24, 24), 40 * number, np.uint8)
        Image.fromarray(frame).save(tmp_path / f"frame_{number}.png")
    frames = [str(tmp_path / f"frame_{number}.png") for number in range(3)]
    output = tmp_path / "out.csv"
    assert run(["classify", *frames, "--output", str(output)]) == 0
    rows = output.read_text().splitlines()[1:]
    assert [Path(row.split(",")[1]).name for row in rows] == [Path(name).name for name in frames]


def test_ctrl_c_says_how_to_go_on(
    capsys: pytest.CaptureFixture[str], learning: Any, patterns: Path
) -> None:
    def press(done: int) -> None:
        if done >= 4:
            raise KeyboardInterrupt

    learning.before_batch = press
    output = patterns.with_name("out.csv")
    command = ["classify", str(patterns), "--output", str(output), "--batch-size", "2"]
    assert run(command) == 130
    (line,) = capsys.readouterr().err.splitlines()
    assert "4 patterns are kept" in line
    assert "--resume" in line
    learning.before_batch = lambda done: None
    assert run([*command, "--resume"]) == 0
    assert "Going on from 4 of 10 patterns." in capsys.readouterr().out


def test_ctrl_c_is_answered_by_every_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, patterns: Path
) -> None:
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def press_in_compiled_code(*_: object, **__: object) -> None:
        raise SystemError("returned a result with an exception set") from KeyboardInterrupt()

    for pressed in (press, press_in_compiled_code):
        monkeypatch.setattr("napari_diffraction.patterns.readers.look", pressed)
        assert run(["info", str(patterns)]) == 130
        assert capsys.readouterr().err == "Stopped.\n"


def test_an_unknown_model_is_refused(
    capsys: pytest.CaptureFixture[str], learning: Any, patterns: Path
) -> None:
    output = patterns.with_name("out.csv")
    assert "no such model" in refused(
        capsys, "classify", patterns, "--model", "ours", "--output", output
    )
    assert not output.exists()


def test_a_folder_that_cannot_be_written_is_refused(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    learning: Any,
    patterns: Path,
) -> None:
    # Root may write anywhere, so the system's refusal is played.
    def refuse(path: Path, *arguments: Any, **settings: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "touch", refuse)
    output = patterns.with_name("out.csv")
    assert "no permission" in refused(capsys, "classify", patterns, "--output", output)
    assert learning.seen == []


@pytest.mark.parametrize("command", ["evaluate zones {}", "solve {}"])
def test_a_folder_that_is_there_and_cannot_be_written_is_refused_before_the_work(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    learning: Any,
    patterns: Path,
    command: str,
) -> None:
    folder = patterns.with_name("results")
    folder.mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    words = command.format(patterns).split()
    assert "no permission" in refused(capsys, *words, "--output", folder)
    assert learning.seen == []


def test_letters_that_the_output_lacks_are_spelt_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As on Windows, where output to a file has an encoding of few letters."""
    np.save(tmp_path / "データ.npy", np.ones((2, 16, 16), np.uint8))
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="cp1252"))
    assert run(["info", str(tmp_path / "データ.npy")]) == 0
    sys.stdout.flush()
    assert rb"\u30c7\u30fc\u30bf" in written.getvalue()


def test_a_name_that_is_no_text_is_shown_by_its_numbers(learning: Any, tmp_path: Path) -> None:
    name = os.fsdecode(b"old\xe4.npy")
    np.save(tmp_path / name, np.ones((2, 16, 16), np.uint8))
    output = tmp_path / "out.csv"
    assert run(["classify", str(tmp_path / name), "--output", str(output)]) == 0
    assert r"old\udce4.npy" in output.read_text(encoding="utf-8")


def test_models_shows_the_card(capsys: pytest.CaptureFixture[str], learning: Any) -> None:
    assert run(["models"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("zones  Zones\n  Knows zones.\n")
    assert "balanced accuracy: 0.9877" in told


@pytest.mark.parametrize(
    ("arguments", "end"),
    [
        (["index", "x.npy", "--voltage", "high"], ". See napari-diffraction index --help."),
        (["models", "onnx", "zones"], "'--output'. See napari-diffraction models onnx --help."),
        (["sort"], "No such command 'sort'. See napari-diffraction --help."),
    ],
)
def test_a_wrong_option_names_the_help_of_its_command(
    arguments: list[str], end: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(capsys, *arguments).endswith(end)
