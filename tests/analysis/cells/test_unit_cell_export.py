"""Files with unit cells: what the formats say beside the numbers."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import dask.array as da
import gemmi
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.analysis.cells.export import UP_TO_SCALE, WRITERS, write_cells
from napari_diffraction.analysis.cells.folder import earlier_results, mark_folder
from napari_diffraction.analysis.cells.report import assumed
from napari_diffraction.analysis.cells.search import CellResult
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.errors import InputError
from napari_diffraction.indexing.zones.net_fit import NetFit
from napari_diffraction.indexing.zones.pattern_nets import PatternNets
from napari_diffraction.indexing.zones.search import CellsFound
from napari_diffraction.indexing.zones.solution import CellSolution
from napari_diffraction.patterns.stack import PatternStack
from napari_diffraction.progress import finish
from napari_diffraction.ui.unit_cell.tasks import exporting

SU = (0.01,) * 6


def cell(a: float, supercell_of: int | None = None) -> CellSolution:
    one = UnitCell(a, 10.0, 18.0, 84.0, 81.0, 74.0)
    return CellSolution(
        one, SU, one, SU, "aP", {"aP": 1.0}, one.volume, 2.0, (), 0.001, 9.0, supercell_of
    )


def net(lens: float) -> NetFit:
    """A net whose farthest spot is 100 pixels from the beam."""
    basis = np.array([[20.0, 0.0], [3.0, 31.0]])
    return NetFit(
        basis, np.zeros(2), 1e-4 * np.eye(4), 1e4 * lens, 100.0, np.ones(9, bool), 0.1,
        (lens, 1e-8),
    )  # fmt: skip


def result(*, known: bool = True, lens: float = 0.0) -> CellResult:
    nets = PatternNets({index: net(lens) for index in (4, 7, 9)}, None)
    cells = (cell(5.7), cell(11.4, 0))
    return CellResult(
        "run", nets, CellsFound((cells,), ()), [4, 7, 9], 0.005, known, 0.0251 if known else None
    )


def blocks(one: CellResult) -> list[gemmi.cif.Block]:
    return list(gemmi.cif.read_string(WRITERS[".cif"](one)))


def test_the_table_tells_multiples_and_the_number_of_all_zones() -> None:
    table = pd.read_csv(io.StringIO(WRITERS[".csv"](result())))
    assert table["supercell_of"].fillna(-1).tolist() == [-1, 0]
    assert table["zones"].tolist() == [3, 3]
    assert table["volume_su"].tolist() == [2.0, 2.0]
    none = replace(result(), found=CellsFound((), ()))
    assert WRITERS[".csv"](none).strip() in ("", '""')


def test_cif_warns_of_multiples_and_names_program_and_wavelength() -> None:
    first, second = blocks(result())
    assert first.find_value("_cell_special_details") is None
    warning = gemmi.cif.as_string(second.find_value("_cell_special_details"))
    assert first.name in warning
    assert "a multiple of a better one" in warning
    for block in (first, second):
        program = gemmi.cif.as_string(block.find_value("_audit_creation_method"))
        assert program.startswith("napari-diffraction ")
        assert gemmi.cif.as_number(block.find_value("_diffrn_radiation_wavelength")) == 0.0251


def test_p4p_holds_the_wavelength_where_it_is_known() -> None:
    lines = dict(line.split(None, 1) for line in WRITERS[".p4p"](result()).splitlines())
    assert [float(word) for word in lines["SOURCE"].split()[1:]] == [0.0251, 0.0251, 0.0251, 1.0]
    assert "SOURCE" not in WRITERS[".p4p"](result(known=False))


def test_without_a_scale_every_format_for_other_programs_says_so() -> None:
    for suffix in (".cell", ".p4p", ".cif"):
        assert UP_TO_SCALE in WRITERS[suffix](result(known=False))
        assert UP_TO_SCALE not in WRITERS[suffix](result())
    assert f"; {UP_TO_SCALE}\n" in WRITERS[".cell"](result(known=False))
    details = [
        gemmi.cif.as_string(one.find_value("_cell_special_details"))
        for one in blocks(result(known=False))
    ]
    assert all(UP_TO_SCALE in one for one in details)


def test_a_file_that_is_refused_does_not_lose_the_others(tmp_path: Path) -> None:
    # of orientations only that there are some is asked before the scale
    unscaled = replace(result(known=False), matches=(object(),))  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"1/nm.*--pixel-size"):
        write_cells(unscaled, [tmp_path / "a.sol", tmp_path / "a.cell"])
    assert [path.name for path in tmp_path.iterdir()] == ["a.cell"]


@pytest.mark.parametrize(
    ("lens", "words"),
    [
        (4e-7, "a spot 100 pixels from the beam is shifted outwards by 0.40%"),
        (-4e-7, "shifted inwards by 0.40%"),
        (0.0, "none that the nets share"),
    ],
)
def test_the_bend_of_the_lens_is_told(lens: float, words: str) -> None:
    one = result(lens=lens)
    said = assumed(one, pixel_size="given", wavelength="given", beams=[(0.0, 0.0)])
    assert words in said["Bend of the lens"]
    assert json.loads(WRITERS[".json"](one))["lens"] == (lens or None)


def test_a_folder_gets_what_there_is_and_keeps_the_rest(tmp_path: Path) -> None:
    folder = tmp_path / "run.2"
    folder.mkdir()
    write_cells(result(), [folder])
    (folder / "notes.txt").touch()
    kinds = {"json", "csv", "cif"}
    names = {path.name for path in folder.iterdir()}
    assert names == {f"cells.{kind}" for kind in kinds | {"cell", "p4p"}} | {"notes.txt"}
    none = replace(result(), found=CellsFound((), ()))
    with pytest.raises(InputError, match=r"there is none for a \.cell file"):
        write_cells(none, [folder, tmp_path / "a.cell"])
    assert {path.name for path in folder.iterdir()} == names
    assert {path.name for path in write_cells(none, [folder])} == {f"cells.{k}" for k in kinds}
    assert {path.name for path in folder.iterdir()} == names


def test_lines_of_tables_end_alike_on_every_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.linesep", "\r\n")  # written as text, \n becomes that of the system
    assert "\r" not in WRITERS[".csv"](result())


def test_the_window_removes_nothing_and_knows_what_is_there(tmp_path: Path) -> None:
    stack = PatternStack(da.zeros((1, 4, 4)), "run")
    ours, theirs = tmp_path / "nets.csv", tmp_path / "report.html"
    ours.touch()
    theirs.write_text("napari-diffraction")
    mark_folder(tmp_path, stack, [ours])
    written = finish(exporting(result(), stack, tmp_path))
    assert ours.exists()
    assert theirs.exists()
    assert set(earlier_results(tmp_path)) == {ours, *written}
