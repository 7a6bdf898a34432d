"""Two programs on the same output: the second is refused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from napari_diffraction.claims import claim, release_claims
from napari_diffraction.cli.app import run
from napari_diffraction.errors import InputError

CODE = """
import sys
from pathlib import Path
from napari_diffraction.claims import claim
claim(Path(sys.argv[1]))
print("claimed", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_program(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Claim a file in another program, which waits until its input is closed."""
    other = subprocess.Popen(
        [sys.executable, "-c", CODE, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "claimed\n"
        yield other
    finally:
        other.communicate("")


@pytest.fixture(autouse=True)
def _nothing_is_held() -> Iterator[None]:
    yield
    release_claims()


def test_the_second_program_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    with another_program(path) as other, pytest.raises(InputError) as caught:
        claim(path)
    message = str(caught.value)
    assert message.startswith(f"{path} is being written by another program (process {other.pid} on")
    assert message.endswith("wait for it, or choose another output.")
    # it has ended
    claim(path)
    claim(path)
    release_claims()
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="no such signal")
def test_a_program_that_was_killed_claims_nothing(tmp_path: Path) -> None:
    path = tmp_path / "o.csv"
    with another_program(path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert os.listdir(tmp_path) == [".o.csv.lock"]
        claim(path)
    release_claims()
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "output"),
    [
        ("classify x.npy --output o.csv", "o.csv"),
        ("peaks x.npy --output o.csv", "o.csv"),
        ("train zones --output o.safetensors", "o.safetensors"),
        ("simulate spots --random-cell 500 --output o.h5", "o.h5"),
        ("phase-map x.npy --output o.h5", "o.h5"),
        ("index x.npy --output a.json --output o.csv", "o.csv"),
        ("unit-cell x.npy --output o.json", "o.json"),
        ("unit-cell x.npy --output o", "o"),
        ("solve x.npy --output o", "o"),
        ("evaluate zones x.npy --output o", "o"),
        ("explain x.npy --index 0 --output o.png", "o.png"),
    ],
)
def test_every_command_that_takes_long(arguments, output, tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((2, 2, 32, 32), "u1"))
    with another_program(tmp_path / output):
        assert run(arguments.split()) == 2
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert "is being written by another program" in lines[0]
    left = set(os.listdir(tmp_path)) - {"x.npy", "o"}
    assert not left


def test_claims_end_with_the_command(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.ones((2, 32, 32), "u1"))
    assert run(["peaks", "x.npy", "--output", "o.csv"]) == 0
    with another_program(tmp_path / "o.csv"):
        pass
    assert "o.csv" in os.listdir(tmp_path)
    assert ".o.csv.lock" not in os.listdir(tmp_path)
