"""Files of an indexed scan, read back by this program, by json and pandas, and by orix."""

import builtins
import json
import os
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest

from napari_diffraction.analysis.indexed.export import WRITERS, export_indexed, to_crystal_map
from napari_diffraction.analysis.indexed.orientations import crystal_frame, orientations
from napari_diffraction.analysis.indexed.phases import symmetry_of_phase
from napari_diffraction.crystal.cell import UnitCell
from napari_diffraction.crystal.materials import MATERIALS
from napari_diffraction.crystal.orientation import euler_matrices
from napari_diffraction.crystal.structure import expand
from napari_diffraction.crystal.symmetry import disorientation, proper_rotations
from napari_diffraction.errors import InputError
from napari_diffraction.patterns.maps.files import read_map

NAMES = ("phase 1", "phase 2", "phase 3")


def away(indexed, found, program):
    """Disorientation in degrees of matrices, in the frames of a program, from the truth."""
    truth = orientations(indexed, program)
    out = np.full(len(indexed), np.nan)
    for number, phase in enumerate(indexed.phases):
        here = indexed.phase == number
        # symmetry is known in our frame of the crystal
        back = crystal_frame(phase.cell, program).T
        symmetry = symmetry_of_phase(phase)
        out[here] = disorientation(back @ found[here], back @ truth[here], symmetry, phase.cell)
    return out[indexed.phase >= 0]


def test_the_solution_is_json_with_the_keys_of_the_contract(make_indexed, tmp_path):
    indexed = make_indexed(geometry=None)
    path = export_indexed(indexed, tmp_path / "solution.json")

    def refuse(constant):
        raise AssertionError(constant)

    read = json.loads(path.read_text(), parse_constant=refuse)
    assert read["pattern_centre"] == [0.5, 0.3, 0.6]
    assert read["pattern_centre_su"] == [0.001, 0.002, 0.003]
    assert read["pattern_centre_from"] == "found"
    assert (read["voltage"], read["voltage_from"]) == (15.0, "file")
    assert read["not_indexed"] == pytest.approx(1 / 48)
    assert read["sources"] == ["alloy.h5"]
    assert read["points"] == 48
    assert read["about"]["settings"] == {"patterns": 48}
    assert read["software"].startswith("napari-diffraction ")
    assert any("70 degrees" in note for note in read["notes"])
    first = read["phases"][0]
    wanted = {
        "name", "lattice", "lattice_probabilities", "cell", "cell_su", "niggli", "patterns",
        "share", "grains", "misfit_deg", "candidates", "scale_known", "doubt", "reflectors",
    }  # fmt: skip
    assert wanted <= set(first)
    assert first["cell"] == [3.52, 3.52, 3.52, 90, 90, 90]
    assert first["lattice"] == max(
        first["lattice_probabilities"], key=first["lattice_probabilities"].get
    )
    assert first["candidates"][0]["name"] == "Ni"
    assert first["reflectors"][0]["half_width_deg"] is None
    assert [phase["name"] for phase in read["phases"]] == list(NAMES)


def test_the_table_has_a_row_for_each_pattern_looked_at(make_indexed, true_angles, tmp_path):
    done = np.ones(48, bool)
    done[40:] = False
    indexed = make_indexed(done=done)
    path = export_indexed(indexed, tmp_path / "points.csv")
    assert path.read_text().splitlines()[0] == (
        "index,source,row,column,phase,lattice,misfit_deg,bands,confidence,phi1,Phi,phi2"
    )
    table = pd.read_csv(path, keep_default_na=False)
    assert len(table) == 40
    assert table.loc[0, ["phase", "lattice", "misfit_deg", "phi1", "Phi", "phi2"]].tolist() == [
        "not indexed", "", "", "", "", "",
    ]  # fmt: skip
    assert table.loc[9, ["row", "column", "phase", "lattice"]].tolist() == [1, 1, "phase 1", "cF"]
    assert set(table["source"]) == {"alloy.h5"}
    angles = table.loc[1:, ["phi1", "Phi", "phi2"]].astype(float).to_numpy()
    assert np.allclose(euler_matrices(angles), euler_matrices(true_angles[1:40]), atol=1e-4)
    assert json.loads((tmp_path / "points.csv.json").read_text())["points looked at"] == 40


def test_names_of_files_that_are_not_in_utf_8_are_shown(make_indexed, tmp_path):
    name = os.fsdecode(b"m\xfcn")
    indexed = make_indexed(name=name, sources=(f"{name}.h5",))
    for suffix in WRITERS:
        export_indexed(indexed, tmp_path / f"map{suffix}")
    assert set(pd.read_csv(tmp_path / "map.csv")["source"]) == {r"m\udcfcn.h5"}


def test_a_stack_that_is_no_scan_has_no_map(make_indexed, tmp_path):
    stack = make_indexed(shape=(48,), step=None)
    table = pd.read_csv(export_indexed(stack, tmp_path / "points.csv"), keep_default_na=False)
    assert set(table["row"]) == set(table["column"]) == {""}
    assert len(table) == 48
    assert json.loads(export_indexed(stack, tmp_path / "s.json").read_text())["shape"] == [48]
    for suffix in set(WRITERS) - {".csv", ".json"}:
        with pytest.raises(InputError, match="no scan"):
            export_indexed(stack, tmp_path / f"map{suffix}")


def test_other_endings_are_refused(indexed, tmp_path):
    with pytest.raises(InputError, match=r"end in \.json"):
        export_indexed(indexed, tmp_path / "map.xyz")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("suffix", "program"), [(".ang", "edax"), (".ctf", "oxford"), (".h5", "orix")]
)
def test_orix_reads_phases_and_orientations_back(indexed, tmp_path, suffix, program):
    orix = pytest.importorskip("orix.io", reason="orix is not installed")
    read = orix.load(export_indexed(indexed, tmp_path / f"map{suffix}"))
    assert read.shape == (6, 8)
    assert (read.dy, read.dx) == pytest.approx((0.5, 0.25))
    assert read.scan_unit == "um"
    first = 0 if suffix == ".h5" else 1
    expected = np.where(indexed.phase < 0, -1, indexed.phase + first)
    assert (read.phase_id == expected).all()
    names = [read.phases[first + k].name.replace("_", " ") for k in range(3)]
    assert names == list(NAMES)
    cell = read.phases[first + 2].structure.lattice.abcABG()
    assert cell == pytest.approx(indexed.phases[2].cell.parameters, abs=1e-3)
    groups = [read.phases[first + k].point_group.laue.name for k in range(3)]
    assert groups == ["m-3m", "6/mmm", "2/m"]
    assert away(indexed, read.rotations.to_matrix(), program).max() < 0.01
    misfit = read.prop[{".ang": "fit", ".ctf": "MAD", ".h5": "misfit_deg"}[suffix]]
    assert misfit[1:] == pytest.approx(0.4)
    quality = read.prop[{".ang": "iq", ".ctf": "BC", ".h5": "quality"}[suffix]]
    scale = 255 if suffix == ".ctf" else 1
    assert quality == pytest.approx(indexed.quality * scale, abs=0.51 if scale > 1 else 1e-3)


@pytest.mark.parametrize(
    ("suffix", "program"), [(".ang", "edax"), (".ctf", "oxford"), (".h5", "orix")]
)
def test_our_own_reader_reads_them_back(indexed, tmp_path, suffix, program):
    read = read_map(export_indexed(indexed, tmp_path / f"map{suffix}"))
    assert read.step == pytest.approx((0.5, 0.25))
    assert (read.phase.ravel() == indexed.phase + 1).all()
    assert read.names == ("not indexed", *NAMES)
    found = euler_matrices(read.euler.reshape(-1, 3).astype(float))
    assert away(indexed, found, program).max() < 0.01


def test_the_ang_heading_tells_centre_and_symmetry(make_indexed, tmp_path):
    wide = make_indexed(frame_shape=(60, 120))
    lines = export_indexed(wide, tmp_path / "map.ang").read_text().splitlines()
    heading = {line[2:].split()[0]: line.split()[-1] for line in lines if len(line.split()) > 2}
    # EDAX counts y from the bottom; z over the shorter side, here the height
    stars = [float(heading[name]) for name in ("x-star", "y-star", "z-star")]
    assert stars == pytest.approx([0.5, 0.7, 0.6])
    assert [line.split()[-1] for line in lines if "Symmetry" in line] == ["20", "62", "43"]
    facts = json.loads(next(line for line in lines if "PROVENANCE" in line).partition(": ")[2])
    assert facts["pattern_centre_from"] == "found"


def test_a_centre_that_nobody_knows_is_in_no_file(make_indexed, tmp_path):
    """That of a usual camera stood in the heading as if it had been measured."""
    nothing = make_indexed(pattern_centre_from="assumed")
    heading = export_indexed(nothing, tmp_path / "map.ang").read_text()
    assert [f"{name}-star                 0.000000" in heading for name in "xyz"] == [True] * 3
    facts = json.loads(export_indexed(nothing, tmp_path / "map.json").read_text())
    assert facts["pattern_centre"] is None


def test_the_ctf_heading_tells_tilt_and_voltage(indexed, tmp_path):
    text = export_indexed(indexed, tmp_path / "map.ctf").read_text()
    assert "KV\t15\tTiltAngle\t68" in text
    assert (tmp_path / "map.ctf.json").exists()


def test_the_h5_holds_the_solution(indexed, tmp_path):
    with h5py.File(export_indexed(indexed, tmp_path / "map.h5")) as file:
        read = json.loads(file["napari_diffraction/solution"][()])
        assert (file["crystal_map/data/grain"][()] == indexed.grain).all()
    assert read["phases"][1]["lattice"] == "hP"


def test_a_crystal_map_of_orix(indexed, make_indexed):
    pytest.importorskip("orix", reason="orix is not installed")
    made = to_crystal_map(indexed)
    assert made.shape == (6, 8)
    assert away(indexed, made.rotations.to_matrix(), "orix").max() < 0.01
    assert made["phase 2"].orientations.symmetry.name == "6/mmm"
    assert made.prop["misfit_deg"][1] == pytest.approx(0.4)
    nickel, quartz = (
        replace(phase, structure=MATERIALS[name], name=name, cell_su=(0,) * 6)
        for phase, name in zip(indexed.phases, ("Ni", "quartz"), strict=False)
    )
    named = to_crystal_map(make_indexed(phases=(nickel, quartz, indexed.phases[2]))).phases
    assert named["Ni"].space_group.number == 225
    # orix would keep that of quartz with 32 alone, its patterns have a centre
    assert named["quartz"].space_group is None
    assert named["quartz"].point_group.name == "-3m"
    assert to_crystal_map(make_indexed(shape=(48,), step=None)).shape == (48,)
    nothing = make_indexed(
        phases=(),
        phase=np.full(48, -1, np.int16),
        rotation=np.full((48, 3, 3), np.nan, np.float32),
    )
    assert (to_crystal_map(nothing).phase_id == -1).all()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("group", [2, 14, 62, 147, 152, 157, 159, 162, 167, 176, 194, 205, 225])
def test_orix_turns_a_crystal_as_its_laue_group_does(make_indexed, tmp_path, group):
    """Of alpha-Si3N4 (159) orix had the twofold axes 30 degrees away."""
    orix = pytest.importorskip("orix.io", reason="orix is not installed")
    first, *others = make_indexed().phases
    sides = (5.0, 5.0, 5.0) if group > 194 else (5.0, 5.0, 7.0) if group > 75 else (5.0, 6.0, 7.0)
    cell = UnitCell(*sides, gamma=120.0 if 142 < group < 195 else 90.0)
    structure = expand(cell, group, [("Si", 0.11, 0.23, 0.37)], "mine")
    given = replace(first, cell=cell, structure=structure, name="mine", cell_su=(0,) * 6)
    indexed = make_indexed(phases=(given, *others))
    ours = proper_rotations(group, cell)
    saved = orix.load(export_indexed(indexed, tmp_path / "map.h5")).phases
    for phases in (to_crystal_map(indexed).phases, saved):
        theirs = phases["mine"].point_group.proper_subgroup.to_matrix()
        apart = np.abs(ours[:, None] - theirs).max(axis=(2, 3))
        assert len(ours) == len(theirs)
        assert apart.min(axis=0).max() < 1e-6
        assert apart.min(axis=1).max() < 1e-6


def test_without_orix_there_is_advice(indexed, monkeypatch):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.startswith(("orix", "diffpy")):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=r"napari-diffraction\[em\]"):
        to_crystal_map(indexed)


def test_named_phases_carry_their_symmetry(make_indexed, tmp_path):
    indexed = make_indexed()
    quartz = MATERIALS["quartz"]
    given = {"structure": quartz, "name": "quartz", "cell_su": (0,) * 6}
    values = vars(indexed.phases[1]) | given
    phases = (indexed.phases[0], type(indexed.phases[1])(**values), indexed.phases[2])
    text = export_indexed(make_indexed(phases=phases), tmp_path / "map.ctf").read_text()
    line = next(line for line in text.splitlines() if "\tquartz\t" in line)
    assert line.split("\t")[3:5] == ["7", str(quartz.space_group)]


def test_a_scan_in_which_nothing_was_found_is_written_too(make_indexed, tmp_path):
    nothing = make_indexed(
        phases=(),
        phase=np.full(48, -1, np.int16),
        rotation=np.full((48, 3, 3), np.nan, np.float32),
    )
    for suffix in WRITERS:
        assert export_indexed(nothing, tmp_path / f"map{suffix}").stat().st_size
    assert json.loads((tmp_path / "map.json").read_text())["not_indexed"] == 1
    assert not list(tmp_path.glob(".*.part*"))
