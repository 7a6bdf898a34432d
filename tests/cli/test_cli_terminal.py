"""How the commands speak while they work."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from napari_diffraction.cli.terminal import with_bar
from napari_diffraction.learning.classification.batches import BatchDone
from napari_diffraction.progress import Progress


def test_what_work_finds_out_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> Generator[BatchDone, None, str]:
        yield BatchDone(0, 2, "Looking", note="The pattern centre was found.")
        yield BatchDone(2, 2, "Classifying")
        return "done"

    heard: list[BatchDone] = []
    assert with_bar(work(), heard.append) == "done"
    assert len(heard) == 2
    assert capsys.readouterr().out == "The pattern centre was found.\n"


def test_ctrl_c_in_compiled_code_is_ctrl_c() -> None:
    """Numba lets it come out as the cause of the cause of an error."""

    def compiled() -> None:
        try:
            try:
                raise KeyboardInterrupt
            except KeyboardInterrupt as pressed:
                raise SystemError("returned a result with an exception set") from pressed
        except SystemError as inner:
            raise SystemError("returned a result with an exception set") from inner

    def work() -> Generator[Progress, None, None]:
        yield Progress(0, 1)
        compiled()

    with pytest.raises(KeyboardInterrupt):
        with_bar(work())


def test_an_error_of_compiled_code_stays_one() -> None:
    def work() -> Generator[Progress, None, None]:
        yield Progress(0, 1)
        raise SystemError("bad")

    with pytest.raises(SystemError, match="bad"):
        with_bar(work())
