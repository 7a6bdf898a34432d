"""The command `index`, with a stand-in for the indexing itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

from napari_diffraction.cli.app import run
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.orientation import random_orientations
from napari_diffraction.indexing.known import IndexSettings
from napari_diffraction.indexing.solution import Candidate, IndexedMap, IndexedPhase
from napari_diffraction.learning.classification.opinion import NetworkOpinion
from napari_diffraction.patterns.stack import KikuchiGeometry, PatternStack
from napari_diffraction.progress import Progress


@dataclass
class FakeIndexing:
    """Calls every pattern but the last nickel."""

    settings: list[IndexSettings] = field(default_factory=list)

    def index_scan(
        self, stack: PatternStack, settings: IndexSettings, workers: object = None
    ) -> Generator[Progress, None, IndexedMap]:
        self.settings.append(settings)
        n = len(stack)
        yield Progress(n, n, "Indexing")
        phase = np.zeros(n, np.int16)
        phase[-1] = -1
        cell = UnitCell(3.524, 3.524, 3.524)
        nickel = IndexedPhase(
            "phase 1", "cF", {"cF": 0.98, "tI": 0.02}, cell, (0.004, 0.004, 0.004, 0, 0, 0), cell,
            grains=2, patterns=n - 1, share=(n - 1) / n, misfit_deg=0.31,
            candidates=(Candidate("Ni", 0.93, 0.001, 0.05),), doubt="Tetragonal is not excluded.",
        )  # fmt: skip
        return IndexedMap(
            stack.name,
            stack.data.shape[:-2],
            (nickel,),
            phase,
            random_orientations(n, np.random.default_rng(0)).astype(np.float32),
            np.full(n, 0.3, np.float32),
            np.full(n, 8, np.int16),
            np.full(n, 12, np.int16),
            np.full(n, 0.9, np.float32),
            np.full(n, 0.5, np.float32),
            np.zeros(n, np.int32),
            np.ones(n, bool),
            settings.pc or (0.51, 0.34, 0.63),
            pattern_centre_from="given" if settings.pc else "found",
            geometry=stack.geometry if isinstance(stack.geometry, KikuchiGeometry) else None,
            sources=stack.sources,
        )


@pytest.fixture
def indexing(monkeypatch: pytest.MonkeyPatch) -> FakeIndexing:
    fake = FakeIndexing()
    module = ModuleType("scan")
    module.index_scan = fake.index_scan
    monkeypatch.setitem(sys.modules, "napari_diffraction.indexing.scan", module)
    return fake


def _patterns(path: Path, shape: tuple[int, ...]) -> str:
    np.save(path, np.random.default_rng(0).integers(0, 255, (*shape, 32, 32), dtype=np.uint8))
    return str(path)


@pytest.fixture
def scan(tmp_path: Path) -> str:
    return _patterns(tmp_path / "scan.npy", (3, 4))


def test_with_nothing_given_all_files_are_written(
    scan: str, indexing: FakeIndexing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs = [str(tmp_path / f"out{end}") for end in (".json", ".csv", ".ang", ".ctf", ".h5")]
    words = [word for output in outputs for word in ("--output", output)]
    assert run(["index", scan, *words]) == 0
    assert [vars(one) for one in indexing.settings] == [
        vars(IndexSettings(opinion=NetworkOpinion()))
    ]
    read = json.loads(Path(outputs[0]).read_text())
    assert read["phases"][0]["lattice"] == "cF"
    assert read["pattern_centre_from"] == "found"
    assert read["not_indexed"] == pytest.approx(1 / 12)
    table = pd.read_csv(outputs[1])
    assert table["phase"].tolist() == ["phase 1"] * 11 + ["not indexed"]
    assert all(Path(output).stat().st_size for output in outputs)
    said = capsys.readouterr()
    assert said.err == ""
    assert all(f"{output}: 3 x 4 points." in said.out for output in outputs)
    assert "Pattern centre (0.51, 0.34, 0.63), found; 20 kV, assumed." in said.out
    assert "91.7%  phase 1: cF  face-centred cubic (p = 0.98), 2 grains, misfit 0.31" in said.out
    assert "a = 3.524(4) A" in said.out
    assert "looks like: Ni (0.93)" in said.out
    assert "Tetragonal is not excluded." in said.out
    assert "8.3%  not indexed" in said.out


def test_what_is_given_reaches_the_indexing(
    scan: str, indexing: FakeIndexing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "cifs"
    folder.mkdir()
    (folder / "mine.cif").write_text(CIF)
    (folder / "broken.cif").write_text("no cif")
    words = ["--pc", "0.5", "0.3", "0.7", "--voltage", "15", "--refine-centre"]
    phases = ["--phase", "Ni", "--phase", str(folder / "mine.cif")]
    output = ["--output", str(tmp_path / "out.json")]
    assert run(["index", scan, *words, *phases, "--candidates", str(folder), *output]) == 0
    (settings,) = indexing.settings
    assert settings.pc == (0.5, 0.3, 0.7)
    assert settings.voltage == 15
    assert settings.refine_centre
    assert [phase.name for phase in settings.phases] == ["Ni", "mine"]
    assert list(settings.candidates) == ["mine"]
    out = capsys.readouterr().out
    assert "as given" in out
    assert "Skipped" in out
    assert "broken.cif" in out


def test_tilts_that_are_given_count_for_the_orientations(
    scan: str, indexing: FakeIndexing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a bare file the camera was taken to be level, which turned all orientations."""
    words = ["index", scan, "--output", str(tmp_path / "out.json")]
    assert run(words) == 0
    said = capsys.readouterr().out
    assert "70 degrees are assumed" in said
    assert "camera is not known: 0 degrees are assumed" in said
    flat = json.loads((tmp_path / "out.json").read_text())
    assert run([*words, "--sample-tilt", "60", "--camera-tilt", "-8"]) == 0
    assert "degrees are assumed" not in capsys.readouterr().out
    tilted = json.loads((tmp_path / "out.json").read_text())
    assert [tilted[name] for name in ("sample_tilt", "camera_tilt")] == [60, -8]
    assert flat["camera_tilt"] == 0
    for tilt in ("100", "nan"):
        assert run([*words, "--camera-tilt", tilt]) == 2
        assert "--camera-tilt" in capsys.readouterr().err


def test_axes_of_a_phase_that_are_not_those_of_its_file_are_told(
    scan: str, indexing: FakeIndexing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cif = tmp_path / "primitive.cif"
    cif.write_text(CIF.replace(" 90\n", " 60\n").replace("F m -3 m", "P 1"))
    out = str(tmp_path / "out.json")
    assert run(["index", scan, "--phase", str(cif), "--output", out]) == 0
    assert indexing.settings[0].phases[0].lattice == "cF"
    assert "Note: primitive.cif has the axes 4.05 4.05 4.05 A, 60 60 60 deg: taken are those" in (
        capsys.readouterr().out
    )


def test_a_list_of_patterns_has_a_solution_and_a_table_but_no_map(
    indexing: FakeIndexing, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = _patterns(tmp_path / "list.npy", (7,))
    words = [word for end in (".json", ".csv") for word in ("--output", str(tmp_path / f"o{end}"))]
    assert run(["index", stack, *words]) == 0
    assert len(pd.read_csv(tmp_path / "o.csv")) == 7
    capsys.readouterr()
    assert run(["index", stack, "--output", str(tmp_path / "map.ang")]) == 2
    assert "no scan" in capsys.readouterr().err
    assert len(indexing.settings) == 1


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--output", "out.xyz"], "must end in .json or"),
        (["--output", "nowhere/out.json"], "no such folder"),
        (["--output", "o.csv.json", "--output", "o.csv"], "says how o.csv came about"),
        (["--output", "out.json", "--phase", "unobtainium"], "Unknown material"),
        (["--output", "out.json", "--candidates", "nowhere"], "no such folder"),
        (["--output", "out.json", "--pc", "0.5", "0.3", "9"], "no pattern centre"),
        (["--output", "out.json", "--voltage", "-3"], "voltage"),
        ([], "--output"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_computed(
    scan: str,
    indexing: FakeIndexing,
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(["index", scan, *words]) == 2
    said = capsys.readouterr()
    assert complaint in said.err
    assert len(said.err.splitlines()) == 1
    assert not indexing.settings
    assert not Path("out.json").exists()


CIF = """data_mine
_cell_length_a 4.05
_cell_length_b 4.05
_cell_length_c 4.05
_cell_angle_alpha 90
_cell_angle_beta 90
_cell_angle_gamma 90
_space_group_name_H-M_alt 'F m -3 m'
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
Al Al 0 0 0
"""
