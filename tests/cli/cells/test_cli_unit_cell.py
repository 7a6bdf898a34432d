"""The command `unit-cell`, from patterns to files."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gemmi
import h5py
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import euler_matrices
from napari_diffraction.crystal.reduction import cells_alike
from napari_diffraction.patterns.readers import open_stack
from napari_diffraction.simulation.samples import FIGURE_2

KEYS = {
    "cell", "cell_su", "niggli", "lattice", "lattice_probabilities", "volume", "zones_explained",
    "zones", "patterns_indexed", "misfit",
}  # fmt: skip


def test_cell_from_sorted_patterns(
    experiment: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, table = experiment
    out = tmp_path / "cell.json"
    assert run(["unit-cell", str(stack), "--zones", str(table), "--output", str(out)]) == 0
    said = json.loads(out.read_text())
    assert said["scale_known"] is True
    best = said["cells"][0]
    assert set(best) >= KEYS
    assert best["lattice"] == "aP"
    assert cells_alike(UnitCell(*best["niggli"]), FIGURE_2, lengths=0.01, angles=0.6, scale=0.01)
    assert best["zones_explained"] == len(best["zones"]) >= 20
    assert all(zone["pattern"] < 24 for zone in best["zones"])
    assert said["patterns_looked_at"] == 34
    assert best["patterns_indexed"] > 0.9
    assert said["ellipticity"]["stretch"] == pytest.approx(0.03, abs=0.006)
    lines = capsys.readouterr().out
    assert "of 24 zones" in lines
    assert "stretches patterns by" in lines
    assert "of 34 patterns" in lines


def test_a_camera_length_and_the_wavelength_that_is_given_make_the_scale(
    experiment: tuple[Path, Path], tmp_path: Path
) -> None:
    """As of CXI and NeXus files that do not tell the wavelength, or a wrong one."""
    stack, table = experiment
    known = open_stack(stack).geometry
    angle = known.pixel_size * known.wavelength
    options = ["--zones", str(table), "--patterns", "0", "--wavelength", str(known.wavelength)]
    for told in (None, 1.3 * known.wavelength):
        path, out = tmp_path / "bare.nxs", tmp_path / "cell.json"
        with h5py.File(path, "w") as file:
            file["entry/data/data"] = np.load(stack.parent / "bare.npy")
            file["entry/instrument/detector/x_pixel_size"] = 55e-6
            file["entry/instrument/detector/distance"] = 55e-6 / angle
            if told is not None:
                file["entry/instrument/beam/incident_wavelength"] = told
        assert run(["unit-cell", str(path), *options, "--output", str(out)]) == 0
        said = json.loads(out.read_text())
        assert said["scale_known"] is True
        assert said["pixel_size"] == pytest.approx(known.pixel_size)


def test_cells_have_the_volumes_that_were_asked_for(
    experiment: tuple[Path, Path], tmp_path: Path
) -> None:
    stack, table = experiment
    out = tmp_path / "cell.json"
    options = ["--zones", str(table), "--volume", "300", "900", "--output", str(out)]
    assert run(["unit-cell", str(stack), *options]) == 0
    volumes = [UnitCell(*one["niggli"]).volume for one in json.loads(out.read_text())["cells"]]
    assert volumes
    assert max(volumes) < 900 * 1.03 < FIGURE_2.volume


def test_zones_alone_if_no_pattern_is_wanted(experiment: tuple[Path, Path], tmp_path: Path) -> None:
    stack, table = experiment
    out = tmp_path / "cell.json"
    options = ["--zones", str(table), "--patterns", "0", "--output", str(out)]
    assert run(["unit-cell", str(stack), *options]) == 0
    said = json.loads(out.read_text())
    assert said["patterns_looked_at"] == 0
    assert said["cells"][0]["patterns_indexed"] is None


def test_files_of_a_folder_can_be_read(experiment: tuple[Path, Path], tmp_path: Path) -> None:
    stack, _ = experiment
    folder = tmp_path / "cells"
    assert run(["unit-cell", str(stack), "--output", str(folder)]) == 0
    cells = json.loads((folder / "cells.json").read_text())["cells"]
    rows = pd.read_csv(folder / "cells.csv")
    assert len(rows) == len(cells)
    assert rows.loc[0, "a"] == pytest.approx(cells[0]["cell"][0], rel=1e-4)
    block = gemmi.cif.read(str(folder / "cells.cif"))[0]
    lengths = [gemmi.cif.as_number(block.find_value(f"_cell_length_{n}")) for n in "abc"]
    assert lengths == pytest.approx(cells[0]["cell"][:3], rel=2e-3)


def test_a_folder_with_results_of_another_stack_is_left_as_it_is(
    experiment: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, table = experiment
    folder = tmp_path / "cells"
    options = ["--zones", str(table), "--patterns", "0", "--output", str(folder)]
    assert run(["unit-cell", str(stack), *options]) == 0
    before = {path: path.read_bytes() for path in folder.iterdir()}
    capsys.readouterr()
    bare = ["--zones", str(table), "--output", str(folder)]
    assert run(["unit-cell", str(stack.with_name("bare.npy")), *bare]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{folder} holds results of another stack" in line
    assert "cells.json" in line
    assert {path: path.read_bytes() for path in folder.iterdir()} == before
    assert run(["unit-cell", str(stack), *options]) == 0  # those of the same stack are replaced
    # a stack of the same name in another folder is another one
    other = tmp_path / "elsewhere" / stack.name
    other.parent.mkdir()
    shutil.copy(stack, other)
    assert run(["unit-cell", str(other), *options]) == 2
    assert f"{folder} holds results of another stack" in capsys.readouterr().err


def test_orientations_as_a_table_and_for_crystfel(
    experiment: tuple[Path, Path], tmp_path: Path
) -> None:
    stack, table = experiment
    folder = tmp_path / "cells"
    assert run(["unit-cell", str(stack), "--zones", str(table), "--output", str(folder)]) == 0
    cell = UnitCell(*json.loads((folder / "cells.json").read_text())["cells"][0]["cell"])
    rows = pd.read_csv(folder / "orientations.csv")
    assert rows["index"].tolist() == list(range(34))
    there = rows[rows["phase"] == 1]
    assert len(there) > 30
    assert (there["matched"] > 0.8 * there["peaks"]).mean() > 0.8
    turns = there[[f"r{i}{j}" for i in "123" for j in "123"]].to_numpy().reshape(-1, 3, 3)
    angles = there[["phi1", "Phi", "phi2"]].to_numpy()
    assert euler_matrices(angles).transpose(0, 2, 1) == pytest.approx(turns, abs=1e-4)
    lines = (folder / "orientations.sol").read_text().splitlines()
    assert len(lines) == len(there)
    for line, index, turn in zip(lines, there["index"], turns, strict=True):
        # CrystFEL counts thirteen words from the end, which the name of the file may have more of
        name, *words = line.rsplit(" ", 13)
        assert name == str(stack)
        assert words[0] == f"//{index}"
        assert words[10:] == ["0", "0", "aP"]
        axes = np.array(words[1:10], float).reshape(3, 3) / 10
        assert axes == pytest.approx(cell.reciprocal_basis @ turn.T, abs=1e-5)


def test_without_a_scale_the_cell_comes_up_to_a_factor(
    experiment: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, table = experiment
    out = tmp_path / "cell.json"
    bare = str(stack.with_name("bare.npy"))
    assert run(["unit-cell", bare, "--zones", str(table), "--output", str(out)]) == 0
    said = json.loads(out.read_text())
    assert said["scale_known"] is False
    cell = UnitCell(*said["cells"][0]["niggli"])
    assert cells_alike(cell, FIGURE_2, lengths=0.01, angles=0.6, scale=None)
    assert "The scale is not known" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--output", "cell.txt"], "must end in .json or .csv or .cif or .cell or .p4p or .sol"),
        (["--output", "none/cells"], "none: there is no such folder"),
        (["--output", "cell.json", "--zones", "none.csv"], "there is no such file"),
        (["--output", "a.sol", "--patterns", "0"], "a.sol holds orientations, but with --patterns"),
        (["--output", "cell.json", "--pixel-size", "0.9"], "which no crystal has"),
        (["--output", "cell.json", "--volume", "900", "100"], "No cell has a volume"),
    ],
)
def test_bad_input_is_one_sentence(
    experiment: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["unit-cell", str(experiment[0]), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_table_without_zones_or_of_another_stack(
    experiment: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, _ = experiment
    table = tmp_path / "table.csv"
    for content, message in (
        ("index,label\n0,NoHit\n", "calls no pattern 2DZone"),
        ("index,label\n99,2DZone\n0,2DZone\n", "speaks of pattern 99"),
        ("index,label\n-3,2DZone\n5,2DZone\n", "speaks of pattern -3"),
        ("index,label\n1,2DZone\n99,NoHit\n", "speaks of pattern 99"),
        ("index,label\n0,2DZone\n,2DZone\n", "has an empty index"),
        ("index,label\n0,2DZone\nx7,2DZone\n", "has the index x7"),
        ("index,label\n0,2DZone\n1.5,2DZone\n", "has the index 1.5"),
        ("index,label\n0,2DZone\ninf,2DZone\n", "has the index inf"),
        ("a,b\n1,2\n", "no columns index and label"),
        ("index,label\n0,2DZone\n1,2DZone\n", "needs at least 3"),
        ("index,source,label\n0,run7.h5,2DZone\n", "says that pattern 0 is of run7.h5"),
        ("index,label\n0,cF\n", "names none of the classes"),
    ):
        table.write_text(content)
        out = str(tmp_path / "o.json")
        assert run(["unit-cell", str(stack), "--zones", str(table), "--output", out]) == 2
        assert message in capsys.readouterr().err


def test_patterns_without_nets(
    patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "o.json")
    assert run(["unit-cell", str(patterns), "--output", out]) == 2
    assert "calls no pattern of patterns a zone" in capsys.readouterr().err
    table = tmp_path / "table.csv"
    table.write_text("index,label\n0,2DZone\n")
    assert run(["unit-cell", str(patterns), "--zones", str(table), "--output", out]) == 2
    assert "shows a net of spots" in capsys.readouterr().err


def test_orientations_without_a_scale_are_refused_before_the_search(
    experiment: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def search(*_: object, **__: object) -> None:
        pytest.fail("a search was begun")

    monkeypatch.setattr("napari_diffraction.cli.cells.unit_cell.solve_stack", search)
    bare, out = experiment[0].with_name("bare.npy"), tmp_path / "a.SOL"
    for options, message in (
        ([str(bare)], "--pixel-size"),
        ([str(bare), "--pixel-size", "0.004", "--patterns", "0"], "with --patterns 0"),
        ([str(experiment[0]), "--patterns", "0"], "with --patterns 0"),
    ):
        assert run(["unit-cell", *options, "--output", str(out)]) == 2
        assert message in capsys.readouterr().err


def test_a_folder_may_have_a_dot_and_each_file_is_told_by_what_it_holds(
    experiment: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack, table = experiment
    folder, own = tmp_path / "run.2", tmp_path / "orientations.csv"
    folder.mkdir()
    options = ["--zones", str(table), "--patterns", "5", "--output", str(folder)]
    assert run(["unit-cell", str(stack), *options, "--output", str(own)]) == 0
    lines = capsys.readouterr().out.splitlines()
    said = dict(line.split(": ", 1) for line in lines if ": " in line)
    cells = len(pd.read_csv(folder / "cells.csv"))
    assert cells > 1
    for path in (folder / "cells.json", folder / "cells.csv", folder / "cells.cif", own):
        assert said[str(path)] == f"{cells} cells."
    for name in ("cells.cell", "cells.p4p"):
        assert said[str(folder / name)] == f"the first of {cells} cells."
    oriented = len((folder / "orientations.sol").read_text().splitlines())
    assert said[str(folder / "orientations.sol")] == f"{oriented} orientations."
    assert said[str(folder / "orientations.csv")] == f"5 patterns, {oriented} orientations."
    # without patterns there are no orientations, and none of the run before
    options[3] = "0"
    (folder / "mine.sol").touch()
    assert run(["unit-cell", str(stack), *options]) == 0
    names = {f"cells.{kind}" for kind in ("json", "json.json", "csv", "cif", "cell", "p4p")}
    assert {path.name for path in folder.iterdir()} == {*names, "mine.sol"}


@pytest.mark.parametrize("marked", [False, True])
def test_files_of_evaluate_and_of_people_stay(
    experiment: tuple[Path, Path], tmp_path: Path, *, marked: bool
) -> None:
    """In a folder that held no cells, or those of a version that kept no list of files."""
    stack, table = experiment
    folder = tmp_path / "both"
    theirs = ("report.html", "zones.png", "patterns.png", "nets.csv", "orientations.csv")
    theirs += ("crystfel/patterns.cxi", "crystfel/phase.cell")
    (folder / "crystfel").mkdir(parents=True)
    for name in theirs:
        (folder / name).write_text("<td>napari-diffraction 1.0</td>")
    options = ["--zones", str(table), "--patterns", "0", "--output", str(folder)]
    assert run(["unit-cell", str(stack), *options]) == 0
    if marked:
        about = json.loads((folder / "cells.json.json").read_text())
        del about["files"]
        (folder / "cells.json.json").write_text(json.dumps(about))
    best = ["--output", str(folder / "best.cell")]
    for more in (best, []):  # a file that is asked for by its name stays, too
        assert run(["unit-cell", str(stack), *options, *more]) == 0
    assert (folder / "best.cell").exists()
    for name in theirs:
        assert (folder / name).read_text() == "<td>napari-diffraction 1.0</td>"


def test_a_file_where_the_folder_should_be(
    experiment: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "afile"
    out.touch()
    assert run(["unit-cell", str(experiment[0]), "--output", str(out)]) == 2
    assert "afile is a file, but a folder is wanted" in capsys.readouterr().err
