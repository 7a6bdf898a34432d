"""How the commands speak while they work."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from napari_diffraction.cli.terminal import with_bar
from napari_diffraction.learning.classification.batches import BatchDone


def test_what_work_finds_out_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> Generator[BatchDone, None, str]:
        yield BatchDone(0, 2, "Looking", note="The pattern centre was found.")
        yield BatchDone(2, 2, "Classifying")
        return "done"

    heard: list[BatchDone] = []
    assert with_bar(work(), heard.append) == "done"
    assert len(heard) == 2
    assert capsys.readouterr().out == "The pattern centre was found.\n"
