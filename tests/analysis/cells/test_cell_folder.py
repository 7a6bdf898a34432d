"""What earlier runs have left in a folder."""

from __future__ import annotations

import json
from pathlib import Path

import dask.array as da
import pytest

from napari_diffraction.analysis.cells.folder import (
    earlier_results,
    make_folder,
    mark_folder,
    remove_earlier,
)
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.stack import PatternStack

OURS = {"cells.json", "cells.cif", "nets.csv", "crystfel/patterns.cxi", "crystfel/phase_2.cell"}
OTHERS = {"report.html", "zones.png", "orientations.sol", "crystfel/phase.cell", "classes.csv"}
STACK = PatternStack(da.zeros((1, 4, 4)), "run")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what looks like files of ours."""
    (tmp_path / "crystfel").mkdir()
    for name in OURS | OTHERS:
        (tmp_path / name).write_text('napari-diffraction "source"')
    return tmp_path


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def found(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in earlier_results(folder)}


def mark(folder: Path, files: object) -> None:
    (folder / "cells.json.json").write_text(json.dumps({"files": files}))


def test_files_are_ours_only_where_the_folder_is_marked_with_them(folder: Path) -> None:
    assert found(folder) == set()
    mark_folder(folder, STACK, [folder / name for name in {*OURS, "cells.p4p"}])
    assert found(folder) == OURS
    # what others have written since is theirs
    (folder / "nets.csv").write_text("mine")
    (folder / "cells.cif").unlink()
    assert found(folder) == OURS - {"nets.csv", "cells.cif"}


def test_no_mark_leads_out_of_the_folder(folder: Path) -> None:
    inner = folder / "inner"
    (inner / "crystfel").mkdir(parents=True)
    for path in (folder / "mine.txt", inner / "mine.txt", inner / ".mine"):
        path.write_text("mine")
    odd = ("../mine.txt", "crystfel/../mine.txt", str(folder / "mine.txt"), ".mine", "crystfel", "")
    mark(inner, {**dict.fromkeys(odd, 4), "mine.txt": 4})
    assert found(inner) == {"mine.txt"}


@pytest.mark.parametrize("files", [None, [], ["nets.csv"], 3, {"nets.csv": None}])
def test_odd_marks_name_nothing(folder: Path, files: object) -> None:
    mark(folder, files)
    assert found(folder) == set()
    (folder / "cells.json.json").write_text('{"stack": "of an earlier version"}')
    assert found(folder) == set()
    (folder / "cells.json.json").write_text("no JSON")
    assert found(folder) == set()
    assert earlier_results(folder / "none") == []


def test_what_is_not_written_again_goes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark_folder(folder, STACK, [folder / name for name in OURS])
    monkeypatch.chdir(folder)
    removed = remove_earlier(earlier_results(folder), [Path("cells.json"), Path("nets.csv")])
    assert {path.name for path in removed} == {"cells.cif", "patterns.cxi", "phase_2.cell"}
    assert names(folder) == OTHERS | {"cells.json", "cells.json.json", "nets.csv"}
    # the subfolder goes with its last file
    (folder / "crystfel" / "phase.cell").rename(folder / "crystfel" / "patterns.cxi")
    mark_folder(folder, STACK, [folder / "crystfel" / "patterns.cxi"])
    remove_earlier(earlier_results(folder), [])
    assert not (folder / "crystfel").exists()


def test_what_cannot_be_removed_is_named_and_the_rest_goes(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def locked(path: Path, **options: bool) -> None:
        if path.name == "cells.cif":
            raise PermissionError(13, "in use")
        unlink(path, **options)

    mark_folder(folder, STACK, [folder / name for name in OURS])
    earlier = earlier_results(folder)
    monkeypatch.setattr(Path, "unlink", locked)
    with pytest.raises(InputError, match=r"cannot be removed: .*cells\.cif\.  Delete it"):
        remove_earlier(earlier, [])
    assert names(folder) == OTHERS | {"cells.cif", "cells.json.json"}


def test_a_folder_where_a_file_is(tmp_path: Path) -> None:
    make_folder(tmp_path / "new")
    make_folder(tmp_path / "new")
    (tmp_path / "afile").touch()
    with pytest.raises(InputError, match="is a file, but a folder is wanted"):
        make_folder(tmp_path / "afile")
    with pytest.raises(InputError, match="cannot be written"):
        make_folder(tmp_path / "none" / "new")
