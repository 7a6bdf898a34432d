"""What earlier runs have left in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_diffraction.analysis.cells.folder import (
    earlier_results,
    make_folder,
    remove_earlier,
)
from napari_diffraction.errors import InputError

NAMES = (
    "cells.cif", "orientations.sol", "nets.csv", "zones.png", "crystfel/patterns.sol",
    "crystfel/phase.cell", "crystfel/phase_2.cell", "classes.csv", "mine.txt",
    "crystfel/phase_mine.cell",
)  # fmt: skip
CELLS = {"cells.json", "cells.cif", "orientations.sol"}
PAGE = {
    "report.html", "nets.csv", "zones.png", "crystfel/patterns.sol", "crystfel/phase.cell",
    "crystfel/phase_2.cell",
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "crystfel").mkdir()
    for name in NAMES:
        (tmp_path / name).touch()
    return tmp_path


def found(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in earlier_results(folder)}


def test_files_of_other_programs_with_the_same_names_are_not_ours(folder: Path) -> None:
    assert found(folder) == set()
    (folder / "report.html").write_text("<p>My report</p>")
    (folder / "cells.json").write_text("[]")
    assert found(folder) == set()
    assert earlier_results(folder / "none") == []


def test_cells_and_page_tell_which_files_are_ours(folder: Path) -> None:
    (folder / "cells.json").write_text('{"source": "run"}')
    assert found(folder) == CELLS
    (folder / "report.html").write_text("<td>napari-diffraction 1.0</td>")
    assert found(folder) == CELLS | PAGE
    # of a run that did not come to its page
    (folder / "report.html").unlink()
    (folder / "crystfel" / "patterns.cxi").touch()
    assert found(folder) == CELLS | PAGE - {"report.html"} | {"crystfel/patterns.cxi"}


def test_what_is_not_written_again_goes(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cells.json", "cells.json.json"):
        (folder / name).write_text('{"source": "run"}')
    (folder / "crystfel" / "patterns.cxi").touch()
    (folder / "crystfel" / "phase_mine.cell").unlink()
    monkeypatch.chdir(tmp_path)
    remove_earlier(earlier_results(folder), [Path("cells.json"), Path("nets.csv")])
    left = {path.name for path in folder.iterdir()}
    assert left == {"cells.json", "cells.json.json", "nets.csv", "classes.csv", "mine.txt"}


def test_a_folder_where_a_file_is(tmp_path: Path) -> None:
    make_folder(tmp_path / "new")
    make_folder(tmp_path / "new")
    (tmp_path / "afile").touch()
    with pytest.raises(InputError, match="is a file, but a folder is wanted"):
        make_folder(tmp_path / "afile")
    with pytest.raises(InputError, match="cannot be written"):
        make_folder(tmp_path / "none" / "new")
