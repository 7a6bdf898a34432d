"""Work in a process of its own: it reports, fails and ends as it would here."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import time
from pathlib import Path
from types import ModuleType

import pytest

from napari_diffraction.errors import InputError
from napari_diffraction.learning.runs.background_process import in_own_process
from napari_diffraction.progress import Progress, finish

WORK = """
import os, time
from napari_diffraction.errors import InputError
from napari_diffraction.progress import Progress

def count(n, how="well"):
    for k in range(n):
        yield Progress(k + 1, n, str(os.getpid()))
    if how == "badly":
        raise InputError("Take other numbers.")
    if how == "unexpectedly":
        1 / 0
    if how == "suddenly":
        os._exit(3)
    return 2 * n

def endless(path):
    try:
        while True:
            time.sleep(0.01)
            yield Progress(1, 2)
    finally:
        open(path, "w").close()
"""


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    (tmp_path / "counting_work.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path)
    return importlib.reload(importlib.import_module("counting_work"))


def test_steps_and_result_come_from_another_process(work: ModuleType) -> None:
    steps: list[Progress] = []
    assert finish(in_own_process(work.count, 3), steps.append) == 6
    counted = [step for step in steps if step.message != "Starting"]
    assert {step.done for step in counted} == {1, 2, 3}
    assert str(os.getpid()) not in {step.message for step in counted}


@pytest.mark.parametrize(
    ("how", "error", "words"),
    [
        ("badly", InputError, "Take other numbers"),
        ("unexpectedly", RuntimeError, "ZeroDivisionError"),
        ("suddenly", InputError, "ended unexpectedly"),
    ],
)
def test_what_goes_wrong_there_is_raised_here(
    work: ModuleType, how: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        finish(in_own_process(work.count, 2, how))
    assert not multiprocessing.active_children()


def test_closing_ends_the_process_and_lets_it_tidy_up(work: ModuleType, tmp_path: Path) -> None:
    running = in_own_process(work.endless, str(tmp_path / "tidy"))
    while next(running).total != 2:
        time.sleep(0.01)
    running.close()
    assert (tmp_path / "tidy").exists()
    assert not multiprocessing.active_children()
