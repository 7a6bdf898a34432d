"""The command `solve`, from patterns to the next program and to a page for a person."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gemmi
import h5py
import numpy as np
import pandas as pd
import pytest
from crystfel_grammar import Camera, read_cell, read_solutions

from napari_diffraction.cli.app import run
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.reduction import cells_alike
from napari_diffraction.simulation.samples import FIGURE_2

ALIKE = {"lengths": 0.01, "angles": 0.6, "scale": 0.01}


def test_the_page_says_what_was_found_and_assumed_and_needs_no_other_file(solved: Path) -> None:
    page = (solved / "report.html").read_text()
    assert set(re.findall(r'(?:src|href)="([^"]{10})', page)) == {"data:image"}
    assert page.count("<img") == 2
    text = re.sub("<[^>]*>", "|", page)
    for words in (
        "of 24 zones are explained", "of 34 patterns are indexed", "Patterns indexed",
        "0.0251 A, of the file", "1/A, of the file", "found from the nets", "2DZone||24",
        "Bend of the lens",
    ):  # fmt: skip
        assert words in text, words
    assert 'class="warning"' not in page
    for name in ("zones.png", "patterns.png"):
        assert (solved / name).read_bytes()[:4] == b"\x89PNG"


def test_files_with_the_cell(solved: Path) -> None:
    facts, parameters = read_cell(solved / "cells.cell")
    assert facts["lattice_type"] == "triclinic"
    assert cells_alike(UnitCell(*parameters), FIGURE_2, **ALIKE)
    block = gemmi.cif.read(str(solved / "cells.cif"))[0]
    lengths = [gemmi.cif.as_number(block.find_value(f"_cell_length_{n}")) for n in "abc"]
    assert lengths == pytest.approx(parameters[:3], rel=1e-3)
    lines = dict(line.split(None, 1) for line in (solved / "cells.p4p").read_text().splitlines())
    cell = [float(word) for word in lines["CELL"].split()]
    assert cell[:6] == pytest.approx(parameters, rel=1e-4)
    assert cell[6] == pytest.approx(UnitCell(*parameters).volume, rel=1e-3)
    assert len(lines["CELLSD"].split()) == 7


def test_without_a_scale_files_say_so_or_are_not_written(
    experiment: tuple[Path, Path], tmp_path: Path
) -> None:
    stack, table = experiment
    bare, out = stack.with_name("bare.npy"), tmp_path / "out"
    assert run(["solve", str(bare), "--zones", str(table), "--output", str(out)]) == 0
    for name in ("cells.cell", "cells.p4p", "cells.cif", "crystfel/phase.cell"):
        assert "up to a common factor only" in (out / name).read_text()
    _, parameters = read_cell(out / "cells.cell")
    assert cells_alike(UnitCell(*parameters), FIGURE_2, **ALIKE | {"scale": None})
    assert (out / "orientations.csv").exists()
    assert not [*out.rglob("*.sol"), *out.rglob("*.geom")]


def test_crystfel_finds_the_peaks_on_the_lattice_points(solved: Path) -> None:
    """Peaks, camera and orientations belong together, and so does the half pixel."""
    folder = solved / "crystfel"
    camera = Camera(folder / "camera.geom")
    solutions = read_solutions(folder / "patterns.sol")
    listed = (folder / "patterns.lst").read_text().split("\n")[:-1]
    assert set(solutions) <= set(listed)
    assert len(listed) == 34
    off: dict[float, list[float]] = {0.5: [], 0.0: []}
    with h5py.File(folder / "patterns.cxi") as file:
        peaks = file[camera.top["peak_list"]]
        assert file[camera.top["data"]].shape == (34, *camera.shape)
        for name, (axes, lattice) in solutions.items():
            source, event = name.split(" //")
            assert source == str(folder / "patterns.cxi")
            assert lattice == "aP"
            row = int(event)
            n = peaks["nPeaks"][row]
            xy = np.column_stack([peaks[f"peak{c}PosRaw"][row, :n] for c in "XY"])
            for half, gathered in off.items():
                seen = camera.scattering(xy + half)
                # along the beam a reflection may be off the Ewald sphere
                there = np.rint(seen @ np.linalg.inv(axes)) @ axes
                gathered.append(float(np.median(np.hypot(*(seen - there)[:, :2].T))))
    pixel = 1 / (0.0251 * float(camera.top["clen"].split()[0]) * float(camera.top["res"]))
    assert np.median(off[0.5]) < 0.35 * pixel
    assert np.median(off[0.0]) > 1.5 * np.median(off[0.5])


def test_peaks_lie_on_bright_pixels(solved: Path) -> None:
    with h5py.File(solved / "crystfel" / "patterns.cxi") as file:
        for row in range(5):
            image = file["entry_1/data_1/data"][row]
            peaks = file["entry_1/result_1"]
            x, y = (np.rint(peaks[f"peak{c}PosRaw"][row, :5]).astype(int) for c in "XY")
            assert image[y, x].min() > np.quantile(image, 0.97)


def test_nets_are_tabulated(solved: Path) -> None:
    table = pd.read_csv(solved / "nets.csv")
    assert len(table) == 24
    seen = table[table["phase"] == 1].iloc[0]
    _, parameters = read_cell(solved / "cells.cell")
    basis = UnitCell(*parameters).reciprocal_basis
    axis = seen[["u", "v", "w"]].to_numpy(float)
    grid = np.stack(np.meshgrid(*[np.arange(-9, 10)] * 3), axis=-1).reshape(-1, 3)
    plane = grid[(grid @ axis == 0) & grid.any(axis=1)] @ basis
    assert np.linalg.norm(plane, axis=1).min() == pytest.approx(seen["first"], rel=0.02)


def test_orientations_as_orix_reads_them(solved: Path) -> None:
    quaternion = pytest.importorskip("orix.quaternion")
    table = pd.read_csv(solved / "orientations.csv").dropna()
    angles = table[["phi1", "Phi", "phi2"]].to_numpy()
    turns = quaternion.Rotation.from_euler(angles, degrees=True).to_matrix()
    matrices = table[[f"r{i}{j}" for i in "123" for j in "123"]].to_numpy().reshape(-1, 3, 3)
    # ours lead from the crystal to the laboratory
    assert turns == pytest.approx(matrices.transpose(0, 2, 1), abs=1e-4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("index,label\n0,2DZone\n1,2DZone\n", "needs at least 3"),
        ("index,label\n24,2DZone\n25,2DZone\n26,NoHit\n", "needs at least 3"),
    ],
)
def test_too_few_zones_end_in_a_page_that_says_so(
    experiment: tuple[Path, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    table: str,
    message: str,
) -> None:
    (tmp_path / "t.csv").write_text(table)
    options = ["--zones", str(tmp_path / "t.csv"), "--output", str(tmp_path / "out")]
    assert run(["solve", str(experiment[0]), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    page = (tmp_path / "out" / "report.html").read_text()
    assert message in page
    assert 'class="warning"' in page
    assert not (tmp_path / "out" / "cells.json").exists()


def test_classes_are_kept_for_the_next_run(
    learning: object, patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["solve", str(patterns), "--output", str(tmp_path / "out")]
    assert run(options) == 2  # noise has no nets
    assert "shows a net of spots" in capsys.readouterr().err
    assert len(pd.read_csv(tmp_path / "out" / "classes.csv")) == 10
    assert "as classify --border off does" in (tmp_path / "out" / "report.html").read_text()
    assert run([*options, "--resume"]) == 2
    assert "were done already" in capsys.readouterr().out


def test_a_folder_that_cannot_be_made(
    experiment: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "none" / "out"
    assert run(["solve", str(experiment[0]), "--output", str(out)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_ctrl_c_says_what_is_kept_and_how_to_go_on(
    learning: Any,
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def press(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    def said(*options: str) -> str:
        assert run(["solve", str(patterns), "--output", str(tmp_path / "out"), *options]) == 130
        (line,) = capsys.readouterr().err.splitlines()
        return line

    learning.before_batch = press
    assert "nothing to go on from yet" in said()
    learning.before_batch = lambda done: None
    monkeypatch.setattr("napari_diffraction.cli.cells.solve.solve_stack", press)
    for options in ((), ("--resume",)):
        line = said(*options)
        assert f"kept in {tmp_path / 'out' / 'classes.csv'}" in line
        assert "--resume goes on" in line
    table = tmp_path / "own.csv"
    table.write_text("index,label\n0,2DZone\n")
    assert "--resume" not in said("--zones", str(table))


@pytest.mark.parametrize("own", [False, True])
def test_results_of_another_stack_are_not_overwritten(
    learning: object,
    experiment: tuple[Path, Path],
    patterns: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    *,
    own: bool,
) -> None:
    """Whether the classes came from the model or from a table of one's own."""
    out = tmp_path / "out"
    if own:
        out.mkdir()
        (out / "cells.json").write_text('{"source": "patterns"}')
    else:
        assert run(["solve", str(patterns), "--output", str(out)]) == 2  # noise has no nets
    before = {path: path.read_bytes() for path in out.iterdir()}
    capsys.readouterr()
    for options in ([], ["--resume"], ["--zones", str(experiment[1])]):
        assert run(["solve", str(experiment[0]), "--output", str(out), *options]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f"{out} holds results of another stack" in line
        assert "choose another folder, or delete this one" in line
    assert {path: path.read_bytes() for path in out.iterdir()} == before
    # its own stack may be solved there again
    table = tmp_path / "own.csv"
    table.write_text("index,label\n0,2DZone\n")
    assert run(["solve", str(patterns), "--output", str(out), "--zones", str(table)]) == 2
    assert "shows a net of spots" in capsys.readouterr().err


def test_a_file_where_the_folder_should_be(
    patterns: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "afile"
    path.write_text("mine")
    assert run(["solve", str(patterns), "--output", str(path)]) == 2
    assert f"{path} is a file, but a folder is wanted" in capsys.readouterr().err
    assert path.read_text() == "mine"
