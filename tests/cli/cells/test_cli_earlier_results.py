"""What `solve` and `unit-cell` do with a folder that `solve` has written before."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.cli.cells.unit_cell import Solved, solve_stack
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.search import CellsFound


@pytest.fixture
def again(solved: Path, tmp_path: Path) -> Path:
    """A folder with results of `solve` and files of a person."""
    folder = tmp_path / "again"
    shutil.copytree(solved, folder)
    for name in ("classes.csv", "classes.csv.part", "mine.png", "crystfel/mine.cell"):
        (folder / name).touch()
    return folder


OWN = {"classes.csv", "classes.csv.part", "mine.png", "crystfel/mine.cell"}


def files(folder: Path) -> set[str]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix() for path in found}


def test_a_folder_holds_only_what_the_last_run_found(
    solved: Path, again: Path, experiment: tuple[Path, Path]
) -> None:
    stack, table = experiment
    # as of a run that found two phases
    (again / "crystfel" / "phase_2.cell").touch()
    about = json.loads((again / "cells.json.json").read_text())
    assert set(about["files"]) == files(solved) - {"cells.json.json"}
    about["files"]["crystfel/phase_2.cell"] = 0
    (again / "cells.json.json").write_text(json.dumps(about))
    options = ["--zones", str(table), "--patterns", "0", "--output", str(again)]
    assert run(["solve", str(stack), *options]) == 0
    of_patterns = {"orientations.csv", "orientations.sol", "crystfel/patterns.sol"}
    # the zones are the patterns, so none but them is drawn
    of_patterns |= files(solved) & {"patterns.png"}
    assert of_patterns < files(solved)
    assert files(again) == files(solved) - of_patterns | OWN


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.mark.parametrize("kept", ["all", "cells.json", "report.html"])
def test_a_run_without_results_leaves_those_of_the_one_before(
    again: Path,
    experiment: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kept: str,
) -> None:
    def gone(*_: object, **__: object) -> None:
        raise InputError("The scheduler is gone.")

    if kept != "all":  # of unit-cell, or of evaluate
        for name in files(again) - {kept}:
            (again / name).unlink()
    before = contents(again)
    table = tmp_path / "few.csv"
    table.write_text("index,label\n0,2DZone\n1,2DZone\n")
    run_few = ["solve", str(experiment[0]), "--zones", str(table), "--output", str(again)]
    assert run(run_few) == 2
    monkeypatch.setattr("napari_diffraction.cli.cells.solve.solve_stack", gone)
    assert run(run_few) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert "needs at least 3" in first
    assert "The scheduler is gone." in second
    for line in (first, second):
        assert f"The results in {again} are those of an earlier run" in line
    assert contents(again) == before


def test_a_page_without_results_is_replaced(
    experiment: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "out" / "report.html"
    for reason in ("The scheduler is gone.", "Workers died."):

        def fail(*_: object, reason: str = reason, **__: object) -> None:
            raise InputError(reason)

        monkeypatch.setattr("napari_diffraction.cli.cells.solve.solve_stack", fail)
        options = ["--zones", str(experiment[1]), "--output", str(page.parent)]
        assert run(["solve", str(experiment[0]), *options]) == 2
        assert reason in page.read_text()


@pytest.mark.parametrize("locked", [False, True])
def test_a_search_without_a_cell_tells_so_before_the_earlier_cells_go(
    again: Path,
    experiment: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    locked: bool,
) -> None:
    unlink = Path.unlink

    def refuse(path: Path, **options: bool) -> None:
        if path.name == "cells.p4p":
            raise PermissionError(13, "in use")
        unlink(path, **options)

    def search(*some: Any, **more: Any) -> Solved:
        solved = solve_stack(*some, **more)
        return replace(solved, result=replace(solved.result, found=CellsFound((), ())))

    monkeypatch.setattr("napari_diffraction.cli.cells.solve.solve_stack", search)
    if locked:
        monkeypatch.setattr(Path, "unlink", refuse)
    options = ["--zones", str(experiment[1]), "--patterns", "0", "--output", str(again)]
    assert run(["solve", str(experiment[0]), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.index("No cell explains three different nets") < line.index("earlier run")
    assert ("cells.p4p. Delete it" in line) == locked
    page = (again / "report.html").read_text()
    assert "No cell explains 3 different nets" in page
    assert "The files of an earlier run are removed." in page
    left = {"report.html", "zones.png", "cells.json.json"} | ({"cells.p4p"} if locked else set())
    assert files(again) == left | OWN


def test_unit_cell_leaves_no_page_of_other_cells_and_says_so(
    again: Path, experiment: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    stack, table = experiment
    options = ["--zones", str(table), "--patterns", "0", "--output", str(again)]
    assert run(["unit-cell", str(stack), *options]) == 0
    kinds = ("json", "json.json", "csv", "cif", "cell", "p4p")
    assert files(again) == {f"cells.{kind}" for kind in kinds} | OWN
    (line,) = (one for one in capsys.readouterr().out.splitlines() if "Removed" in one)
    assert str(again / "report.html") in line
    assert str(again / "crystfel" / "patterns.cxi") in line


def test_what_cannot_be_replaced_is_not_lost(
    again: Path,
    experiment: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def full(*_: object) -> None:
        raise InputError("the disk is full")

    stack, table = experiment
    before = files(again)
    monkeypatch.setattr("napari_diffraction.cli.cells.solve._write_crystfel", full)
    options = ["--zones", str(table), "--patterns", "0", "--output", str(again)]
    assert run(["solve", str(stack), *options]) == 2
    assert files(again) == before
